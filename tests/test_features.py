from typing import get_args

import numpy as np
import pytest
import torch

import tiny_clip
from conftest import BROKEN, photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.config import InputConfig, LoraConfig
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import ConfigError, ImageError, UnreadableError
from dgsforensics.records import Label
from dgsforensics.trainer import features
from dgsforensics.trainer.features import extract, treated
from dgsforensics.trainer.treatments import Augmentation


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
    head = detector.forward.checkpoint.tensors
    expected = [detector.score(sample.path).logit for sample in samples]
    found = rows @ head["head.weight"].numpy().T + head["head.bias"].numpy()
    assert found[:, 0] == pytest.approx(expected, abs=1e-4)


def test_what_is_cached_is_not_computed_again(model, samples, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = extract(model, samples[:4], "web", cache, batch=2)
    made = []
    real = features.version
    monkeypatch.setattr(
        features,
        "version",
        lambda config, picture, sha256, draw: (
            made.append(sha256) or real(config, picture, sha256, draw)
        ),
    )
    again = extract(model, samples[::-1], "web", cache, batch=2)
    assert sorted(made) == sorted(sample.sha256 for sample in samples[4:])
    assert np.array_equal(again[::-1][:4], first)


def test_a_stopped_run_goes_on(model, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_ROWS_PER_SHARD", 2)
    samples[5].path.write_bytes(samples[5].path.read_bytes()[:200])
    with pytest.raises(UnreadableError):
        extract(model, samples, "flip", tmp_path / "cache", batch=2)
    kept = list((tmp_path / "cache").rglob("*.npz"))
    assert kept
    photo(300, 260, 5).save(samples[5].path)
    done = []
    extract(
        model,
        samples,
        "flip",
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
        extract(model, samples, "flip", cache),
        extract(model, samples, "web", cache),
        extract(model, samples, "web", cache, seed=1),
        extract(model, samples, "as_is", cache, precision=torch.bfloat16),
    ]
    for i, one in enumerate(variants):
        assert not any(np.array_equal(one, other) for other in variants[:i])
    assert variants[4] == pytest.approx(variants[0], rel=0.2, abs=0.5)
    assert torch.equal(model.tower.proj, weights)


# Treatments


def test_every_treatment_is_kept_apart_and_made_once(model, samples, tmp_path):
    cache = tmp_path / "cache"
    treatments = get_args(features.Treatment)
    rows = {name: extract(model, samples, name, cache) for name in treatments}
    for i, one in enumerate(treatments):
        assert rows[one].shape == (len(samples), 16)
        for other in treatments[:i]:
            # A flip leaves about half of the pictures as they are.
            assert not np.array_equal(rows[one], rows[other]), f"{one} = {other}"
    done = []
    for name in treatments:
        again = extract(model, samples, name, cache, progress=lambda *told: done.append(told))
        assert np.array_equal(again, rows[name])
    assert done == []


def test_every_augmentation_has_a_treatment_and_every_treatment_a_version():
    assert set(features.TREATMENTS) == set(get_args(Augmentation))
    assert set(features.TREATMENTS.values()) <= set(get_args(features.Treatment))


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("treatments.VERSION", {"web", "flip"}),
        ("semantics.VERSION", {"lowpass"}),
    ],
)
def test_a_new_version_of_a_treatment_is_computed_anew(changed, affected, samples, monkeypatch):
    def keys():
        return {name: features.key_of(samples[0], name, 0) for name in get_args(features.Treatment)}

    before = keys()
    monkeypatch.setattr(f"dgsforensics.trainer.{changed}", 99)
    after = keys()
    assert {name for name in before if before[name] != after[name]} == affected


def test_rows_go_by_content_and_nothing_else_of_a_sample(model, samples, tmp_path):
    cache = tmp_path / "cache"
    first = extract(model, samples, "web", cache)
    moved = []
    for sample in samples:
        path = tmp_path / f"moved-{sample.path.name}"
        sample.path.rename(path)
        label = Label.GENERATED
        moved.append(Sample(path, label, "g", "there", "other", sample.sha256, "art", "a caption"))
    again = extract(model, moved, "web", tmp_path / "another cache")
    assert np.array_equal(again, first)
    for sample in moved:
        sample.path.unlink()
    assert np.array_equal(extract(model, moved, "web", cache), first)


@pytest.mark.parametrize("treatment", ["web", "flip"])
def test_draws_differ_and_are_those_of_training(treatment, model, samples, tmp_path):
    cache = tmp_path / "cache"
    rows = [extract(model, samples, treatment, cache, seed=seed) for seed in (4, 5)]
    assert not np.array_equal(*rows)
    for seed, found in zip((4, 5), rows, strict=True):
        pixels = [treated(model.config.input, sample, treatment, seed) for sample in samples]
        with torch.inference_mode():
            expected = model.features(torch.from_numpy(np.stack(pixels))).numpy()
        assert found == pytest.approx(expected, abs=1e-4)


def test_the_batch_size_does_not_matter(model, samples, tmp_path):
    rows = [extract(model, samples, "lowpass", tmp_path / f"{n}", batch=n) for n in (1, 3, 16)]
    assert rows[1] == pytest.approx(rows[0], abs=1e-4)
    assert rows[2] == pytest.approx(rows[0], abs=1e-4)


def test_a_tower_with_adapters_is_refused(tiny_backbone, samples, tmp_path):
    config = tiny_clip.config(LoraConfig(rank=2))
    adapted = DetectorModel(config, load_backbone(config.backbone, tiny_backbone)).eval()
    with pytest.raises(ConfigError, match="frozen towers only"):
        extract(adapted, samples, "as_is", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("treatment", get_args(features.Treatment))
@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (40, 30)])
def test_any_shape_becomes_the_input_of_the_tower(treatment, size, tmp_path):
    path = tmp_path / "x.png"
    photo(*size).save(path)
    sample = Sample(path, Label.REAL, None, "here", "g", "0" * 64, "photo")
    for config in (InputConfig(), InputConfig("whole", size=336)):
        found = treated(config, sample, treatment, 0)
        assert found.shape == (config.size, config.size, 3) and found.dtype == np.uint8


def test_every_kind_of_file_can_be_treated(gallery):
    for name, path in gallery.items():
        sample = Sample(path, Label.REAL, None, "here", "g", "0" * 64, "photo")
        for treatment in get_args(features.Treatment):
            if name in BROKEN:
                with pytest.raises(ImageError):
                    treated(InputConfig("whole"), sample, treatment, 0)
            else:
                assert treated(InputConfig("whole"), sample, treatment, 0).shape == (224, 224, 3)
