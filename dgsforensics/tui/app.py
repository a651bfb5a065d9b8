"""The application: the board, what goes on behind it, and how it all looks."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from textual import events
from textual.app import App
from textual.message import Message

from dgsforensics.choices import Theme
from dgsforensics.errors import CaseError, DgsError
from dgsforensics.judgements import ScoreSeen
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review
from dgsforensics.scan.request import ScanRequest
from dgsforensics.tui import terminal
from dgsforensics.tui.background import Explainer, scan
from dgsforensics.tui.board import Board
from dgsforensics.tui.choice import Choice
from dgsforensics.tui.commands import KeyCommands
from dgsforensics.tui.graphics import BLOCKS, Renderer
from dgsforensics.tui.heat import Heat
from dgsforensics.tui.help import Help
from dgsforensics.tui.keys import KEYS, SECTIONS
from dgsforensics.tui.themes import THEMES
from dgsforensics.wording import counted

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 1.0
"""Between two looks at what other processes have written into the case."""


class ReviewApp(App[None]):
    """`dgsf review`."""

    CSS_PATH = "app.tcss"
    TITLE = "dgsf review"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    COMMANDS = {KeyCommands}  # noqa: RUF012 (as Textual declares it)

    @dataclass
    class Scanning(Message):
        """How far a scan is."""

        text: str

    @dataclass
    class Scanned(Message):
        """A scan is over."""

        complaint: str
        """Why it stopped; "" when it ran to its end."""

    @dataclass
    class Mapped(Message):
        """Regions that moved the score of an image."""

        item: Item
        heat: Heat

    @dataclass
    class MapTold(Message):
        """How far the map of an image is."""

        item: Item
        text: str

    def __init__(
        self,
        review: Review,
        choice: Choice,
        *,
        renderer: Renderer = BLOCKS,
        keymap: Mapping[str, str] | None = None,
        theme: Theme = Theme.DARK,
        advance: bool = True,
        looks: bool = True,
        request: ScanRequest | None = None,
        scans: bool = False,
    ) -> None:
        """`request` names the detector and, where `scans` says so, what to scan into the case.

        `looks`: no label without a picture that was seen.
        """
        super().__init__()
        self.review = review
        self._keys = dict(keymap or {})
        self.board = Board(
            review, choice, renderer, keymap=self._keys, advance=advance, looks=looks
        )
        self._request = request if scans else None
        self._explainer = Explainer(request)
        self._theme_name = theme
        self._left = threading.Event()
        self._explaining = threading.Lock()

    def on_mount(self) -> None:
        """Put the board up and start what goes on behind it."""
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self._theme_name].name
        self.set_keymap(self._keys)
        self.push_screen(self.board)
        self.set_interval(FOLLOW_SECONDS, self._follow)
        if self._request is not None:
            self._start(partial(self._scan, self._request))

    def on_key(self, event: events.Key) -> None:
        """Note when a key was typed, before what it is bound to is done."""
        self.board.typed = event.time

    def on_cursor_position(self, event: events.CursorPosition) -> None:
        """Tell the picture that the terminal has come so far."""
        self.board.viewer.picture.arrival.hear(event.time)

    def action_help(self) -> None:
        """Show all keys."""
        drawn = self.board.viewer.picture.described
        self.push_screen(Help(self._keys, self._idle_keys(), drawn))

    def _idle_keys(self) -> set[str]:
        """Return the names of keys that would do nothing now."""
        board = self.board
        undo, redo = board.review.steps
        item, hidden = board.rows.current, not board.viewer.picture.is_on_screen
        idle = {name for name, steps in (("undo", undo), ("redo", redo)) if not steps}
        if item is None or board.size_of_group(item) == 1:
            idle |= {name for name in KEYS if name.startswith("group-")}
        if item is None or item.shown is None:
            idle.add("map")
        if item is None or board.relations.nearest(item) is None:
            idle.add("beside")
        if hidden:
            idle |= {key.name for key in SECTIONS["The picture"]} - {"open"}
        return idle

    def action_dark(self) -> None:
        """Switch between dark and light."""
        other = Theme.LIGHT if self.current_theme.dark else Theme.DARK
        self.theme = THEMES[other].name

    def action_map(self) -> None:
        """Show which parts moved the score, or hide them again."""
        item = self.board.rows.current
        if item is None or item.shown is None:
            self.board.say("there is no score to explain")
            return
        if self.board.viewer.has_heat:
            self.board.viewer.picture.toggle_heat()
            return
        self._start(partial(self._explain, item, item.shown))

    def _follow(self) -> None:
        if not self.is_headless and terminal.is_gone():
            self._leave()
            return
        try:
            if grown := self.review.grow():
                self.board.relations.forget()
                self.board.take_in(grown)
            if self.review.follow():
                self.board.refresh_labels()
            self.board.look()
        except CaseError as error:  # perhaps for a moment only: it is tried again
            self.board.say(f"the case cannot be read: {error.message}")

    # Threads. They may outlive the screen, so they only ever post messages, and nobody waits for
    # them: a batch under way would keep the shell waiting for seconds.

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    async def action_quit(self) -> None:
        """Leave, and tell the threads to come to an end."""
        self._leave()

    def _leave(self) -> None:
        self._left.set()
        self.exit()

    def _scan(self, request: ScanRequest) -> None:
        try:
            scan(request, lambda text: self.post_message(self.Scanning(text)), self._left.is_set)
            complaint = ""
        except DgsError as error:
            complaint = f"the scan stopped: {error.message}"
        except Exception as error:  # a defect of ours; what is reviewed is safe
            log.exception("the scan stopped")
            complaint = f"the scan stopped: internal error: {error!r}"
        self.post_message(self.Scanned(complaint))

    def _explain(self, item: Item, shown: ScoreSeen) -> None:
        def left() -> bool:
            return self._left.is_set() or self.board.viewer.item is not item

        def show(heat: Heat) -> None:
            self.post_message(self.Mapped(item, heat))

        def tell(text: str) -> None:
            self.post_message(self.MapTold(item, text))

        try:
            with self._explaining:
                self._explainer.explain(item, shown, show, tell, left)
        except DgsError as error:
            tell(f"no map: {error.message}")
        except Exception as error:  # a defect of ours, or of the memory
            log.exception("no map")
            tell(f"no map: internal error: {error!r}")

    def on_review_app_scanning(self, message: Scanning) -> None:
        """Show how far the scan is."""
        self.board.status.say_scan(message.text)

    def on_review_app_scanned(self, message: Scanned) -> None:
        """Take files that are gone off the list: the scan is over."""
        self.board.status.say_scan("")
        said = message.complaint
        try:
            self.review.load()
        except CaseError as error:
            said = said or f"the case cannot be read: {error.message}"
        self.board.relations.forget()
        self.board.take_in(self.review.items)
        self.board.say(said or f"scanned: {counted(len(self.review.items), 'file')}; . sorts anew")

    def on_review_app_mapped(self, message: Mapped) -> None:
        """Show the regions of the map."""
        self.board.viewer.heat(message.item, message.heat)

    def on_review_app_map_told(self, message: MapTold) -> None:
        """Show how far the map is, as long as its image is shown."""
        if message.item is self.board.rows.current:
            self.board.say(message.text)
