"""The right side of the board: the picture, what stands beside it, and its evidence.

Here is also known which files are gone or are not what was scanned: those that were decoded, or
that were asked for with `look`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from dgsforensics import wording
from dgsforensics.review.item import Item
from dgsforensics.review.relations import Relations
from dgsforensics.review.session import Review
from dgsforensics.tui.decoding import Decoder
from dgsforensics.tui.evidence import EvidencePane
from dgsforensics.tui.graphics import Renderer
from dgsforensics.tui.heat import Heat
from dgsforensics.tui.picture import PicturePane
from dgsforensics.tui.presence import PresenceWatch

GONE, CHANGED = "gone", "changed"
"""What can become of a file between its scan and the review."""


class Viewer(Vertical, can_focus=False):
    """Shows one image of the review."""

    @dataclass
    class Decoded(Message):
        """A picture is ready; posted by a decoding thread."""

        path: Path

    @dataclass
    class Looked(Message):
        """Which files are there; posted by the thread that looks."""

        found: Mapping[Path, bool]

    def __init__(
        self,
        review: Review,
        relations: Relations,
        renderer: Renderer,
        lost: Callable[[Mapping[Path, str]], object],
    ) -> None:
        """`lost` is told what became of files, whenever that changes: `GONE` or `CHANGED`."""
        super().__init__()
        self.picture = PicturePane(renderer)
        self._evidence = EvidencePane(lambda: self.picture.described)
        self._review = review
        self._relations = relations
        self._decoder = Decoder(lambda path: self.post_message(self.Decoded(path)))
        self._watch = PresenceWatch(lambda found: self.post_message(self.Looked(found)))
        self._tell_lost = lost
        self._lost: dict[Path, str] = {}
        self._item: Item | None = None
        self._ahead: dict[Path, Item] = {}
        self._compares = False
        self.has_heat = False
        """Whether the regions that moved the score are there, shown or hidden."""

    def compose(self) -> ComposeResult:
        """Yield the picture above the evidence."""
        yield self.picture
        yield self._evidence

    def on_unmount(self) -> None:
        """Stop decoding."""
        self._decoder.close()
        self._watch.close()

    @property
    def item(self) -> Item | None:
        """The image shown, or being loaded."""
        return self._item

    @property
    def trouble(self) -> str:
        """Why what was scored cannot be seen; "" where it can, or where there never was a score."""
        item = self._item
        if item is None:
            return ""
        if (lost := self._lost.get(item.path)) is not None:
            return {GONE: "the file is gone", CHANGED: "the file is not what was scanned"}[lost]
        shot = self._decoder.get(item.path)
        if shot is None or shot.image is not None or item.verdict is None:
            return ""
        return f"the picture cannot be shown: {shot.error}"

    def look(self, items: Sequence[Item]) -> None:
        """Find out whether the files are still there."""
        self._watch.look([item.path for item in items])

    def show(self, item: Item | None, ahead: Sequence[Item] = ()) -> None:
        """Show an image; those `ahead` are decoded meanwhile, the most likely next one first."""
        self._ahead = {other.path: other for other in ahead}
        if item is not self._item or item is None:  # else zoom and map stay
            self._item = item
            self._show_picture()
        self.refresh_evidence()

    def refresh_evidence(self) -> None:
        """Say again what is known, e.g. after a decision."""
        similar = None if self._item is None else self._relations.nearest(self._item)
        self._evidence.show(self._review, self._item, similar)

    def compare(self) -> str | None:
        """Put the most similar image beside each one, or no longer; what to say about that."""
        self._compares = not self._compares
        self._show_picture()
        if not self._compares or self._item is None or self._relations.nearest(self._item):
            return None
        return "no other image of the case looks like this one"

    def heat(self, item: Item, heat: Heat) -> None:
        """Lay the regions that moved the score over an image, if it is still the one shown."""
        if item is self._item:
            self.has_heat = True
            self.picture.heat(heat)

    def zoom(self, steps: int) -> None:
        """Zoom in (positive) or out."""
        self.picture.zoom(steps)

    def actual(self) -> None:
        """Show one pixel of the picture as one of the screen."""
        self.picture.actual()

    def fit(self) -> None:
        """Show all of the picture."""
        self.picture.fit()

    def pan(self, dx: int, dy: int) -> None:
        """Move over the picture by quarters of the pane."""
        size = self.picture.size
        self.picture.pan(dx * max(1, size.width // 4), dy * max(1, size.height // 4))

    def scroll_evidence(self, pages: int) -> None:
        """Scroll half a page down (positive) or up."""
        height = max(1, self._evidence.size.height // 2)
        self._evidence.scroll_relative(y=pages * height, animate=False)

    def on_viewer_decoded(self, message: Decoded) -> None:
        """Show what was waited for."""
        self._compare_content(message.path)
        other = self._beside()
        if self._item is not None and message.path == self._item.path:
            self._show_picture()
        elif other is not None and message.path == other.path:
            self.picture.beside(self._decoder.get(other.path), _caption(other))

    def on_viewer_looked(self, message: Looked) -> None:
        """Keep in mind what is gone, and show again what is back."""
        before = dict(self._lost)
        for path, is_there in message.found.items():
            if not is_there:
                self._lost[path] = GONE
            elif self._lost.get(path) == GONE:
                del self._lost[path]
                self._decoder.forget(path)
                if self._item is not None and path == self._item.path:
                    self._show_picture()
        if self._lost != before:
            self._tell_lost(self._lost)

    def _compare_content(self, path: Path) -> None:
        """See whether a file that was just read is what was scanned."""
        known = self._ahead | ({self._item.path: self._item} if self._item is not None else {})
        item, shot = known.get(path), self._decoder.get(path)
        if item is None or shot is None or None in (shot.sha256, item.sha256):
            return
        if shot.sha256 != item.sha256:
            self._lost[path] = CHANGED
            self._tell_lost(self._lost)
        elif self._lost.pop(path, None) is not None:
            self._tell_lost(self._lost)

    def _show_picture(self) -> None:
        item, self.has_heat = self._item, False
        if item is None:
            self._decoder.want([])
            self.picture.show(None, "")
            return
        other = self._beside()
        beside = [] if other is None else [other.path]
        self._decoder.want([item.path, *beside, *self._ahead])
        self.picture.show(self._decoder.get(item.path), _caption(item))
        if other is not None:
            self.picture.beside(self._decoder.get(other.path), _caption(other))

    def _beside(self) -> Item | None:
        if not self._compares or self._item is None:
            return None
        found = self._relations.nearest(self._item)
        return None if found is None else found[0]


def _caption(item: Item) -> str:
    score = "" if item.probability is None else wording.chance(item.probability) + " "
    return f"{score}{item.path.name}"
