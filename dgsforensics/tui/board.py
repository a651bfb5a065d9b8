"""The board: the list on the left, the image on the right, and what the keys do.

The list stands still while labels change, so that nothing moves away under a finger; `refresh_list`
filters and sorts again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from dgsforensics.judgements import Judgement
from dgsforensics.review import queries
from dgsforensics.review.item import Item
from dgsforensics.review.pace import Pace
from dgsforensics.review.relations import Relations
from dgsforensics.review.session import Review
from dgsforensics.tui.choice import Choice
from dgsforensics.tui.dialogs import filter_line
from dgsforensics.tui.graphics import Renderer
from dgsforensics.tui.keyline import KeyLine
from dgsforensics.tui.keys import bindings
from dgsforensics.tui.labelling import Desk, Labeller
from dgsforensics.tui.opening import open_image
from dgsforensics.tui.rows import Rows
from dgsforensics.tui.status import StatusLine
from dgsforensics.tui.viewer import Viewer

AHEAD = 6
"""Images decoded before they are asked for."""
LAYOUTS = ("picture", "both", "list", "evidence")
"""What can have the screen to itself, as classes of the board."""


class Board(Screen[None]):
    """The main screen."""

    BINDINGS = bindings()
    AUTO_FOCUS = "Rows"

    def __init__(
        self,
        review: Review,
        choice: Choice,
        renderer: Renderer,
        *,
        keymap: Mapping[str, str],
        advance: bool = True,
        looks: bool = True,
    ) -> None:
        """`keymap`: keys other than the usual ones, by name. `advance`: go on to the next image
        after a label. `looks`: no label without a picture."""
        super().__init__()
        self.review = review
        self.relations = Relations(review)
        self.rows = Rows(review, self._moved)
        self.viewer = Viewer(review, self.relations, renderer, self.rows.mark)
        self.typed = 0.0
        """When the key was typed that is acted upon: the time that messages have."""
        self.keyline = KeyLine(keymap)
        self._choice = choice
        self._advance = advance
        self._top = Static("", id="top", markup=False)
        self.status = StatusLine()
        self._summary = self._dropped = ""
        self._pace = Pace()
        self._left_at: Item | None = None
        """The image that the cursor was on last, for when a filter has hidden all."""
        self._in_use = False
        self.size_of_group: Callable[[Item], int] = lambda item: 1
        """How many of those listed belong to an image, itself included."""
        desk = Desk(self.say, self._refuse, self._open, self.refresh_labels)
        self._labeller = Labeller(review, self.relations, self.rows, self.viewer, desk, looks=looks)

    def compose(self) -> ComposeResult:
        """Yield a line on top, list and image, a line of status, the keys."""
        yield self._top
        with Horizontal():
            yield self.rows
            yield self.viewer
        yield self.status
        yield self.keyline

    def on_mount(self) -> None:
        """Fill the list, and go on where the reviewer stopped."""
        self.refresh_items()
        self.rows.move(queries.resumed(self.review, self.rows.items))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say the keys of the pane that has the focus now."""
        self.keyline.say(type(event.widget).__name__)

    # What others ask of the board

    def refresh_items(self) -> None:
        """List anew: files came or went, or another choice was made. Labels count as they are."""
        self._left_at = self.rows.current or self._left_at
        choice = self._choice
        if choice.only is not None and choice.only not in self.review.items:
            choice = self._choice = replace(choice, only=None)
        self._show(choice.items(self.review, self.relations), self._left_at)

    def take_in(self, grown: Sequence[Item]) -> None:
        """List files that a scan has recorded, and no longer those that are gone.

        They are sorted in until the reviewer has done something, and from then on put at the end:
        nothing may move away under a finger.
        """
        if not self._in_use:
            self.refresh_items()
            return
        test = queries.parse(self.review, self._choice.query)
        listed, alive = set(self.rows.items), set(self.review.items)
        kept = [item for item in self.rows.items if item in alive]
        new = [item for item in grown if item not in listed and test(item)]
        self._show(kept + (new if self._choice.only is None else []), self.rows.current)

    def _show(self, items: Sequence[Item], current: Item | None) -> None:
        self.rows.show(items, current)
        # Counted once: too slow for every step through 50,000.
        self.size_of_group = self.relations.sizes(self._choice.relation, items)
        self.refresh_labels()

    def refresh_labels(self) -> None:
        """Show labels as they are now."""
        self.rows.refresh_labels()
        self.viewer.refresh_evidence()
        done, able = self._choice.progress(self.review, self.rows.items)
        self._pace.note(done, monotonic())
        left = self._pace.left(able - done)
        progress = ", ".join(filter(None, [f"{done} of {able} labelled", left]))
        self._summary = f"{progress} · {self._choice.summary(self.review)}"
        self._say_top()

    def say(self, text: str) -> None:
        """Tell something in the line of status."""
        self.status.say(text)

    def _say_top(self) -> None:
        items = self.rows.items
        parts = [f"{self.rows.cursor + 1 if items else 0}/{len(items)}"]
        if (item := self.rows.current) is not None and (size := self.size_of_group(item)) > 1:
            parts.append(f"⇧ {size} {self._choice.relation}")  # what a label with shift goes to
        self._top.update(" · ".join([*parts, self._summary]))

    def _moved(self) -> None:
        """Show the image under the cursor, and have the next ones decoded."""
        items, place = self.rows.items, self.rows.cursor
        ahead = [*items[place + 1 : place + AHEAD], *items[max(0, place - 1) : place]]
        self.viewer.show(self.rows.current, ahead)
        self.look()
        self._say_top()

    def look(self) -> None:
        """Find out which of the files on the screen are gone."""
        self.viewer.look([*self.rows.in_view, *filter(None, [self.rows.current])])

    def _open(self, dialog: ModalScreen[Any], told: Callable[[Any], None] | None = None) -> None:
        self.app.push_screen(dialog, told)

    # Labels

    def action_label(self, judgement: str) -> None:
        """Label this image."""
        self._in_use = True
        self._labeller.label(judgement, self.typed, self._after_label)

    def action_label_group(self, judgement: str) -> None:
        """Label this image and its group, as far as listed."""
        self._in_use = True
        self._labeller.label_group(Judgement(judgement), self._choice.relation, self.typed)

    def action_note(self) -> None:
        """Write a note to this image."""
        self._labeller.note(self.typed)

    def action_undo(self) -> None:
        """Take back the last step."""
        self._labeller.undo()

    def action_redo(self) -> None:
        """Do it again."""
        self._labeller.redo()

    def _after_label(self) -> None:
        if self._advance:
            self.rows.move(self.rows.cursor + 1)

    def _refuse(self, why: str) -> None:
        self.say(why)
        self.app.bell()

    # Where to

    def action_move(self, by: int) -> None:
        """Move the cursor up or down."""
        self._go(self.rows.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor a screen up or down."""
        self._go(self.rows.cursor + by * self.rows.page)

    def action_end(self, which: int) -> None:
        """Move the cursor to the first or the last image."""
        self._go(0 if which < 0 else len(self.rows.items))

    def _go(self, place: int, remark: str = "") -> None:
        """Go to a position; what was said of the image before is over."""
        self._in_use = True
        self.say(remark)
        self.rows.move(place)

    def action_unlabelled(self, direction: int) -> None:
        """Go to the next image without a label, round the end if need be."""
        start = self.rows.cursor
        place = queries.next_unlabelled(self.review, self.rows.items, start, direction)
        if place is None:
            self.say("every image listed has a label")
            return
        round_the_end = (place < start) is (direction > 0)
        self._go(place, "went on from the other end of the list" * round_the_end)

    # What is listed

    def action_filter(self) -> None:
        """Ask for a query."""

        def chosen(query: str | None) -> None:
            if query is not None:
                self._choose(replace(self._choice, query=query.strip(), only=None))

        self.app.push_screen(
            filter_line(
                self._choice.query or self._dropped, lambda text: queries.parse(self.review, text)
            ),
            chosen,
        )

    def action_choose(self, what: str) -> None:
        """Make another `Choice`: `next_verdict`, `next_order`, `reversed`."""
        self._choose(getattr(self._choice, what)())

    def action_everything(self) -> None:
        """Leave the group; or else drop the filter. It never takes one up."""
        if self._choice.only is not None:
            self.action_only_group()
        elif self._choice.query:
            self._dropped = self._choice.query
            self._choose(replace(self._choice, query=""))
            self.say("the filter is off; / and Enter take it up again")
        else:
            self.say("")

    def action_refresh_list(self) -> None:
        """Filter and sort again."""
        self.refresh_items()

    def action_relation(self) -> None:
        """Choose what a group is."""
        self._choose(self._choice.next_relation())
        if (item := self.rows.current) is not None:
            size = self.size_of_group(item)
            alone = "this one alone" if size == 1 else f"{size} images listed"
            self.say(f"group: {self._choice.relation}, {alone}")

    def action_only_group(self) -> None:
        """List the group of this image alone, or all again."""
        only = None if self._choice.only is not None else self.rows.current
        self._choose(replace(self._choice, only=only))

    def _choose(self, choice: Choice) -> None:
        self._choice = choice
        self.say("")
        self.refresh_items()

    # What is shown

    def action_viewer(self, what: str, amounts: tuple[int, ...] = ()) -> None:
        """Let the viewer `zoom`, `pan`, `compare`, ..."""
        if complaint := getattr(self.viewer, what)(*amounts):
            self.say(complaint)

    def action_layout(self, name: str) -> None:
        """Give one of `LAYOUTS` the screen, or show all again."""
        there = self.has_class(name)
        self.remove_class(*LAYOUTS)
        self.set_class(not there, name)
        self.rows.fill(whole=self.has_class("list"))

    def action_open(self) -> None:
        """Open the image in the viewer of the system."""
        if (item := self.rows.current) is not None:
            self.say(open_image(item.path))
