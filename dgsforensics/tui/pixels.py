"""Real pixels of the pictures in a pane: made in a thread, and found again for the same picture."""

import logging

from rich.console import Console
from textual.strip import Strip

from dgsforensics.tui import drawing
from dgsforensics.tui.drawing import Part
from dgsforensics.tui.graphics import Renderer

_log = logging.getLogger(__name__)

DrawnParts = list[tuple[Part, list[Strip] | str]]
"""Parts with the rows that stand for them, or the sixels that are drawn over empty ones."""


def make(
    parts: list[Part], renderer: Renderer, background: tuple[int, int, int], console: Console
) -> DrawnParts | None:
    """Return the pixels of a pane, None where they cannot be made. May run in any thread."""
    try:
        return [
            (part, drawing.in_pixels(part, renderer, background, console))
            for part in parts
            if part.frame is not None
        ]
    except Exception:  # whatever the terminal and the extra make of it, blocks can be shown
        _log.warning("no picture could be drawn in pixels", exc_info=True)
        return None


def of(drawn: DrawnParts, part: Part) -> list[Strip] | str | None:
    """Return what was drawn last for a part: perhaps an earlier view, but never another picture."""
    for other, pixels in drawn:
        if (other.shot, other.cells, other.left) == (part.shot, part.cells, part.left):
            return pixels
    return None
