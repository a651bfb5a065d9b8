from typing import Any

import pytest
import torch

import tiny_clip
from dgsforensics.detector import card
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import LoraConfig
from dgsforensics.detector.facts import CardTable, ModelCard
from dgsforensics.errors import ConfigError

TENSORS = {"head.weight": torch.zeros(1, 64), "head.bias": torch.zeros(1)}


def test_the_card_states_what_a_reader_needs() -> None:
    from dgsforensics.evaluation.metrics import Metrics, metrics_row

    row = metrics_row("all", Metrics(3, 4, 0.81234, None, 0.5, 0.25, 0.0, 1.0))
    facts = ModelCard(
        summary="A test.",
        command="make it",
        versions="torch 1",
        data="Made-up data.",
        counts=({"": "training", "real": 3},),
        results=(CardTable("Left out", "A note.", (row,)),),
        limits=("It knows nothing.",),
        licence="MIT.",
    )
    calibration = tiny_clip.calibration()
    text = card.render(Checkpoint(tiny_clip.config(blocks=(0, 1)), calibration, TENSORS, facts))
    assert text.startswith("# tiny\n")
    for fact in ("make it", "Made-up data.", "A note.", "- It knows nothing.", "MIT."):
        assert fact in text
    assert "| all | 3 | 4 | 0.812 | - | 0.5 | 0.25 | 0.0 | 1.0 |" in text
    assert "class token after blocks 1, 2" in text
    assert f"{calibration.thresholds().upper:.3f}" in text
    assert "down to a rate of 0.0033" in text


def test_a_card_without_facts_still_says_what_the_detector_is() -> None:
    text = card.render(Checkpoint(tiny_clip.config(), Calibration.none(), TENSORS))
    assert text.startswith("# tiny\n")
    assert "Adapters: none." in text
    assert "not calibrated, so its false-positive rate is unknown" in text
    assert "inconclusive" not in text and "--fpr" not in text


def test_adapters_are_put_into_words() -> None:
    config = tiny_clip.config(lora=LoraConfig(rank=2, alpha=3, dropout=0.5, blocks=(1,)))
    text = card.render(Checkpoint(config, Calibration.none(), TENSORS))
    assert "LoRA of rank 2 on q, k and v of blocks 2, alpha 3 (scale alpha/sqrt(rank))" in text


def test_where_it_came_from_is_said() -> None:
    facts = ModelCard(origin={"file": "last.pth", "sha256": "0" * 64})
    text = card.render(Checkpoint(tiny_clip.config(), Calibration.none(), TENSORS, facts))
    assert "## Where it came from" in text
    assert "- file: last.pth\n" in text


@pytest.mark.parametrize(
    "facts",
    [
        {"summary": 3},
        {"data": None},
        {"calibrated": {"from": "x"}},
        {"results": [{"title": "x", "note": "y", "rows": [{"a": 1}, {"b": 1}]}]},
        {"data": "x", "counts": 7},
        {"results": 1},
        {"results": [{}]},
        {"results": ["x"]},
        {"limits": 4},
        {"licence": []},
        {"origin": "elsewhere"},
    ],
)
def test_a_damaged_card_is_named(facts: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="the model card is damaged: "):
        ModelCard.from_dict(facts)


def test_facts_survive_the_file() -> None:
    facts = {
        "summary": "A test.",
        "counts": [{"": "training", "real": 3}],
        "origin": {"scale": 0.5},
        "calibrated": {"from": "x", "sha256": "0", "photographs": "some", "generated": "none"},
        "results": [{"title": "t", "note": "n", "rows": [{"": "all", "auroc": None}]}],
        "limits": ["It knows nothing."],
        "of a later version": [1],
    }
    assert ModelCard.from_dict(facts).to_dict() == facts
    assert ModelCard.from_dict({}).to_dict() == {}


def test_what_is_put_in_is_text() -> None:
    rows = ({"": "a|b", "n": 1},)
    facts = ModelCard(summary="<script>", results=(CardTable("t", "n", rows),))
    made = Checkpoint(tiny_clip.config(), Calibration.none(), TENSORS, facts)
    assert "| a\\|b | 1 |\n" in card.render(made)
    assert "&lt;script&gt;" in card.render(made) and "<script" not in card.render(made)
    assert "<script>" in card.plain(made)
