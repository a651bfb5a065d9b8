"""How the terminal can show a picture, and real pixels where it has a protocol for them.

The protocols of Kitty and sixel come from the extra `images` (textual-image). It asks the terminal
when it is imported, which has to happen before Textual reads what the terminal says: `choose` is
called first.
"""

import logging
import os
import sys
from dataclasses import dataclass
from enum import StrEnum

import rich.console
from PIL import Image
from rich.control import Control
from rich.segment import ControlType, Segment
from textual.strip import Strip

from dgsforensics.choices import Graphics
from dgsforensics.tui.blocks import CELL, PLAIN

MOST_CELLS = 297
"""Columns or rows that Kitty's placeholders can number."""

_log = logging.getLogger(__name__)


class Protocol(StrEnum):
    """Ways to show a picture."""

    KITTY = "kitty"
    SIXEL = "sixel"
    BLOCKS = "blocks"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Renderer:
    """A way to show pictures, and its resolution."""

    protocol: Protocol
    cell: tuple[int, int] = CELL
    """Display pixels in a cell of the terminal, across and down."""

    @property
    def has_pixels(self) -> bool:
        """Whether it draws real pixels, which takes a while."""
        return self.protocol in (Protocol.KITTY, Protocol.SIXEL)


BLOCKS = Renderer(Protocol.BLOCKS)
TEXT = Renderer(Protocol.TEXT)


def choose(wish: Graphics = Graphics.AUTO) -> Renderer:
    """Return the best way to show pictures here; to be called before the application starts.

    What is asked for by name is used without asking the terminal, which may be wrong, e.g. over a
    slow line; without the extra it is half blocks.
    """
    if wish == Graphics.TEXT or (wish == Graphics.AUTO and not _has_colours()):
        return TEXT
    if wish == Graphics.BLOCKS or (wish == Graphics.AUTO and _in_multiplexer()):
        return BLOCKS
    if wish == Graphics.AUTO and not _at_terminal():
        return BLOCKS
    try:
        from textual_image import renderable
        from textual_image.widget import get_cell_size  # type: ignore[attr-defined]

        cell = get_cell_size()
    except ImportError:
        return BLOCKS
    except Exception:  # whatever a terminal answers, characters can be shown
        _log.warning("the terminal could not be asked for its graphics", exc_info=True)
        return BLOCKS
    found = {renderable.TGPImage: Protocol.KITTY, renderable.SixelImage: Protocol.SIXEL}
    protocol = found.get(renderable.Image) if wish == Graphics.AUTO else Protocol(wish)
    return BLOCKS if protocol is None else Renderer(protocol, (cell.width, cell.height))


def _has_colours() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    # As Textual finds out; with 16 colours a photograph is harder to read than in letters.
    system = rich.console.Console(force_terminal=True).color_system
    return system not in (None, "standard")


def _in_multiplexer() -> bool:
    """Return tmux and screen pass on graphics badly or not at all."""
    term = os.environ.get("TERM", "")
    return "TMUX" in os.environ or "STY" in os.environ or term.startswith(("screen", "tmux"))


def _at_terminal() -> bool:
    streams = (sys.__stdin__, sys.__stdout__)
    return all(stream is not None and stream.isatty() for stream in streams)


def placeholders(
    canvas: Image.Image, cells: tuple[int, int], console: rich.console.Console
) -> list[Strip]:
    """Hand a picture to Kitty; the characters that stand for it. May run in any thread."""
    from textual_image.renderable import TGPImage

    columns, rows = cells
    options = console.options.update(width=columns, height=rows)
    segments = console.render(TGPImage(canvas, width=columns, height=rows), options)
    return [Strip(line, columns) for line in Segment.split_lines(segments)]


def sixels(canvas: Image.Image, cells: tuple[int, int], console: rich.console.Console) -> str:
    """Return a picture as one sixel sequence. May run in any thread."""
    from textual_image.renderable import SixelImage

    columns, rows = cells
    options = console.options.update(width=columns, height=rows)
    segments = console.render(SixelImage(canvas, width=columns, height=rows), options)
    return next(text for text, _, _ in segments if text.startswith("\x1bP"))


def asking(strip: Strip) -> Strip:
    """Return a line after which the terminal says where its cursor is: when it has come so far."""
    return Strip([*strip, _code("\x1b[6n")], strip.cell_length)


def _code(text: str) -> Segment:
    """Return what has no width."""
    return Segment(text, PLAIN, [(ControlType.CURSOR_FORWARD, 0)])


def painted_over(strip: Strip, sequence: str, at: tuple[int, int], end: tuple[int, int]) -> Strip:
    """Return the last line of a pane, after which a sixel sequence is drawn over what is above it.

    `at` and `end` are the places (column, row) on the screen of the picture's corner, and where the
    cursor has to be afterwards.
    """
    texts = (Control.move_to(*at).segment.text, sequence, Control.move_to(*end).segment.text)
    return Strip([*strip, *map(_code, texts)], strip.cell_length)
