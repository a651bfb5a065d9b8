"""The board: the list on the left, the image on the right, and what the keys do.

The list stands still while labels change, so that nothing moves away under a finger; `refresh_list`
filters and sorts again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Footer, Static

from dgsforensics.errors import CaseError, UsageError
from dgsforensics.judgements import Judgement
from dgsforensics.review import phrases, queries
from dgsforensics.review.relations import Relations
from dgsforensics.review.session import Item, Review
from dgsforensics.tui.choice import Choice
from dgsforensics.tui.dialogs import LineDialog, NoticeDialog, filter_line
from dgsforensics.tui.graphics import Renderer
from dgsforensics.tui.keys import bindings
from dgsforensics.tui.rows import Rows
from dgsforensics.tui.status import StatusLine
from dgsforensics.tui.viewer import Viewer
from dgsforensics.wording import counted, printable

AHEAD = 6
"""Images decoded before they are asked for."""
LAYOUTS = ("", "picture-only", "list-only")
NOT_WRITTEN = "NOT WRITTEN"
UNREAD = "this file could not be read, so there is nothing to label"


class Board(Screen[None]):
    """The main screen."""

    BINDINGS = bindings()
    AUTO_FOCUS = "Rows"

    def __init__(
        self, review: Review, choice: Choice, renderer: Renderer, *, advance: bool = True
    ) -> None:
        """`advance`: go on to the next image after a label."""
        super().__init__()
        self.review = review
        self.relations = Relations(review)
        self.rows = Rows(review)
        self.viewer = Viewer(review, self.relations, renderer)
        self._choice = choice
        self._advance = advance
        self._top = Static("", id="top", markup=False)
        self.status = StatusLine()
        self._summary = self._dropped = ""
        self._left_at: Item | None = None
        """The image that the cursor was on last, for when a filter has hidden all."""
        self._in_use = False
        self._size_of_group: Callable[[Item], int] = lambda item: 1

    def compose(self) -> ComposeResult:
        """Yield a line on top, list and image, a line of status, the keys."""
        yield self._top
        with Horizontal():
            yield self.rows
            yield self.viewer
        yield self.status
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Fill the list."""
        self.refresh_items()

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
        self._size_of_group = self.relations.sizes(self._choice.relation, items)
        self.refresh_labels()

    def refresh_labels(self) -> None:
        """Show labels as they are now."""
        self.rows.refresh()
        self.viewer.refresh_evidence()
        self._summary = self._choice.summary(self.review, self.rows.items)
        self._say_top()

    def say(self, text: str) -> None:
        """Tell something in the line of status."""
        self.status.say(text)

    def _say_top(self) -> None:
        items = self.rows.items
        parts = [f"{self.rows.cursor + 1 if items else 0}/{len(items)}"]
        if (item := self.rows.current) is not None and (size := self._size_of_group(item)) > 1:
            parts.append(f"⇧ {size} {self._choice.relation}")  # what a label with shift goes to
        self._top.update(" · ".join([*parts, self._summary]))

    def on_rows_moved(self, message: Rows.Moved) -> None:
        """Show the image under the cursor, and have the next ones decoded."""
        items, place = self.rows.items, self.rows.cursor
        ahead = [*items[place + 1 : place + AHEAD], *items[max(0, place - 1) : place]]
        self.viewer.show(message.item, ahead)
        self._say_top()

    # Labels

    def action_label(self, judgement: str) -> None:
        """Label this image."""
        item = self.rows.current
        if item is not None and self._label([item], judgement) and self._advance and judgement:
            self.rows.move(self.rows.cursor + 1)

    def action_label_group(self, judgement: str) -> None:
        """Label this image and its group, as far as listed."""
        item = self.rows.current
        if item is None:
            return
        relation = self._choice.relation
        listed = self.relations.related(item, relation, self.rows.items)
        hidden = len(self.relations.related(item, relation, self.review.items)) - len(listed)
        remark = f"; {hidden} more are not listed and left alone" if hidden else ""
        self._label(listed, judgement, f" ({relation}){remark}")

    def _label(self, items: Sequence[Item], judgement: str, remark: str = "") -> bool:
        """Return false when nothing was labelled."""
        self._in_use = True
        if all(item.sha256 is None for item in items):
            self.say(UNREAD)
            return False
        label = Judgement(judgement) if judgement else None
        changed = self._written(lambda: self.review.label(items, label))
        if changed is None:
            return False
        word = phrases.JUDGEMENTS[label] if label else "no label"
        count = "" if len(items) == 1 else f"{changed} of {len(items)} images changed"
        files = len(self.review.copies(items[0].sha256 or ""))
        if not count and files > 1:
            remark += f", and {counted(files - 1, 'file')} of the same content"
        before = " (as before)" if not changed and not count else ""
        self.say(f"{word}: {count or phrases.name(items[0])}{before}{remark}")
        self.refresh_labels()
        return True

    def action_note(self) -> None:
        """Write a note to this image."""
        item = self.rows.current
        if item is None or item.sha256 is None:
            self.say("" if item is None else UNREAD)
            return

        def write(text: str) -> None:
            try:
                self.review.note(item, text)
            except CaseError as error:  # the dialog stays, and the text with it
                raise UsageError(f"{NOT_WRITTEN}: {self._reason(error)}") from error
            self.refresh_labels()

        before = printable(self.review.note_of(item))
        self.app.push_screen(LineDialog(f"Note on {phrases.name(item)}", before, check=write))

    def action_undo(self) -> None:
        """Take back the last step."""
        self._went_back("undone", self._written(self.review.undo))

    def action_redo(self) -> None:
        """Do it again."""
        self._went_back("done again", self._written(self.review.redo))

    def _written(self, write: Callable[[], Any]) -> Any:
        """Return what writing gave; None, and said, where the case file did not take it."""
        try:
            return write()
        except CaseError as error:
            # Keys typed ahead were meant for the images after this one.
            self.app.push_screen(NoticeDialog(NOT_WRITTEN, self._reason(error), error.hint or ""))
            return None

    def _reason(self, error: CaseError) -> str:
        return error.message.removeprefix(f"{self.review.case.path}: ")

    def _went_back(self, what: str, changed: list[str] | None) -> None:
        if not changed:
            if changed is not None:
                self.say(f"nothing to be {what}")
            return
        first = self.review.copies(changed[0])
        place = next((i for i, item in enumerate(self.rows.items) if item in first), None)
        if place is not None:
            self.rows.move(place)
        back, forth = self.review.steps
        self.say(f"{what}: {counted(len(changed), 'image')}; {back} steps to undo, {forth} to redo")
        self.refresh_labels()

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
            filter_line(self._choice.query, lambda text: queries.parse(self.review, text)), chosen
        )

    def action_choose(self, what: str) -> None:
        """Make another `Choice`: `next_verdict`, `next_order`, `reversed`."""
        self._choose(getattr(self._choice, what)())

    def action_everything(self) -> None:
        """Leave the group; or else drop the filter, or take it up again."""
        if self._choice.only is not None:
            self.action_only_group()
        else:
            query, self._dropped = self._dropped, self._choice.query
            self._choose(replace(self._choice, query=query))
            if self._dropped:
                self.say("the filter is off; the same key takes it up again")

    def action_refresh_list(self) -> None:
        """Filter and sort again."""
        self.refresh_items()

    def action_relation(self) -> None:
        """Choose what a group is."""
        self._choose(self._choice.next_relation())
        if (item := self.rows.current) is not None:
            size = self._size_of_group(item)
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

    def action_layout(self) -> None:
        """Show picture and list, the picture alone, or the list alone."""
        present = next((name for name in LAYOUTS if name and self.has_class(name)), "")
        self.remove_class(*filter(None, LAYOUTS))
        following = LAYOUTS[(LAYOUTS.index(present) + 1) % len(LAYOUTS)]
        if following:
            self.add_class(following)
