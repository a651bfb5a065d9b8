"""What the label keys do: labels, notes, undo; and when they ask first, or refuse.

A label goes to a picture that was on the screen before its key was typed. Keys that were typed
ahead came too early, however soon the picture follows; they label nothing, and that is said.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dgsforensics.errors import CaseError, UsageError
from dgsforensics.judgements import Judgement, Showing, Sight
from dgsforensics.review import phrases
from dgsforensics.review.item import Item
from dgsforensics.review.relations import Relation, Relations
from dgsforensics.review.session import Review
from dgsforensics.tui.dialogs import LineDialog, NoticeDialog, QuestionDialog
from dgsforensics.tui.rows import Rows
from dgsforensics.tui.viewer import Viewer
from dgsforensics.wording import counted, listed, printable

NOT_WRITTEN = "NOT WRITTEN"
UNREAD = "this file could not be read, so there is nothing to label"
HIDDEN = "NOT LABELLED: the picture is hidden; bring it back, or start with --blind-labels"
MANY = 10
"""Images that a key labels without a question."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the keys need of the screen that they are pressed on."""

    say: Callable[[str], object]
    """Tells the reviewer something."""
    refused: Callable[[str], object]
    """Tells, so that nobody misses it, why nothing was labelled."""
    open: Callable[..., object]
    """Puts a dialog on the screen, with what its answer is told to."""
    changed: Callable[[], object]
    """Shows labels as they are now."""


class Labeller:
    """Writes into the case what one reviewer says of what the screen shows."""

    def __init__(
        self,
        review: Review,
        relations: Relations,
        rows: Rows,
        viewer: Viewer,
        desk: Desk,
        *,
        looks: bool,
    ) -> None:
        """`looks`: a label needs a picture that was seen."""
        self._review = review
        self._relations = relations
        self._rows = rows
        self._viewer = viewer
        self._desk = desk
        self._looks = looks

    def label(self, judgement: str, typed: float, done: Callable[[], object]) -> None:
        """Label the image that is shown, if it was when the key was `typed`; `done` comes after."""
        item = self._rows.current
        if item is None:
            return
        label = Judgement(judgement) if judgement else None

        def write(sight: Sight) -> None:
            if self._write([item], label, sight) and label:
                done()

        self._look(item, label, typed, write)

    def label_group(self, judgement: Judgement, relation: Relation, typed: float) -> None:
        """Label the image and its group, as far as listed; asks where that is a great deal."""
        item = self._rows.current
        if item is None:
            return
        group = self._relations.related(item, relation, self._rows.items)
        hidden = len(self._relations.related(item, relation, self._review.items)) - len(group)
        remark = f"; {hidden} more are not listed and left alone" if hidden else ""
        others = [other for other in group if other is not item]

        def write(sight: Sight) -> None:
            contents = {other.sha256: other for other in group if other.sha256 is not None}
            able = list(contents.values())
            before = Counter(map(self._review.judgement, able))
            replaced = sum(before.values()) - before[None] - before[judgement]

            def go() -> None:
                self._write([item, *others], judgement, sight, f" ({relation}){remark}")

            if len(able) <= MANY and not replaced:
                go()
                return
            labels = {phrases.JUDGEMENTS[k] if k else "no label": n for k, n in before.items()}
            images, word = counted(len(able), "image"), phrases.JUDGEMENTS[judgement]
            self._ask(
                f"Label {images} {word} ({relation})?",
                go,
                f"by verdict: {listed(Counter(str(other.kind) for other in able))}",
                f"by label: {listed(labels)}",
                f"replaced: {counted(replaced, 'label')}" if replaced else "",
                remark.removeprefix("; "),
            )

        self._look(item, judgement, typed, write)

    def note(self, typed: float) -> None:
        """Ask for a note to the image."""
        item = self._rows.current
        if item is None or item.sha256 is None:
            self._desk.say("" if item is None else UNREAD)
            return
        sight = self._viewer.picture.sight(typed) if self._looks else Sight(Showing.BLIND)

        def write(text: str) -> None:
            try:
                self._review.note(item, text, sight=sight)
            except CaseError as error:  # the dialog stays, and the text with it
                raise UsageError(f"{NOT_WRITTEN}: {self._reason(error)}") from error
            self._desk.changed()

        before = printable(self._review.note_of(item))
        self._desk.open(LineDialog(f"Note on {phrases.name(item)}", before, check=write))

    def undo(self) -> None:
        """Take back the last step."""
        self._went_back("undone", self._written(self._review.undo))

    def redo(self) -> None:
        """Do it again."""
        self._went_back("done again", self._written(self._review.redo))

    def _look(
        self, item: Item, label: Judgement | None, typed: float, write: Callable[[Sight], object]
    ) -> None:
        """Have it written, now or after a question, with what was seen; or refuse."""
        name, viewer = phrases.name(item), self._viewer
        if item.sha256 is None:
            self._desk.say(UNREAD)
            return
        if not self._looks:
            write(Sight(Showing.BLIND))
            return
        sight = viewer.picture.sight(typed)
        if sight.showing == Showing.HIDDEN:
            word = phrases.JUDGEMENTS[label] if label else "no label"
            early = f"NOT LABELLED: {word} came before {name} was on the screen"
            self._desk.refused(early if viewer.picture.has_room else HIDDEN)
        elif trouble := viewer.trouble:
            what = f"Label it {phrases.JUDGEMENTS[label]}" if label else "Take its label away"
            self._ask(f"{name}: {trouble}", lambda: write(sight), f"{what} all the same?")
        else:
            write(sight)

    def _ask(self, title: str, go: Callable[[], object], *lines: str) -> None:
        def told(yes: bool) -> None:
            if yes:
                go()

        self._desk.open(QuestionDialog(title, *lines), told)

    def _write(
        self, items: Sequence[Item], label: Judgement | None, sight: Sight, remark: str = ""
    ) -> bool:
        """Return false when nothing was written because the case file did not take it."""
        others = Sight(Showing.GROUP)
        changed = self._written(
            lambda: self._review.label(items, label, sight=sight, others=others)
        )
        if changed is None:
            return False
        word = phrases.JUDGEMENTS[label] if label else "no label"
        count = "" if len(items) == 1 else f"{changed} of {len(items)} images changed"
        files = len(self._review.copies(items[0].sha256 or ""))
        if not count and files > 1:
            remark += f", and {counted(files - 1, 'file')} of the same content"
        before = " (as before)" if not changed and not count else ""
        self._desk.say(f"{word}: {count or phrases.name(items[0])}{before}{remark}")
        self._desk.changed()
        return True

    def _written(self, write: Callable[[], Any]) -> Any:
        """Return what writing gave; None, and said, where the case file did not take it."""
        try:
            return write()
        except CaseError as error:
            # Keys typed ahead were meant for the images after this one.
            self._desk.open(NoticeDialog(NOT_WRITTEN, self._reason(error), error.hint or ""))
            return None

    def _reason(self, error: CaseError) -> str:
        return error.message.removeprefix(f"{self._review.case.path}: ")

    def _went_back(self, what: str, changed: list[str] | None) -> None:
        if not changed:
            if changed is not None:
                self._desk.say(f"nothing to be {what}")
            return
        first = self._review.copies(changed[0])
        place = next((i for i, item in enumerate(self._rows.items) if item in first), None)
        if place is not None:
            self._rows.move(place)
        back, forth = self._review.steps
        images = counted(len(changed), "image")
        self._desk.say(f"{what}: {images}; {back} steps to undo, {forth} to redo")
        self._desk.changed()
