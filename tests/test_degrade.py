import random
from io import BytesIO

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import photo
from dgsforensics.trainer.degrade import LONGEST, SHORTEST, degrade, encode, shrink, standard

ODD = [(1, 1), (1, 7), (7, 1), (255, 3), (256, 256), (257, 1), (5000, 10), (10, 5000), (1537, 40)]


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


@pytest.mark.parametrize("size", ODD)
def test_odd_shapes_end_within_the_stated_limits(size: tuple[int, int]) -> None:
    before = picture(*size)
    for seed in range(12):
        after = degrade(before, random.Random(seed))
        assert after.mode == "RGB"
        check_size(size, after.size)


@pytest.mark.parametrize("size", [*ODD, (2000, 1500)])
def test_standard_only_shrinks_what_is_huge(size: tuple[int, int]) -> None:
    after = standard(picture(*size))
    assert after.mode == "RGB"
    factor = min(1, LONGEST / max(size))
    assert after.size == tuple(max(1, round(side * factor)) for side in size)


def test_standard_is_one_jpeg_at_90_without_full_chroma() -> None:
    before = photo(200, 120)
    buffer = BytesIO()
    before.save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    assert np.array_equal(np.asarray(standard(before)), np.asarray(Image.open(buffer)))


def test_same_seed_same_pixels() -> None:
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
    standard(before)
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


def test_jpeg_keeps_full_chroma_from_93() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 200
    errors = {
        quality: np.abs(
            np.asarray(encode(Image.fromarray(stripes), "JPEG", quality)).astype(int) - stripes
        ).mean()
        for quality in (92, 93)
    }
    assert errors[93] < 10 < 30 < errors[92]


@pytest.mark.parametrize("codec", ["JPEG", "WEBP"])
def test_a_lower_quality_costs_more(codec: str) -> None:
    before = photo(200, 120)
    errors = [
        np.abs(np.asarray(encode(before, codec, q)).astype(int) - np.asarray(before)).mean()
        for q in (95, 75, 55)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 20


def test_shrink_never_enlarges() -> None:
    before = picture(30, 20)
    assert shrink(before, 1.0) is before and shrink(before, 7.5) is before
    assert shrink(before, 0.5).size == (15, 10)
    assert shrink(before, 1e-9).size == (1, 1)
