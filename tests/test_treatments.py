import random
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from conftest import photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.config import InputConfig
from dgsforensics.pictures.canonical import LONGEST, encode
from dgsforensics.records import Label
from dgsforensics.trainer import treatments
from dgsforensics.trainer.features import TREATMENTS, treated
from dgsforensics.trainer.treatments import SHORTEST, degrade, flip, web

ODD = [(1, 1), (1, 2), (3, 2000), (2000, 3), (1, 5000), (257, 1), (8, 8), (1537, 40)]


def same(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32))
@example(1, 1, 0)
def test_any_shape_stays_an_rgb_picture_and_does_not_grow(width, height, seed) -> None:
    before = photo(width, height)
    after = web(before, random.Random(seed))
    assert after.mode == "RGB"
    assert 1 <= after.width <= width and 1 <= after.height <= height


@pytest.mark.parametrize("size", ODD)
@pytest.mark.parametrize("change", [web, flip])
def test_odd_shapes(size, change) -> None:
    before = photo(*size)
    for seed in range(20):
        after = change(before, random.Random(seed))
        assert after.mode == "RGB" and min(after.size) >= 1
        assert all(a <= b for a, b in zip(after.size, size, strict=True))


def test_a_strip_that_no_jpeg_can_hold() -> None:
    before = Image.new("RGB", (70_000, 2), (200, 100, 50))
    for seed in range(20):
        after = web(before, random.Random(seed))
        assert max(after.size) <= LONGEST


@pytest.mark.parametrize("change", [web, flip])
def test_the_seed_decides_and_the_picture_is_left_as_it_was(change) -> None:
    before = photo(120, 90)
    copy = before.copy()
    results = [change(before, random.Random(seed)) for seed in (*range(8), *range(8))]
    assert all(same(one, two) for one, two in zip(results[:8], results[8:], strict=True))
    assert same(before, copy)
    random.seed(1)
    first = change(before, random.Random(3))
    random.seed(2)
    assert same(change(before, random.Random(3)), first)


def test_versions_of_a_picture_differ() -> None:
    before = photo(240, 180)
    made = {web(before, random.Random(seed)).tobytes() for seed in range(30)}
    assert len(made) == 30


def test_flip_is_left_for_right_every_second_time() -> None:
    before = photo(40, 30)
    mirrored = ImageOps.mirror(before)
    flipped = 0
    for seed in range(400):
        after = flip(before, random.Random(seed))
        assert same(after, before) or same(after, mirrored)
        flipped += same(after, mirrored)
    assert 160 < flipped < 240


@pytest.fixture
def steps(monkeypatch):
    """What `web` does to a picture, in order."""
    seen: list = []

    for name in ("encode", "degrade"):
        monkeypatch.setattr(
            treatments, name, lambda image, *rest, name=name: seen.append((name, rest)) or image
        )
    return seen


def test_the_web_comes_last_and_a_camera_perhaps_before(steps) -> None:
    encodings = []
    for seed in range(600):
        steps.clear()
        web(photo(8, 8), random.Random(seed))
        assert steps[-1][0] == "degrade"
        encodings += [rest for name, rest in steps[:-1]]
        assert len(steps) <= 2
    assert 240 < len(encodings) < 360
    assert {codec for codec, *_ in encodings} == {"JPEG"}
    assert {quality for _, quality, _ in encodings} == set(range(70, 99))
    assert {subsampling for *_, subsampling in encodings} == {0, 1, 2}


def test_the_web_flips_every_second_time(steps) -> None:
    before = photo(8, 8)
    mirrored = ImageOps.mirror(before)
    after = [web(before, random.Random(seed)) for seed in range(400)]
    assert all(same(image, before) or same(image, mirrored) for image in after)
    assert 160 < sum(same(image, mirrored) for image in after) < 240


