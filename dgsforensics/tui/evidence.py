"""The evidence pane: what the dossier of an image says, to be scrolled."""

from collections.abc import Callable, Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from dgsforensics.review import phrases
from dgsforensics.review.dossier import EVERY_IMAGE, Similar, describe
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review

SHORTEST_SCALE, LONGEST_SCALE = 20, 60
"""Cells."""


class EvidencePane(VerticalScroll, can_focus=True):
    """Scrolls what `describe` says."""

    FOCUS_ON_CLICK = False

    def __init__(self, drawn: Callable[[], str]) -> None:
        """`drawn` says how pictures are drawn here, and why not better."""
        super().__init__()
        self._drawn = drawn
        self._text = Static("", markup=False)

    def compose(self) -> Iterator[Static]:
        """Yield the text alone."""
        yield self._text

    def show(self, review: Review, item: Item | None, similar: Similar) -> None:
        """Show what is known of an image, from its start."""
        said: list[RenderableType] = []
        sections = [] if item is None else describe(review, item, similar)
        for title, lines in sections:
            if title == EVERY_IMAGE:
                lines = [*lines, ("pictures:", self._drawn())]
            if item is not None and title == "Score" and item.shown is not None:
                width = min(LONGEST_SCALE, self.scrollable_content_region.width - 2)
                scale = phrases.scale(item, max(SHORTEST_SCALE, width))
                lines = [lines[0], ("", scale), *lines[1:]]
            said.append(Text(title, "bold"))
            for name, value in lines:
                line = Text.assemble((f"{name} ", "italic"), value) if name else Text(value)
                said.append(Padding(line, (0, 0, 0, 2)))
        self._text.update(Group(*said))
        self.scroll_home(animate=False)
