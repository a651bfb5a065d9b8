"""Characters that split their cell in two: what of each is foreground, and what background.

Half blocks, quadrants and eighths are among Unicode's Block Elements, which terminals draw
themselves or find in any font. Sextants came with Unicode 13; only some terminals have them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ACROSS = 8
"""Pixels across a cell by which a character is chosen."""

_Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of a cell."""


@dataclass(frozen=True, slots=True, eq=False)
class SymbolSet:
    """Characters to choose from; of two that are each other's negative there is one."""

    characters: str
    down: int
    """Pixels down a cell by which a character is chosen; a multiple of two."""
    masks: NDArray[np.float32]
    """(characters, down * ACROSS): the share of each pixel that is foreground."""


def _symbols(found: Iterable[tuple[str, list[_Rectangle]]], down: int) -> SymbolSet:
    shapes = dict(found)
    masks = np.zeros((len(shapes), down, ACROSS), np.float32)
    for mask, rectangles in zip(masks, shapes.values(), strict=True):
        for left, top, right, bottom in rectangles:
            mask += np.outer(_shares(top, bottom, down), _shares(left, right, ACROSS))
    return SymbolSet("".join(shapes), down, masks.reshape(len(shapes), -1))


def _shares(begin: float, end: float, count: int) -> NDArray[np.float64]:
    """Return how much of each of `count` equal steps lies between two places in [0, 1]."""
    places = np.arange(count + 1) / count
    return np.diff(np.clip(places, begin, end)) * count


def _grid(character: str, bits: int, rows: int) -> tuple[str, list[_Rectangle]]:
    """Return a character of two columns and some rows; the lowest bit is the upper left field."""
    fields = [divmod(field, 2) for field in range(2 * rows) if bits >> field & 1]
    return character, [(x / 2, y / rows, (x + 1) / 2, (y + 1) / rows) for y, x in fields]


def _block_elements() -> Iterator[tuple[str, list[_Rectangle]]]:
    for bits, character in ((3, "▀"), (5, "▌"), (1, "▘"), (2, "▝"), (4, "▖"), (8, "▗"), (9, "▚")):
        yield _grid(character, bits, 2)
    for eighths in (1, 2, 3, 5, 6, 7):
        yield chr(0x2580 + eighths), [(0.0, 1 - eighths / 8, 1.0, 1.0)]
        yield chr(0x2590 - eighths), [(0.0, 0.0, eighths / 8, 1.0)]


def _sextants() -> Iterator[tuple[str, list[_Rectangle]]]:
    # Those with the last field are negatives of others, and 21 is the half block.
    for bits in (bits for bits in range(1, 32) if bits != 21):
        yield _grid(chr(0x1FB00 + bits - 1 - (bits > 21)), bits, 3)


HALVES = _symbols([_grid("▀", 3, 2)], 8)
BLOCK_ELEMENTS = _symbols(_block_elements(), 8)
SEXTANTS = _symbols([*_block_elements(), *_sextants()], 12)
