import pytest
import torch

import tiny_clip
from dgsforensics.checkpoint import Checkpoint
from dgsforensics.records import Verdict

pytest.importorskip("sklearn")

from dgsforensics.evaluation import Metrics
from dgsforensics.trainer import card


def test_the_card_states_what_a_reader_needs() -> None:
    row = card.metrics_row("all", Metrics(3, 4, 0.81234, None, 0.5, 0.25, 0.0, 1.0))
    facts = {
        "summary": "A test.",
        "command": "make it",
        "versions": "torch 1",
        "data": "Made-up data.",
        "counts": [{"": "training", "real": 3}],
        "results": [{"title": "Left out", "note": "A note.", "rows": [row]}],
        "limits": ["It knows nothing."],
        "licence": "MIT.",
    }
    calibration = tiny_clip.calibration()
    tensors = {"head.weight": torch.zeros(1, 64), "head.bias": torch.zeros(1)}
    text = card.render(Checkpoint(tiny_clip.config(blocks=(0, 1)), calibration, tensors, facts))
    assert text.startswith("# tiny\n")
    for fact in ("make it", "Made-up data.", "A note.", "- It knows nothing.", "MIT."):
        assert fact in text
    assert "| all | 3 | 4 | 0.812 | - | 0.5 | 0.25 | 0.0 | 1.0 |" in text
    assert "class token after blocks 1, 2" in text
    assert f"{calibration.thresholds().upper:.3f}" in text
    assert "down to a rate of 0.0033" in text


def test_verdict_shares_sum_to_one() -> None:
    row = card.verdict_shares(tiny_clip.calibration(), "x", [-3.0, -0.5, 2.9, 0.5])
    assert row["n"] == 4
    assert sum(row[verdict.value] for verdict in Verdict) == pytest.approx(1)
    assert row["flagged"] == 0.5
