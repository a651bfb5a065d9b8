"""Pictures out of characters: a mosaic in colour, or letters by brightness without it.

Colours are given with 6 bits a channel: with 8, nearly every cell of a photograph has a style of
its own, and the terminal codes of a full screen take four times as long (140 ms).
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dgsforensics.tui import mosaic, palette
from dgsforensics.tui.symbols import ACROSS, SymbolSet
from dgsforensics.tui.viewport import Frame

CELL = (1, 2)
"""Display pixels in a cell, across and down: what a half block can show of a picture at 1:1."""
RAMP = " .:-=+*#%@"
"""From dark to light, on a dark screen."""

PLAIN = Style()
SIGN = Style(bold=True, reverse=True)

_Cell = tuple[str, Style]


def finer(symbols: SymbolSet) -> tuple[int, int]:
    """Return how many pixels characters are chosen by for a display pixel, across and down."""
    return ACROSS // CELL[0], symbols.down // CELL[1]


def in_symbols(
    image: Image.Image,
    shown: Frame,
    cells: tuple[int, int],
    signs: Mapping[tuple[int, int], str],
    symbols: SymbolSet,
    *,
    few_colours: bool,
) -> list[Strip]:
    """Draw the visible part of a picture, cut `finer`, in a room of `cells` (columns, rows).

    `few_colours`: in 256 of them. `signs` go over the picture.
    """
    draw = mosaic.in_256_colours if few_colours else mosaic.in_full_colour
    step = finer(symbols)[1]
    above, below = shown.top % 2, (shown.top + shown.height) % 2  # half a cell is empty there
    pixels = np.asarray(image)
    padded = np.pad(pixels, ((above * step, below * step), (0, 0), (0, 0)), mode="edge")
    drawn = draw(padded, symbols)
    lines = [
        [_cell(symbols.characters[place], front, back, few_colours) for place, front, back in row]
        for row in np.stack([drawn.characters, drawn.front, drawn.back], axis=2).tolist()
    ]
    if above:
        lines[0] = _half("▄", pixels[:step], few_colours)
    if below:
        lines[-1] = _half("▀", pixels[-step:], few_colours)
    return _placed(lines, shown, cells, signs)


def in_letters(
    image: Image.Image,
    shown: Frame,
    cells: tuple[int, int],
    signs: Mapping[tuple[int, int], str],
    ramp: str,
) -> list[Strip]:
    """Draw the visible part of a picture in letters from dark to light."""
    light = np.asarray(image.convert("L")).astype(np.float32)  # (h, w)
    low, high = (float(level) for level in np.percentile(light, (1, 99)))
    if high - low < 16:  # nearly flat: the noise would be all there is to see
        low, high = 0.0, 255.0
    light = np.clip((light - low) / (high - low), 0, 1)
    # Rows of pixels to rows of cells; a half empty cell takes the half it has.
    above, below = shown.top % 2, -(shown.top + len(light)) % 2
    padded = np.pad(light, ((above, below), (0, 0)), mode="edge")
    places = (padded[::2] + padded[1::2]) / 2 * len(ramp)
    lines = [
        [(ramp[min(int(place), len(ramp) - 1)], PLAIN) for place in row] for row in places.tolist()
    ]
    return _placed(lines, shown, cells, signs)


def _placed(
    lines: list[list[_Cell]],
    shown: Frame,
    cells: tuple[int, int],
    signs: Mapping[tuple[int, int], str],
) -> list[Strip]:
    columns, rows = cells
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


def _cell(character: str, front: int, back: int, few: bool) -> _Cell:
    if front == back:
        return " ", _style(None, back, few)
    return character, _style(front, back, few)


def _half(character: str, pixels: NDArray[np.uint8], few: bool) -> list[_Cell]:
    """Return cells of which one half is outside of the picture."""
    means = pixels.reshape(len(pixels), -1, ACROSS, 3).mean(axis=(0, 2), dtype=np.float32)
    colours = mosaic.numbered(palette.opponent(means), few_colours=few)
    return [(character, _style(colour, None, few)) for colour in colours.tolist()]


@lru_cache(1 << 14)
def _style(front: int | None, back: int | None, few: bool) -> Style:
    of = _numbered if few else _colour
    return Style.from_color(
        None if front is None else of(front), None if back is None else of(back)
    )


@lru_cache(1 << 14)
def _colour(value: int) -> Color:
    return Color.from_rgb(value >> 16, value >> 8 & 255, value & 255)


@lru_cache(None)
def _numbered(number: int) -> Color:
    # With the triplet Textual leaves the number alone.
    triplet = ColorTriplet(*map(int, palette.RGB[number - palette.FIRST]))
    return Color(f"color({number})", ColorType.EIGHT_BIT, number, triplet)
