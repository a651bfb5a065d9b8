import numpy as np
import pytest
import torch

import tiny_clip
from conftest import photo
from dgsforensics.backbone import load_backbone
from dgsforensics.datasets import Sample
from dgsforensics.detector import Detector
from dgsforensics.errors import UnreadableError
from dgsforensics.model import DetectorModel
from dgsforensics.records import Label
from dgsforensics.trainer import features
from dgsforensics.trainer.features import extract


@pytest.fixture
def model(tiny_backbone):
    config = tiny_clip.config()
    return DetectorModel(config, load_backbone(config.backbone, tiny_backbone)).eval()


@pytest.fixture
def samples(tmp_path):
    made = []
    for seed in range(7):
        path = tmp_path / f"{seed}.png"
        photo(300, 260, seed).save(path)
        made.append(Sample(path, Label.REAL, None, "here", str(seed), f"{seed:064}", "photo"))
    return made


def test_untouched_features_are_those_of_a_scan(
    model, samples, tmp_path, tiny_detector, tiny_backbone
):
    rows = extract(model, samples, "as_is", tmp_path / "cache", batch=3)
    detector = Detector.load(tiny_detector, "cpu", tiny_backbone)
    head = detector.checkpoint.tensors
    expected = [detector.score(sample.path).logit for sample in samples]
    found = rows @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    assert found[:, 0] == pytest.approx(expected, abs=1e-4)


def test_what_is_cached_is_not_computed_again(model, samples, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = extract(model, samples[:4], "degraded", cache, batch=2)
    treated = []
    real = features._treated
    monkeypatch.setattr(
        features,
        "_treated",
        lambda model, sample, *rest: treated.append(sample) or real(model, sample, *rest),
    )
    again = extract(model, samples[::-1], "degraded", cache, batch=2)
    assert {sample.path for sample in treated} == {sample.path for sample in samples[4:]}
    assert np.array_equal(again[::-1][:4], first)


def test_a_stopped_run_goes_on(model, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_ROWS_PER_SHARD", 2)
    samples[5].path.write_bytes(samples[5].path.read_bytes()[:200])
    with pytest.raises(UnreadableError):
        extract(model, samples, "standard", tmp_path / "cache", batch=2)
    kept = list((tmp_path / "cache").rglob("*.npz"))
    assert kept
    photo(300, 260, 5).save(samples[5].path)
    done = []
    extract(
        model,
        samples,
        "standard",
        tmp_path / "cache",
        batch=2,
        progress=lambda done_, total, rate: done.append(total),
    )
    assert done[0] == len(samples) - 2 * len(kept)


def test_treatments_draws_and_precisions_are_kept_apart(model, samples, tmp_path):
    cache = tmp_path / "cache"
    weights = model.tower.proj.clone()
    variants = [
        extract(model, samples, "as_is", cache),
        extract(model, samples, "standard", cache),
        extract(model, samples, "degraded", cache),
        extract(model, samples, "degraded", cache, seed=1),
        extract(model, samples, "as_is", cache, precision=torch.bfloat16),
    ]
    for i, one in enumerate(variants):
        assert not any(np.array_equal(one, other) for other in variants[:i])
    assert variants[4] == pytest.approx(variants[0], rel=0.2, abs=0.5)
    assert torch.equal(model.tower.proj, weights)
