"""One or two pictures laid out in a pane, and each drawn: in characters, or in real pixels."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip

from dgsforensics.console import shortened
from dgsforensics.tui import blocks, graphics, overview, viewport
from dgsforensics.tui.decoding import DecodedPicture
from dgsforensics.tui.graphics import Protocol, Renderer
from dgsforensics.tui.heat import FULL_ODDS, LEAST_ODDS, Heat, matters, signs, tinted
from dgsforensics.tui.viewport import Frame, View
from dgsforensics.wording import printable

LEGEND = {
    True: f"red AI, blue real, full: odds x{FULL_ODDS:g}",
    False: f"+ AI, - real, from odds x{LEAST_ODDS:g}",
}
"""What a map means, by whether there is colour."""
NO_REGION = "map: no region matters"
NAME_COLUMNS = 16
"""What is left of a longer name before anything else is left out of the caption."""


@dataclass(frozen=True, slots=True)
class Part:
    """One picture and its columns of the pane."""

    shot: DecodedPicture | None
    caption: str
    left: int
    cells: tuple[int, int]
    """Columns and rows, without the line for the caption."""
    room: tuple[int, int]
    """The same in display pixels."""
    frame: Frame | None
    """None without a picture."""
    is_fitted: bool
    heat: Heat


def arrange(
    pictures: Sequence[tuple[DecodedPicture | None, str]],
    view: View,
    size: tuple[int, int],
    renderer: Renderer,
    heat: Heat,
) -> list[Part]:
    """Give one or two pictures their places in a pane of `size` (columns, rows).

    There is always at least one part, of one column and row. `view` is that of the first picture;
    the same part of the second is shown at the same size. The heat is the first one's.
    """
    width, height = max(1, size[0]), max(2, size[1])
    pictures = pictures if width > 2 else pictures[:1]
    columns = width if len(pictures) == 1 else (width - 1) // 2
    cells = (columns, height - 1)
    if renderer.protocol is Protocol.KITTY:
        cells = (min(cells[0], graphics.MOST_CELLS), min(cells[1], graphics.MOST_CELLS))
    room = (cells[0] * renderer.cell[0], cells[1] * renderer.cell[1])
    parts: list[Part] = []
    relative: float | None = None
    for shot, caption in pictures:
        shown = None
        if shot is not None and shot.image is not None:
            fill = viewport.filling(shot.size, room)
            own = view if relative is None else View(fill * relative, view.x, view.y)
            shown = viewport.frame(own, shot.size, room)
            relative = shown.scale / fill
        left = len(parts) * (columns + 1)
        parts.append(
            Part(shot, caption, left, cells, room, shown, view.scale is None, () if parts else heat)
        )
    return parts


def in_characters(
    part: Part, renderer: Renderer, colours: str | None, *, is_dark: bool
) -> list[Strip]:
    """Return the rows of a picture in symbols or letters, on a dark or a light screen.

    `colours` is Rich's name for the number of them; None where there are none.
    """
    if part.shot is None or part.frame is None:
        raise ValueError("there is no picture to draw")
    symbols = renderer.symbols
    image = viewport.cut(part.shot, part.frame, blocks.finer(symbols) if symbols else (1, 1))
    over: dict[tuple[int, int], str] = {}
    if colours is None:
        over = signs(part.frame, renderer.cell, part.heat)
    elif part.heat:
        image = tinted(image, part.frame, renderer.cell, part.heat)
    image = overview.framed(image, part.frame, part.shot.size)
    if symbols is None:
        ramp = blocks.RAMP if is_dark else blocks.RAMP[::-1]
        return blocks.in_letters(image, part.frame, part.cells, over, ramp)
    few = colours == "256"
    return blocks.in_symbols(image, part.frame, part.cells, over, symbols, few_colours=few)


def in_pixels(
    part: Part, renderer: Renderer, background: tuple[int, int, int], console: Console
) -> list[Strip] | str:
    """Return the rows that stand for a picture, or the sixels that are drawn over empty ones.

    Takes its time, and may run in any thread.
    """
    if part.shot is None or part.frame is None:
        raise ValueError("there is no picture to draw")
    image = viewport.cut(part.shot, part.frame)
    if part.heat:
        image = tinted(image, part.frame, renderer.cell, part.heat)
    image = overview.framed(image, part.frame, part.shot.size)
    canvas = Image.new("RGB", part.room, background)
    canvas.paste(image, (part.frame.left, part.frame.top))
    if renderer.protocol is Protocol.SIXEL:
        return graphics.sixels(canvas, part.cells, console)
    return graphics.placeholders(canvas, part.cells, console)


def caption(part: Part, has_colour: bool) -> Strip:
    """Return the line below a picture: its name, its scale, its size; as much as there is room
    for. What a map over it means comes first.
    """
    if part.shot is None or part.frame is None:
        raise ValueError("there is no picture to describe")
    percent = f"{part.frame.scale * 100:.3g}%"
    facts = [f"fit {percent}" if part.is_fitted else percent]
    if part.shot.scale < 1:
        facts.append(f"kept at {part.shot.scale:.0%}")
    facts.append(f"{part.shot.size[0]}x{part.shot.size[1]}")
    name, columns = printable(part.caption), part.cells[0]
    if part.heat:
        legend = LEGEND[has_colour] if matters(part.heat) else NO_REGION
        if cell_len(legend) > columns:
            legend = legend.rpartition(",")[0] or legend
        while facts and cell_len(_joined(legend, shortened(name, NAME_COLUMNS), *facts)) > columns:
            facts.pop()
        space = columns - cell_len(_joined(legend, "", *facts))
        named = [shortened(name, space)] if space > 1 else []
        return _line(_joined(legend, *named, *facts), columns)
    while len(facts) > 1 and cell_len(_joined(shortened(name, NAME_COLUMNS), *facts)) > columns:
        facts.pop()
    space = columns - cell_len(_joined("", *facts))
    return _line(_joined(shortened(name, space), *facts), columns)


def _joined(*texts: str) -> str:
    return " · ".join(texts)


def message(part: Part) -> list[Strip]:
    """Return what is said in place of a picture, over all its rows and the caption's."""
    name = printable(part.caption)
    if part.shot is not None:
        text = f"{name}\ncannot be read: {printable(part.shot.error or 'no picture')}"
    else:
        text = f"loading {name} …" if name else "no picture selected"
    columns, rows = part.cells[0], part.cells[1] + 1
    wrapped = [
        piece for line in text.splitlines() for piece in textwrap.wrap(line, max(1, columns - 2))
    ][:rows]
    above = (rows - len(wrapped)) // 2
    lines = [""] * above + [" " * ((columns - cell_len(line)) // 2) + line for line in wrapped]
    return [_line(line, columns) for line in lines + [""] * (rows - len(lines))]


def beside(first: list[Strip], *second: list[Strip], size: tuple[int, int]) -> list[Strip]:
    """Return the rows of a pane of `size` with one part, or two and a gap between them."""
    lines = first
    if second:
        gap = empty(1, len(first))
        lines = [Strip.join(row) for row in zip(first, gap, *second, strict=True)]
    return [*lines, *empty(size[0], size[1] - len(lines))]


def empty(columns: int, rows: int) -> list[Strip]:
    """Return rows with nothing in them."""
    return [_line("", columns)] * rows


def _line(text: str, columns: int) -> Strip:
    return Strip([Segment(set_cell_size(text, columns), blocks.PLAIN)], columns)
