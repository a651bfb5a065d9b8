"""The evidence pane: what the dossier of an image says, to be scrolled."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from dgsforensics.review.dossier import Similar, describe
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review


class EvidencePane(VerticalScroll, can_focus=False):
    """Scrolls what `describe` says."""

    def __init__(self) -> None:
        super().__init__()
        self._text = Static("", markup=False)

    def compose(self) -> Iterator[Static]:
        """Yield the text alone."""
        yield self._text

    def show(self, review: Review, item: Item | None, similar: Similar) -> None:
        """Show what is known of an image, from its start."""
        said: list[RenderableType] = []
        for title, lines in [] if item is None else describe(review, item, similar):
            said.append(Text(title, "bold"))
            for name, value in lines:
                line = Text.assemble((f"{name} ", "italic"), value) if name else Text(value)
                said.append(Padding(line, (0, 0, 0, 2)))
        self._text.update(Group(*said))
        self.scroll_home(animate=False)
