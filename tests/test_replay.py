"""What a detector knows, as a file of numbers."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_clip
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import catalogue, folders
from dgsforensics.detector.config import DetectorConfig, InputConfig
from dgsforensics.errors import CheckpointError, UsageError
from dgsforensics.records import Label
from dgsforensics.trainer import replay
from dgsforensics.trainer.replay import Replay

CONFIG = tiny_clip.config()


def images(count: int, generator: str | None = None, source: str = "camera") -> list[Sample]:
    label = Label.GENERATED if generator else Label.REAL
    names = [hashlib.sha256(f"{i}{generator}{source}".encode()).hexdigest() for i in range(count)]
    return [Sample(Path(n), label, generator, source, n, n, "photo") for n in names]


def made(samples: list[Sample], held: int = 0, width: int = 4) -> Replay:
    """Random rows, of which every `held`-th was held out."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=len(samples))
    if held:
        logits[np.arange(len(samples)) % held != 0] = np.nan
    features = rng.normal(size=(len(samples), width)).astype(np.float16).astype(np.float32)
    return Replay(samples, features, logits.astype(np.float32).astype(np.float64))


def test_what_is_written_is_read(tmp_path) -> None:
    before = made([*images(5), *images(4, "sd", "forum"), *images(3, "gan")], held=2)
    replay.write(before, CONFIG, tmp_path / "x.replay.safetensors")
    after = replay.read(tmp_path / "x.replay.safetensors", CONFIG)
    assert after is not None and after.samples == before.samples
    assert np.array_equal(after.features, before.features)
    assert np.array_equal(after.logits, before.logits, equal_nan=True)
    assert after.held.tolist() == [True, False] * 6


def test_a_row_takes_two_bytes_a_number(tmp_path) -> None:
    """2,000 rows of the bundled tower, of two blocks, stay under 7 MB."""
    file = tmp_path / "x.replay.safetensors"
    replay.write(made(images(200), width=1536), CONFIG, file)
    assert file.stat().st_size < 200 * 3500


def test_features_of_another_tower_input_or_head_are_not_these(tmp_path) -> None:
    file = tmp_path / "x.replay.safetensors"
    replay.write(made(images(3)), CONFIG, file)
    for other in (
        tiny_clip.config(blocks=(0, 1)),
        dataclasses.replace(CONFIG, input=InputConfig(view="whole")),
        dataclasses.replace(CONFIG, backbone=dataclasses.replace(CONFIG.backbone, sha256="0" * 64)),
    ):
        assert replay.read(file, other) is None
    assert replay.read(file, dataclasses.replace(CONFIG, name="another")) is not None


def test_a_damaged_file_is_named_and_says_what_to_do(tmp_path) -> None:
    file = tmp_path / "x.replay.safetensors"
    file.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"x\.replay\.safetensors.*damaged") as error:
        replay.read(file, CONFIG)
    assert error.value.hint and "remove it" in error.value.hint
    broken = made(images(3))
    broken.features[1, 1] = np.nan
    replay.write(broken, CONFIG, file)
    with pytest.raises(CheckpointError, match="not finite"):
        replay.read(file, CONFIG)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 6))
def test_each_source_and_generator_has_its_share(real, generated, most) -> None:
    samples = [*images(real), *images(7, None, "web"), *images(generated, "sd")]
    rows = made(samples, held=2)
    kept = replay.sample(samples, rows.features, rows.logits, most, most + 1)
    for source, generator in (("camera", None), ("web", None), ("camera", "sd")):
        for held in (False, True):
            there = [
                bool(is_held)
                for s, is_held in zip(samples, rows.held, strict=True)
                if (s.source, s.generator) == (source, generator)
            ]
            found = [
                s
                for s, is_held in zip(kept.samples, kept.held, strict=True)
                if (s.source, s.generator) == (source, generator) and is_held == held
            ]
            assert len(found) == min(most + held, there.count(held))
    place = {s.sha256: i for i, s in enumerate(samples)}
    for s, features in zip(kept.samples, kept.features, strict=True):
        assert np.array_equal(features, rows.features[place[s.sha256]])


def test_a_second_look_at_an_image_replaces_the_first() -> None:
    first, again = made(images(4)), made(images(2))
    both = replay.joined(first, again.with_logits(np.array([5.0, np.nan])))
    assert len(both.samples) == 4 == len({s.sha256 for s in both.samples})
    by_content = dict(zip([s.sha256 for s in both.samples], both.logits.tolist(), strict=True))
    assert by_content[images(2)[0].sha256] == 5.0 and np.isnan(by_content[images(2)[1].sha256])


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="a row"):
        Replay(images(2), np.zeros((3, 4), dtype=np.float32), np.zeros(2))


# Where it lies


@pytest.fixture
def bundled(tmp_path, monkeypatch) -> Path:
    """A folder of bundled detectors with a replay."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    for module in (folders, catalogue, replay):
        monkeypatch.setattr(module, "weights_folder", lambda: folder)
    replay.write(made(images(3), held=1), CONFIG, folder / "first.replay.safetensors")
    return folder


def test_the_file_beside_a_detector_goes_before_the_bundled_one(bundled, tmp_path) -> None:
    mine = tmp_path / "mine.safetensors"
    found = replay.find(mine, CONFIG, adapted=False)
    assert found is not None and len(found.samples) == 3 and found.held.all()
    replay.write(made(images(7), held=1), CONFIG, replay.beside(mine))
    for adapted in (False, True):
        found = replay.find(mine, CONFIG, adapted=adapted)
        assert found is not None and len(found.samples) == 7 and found.held.all()


def test_of_another_detectors_replay_an_adapted_tower_is_not_judged_by(bundled, tmp_path) -> None:
    found = replay.find(tmp_path / "mine.safetensors", CONFIG, adapted=True)
    assert found is not None and len(found.samples) == 3 and not found.held.any()


def test_without_one_that_fits_there_is_none(bundled, tmp_path) -> None:
    other: DetectorConfig = tiny_clip.config(blocks=(0, 1))
    assert replay.find(tmp_path / "mine.safetensors", other, adapted=False) is None


def test_it_is_not_taken_for_a_detector(bundled) -> None:
    assert folders.available() == {}
    folder = folders.user_folder()
    folder.mkdir(parents=True)
    replay.write(made(images(3)), CONFIG, folder / "mine.replay.safetensors")
    assert folders.available() == {}
    assert [entry for entry in catalogue.entries() if "replay" in entry.name] == []
    with pytest.raises(UsageError, match="kept for files of another kind"):
        catalogue.check_name("mine.replay")
