"""Pictures out of characters: half blocks in colour, or letters by brightness without it.

A half block is two pixels in one cell, foreground above background. Colours are given with 6 bits
a channel: with 8, nearly every cell of a photograph has a style of its own, and the terminal codes
of a full screen take four times as long (140 ms).
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dgsforensics.tui.viewport import Frame

CELL = (1, 2)
"""Display pixels in a cell, across and down."""
RAMP = " .:-=+*#%@"
"""From dark to light, on a dark screen."""

PLAIN = Style()
SIGN = Style(bold=True, reverse=True)

_Cell = tuple[str, Style]


def strips(
    image: Image.Image,
    shown: Frame,
    cells: tuple[int, int],
    signs: Mapping[tuple[int, int], str],
    letters: str | None = None,
) -> list[Strip]:
    """Draw the visible part of a picture in a room of `cells` (columns, rows).

    `letters` is a ramp from dark to light; None draws half blocks. `signs` go over the picture.
    """
    columns, rows = cells
    pixels = np.asarray(image)  # (h, w, 3)
    lines = _coloured(pixels, shown.top) if letters is None else _in_letters(pixels, shown, letters)
    before = [(" ", PLAIN)] * shown.left
    after = [(" ", PLAIN)] * (columns - shown.left - shown.width)
    grid = [[(" ", PLAIN)] * columns for _ in range(rows)]
    for row, line in enumerate(lines, shown.top // CELL[1]):
        grid[row] = [*before, *line, *after]
    for (column, row), sign in signs.items():
        grid[row][column] = (sign, SIGN)
    return [Strip(_segments(line), columns) for line in grid]


def _segments(line: list[_Cell]) -> list[Segment]:
    return [
        Segment("".join(character for character, _ in run), style)
        for style, run in groupby(line, key=lambda cell: cell[1])
    ]


def _coloured(pixels: NDArray[np.uint8], top: int) -> list[list[_Cell]]:
    values = (pixels & 0xFC | pixels >> 6).astype(np.int32)  # white stays white
    colours: list[list[int]] = (values @ np.array([1 << 16, 1 << 8, 1], np.int32)).tolist()
    lines = []
    if top % 2:  # the first row of pixels is the lower half of a row of cells
        lines.append([("▄", _style(below, None)) for below in colours[0]])
        colours = colours[1:]
    for above, below in zip(colours[::2], colours[1::2], strict=False):
        lines.append([("▀", _style(*pair)) for pair in zip(above, below, strict=True)])
    if len(colours) % 2:
        lines.append([("▀", _style(above, None)) for above in colours[-1]])
    return lines


@lru_cache(1 << 14)
def _style(foreground: int, background: int | None) -> Style:
    return Style.from_color(
        _colour(foreground), None if background is None else _colour(background)
    )


@lru_cache(1 << 14)
def _colour(value: int) -> Color:
    return Color.from_rgb(value >> 16, value >> 8 & 255, value & 255)


def _in_letters(pixels: NDArray[np.uint8], shown: Frame, ramp: str) -> list[list[_Cell]]:
    light = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.float32)  # (h, w)
    low, high = (float(level) for level in np.percentile(light, (1, 99)))
    if high - low < 16:  # nearly flat: the noise would be all there is to see
        low, high = 0.0, 255.0
    light = np.clip((light - low) / (high - low), 0, 1)
    # Rows of pixels to rows of cells; a half empty cell takes the half it has.
    above, below = shown.top % 2, -(shown.top + len(light)) % 2
    padded = np.pad(light, ((above, below), (0, 0)), mode="edge")
    places = (padded[::2] + padded[1::2]) / 2 * len(ramp)
    return [
        [(ramp[min(int(place), len(ramp) - 1)], PLAIN) for place in row] for row in places.tolist()
    ]
