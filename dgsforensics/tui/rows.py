"""The list: one line an image. Only the lines on the screen are ever drawn, so 50,000 cost nothing.

The uppermost line is a heading that stays. What columns there are follows from the width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dgsforensics import console, wording
from dgsforensics.review import phrases
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: int
    since: int
    """The width of the list from which there is room for it."""


_COLUMNS = (
    _Column("verdict", 13, 0),
    _Column("score", 7, 0),
    _Column("name", 0, 0),  # what is left
    _Column("size", 11, 90),
    _Column("format", 7, 90),
    _Column("claims", 7, 50),
    _Column("label", 9, 0),
)
_ALONE = 90
"""Columns since then are for a list that has the screen to itself: the picture says the same."""
_NAME = 2
_EDGES = 2
"""The pointer before the columns, and the scrollbar behind them."""
LONGEST_NAME = 60
"""Columns; longer ones are shortened, however much room there is."""
SHARE = 0.55
"""Of the screen, at most, where something stands beside the list."""


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """The images that the filter lets through."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("rows--heading", "rows--cursor", "rows--flagged", "rows--inconclusive"),
        *("rows--not_flagged", "rows--unreadable", "rows--unsupported", "rows--label"),
    }

    cursor: reactive[int] = reactive(0, repaint=False)
    """Position in the list."""

    def __init__(self, review: Review, moved: Callable[[], object]) -> None:
        """`moved` is called when another image is the current one, or none any more: at once, so
        that what stands beside the list changes with it.
        """
        super().__init__()
        self._review = review
        self._moved = moved
        self._lost: Mapping[Path, str] = {}
        self._items: Sequence[Item] = ()
        self._root = ""
        self._longest = 0
        """Of the names listed, in characters."""
        self._is_alone = False
        self._drawn: dict[int, tuple[Item, str]] = {}
        """By its place, the image of a line that was drawn, and its label."""

    @property
    def items(self) -> Sequence[Item]:
        """What is listed, in order."""
        return self._items

    @property
    def current(self) -> Item | None:
        """The image under the cursor."""
        return self._items[self.cursor] if self._items else None

    def show(self, items: Sequence[Item], current: Item | None = None) -> None:
        """List these; the cursor stays on `current` where it is among them, else at its height."""
        self._items = items
        self._drawn.clear()
        self._root = str(self._review.root)
        self._longest = max((len(phrases.place(item, self._root)) for item in items), default=0)
        self._fit()
        self.virtual_size = Size(0, len(items) + 1)
        place = items.index(current) if current is not None and current in items else self.cursor
        place = max(0, min(place, len(items) - 1))
        self.set_reactive(Rows.cursor, place)
        self._reveal()
        self.refresh()
        self._moved()

    def mark(self, lost: Mapping[Path, str]) -> None:
        """Say of these files what became of them: that they are gone, or changed."""
        self._lost = dict(lost)
        self.refresh()

    @property
    def in_view(self) -> Sequence[Item]:
        """The images whose lines are on the screen."""
        top = round(self.scroll_y)
        return self._items[top : top + self.page]

    def move(self, to: int) -> None:
        """Put the cursor on a position; beyond the ends is at the ends."""
        self.cursor = max(0, min(to, len(self._items) - 1))

    @property
    def page(self) -> int:
        """Images on the screen at once."""
        return max(1, self.size.height - 1)

    def watch_cursor(self, old: int, new: int) -> None:
        """Follow with the view, and tell the board."""
        top = self.scroll_y
        self._reveal()
        if self.scroll_y == top:
            self._redraw(old, new)
        else:
            self.refresh()
        self._moved()

    def refresh_labels(self) -> None:
        """Draw lines anew whose labels are not what they were when they were drawn."""
        changed = [
            place
            for place, item in enumerate(self.in_view, round(self.scroll_y))
            if self._drawn.get(place) != (item, phrases.label(self._review, item))
        ]
        self._redraw(*changed)

    def _redraw(self, *places: int) -> None:
        top, width = round(self.scroll_y), self.size.width
        regions = [Region(0, place - top + 1, width, 1) for place in places if place >= top]
        if regions:
            self.refresh(*regions)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._fit()
        self._reveal()

    def fill(self, *, whole: bool) -> None:
        """Take all of the width, or what the rows need, so that a picture has the rest."""
        self._is_alone = whole
        self._fit()

    def _fit(self) -> None:
        name = min(self._longest, LONGEST_NAME) + 1
        needed = sum(column.width for column in _COLUMNS if column.since < _ALONE) + name + _EDGES
        self.styles.width = "1fr" if self._is_alone else needed
        self.styles.max_width = "100%" if self._is_alone else f"{SHARE:.0%}"

    def on_click(self, event: events.Click) -> None:
        """Choose a row with the mouse."""
        row = event.y - 1 + round(self.scroll_y)
        if event.y > 0 and row < len(self._items):
            self.move(row)

    def _reveal(self) -> None:
        top = round(self.scroll_y)
        if self.cursor < top:
            top = self.cursor
        elif self.cursor >= top + self.page:
            top = self.cursor - self.page + 1
        self.scroll_to(y=top, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen."""
        width = self.scrollable_content_region.width
        columns = self._layout(width)
        if y == 0:
            style = self.get_component_rich_style("rows--heading")
            titles = zip(_COLUMNS, columns, strict=True)
            text = "".join(set_cell_size(f" {c.title if w > 5 else ''}", w) for c, w in titles)
            return Strip([Segment(_cell(text, width), style)], width)
        place = y - 1 + round(self.scroll_y)
        if not self._items and y == 1:
            said = "nothing meets the filter" if self._review.items else "no images yet"
            return Strip([Segment(_cell(f" {said}", width), self.rich_style)], width)
        if place >= len(self._items):
            return Strip.blank(width, self.rich_style)
        return self._row(place, columns, width, current=place == self.cursor)

    def _named(self, item: Item, room: int) -> str:
        """Return a name in so many columns; where they are few, the folder is the first to go."""
        lost = f"{self._lost[item.path]}: " if item.path in self._lost else ""
        name = phrases.place(item, self._root)
        if cell_len(lost + name) > room:
            name = phrases.name(item)
        return console.shortened(lost + name, room)

    def _layout(self, width: int) -> list[int]:
        """Return the width of each column; 0 for one without room."""
        widths = [c.width if width >= c.since else 0 for c in _COLUMNS]
        widths[_NAME] = max(8, width - sum(widths) - 1)
        return widths

    def _row(self, place: int, columns: list[int], width: int, *, current: bool) -> Strip:
        item = self._items[place]
        base = self.rich_style
        if current:
            base = self.get_component_rich_style("rows--cursor")
        kind = self.get_component_rich_style(f"rows--{item.kind.replace(' ', '_')}", partial=True)
        mine = self.get_component_rich_style("rows--label", partial=True)
        score, label = item.probability, phrases.label(self._review, item)
        self._drawn[place] = (item, label)
        texts: list[tuple[str, Style | None]] = [
            (item.kind, kind),
            ("" if score is None else wording.percent(score), kind),
            (self._named(item, columns[_NAME] - 1), None),
            (phrases.size(item), None),
            (item.row.facts.format or "", None),
            ("".join(phrases.MARKS[mark] for mark in item.marks), None),
            (label, mine),
        ]
        # The pointer, for screens without colour.
        segments = [Segment("▸" if current else " ", base)]
        for (text, style), room in zip(texts, columns, strict=True):
            if room:
                # Their colours cannot be read on that of the cursor, least of all in the light.
                plain = style is None or current
                segments.append(Segment(_cell(text, room), base if plain else base + style))
        return Strip(segments).adjust_cell_length(width, base)


def _cell(text: str, width: int) -> str:
    """Return text in exactly so many cells, the last of them blank."""
    if cell_len(text) >= width:
        text = set_cell_size(text, max(0, width - 1))
    return set_cell_size(text, width)