@pytest.mark.parametrize(("subsampling", "expected"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_the_subsampling_is_the_one_that_was_asked_for(subsampling, expected) -> None:
    before = photo(120, 90)
    buffer = BytesIO()
    before.save(buffer, "JPEG", quality=80, subsampling=expected)
    assert same(encode(before, "JPEG", 80, subsampling), Image.open(buffer))


# A path through the web

SHAPES = [
    (1, 1),
    (1, 7),
    (7, 1),
    (255, 3),
    (256, 256),
    (257, 1),
    (5000, 10),
    (10, 5000),
    (1537, 40),
]


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def check_size(before: tuple[int, int], after: tuple[int, int]) -> None:
    longest = max(before)
    assert min(SHORTEST, longest) <= max(after) <= min(LONGEST, longest)
    assert 1 <= after[0] <= before[0] and 1 <= after[1] <= before[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 90), st.booleans(), st.integers(0, 2**32))
@example(1, 1, False, 0)
def test_any_shape_ends_within_the_stated_limits(
    width: int, height: int, upright: bool, seed: int
) -> None:
    before = picture(*((height, width) if upright else (width, height)))
    after = degrade(before, random.Random(seed))
    assert after.mode == "RGB"
    check_size(before.size, after.size)


@pytest.mark.parametrize("size", SHAPES)
def test_odd_shapes_end_within_the_stated_limits(size: tuple[int, int]) -> None:
    before = picture(*size)
    for seed in range(12):
        after = degrade(before, random.Random(seed))
        assert after.mode == "RGB"
        check_size(size, after.size)


def test_degraded_same_seed_same_pixels() -> None:
    before = photo(700, 300)
    for seed in range(12):
        first, second = (np.asarray(degrade(before, random.Random(seed))) for _ in range(2))
        assert np.array_equal(first, second)


def test_other_seeds_give_other_pixels() -> None:
    before = photo(300, 200)
    assert len({degrade(before, random.Random(seed)).tobytes() for seed in range(20)}) == 20


def test_no_hidden_source_of_chance() -> None:
    before = photo(300, 200)
    expected = [degrade(before, random.Random(seed)).tobytes() for seed in range(20)]
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist()
    assert [degrade(before, random.Random(seed)).tobytes() for seed in range(20)] == expected
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


def test_the_picture_is_left_as_it_was() -> None:
    before = photo(300, 200)
    copy = before.copy()
    for seed in range(10):
        degrade(before, random.Random(seed))
    assert before.tobytes() == copy.tobytes()


def test_the_longest_side_is_drawn_log_uniformly() -> None:
    strip = picture(3000, 8)
    sides = [max(degrade(strip, random.Random(seed)).size) for seed in range(300)]
    octaves = np.log(np.array(sides) / SHORTEST) / np.log(LONGEST / SHORTEST)
    assert 0 <= octaves.min() < 0.05 and 0.95 < octaves.max() <= 1.001
    shares = np.histogram(octaves, bins=4, range=(0, 1.001))[0] / len(sides)
    assert np.abs(shares - 0.25).max() < 0.09  # 3.6 standard deviations


def test_resizing_and_cropping_both_happen() -> None:
    ramp = np.repeat(np.linspace(0, 255, 1200).astype(np.uint8)[None, :, None], 16, axis=0)
    before = Image.fromarray(np.repeat(ramp, 3, axis=2))
    kept = []  # the share of the picture's width that is still seen, however large it is shown
    for seed in range(60):
        after = np.asarray(degrade(before, random.Random(seed)), dtype=float)
        if after.shape[1] < 600:
            row = after.mean(axis=(0, 2))
            kept.append(float(row[-8:].mean() - row[:8].mean()) / 255)
    assert max(kept) > 0.9 and min(kept) < 0.5
    assert any(0.5 < share < 0.85 for share in kept)


# In training


def a_sample(path: Path, label: Label, number: int = 0) -> Sample:
    generator = None if label == Label.REAL else "g"
    return Sample(path, label, generator, "s", "g", f"{number:064}", "photo")


@pytest.mark.parametrize("treatment", sorted(set(TREATMENTS.values())))
def test_both_classes_are_treated_alike(treatment, tmp_path) -> None:
    path = tmp_path / "x.png"
    photo(300, 260).save(path)
    for seed in range(6):
        one, other = (
            treated(InputConfig("whole"), a_sample(path, label), treatment, seed) for label in Label
        )
        assert np.array_equal(one, other)


def test_what_happens_depends_on_content_and_seed_not_on_where_it_lies(tmp_path) -> None:
    paths = [tmp_path / "x.png", tmp_path / "deep" / "y.png"]
    paths[1].parent.mkdir()
    for path in paths:
        photo(300, 260).save(path)
    config = InputConfig("whole")
    first = treated(config, a_sample(paths[0], Label.REAL), "web", 1)
    moved = replace(a_sample(paths[1], Label.REAL), source="other", group="other", caption="a dog")
    assert np.array_equal(treated(config, moved, "web", 1), first)
    assert not np.array_equal(treated(config, a_sample(paths[0], Label.REAL), "web", 2), first)
    other = a_sample(paths[0], Label.REAL, number=1)
    assert not np.array_equal(treated(config, other, "web", 1), first)
