"""Which character each cell of a picture gets, and its two colours.

A cell is some pixels. Each character splits them in two, and either side is best drawn in its mean
colour; of all characters the one is taken with which the least is lost. Where a terminal has but
256 colours, what a cell is off is passed on to those beside and below it, as Floyd and Steinberg
(1976) have it for pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.tui import palette
from dgsforensics.tui.symbols import ACROSS, SymbolSet

PASSED_ON = np.array([0.45, 0.25, 0.25], np.float32)
"""Of what a cell is off in brightness and in hue. With all of it areas become grainy, and specks of
other hues are seen more than the hue that they make up."""


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """The cells of a picture, arrays of (rows, columns)."""

    characters: NDArray[np.intp]
    """Places in the set of symbols."""
    front: NDArray[np.intp]
    """Colours: 0xRRGGBB, or numbers from `palette.FIRST` on."""
    back: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Splits:
    """What each character makes of each cell."""

    front: NDArray[np.float32]
    """(cells, characters, 3)"""
    back: NDArray[np.float32]
    areas: NDArray[np.float32]
    """(characters, 2): pixels in front and behind."""
    kept: NDArray[np.float32]
    """(cells, characters): less of it means that more is lost."""


def in_full_colour(pixels: NDArray[np.uint8], symbols: SymbolSet) -> Mosaic:
    """Return the cells of a picture, (rows * down, columns * ACROSS, 3), in 6 bits a channel."""
    cells, shape = _cells(pixels, symbols)
    splits = _split(cells, symbols)
    best = np.argmax(splits.kept, axis=1)
    every = np.arange(len(cells))
    front, back = (
        numbered(side[every, best], few_colours=False) for side in (splits.front, splits.back)
    )
    return Mosaic(best.reshape(shape), front.reshape(shape), back.reshape(shape))


def in_256_colours(pixels: NDArray[np.uint8], symbols: SymbolSet) -> Mosaic:
    """Return the cells of a picture, (rows * down, columns * ACROSS, 3), in colours of the
    palette.
    """
    cells, (rows, columns) = _cells(pixels, symbols)
    splits = _split(cells, symbols)
    whole = splits.areas[0].sum()
    means = cells.mean(axis=2).reshape(rows, columns, 3)
    off = np.zeros((rows + 1, columns + 2, 3), np.float32)
    found = np.zeros((3, rows, columns), np.intp)
    for step in range(columns + 2 * (rows - 1)):
        # All cells of a slanting line at once: what they are handed is known by then.
        y = np.arange(max(0, (step - columns + 2) // 2), min(rows - 1, step // 2) + 1)
        x = step - 2 * y
        handed = off[y, x + 1][:, None]
        cell = y * columns + x
        wanted = [side[cell] + handed for side in (splits.front, splits.back)]
        places = [palette.nearest(side) for side in wanted]
        got = [palette.COLOURS[side] for side in places]
        lost = [((g - w) ** 2).sum(axis=2) for g, w in zip(got, wanted, strict=True)]
        worth = splits.kept[cell] - lost[0] * splits.areas[:, 0] - lost[1] * splits.areas[:, 1]
        best = np.argmax(worth, axis=1)
        every = np.arange(len(y))
        found[:, y, x] = best, places[0][every, best], places[1][every, best]
        front, back = (
            side[every, best] * splits.areas[best, i, None] for i, side in enumerate(got)
        )
        rest = (means[y, x] + handed[:, 0] - (front + back) / whole) * PASSED_ON
        off[y, x + 2] += rest * (7 / 16)
        off[y + 1, x] += rest * (3 / 16)
        off[y + 1, x + 1] += rest * (5 / 16)
        off[y + 1, x + 2] += rest * (1 / 16)
    return Mosaic(found[0], found[1] + palette.FIRST, found[2] + palette.FIRST)


def _cells(
    pixels: NDArray[np.uint8], symbols: SymbolSet
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return the pixels of each cell, (cells, 3, down * ACROSS), and rows and columns of cells."""
    rows, columns = pixels.shape[0] // symbols.down, pixels.shape[1] // ACROSS
    colours = palette.opponent(pixels.astype(np.float32))
    grid = colours.reshape(rows, symbols.down, columns, ACROSS, 3).transpose(0, 2, 4, 1, 3)
    return grid.reshape(rows * columns, 3, -1), (rows, columns)


def _split(cells: NDArray[np.float32], symbols: SymbolSet) -> _Splits:
    masks = symbols.masks
    areas = np.stack([masks.sum(axis=1), (1 - masks).sum(axis=1)], axis=1)
    inside = cells @ masks.T  # (cells, 3, characters)
    outside = cells.sum(axis=2)[..., None] - inside
    front, back = inside / areas[:, 0], outside / areas[:, 1]
    kept = (front * inside + back * outside).sum(axis=1)
    return _Splits(front.transpose(0, 2, 1), back.transpose(0, 2, 1), areas, kept)


def numbered(colours: NDArray[np.float32], *, few_colours: bool) -> NDArray[np.intp]:
    """Return the numbers of a mosaic for colours (..., 3) given by `palette.opponent`."""
    if few_colours:
        return palette.nearest(colours) + palette.FIRST
    values = np.clip(np.rint(palette.to_rgb(colours)), 0, 255).astype(np.intp)
    rounded = values & 0xFC | values >> 6  # white stays white
    packed: NDArray[np.intp] = rounded @ np.array([1 << 16, 1 << 8, 1])
    return packed
