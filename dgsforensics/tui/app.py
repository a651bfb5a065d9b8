"""The application: the board, what goes on behind it, and how it all looks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from textual.app import App
from textual.worker import get_current_worker

from dgsforensics.errors import DgsError
from dgsforensics.request import Request
from dgsforensics.review import Item, Review
from dgsforensics.tui.background import Explainer, scan
from dgsforensics.tui.board import Board
from dgsforensics.tui.choice import Choice
from dgsforensics.tui.dialogs import Help
from dgsforensics.tui.graphics import BLOCKS, Renderer

FOLLOW_SECONDS = 1.0
"""Between two looks at what other processes have written into the case."""
THEMES = {"dark": "textual-dark", "light": "textual-light"}


class ReviewApp(App[None]):
    """`dgsf review`."""

    CSS_PATH = "app.tcss"
    TITLE = "dgsf review"
    ENABLE_COMMAND_PALETTE = False
    INLINE_PADDING: ClassVar[int] = 0

    def __init__(
        self,
        review: Review,
        choice: Choice,
        *,
        renderer: Renderer = BLOCKS,
        keymap: Mapping[str, str] | None = None,
        theme: str = "dark",
        advance: bool = True,
        request: Request | None = None,
        scans: bool = False,
    ) -> None:
        """`request` names the detector and, where `scans` says so, what to scan into the case."""
        super().__init__()
        self.review = review
        self.board = Board(review, choice, renderer, advance=advance)
        self._keys = dict(keymap or {})
        self._request = request if scans else None
        self._explainer = Explainer(request)
        self._theme_name = theme

    def on_mount(self) -> None:
        """Put the board up and start what goes on behind it."""
        self.theme = THEMES[self._theme_name]
        self.set_keymap(self._keys)
        self.push_screen(self.board)
        self.set_interval(FOLLOW_SECONDS, self._follow)
        if self._request is not None:
            self.run_worker(partial(self._scan, self._request), thread=True, group="scan")

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(Help(self._keys))

    def action_dark(self) -> None:
        """Dark or light."""
        dark = self.theme == THEMES["dark"]
        self.theme = THEMES["light" if dark else "dark"]

    def action_map(self) -> None:
        """Which parts moved the score; or hide them again."""
        item = self.board.rows.current
        if item is None or item.shown is None:
            self.board.say("there is no score to explain")
            return
        if self.board.viewer.has_heat:
            self.board.viewer.picture.toggle_heat()
            return
        work = partial(self._explain, item)
        self.run_worker(work, thread=True, group="map", exclusive=True)

    def _follow(self) -> None:
        if self.review.grow():
            self.board.relations.forget()
            self.board.refresh_items()
        if self.review.follow():
            self.board.refresh_labels()

    def _tell(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """For a thread to say something on the screen."""
        return lambda text: self.call_from_thread(say, text)

    def _scan(self, request: Request) -> None:
        """Runs in a thread."""
        worker = get_current_worker()
        try:
            scan(request, self._tell(self.board.say_scan), lambda: worker.is_cancelled)
        except DgsError as error:
            self.call_from_thread(self._scan_over, f"the scan stopped: {error.message}")
        else:
            self.call_from_thread(self._scan_over, "")

    def _scan_over(self, complaint: str) -> None:
        self.board.say_scan("")
        self.review.load()
        self.board.relations.forget()
        self.board.refresh_items()
        self.board.say(complaint or f"scanned: {len(self.review.items)} files")

    def _explain(self, item: Item) -> None:
        """Runs in a thread."""
        worker = get_current_worker()
        shown = item.shown
        assert shown is not None

        def show(heat: object) -> None:
            self.call_from_thread(self.board.viewer.heat, item, heat)

        def left() -> bool:
            return worker.is_cancelled or self.board.rows.current is not item

        try:
            self._explainer.explain(item, shown, show, self._tell(self.board.say), left)
        except DgsError as error:
            self.call_from_thread(self.board.say, f"no map: {error.message}")
