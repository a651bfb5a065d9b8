"""How the terminal can show a picture, and real pixels where it has a protocol for them.

The protocols of Kitty and sixel come from the extra `images` (textual-image). It asks the terminal
when it is imported, which has to happen before Textual reads what the terminal says: `choose` is
called first.
"""

import logging
import os
import re
import sys
from dataclasses import dataclass, field, replace
from enum import StrEnum

import rich.console
from PIL import Image
from rich.control import Control
from rich.segment import ControlType, Segment
from textual.strip import Strip

from dgsforensics.choices import Graphics
from dgsforensics.tui import symbols
from dgsforensics.tui.blocks import CELL, PLAIN
from dgsforensics.tui.symbols import SymbolSet
from dgsforensics.tui.terminal import UNASKED, TerminalAnswer

MOST_CELLS = 297
"""Columns or rows that Kitty's placeholders can number."""
MULTIPLEXERS = {"TMUX": "tmux", "STY": "screen"}
"""By the variable that they set."""
SEXTANTS_SINCE = {"kitty": 0, "foot": 0, "wezterm": 0, "ghostty": 0, "contour": 0, "vte": 6200}
"""Terminals that draw sextants themselves, whatever the font, and since which version."""

_log = logging.getLogger(__name__)


class Protocol(StrEnum):
    """Ways to show a picture."""

    KITTY = "kitty"
    SIXEL = "sixel"
    SEXTANTS = "sextants"
    BLOCKS = "blocks"
    HALVES = "halves"
    TEXT = "text"


_SYMBOLS = {
    Protocol.SEXTANTS: symbols.SEXTANTS,
    Protocol.BLOCKS: symbols.BLOCK_ELEMENTS,
    Protocol.HALVES: symbols.HALVES,
}


@dataclass(frozen=True, slots=True)
class Renderer:
    """A way to show pictures, and its resolution."""

    protocol: Protocol
    cell: tuple[int, int] = CELL
    """Display pixels in a cell of the terminal, across and down."""
    why: str = field(default="", compare=False)
    """Why not a better one; for people."""

    @property
    def has_pixels(self) -> bool:
        """Whether it draws real pixels, which takes a while."""
        return self.protocol in (Protocol.KITTY, Protocol.SIXEL)

    @property
    def symbols(self) -> SymbolSet | None:
        """The characters that it draws with; None for pixels and letters."""
        return _SYMBOLS.get(self.protocol)

    def described(self, colours: str | None) -> str:
        """Return how pictures are drawn, and why not better, where a terminal has so many
        `colours`, as Rich names their number.
        """
        names = {
            Protocol.KITTY: "real pixels (Kitty)",
            Protocol.SIXEL: "real pixels (sixel)",
            Protocol.SEXTANTS: "sextants and blocks",
            Protocol.BLOCKS: "quadrants and blocks",
            Protocol.HALVES: "half blocks",
            Protocol.TEXT: "letters by brightness",
        }
        how = names[self.protocol]
        if self.symbols is not None:
            how += {"truecolor": " in all colours", "256": " in 256 colours"}.get(
                colours or "", " in few colours"
            )
        return f"{how}; {self.why}" if self.why else how


SEXTANTS = Renderer(Protocol.SEXTANTS)
BLOCKS = Renderer(Protocol.BLOCKS)
HALVES = Renderer(Protocol.HALVES)
TEXT = Renderer(Protocol.TEXT)


def choose(wish: Graphics = Graphics.AUTO, answer: TerminalAnswer = UNASKED) -> Renderer:
    """Return the best way to show pictures here; to be called before the application starts.

    `answer` is what the terminal said of itself. What is asked for by name is used without asking
    the terminal, which may be wrong, e.g. over a slow line; pixels without the extra are blocks.
    """
    if wish == Graphics.AUTO:
        return _best(answer)
    if wish in (Graphics.KITTY, Graphics.SIXEL):
        found = _in_pixels(wish)
        return found if isinstance(found, Renderer) else replace(BLOCKS, why=found)
    return Renderer(Protocol(wish), why="asked for with --graphics")


def _best(answer: TerminalAnswer) -> Renderer:
    if not _has_colours():
        return replace(TEXT, why="no colours: NO_COLOR, or a terminal of 16")
    if (around := _multiplexer()) is not None:
        found: Renderer | str = f"real pixels do not pass {around}"
    else:
        found = _in_pixels(Graphics.AUTO) if _at_terminal() else ""
    if isinstance(found, Renderer):
        return found
    best = SEXTANTS if _has_sextants(answer.name) else BLOCKS
    if sys.platform == "win32" and "WT_SESSION" not in os.environ:
        best = HALVES  # the fonts of the old console have no quadrants
    return replace(best, why=found)


def _in_pixels(wish: Graphics) -> Renderer | str:
    """Return how real pixels are drawn, or why they are not."""
    try:
        from textual_image import renderable
        from textual_image.widget import get_cell_size  # type: ignore[attr-defined]

        cell = get_cell_size()
    except ImportError:
        return "real pixels need the extra images, and a terminal with Kitty's or sixel graphics"
    except Exception:  # whatever a terminal answers, characters can be shown
        _log.warning("the terminal could not be asked for its graphics", exc_info=True)
        return "the terminal gave no answer about graphics"
    known = {renderable.TGPImage: Protocol.KITTY, renderable.SixelImage: Protocol.SIXEL}
    protocol = known.get(renderable.Image) if wish == Graphics.AUTO else Protocol(wish)
    if protocol is None:
        return "this terminal has neither Kitty's nor sixel graphics"
    return Renderer(protocol, (cell.width, cell.height))


def _has_colours() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    # As Textual finds out; with 16 colours a photograph is harder to read than in letters.
    system = rich.console.Console(force_terminal=True).color_system
    return system not in (None, "standard")


def _has_sextants(name: str) -> bool:
    """Return whether a terminal that calls itself so draws them."""
    known = re.match(r"([A-Za-z]+)\D*(\d*)", name)
    return known is not None and int(known[2] or 0) >= SEXTANTS_SINCE.get(
        known[1].lower(), sys.maxsize
    )


def _multiplexer() -> str | None:
    """Return what passes on graphics badly or not at all."""
    term = os.environ.get("TERM", "")
    found = [name for variable, name in MULTIPLEXERS.items() if variable in os.environ]
    found += [name for name in MULTIPLEXERS.values() if term.startswith(name)]
    return found[0] if found else None


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
