"""Near-duplicates: pictures that show the same thing after resizing, recompression or small edits.

A fingerprint is the 64-bit difference hash: the picture as 9x8 grey values, one bit for each pair
of neighbours in a row, set where the right one is brighter. Two pictures are near-duplicates when
their fingerprints differ in few bits, and groups are what such pairs connect.

Pictures of one scheme form chains: of 1,200 generated portraits, aligned by the eyes, 228 came out
as one group. A group is never parted: that biases what is held out a little, but leaks nothing.

A picture with little in it has few bits of either kind, and chance alone brings such fingerprints
close: one with fewer than `PLAIN` bits set, or unset, is grouped only with those exactly equal.

At 4 bits, of 764 pictures of a mixed corpus 99 % were found again after JPEG at quality 70 or at
half size, 98 % at a quarter, 58 % with 2 % cut off each side.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 64
ALIKE = 4
"""Bits in which the fingerprints of near-duplicates may differ."""
PLAIN = 6
"""Set or unset bits, below which nothing but equality counts; 8 of 15,276 pictures had under 8."""

_Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def fingerprint(image: Image.Image) -> int:
    """Return difference hash, in [0, 2**64), of an 8-bit image of any size."""
    small = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(small).astype(np.int64)  # (8, 9)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


def group(
    fingerprints: Sequence[int], distance: int = ALIKE, known: Sequence[str | None] | None = None
) -> list[int]:
    """Return the group of each picture, as the index of its first member.

    Connects fingerprints at most `distance` bits apart (0 to 63) and pictures of the same name in
    `known`, where somebody knew better. Any order of pictures gives the same groups.
    """
    values = np.array(fingerprints, dtype=np.uint64)
    if not len(values):
        return []
    _, first, back = np.unique(values, return_index=True, return_inverse=True)
    roots = first[back].astype(np.int64)  # the equal ones, joined
    ones = np.bitwise_count(values[first])
    telling = first[(ones >= PLAIN) & (ones <= BITS - PLAIN)].astype(np.int64)
    for left, right in _close(values[telling], distance):
        _join(roots, telling[left], telling[right])
    by_name: dict[str, int] = {}
    named = [(i, by_name.setdefault(name, i)) for i, name in enumerate(known or ()) if name]
    if named:
        here, there = np.array(named, dtype=np.int64).T
        _join(roots, here, there)
    return [int(root) for root in roots]


def _close(values: NDArray[np.uint64], distance: int) -> Iterator[_Pairs]:
    """Yield positions of all pairs at most `distance` bits apart, some of them more than once.

    Of `distance + 1` bands of bits such a pair has at least one in common, so only values with an
    equal band are compared: sorted by band, each with its next neighbour, the one after that, and
    so on while any bands are still equal. A band takes every so-manieth bit: a run of bits could
    lie in a flat part that many pictures share, such as a white margin.
    """
    for band in range(distance + 1):
        mask = np.uint64(sum(1 << bit for bit in range(band, BITS, distance + 1)))
        order = np.argsort(values & mask, kind="stable")
        ordered = values[order]
        keys = ordered & mask
        alive = np.arange(len(values))
        for step in range(1, len(values)):
            alive = alive[alive < len(values) - step]
            alive = alive[keys[alive] == keys[alive + step]]
            if not len(alive):
                break
            near = alive[np.bitwise_count(ordered[alive] ^ ordered[alive + step]) <= distance]
            yield order[near], order[near + step]


def _join(roots: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
    """Join groups by union-find over many pairs at once; every entry is, before and after, its
    group's first.
    """
    while True:
        a, b = roots[left], roots[right]
        apart = a != b
        if not apart.any():
            return
        np.minimum.at(roots, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while not np.array_equal(above := roots[roots], roots):
            roots[:] = above
