import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import photo
from dgsforensics.pictures.patches import entropy_map, select

RANKED = 20 * np.arange(49) % 49
"""The tile of each rank: 24 lowest ascending, 25 highest ascending."""
CLOSE = 2e-4
"""Bits; patches closer than this may change places."""
SMALL = {  # (height, width): stride, places that differ
    (1, 1): (1, 1),
    (5, 300): (4, 49),
    (300, 5): (4, 49),
    (31, 31): (1, 1),
    (32, 32): (1, 1),
    (33, 33): (1, 4),
    (32, 79): (1, 48),
    (32, 80): (1, 49),
    (64, 64): (4, 49),
    (128, 128): (16, 49),
    (223, 224): (16, 49),
    (224, 224): (32, 49),
    (2, 5000): (32, 49),
}


def pixels_of(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.array(photo(width, height, seed))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain_entropy(patch: np.ndarray) -> float:
    """The reference formula, in float64."""
    luma = (0.299 * patch[..., 0] + 0.587 * patch[..., 1] + 0.114 * patch[..., 2]) / 255
    power = np.abs(np.fft.fft2(luma)) ** 2
    share = power / (power.sum() + 1e-12)
    return float(-(share * np.log2(share + 1e-12)).sum())


def plain_map(pixels: np.ndarray, stride: int) -> dict[tuple[int, int], float]:
    return {
        (top, left): plain_entropy(pixels[top : top + 32, left : left + 32])
        for top in range(0, pixels.shape[0] - 31, stride)
        for left in range(0, pixels.shape[1] - 31, stride)
    }


def mirrored(pixels: np.ndarray) -> np.ndarray:
    """The picture, then its mirror image, and so on, until both sides are at least 32."""
    rows, columns = (
        [i % (2 * n) if i % (2 * n) < n else 2 * n - 1 - i % (2 * n) for i in range(max(n, 32))]
        for n in pixels.shape[:2]
    )
    return pixels[np.ix_(rows, columns)]


def tile(stitched: np.ndarray, number: int) -> np.ndarray:
    top, left = 32 * (number // 7), 32 * (number % 7)
    return stitched[top : top + 32, left : left + 32]


@pytest.mark.parametrize(
    ("height", "width", "stride"),
    [(480, 640, 32), (701, 1000, 32), (333, 517, 32), (224, 224, 32), (150, 400, 16), (64, 64, 4)],
)
def test_the_patches_are_those_of_a_plain_loop(height: int, width: int, stride: int) -> None:
    pixels = pixels_of(height, width, seed=height)
    expected = plain_map(pixels, stride)
    chosen = select(pixels)
    assert chosen.stride == stride
    origins = [(int(top), int(left)) for top, left in chosen.origins[RANKED]]
    assert len(set(origins)) == 49
    ascending = sorted(expected.values())
    low, high = ([expected[o] for o in part] for part in (origins[:24], origins[24:]))
    assert np.allclose(sorted(low), ascending[:24], rtol=0, atol=CLOSE)
    assert np.allclose(sorted(high), ascending[-25:], rtol=0, atol=CLOSE)
    assert min(np.diff(low)) > -CLOSE and min(np.diff(high)) > -CLOSE
    assert np.allclose(chosen.entropies[RANKED], low + high, rtol=0, atol=2e-5)


def test_the_entropy_map_is_that_of_a_plain_loop() -> None:
    pixels = pixels_of(70, 150)
    pixels[:32, :32] = 0
    pixels[32:64, 32:64] = noise(32, 32)
    for stride in (32, 5):
        entropy = entropy_map(pixels, stride)
        expected = plain_map(pixels, stride)
        assert entropy.shape == (38 // stride + 1, 118 // stride + 1)
        assert np.allclose(entropy.ravel(), list(expected.values()), rtol=0, atol=2e-5)


def test_pixels_that_make_up_no_whole_patch_are_left_out() -> None:
    pixels = pixels_of(7 * 32 + 31, 8 * 32 + 31)
    cut = select(pixels[: 7 * 32, : 8 * 32])
    assert np.array_equal(select(pixels).origins, cut.origins)


@pytest.mark.parametrize(("shape", "rule"), SMALL.items())
def test_small_pictures_follow_the_stated_rule(
    shape: tuple[int, int], rule: tuple[int, int]
) -> None:
    chosen = select(noise(*shape))
    assert (chosen.stride, chosen.distinct) == rule
    assert len({tuple(origin) for origin in chosen.origins.tolist()}) == rule[1]


@pytest.mark.parametrize("shape", SMALL)
def test_every_tile_shows_what_lies_at_its_origin(shape: tuple[int, int]) -> None:
    pixels = noise(*shape)
    chosen, whole = select(pixels), mirrored(pixels)
    assert chosen.pixels.shape == (224, 224, 3) and chosen.pixels.dtype == np.uint8
    for number, (top, left) in enumerate(chosen.origins):
        assert 0 <= top <= whole.shape[0] - 32 and 0 <= left <= whole.shape[1] - 32
        expected = whole[top : top + 32, left : left + 32]
        assert np.array_equal(tile(chosen.pixels, number), expected)
        assert chosen.entropies[number] == pytest.approx(plain_entropy(expected), abs=2e-5)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 150), width=st.integers(1, 150), seed=st.integers(0, 9))
def test_any_shape_gives_49_true_tiles(height: int, width: int, seed: int) -> None:
    pixels = noise(height, width, seed)
    chosen, whole = select(pixels), mirrored(pixels)
    places = [(int(top), int(left)) for top, left in chosen.origins]
    assert all(top % chosen.stride == left % chosen.stride == 0 for top, left in places)
    for number, (top, left) in enumerate(places):
        expected = whole[top : top + 32, left : left + 32]
        assert expected.shape == (32, 32, 3)
        assert np.array_equal(tile(chosen.pixels, number), expected)
    assert chosen.distinct == len(set(places))
    # The stride is the largest that will do, and patches repeat only where even 1 will not.
    counts = {
        stride: ((whole.shape[0] - 32) // stride + 1) * ((whole.shape[1] - 32) // stride + 1)
        for stride in (32, 16, 8, 4, 2, 1)
    }
    assert chosen.stride == max((s for s, count in counts.items() if count >= 49), default=1)
    assert chosen.distinct == min(49, counts[chosen.stride])


def test_where_places_are_few_the_flattest_repeat_first() -> None:
    pixels = noise(34, 36)  # 15 places, so that 4 of them stand 4 times and 11 stand 3 times
    chosen = select(pixels)
    places = [tuple(origin) for origin in chosen.origins[RANKED].tolist()]
    assert places[:15] == places[15:30] == places[30:45] and places[:4] == places[45:]
    expected = plain_map(pixels, 1)
    assert min(np.diff([expected[place] for place in places[:15]])) > -CLOSE


def test_same_pixels_same_selection() -> None:
    pixels = pixels_of(300, 420)
    first = select(pixels)
    with ThreadPoolExecutor(4) as pool:
        others = list(pool.map(select, [pixels.copy() for _ in range(8)]))
    for other in others:
        assert np.array_equal(first.pixels, other.pixels)
        assert np.array_equal(first.origins, other.origins)
        assert np.array_equal(first.entropies, other.entropies)


def test_the_picture_is_left_as_it_was() -> None:
    pixels = pixels_of(20, 300)
    pixels.flags.writeable = False
    before = pixels.copy()
    chosen = select(pixels)
    assert np.array_equal(pixels, before)
    assert not np.shares_memory(chosen.pixels, pixels)


@pytest.mark.parametrize(
    "view",
    [
        lambda p: p[::-1, ::-1],
        lambda p: p[:, :, ::-1],
        lambda p: p[::2, 3::2],
        lambda p: p.swapaxes(0, 1),
        np.asfortranarray,
    ],
)
def test_memory_layout_makes_no_difference(view) -> None:
    seen = view(pixels_of(300, 420))
    assert not seen.flags.c_contiguous
    strange, plain = select(seen), select(np.ascontiguousarray(seen))
    assert np.array_equal(strange.pixels, plain.pixels)
    assert np.array_equal(strange.entropies, plain.entropies)


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 0, 1), (128, 128, 128), (255, 255, 255)])
def test_flat_pictures_have_no_entropy(colour: tuple[int, int, int]) -> None:
    chosen = select(np.full((320, 320, 3), colour, dtype=np.uint8))
    assert np.isfinite(chosen.entropies).all()
    assert np.abs(chosen.entropies).max() < 1e-5
    in_order = [(32 * (i // 10), 32 * (i % 10)) for i in (*range(24), *range(75, 100))]
    assert [tuple(o) for o in chosen.origins[RANKED].tolist()] == in_order


def test_equal_patches_stand_in_raster_order() -> None:
    stripes, impulse = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # 1 bit
    impulse[7, 9] = 255  # 10 bits
    busy = np.random.default_rng(0).integers(0, 2, (20, 20)).astype(bool)
    rows = [np.concatenate([impulse if b else stripes for b in row], axis=1) for row in busy]
    by_kind = [np.argwhere(busy == kind) * 32 for kind in (False, True)]
    expected = [*by_kind[0][:24].tolist(), *by_kind[1][-25:].tolist()]
    assert select(np.concatenate(rows)).origins[RANKED].tolist() == expected


def test_rounding_does_not_decide_between_equal_patches() -> None:
    patch = noise(32, 32, seed=3)
    variants = [patch, patch[::-1], patch[:, ::-1], np.roll(patch, 5, axis=0)]
    pick = np.random.default_rng(0).integers(0, 4, (10, 10))
    pixels = np.concatenate([np.concatenate([variants[i] for i in row], axis=1) for row in pick])
    exact = plain_entropy(patch)
    assert abs(exact * 1e4 % 1 - 0.5) > 0.1  # far from where rounding turns over
    entropies = entropy_map(pixels)
    assert len(np.unique(entropies)) > 1
    in_order = [(32 * (i // 10), 32 * (i % 10)) for i in (*range(24), *range(75, 100))]
    assert [tuple(o) for o in select(pixels).origins[RANKED].tolist()] == in_order


def test_entropy_lies_between_0_and_10_bits() -> None:
    impulse = np.zeros((32, 32, 3), dtype=np.uint8)
    impulse[7, 9] = 255
    assert entropy_map(impulse)[0, 0] == pytest.approx(10, abs=1e-4)  # its spectrum is flat
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    assert entropy_map(stripes)[0, 0] == pytest.approx(1, abs=1e-4)  # DC and one frequency
    wave = np.round(127.5 + 127.5 * np.cos(np.arange(32) * 2 * np.pi * 3 / 32)).astype(np.uint8)
    share = np.array([2 / 3, 1 / 6, 1 / 6])  # DC, and one frequency that stands there twice
    for waves in (np.tile(wave, (32, 1)), np.tile(wave[:, None], (1, 32))):
        entropy = entropy_map(np.repeat(waves[..., None], 3, axis=2))[0, 0]
        assert entropy == pytest.approx(-(share * np.log2(share)).sum(), abs=0.01)


def test_channels_weigh_as_luma() -> None:
    # An impulse a beside one of b, 16 apart: half the frequencies carry (a+b)^2, half (a-b)^2.
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        pixels = np.zeros((32, 32, 3), dtype=np.uint8)
        pixels[0, 0] = 255
        pixels[0, 16, channel] = 255
        total = 2 * (1 + weight**2)
        shares = np.array([(1 + weight) ** 2, (1 - weight) ** 2]) / total
        expected = 9 - (shares * np.log2(shares)).sum()
        assert entropy_map(pixels)[0, 0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((64, 64, 3), dtype=np.float32),
        np.zeros((64, 64, 3), dtype=np.int16),
        np.zeros((64, 64), dtype=np.uint8),
        np.zeros((64, 64, 4), dtype=np.uint8),
        np.zeros((64, 64, 1), dtype=np.uint8),
        np.zeros((2, 64, 64, 3), dtype=np.uint8),
        np.zeros((0, 64, 3), dtype=np.uint8),
        np.zeros((64, 0, 3), dtype=np.uint8),
    ],
)
def test_anything_but_rgb_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        select(wrong)


def peak_bytes(pixels: np.ndarray) -> int:
    tracemalloc.start()
    try:
        entropy_map(pixels)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(640, 96), (64_000, 96), (32, 50_000)])
def test_memory_hardly_grows_with_the_picture(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), dtype=np.uint8)
    results = 4 * (shape[0] // 32) * (shape[1] // 32)
    assert peak_bytes(pixels) < 12e6 + 2 * results


@pytest.mark.parametrize(("width", "stride"), [(9000, 32), (2000, 4)])
def test_a_wide_picture_is_the_sum_of_its_pieces(width: int, stride: int) -> None:
    pixels = noise(33, width)
    whole = entropy_map(pixels, stride)
    assert whole.shape[1] == (width - 32) // stride + 1
    for column in range(0, whole.shape[1], 7):
        piece = pixels[:, column * stride :][:, : 32 + 2 * stride]
        expected = entropy_map(piece, stride)
        found = whole[:, column : column + 3]
        assert np.allclose(found, expected[:, : found.shape[1]], rtol=0, atol=2e-5)


def test_neighbouring_ranks_do_not_lie_side_by_side() -> None:
    tiles = RANKED
    assert sorted(tiles) == list(range(49))
    ramp = np.zeros((224, 224, 3), dtype=np.uint8)
    grain = np.random.default_rng(0).normal(0, 1, (32, 32, 1))
    for number in range(49):  # 49 patches of rising entropy: more and more of one grain
        top, left = 32 * (number // 7), 32 * (number % 7)
        ramp[top : top + 32, left : left + 32] = np.round(128 + grain * (2 + number / 2))
    chosen = select(ramp)
    by_rank = [tuple(o) for o in chosen.origins[RANKED].tolist()]
    assert by_rank == [(32 * (i // 7), 32 * (i % 7)) for i in range(49)]
    gaps = [sqrt((a // 7 - b // 7) ** 2 + (a % 7 - b % 7) ** 2) for a, b in pairwise(tiles)]
    assert min(gaps) > 1.5
