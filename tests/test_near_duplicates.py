from io import BytesIO

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from conftest import encode, photo
from dgsforensics.pictures.near_duplicates import BITS, PLAIN, fingerprint, group

CHEQUER = int("10" * 32, 2)


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def plain(value: int) -> bool:
    return not PLAIN <= value.bit_count() <= BITS - PLAIN


def slow_group(values: list[int], distance: int, known: list[str | None]) -> list[int]:
    """All pairs, one after the other."""
    first = list(range(len(values)))
    for i, a in enumerate(values):
        for j, b in enumerate(values[:i]):
            near = a == b or (not plain(a) and not plain(b) and bits(a, b) <= distance)
            if near or (known[i] is not None and known[i] == known[j]):
                old, new = max(first[i], first[j]), min(first[i], first[j])
                first = [new if f == old else f for f in first]
    return first


def near(seed: int, flips: list[int]) -> int:
    value = int(np.random.default_rng(seed).integers(0, 2**BITS, dtype=np.uint64))
    for flip in flips:
        value ^= 1 << flip
    return value


# Few seeds and few flips, so that there are chains; now and then a plain one.
VALUES = st.one_of(
    st.builds(near, st.integers(0, 3), st.lists(st.integers(0, BITS - 1), max_size=6)),
    st.lists(st.integers(0, BITS - 1), max_size=PLAIN + 1).map(
        lambda s: sum(1 << b for b in set(s))
    ),
    st.sampled_from([0, 2**BITS - 1]),
)
ROWS = st.lists(st.tuples(VALUES, st.sampled_from([None, None, None, "a", "b"])), max_size=40)


@given(ROWS, st.integers(0, 6))
@example([], 4)
@example([(CHEQUER, None), (CHEQUER ^ 0b1111, None), (CHEQUER ^ 0b11111111, None)], 4)
def test_groups_are_those_of_comparing_all_pairs(rows, distance) -> None:
    values, known = [value for value, _ in rows], [name for _, name in rows]
    assert group(values, distance, known) == slow_group(values, distance, known)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_does_not_matter(rows, random) -> None:
    shuffled = random.sample(range(len(rows)), len(rows))

    def parts(order: list[int]) -> set[frozenset[int]]:
        roots = group([rows[i][0] for i in order], known=[rows[i][1] for i in order])
        return {
            frozenset(order[i] for i, other in enumerate(roots) if other == root) for root in roots
        }

    assert parts(shuffled) == parts(list(range(len(rows))))


def test_the_distance_is_a_limit_and_chains_connect() -> None:
    values = [CHEQUER ^ ((1 << flips) - 1) << 20 for flips in (0, 4, 8, 13)]
    assert group(values) == [0, 0, 0, 3]
    assert group(values, 3) == [0, 1, 2, 3]
    assert group(values, 5) == [0, 0, 0, 0]
    assert group([CHEQUER, CHEQUER ^ 1, CHEQUER], 0) == [0, 1, 0]


def test_plain_pictures_are_grouped_only_when_equal() -> None:
    few, enough = (1 << PLAIN - 1) - 1, (1 << PLAIN) - 1
    values = [0, 1, 0, 2**BITS - 1, 2**BITS - 2, few, enough, enough << 1, enough ^ 2**BITS - 1]
    assert group(values) == [0, 1, 0, 3, 4, 5, 6, 6, 8]


def test_a_known_group_connects_what_looks_different() -> None:
    a, b, c = near(1, []), near(2, []), near(3, [])
    assert min(bits(a, b), bits(b, c), bits(a, c)) > 8
    assert group([a, b, c, b ^ 1, 0, 0], known=["x", "y", "x", None, "y", None]) == [
        *(0, 1, 0, 1, 1, 1),
    ]


def test_many_near_pictures() -> None:
    """Every pair of a bucket is near: joining them one by one would be quadratic."""
    rng = np.random.default_rng(0)
    flips = [rng.choice(BITS, 2, replace=False) for _ in range(5000)]
    values = [CHEQUER ^ (1 << int(a)) ^ (1 << int(b)) for a, b in flips]
    assert set(group(values)) == {0}
    far = [int(v) for v in rng.integers(0, 2**BITS, 5000, dtype=np.uint64)]
    assert len(set(group(far))) == 5000


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_is_found_again(seed: int) -> None:
    picture = photo(640, 480, seed)
    jpeg = Image.open(BytesIO(encode(picture, "JPEG", quality=60)))
    smaller = picture.resize((320, 240), Image.Resampling.LANCZOS)
    versions = [picture, jpeg, smaller, picture.convert("L"), picture.convert("RGBA")]
    others = [photo(640, 480, 100 + seed), picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    assert group([fingerprint(image) for image in versions + others]) == [0, 0, 0, 0, 0, 5, 6]


def test_bits_stand_for_brighter_neighbours_row_by_row() -> None:
    grey = np.zeros((8, 9), dtype=np.uint8)
    grey[0, 1] = 255  # brighter than its left neighbour: the first bit of the first row
    grey[7, 8] = 255  # the last bit of the last row
    assert fingerprint(Image.fromarray(grey)) == 1 << 63 | 1
    assert fingerprint(Image.fromarray(grey).resize((90, 80), Image.Resampling.BOX)) == 1 << 63 | 1


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (9, 8), (10_000, 3)])
def test_any_size_has_a_fingerprint(size: tuple[int, int]) -> None:
    assert fingerprint(Image.new("RGB", size, "red")) == 0
    assert 0 <= fingerprint(photo(*size)) < 2**BITS
