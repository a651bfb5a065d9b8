"""The small screens over the board: a line of text to enter, and the keys."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from dgsforensics.errors import UsageError
from dgsforensics.review.queries import NAMES
from dgsforensics.tui.keys import SECTIONS, spelled
from dgsforensics.wording import printable


class LineDialog(ModalScreen[str | None]):
    """Asks for one line; gives it, or None when the user thinks better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "cancel")]

    def __init__(
        self,
        title: str,
        value: str,
        hints: Mapping[str, str] | None = None,
        check: Callable[[str], object] = str,
    ) -> None:
        """`check` raises `UsageError` for a line that will not do, and is told so at once."""
        super().__init__()
        self._title = title
        self._value = value
        self._hints = hints or {}
        self._check = check

    def compose(self) -> ComposeResult:
        """Yield title, line, hints."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Input(self._value, select_on_focus=False)
            yield Static("", id="complaint", markup=False)
            yield VerticalScroll(Static(_table(self._hints)), can_focus=False)
            yield Static("Enter to accept, Esc to leave it as it was", classes="dim")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept the line, or say what is wrong with it."""
        event.stop()
        try:
            self._check(event.value)
        except UsageError as error:
            self.query_one("#complaint", Static).update(error.message)
            return
        self.dismiss(event.value)


class NoticeDialog(ModalScreen[None]):
    """Says what went wrong; keys typed ahead end here, only Esc leads back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "close")]

    def __init__(self, title: str, *lines: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Yield title and lines."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            for line in filter(None, self._lines):
                yield Static(printable(line), markup=False)
            yield Static("Esc to go on", classes="dim")


class QuestionDialog(ModalScreen[bool]):
    """Asks before something is done that is easily regretted; only y does it, Esc leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("escape", "dismiss(False)", "no"),
    ]

    def __init__(self, title: str, *lines: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Yield title and lines."""
        with Vertical(classes="dialog"):
            yield Static(printable(self._title), classes="title", markup=False)
            for line in filter(None, self._lines):
                yield Static(printable(line), markup=False)
            yield Static("y: yes   Esc: no, leave it as it is", classes="dim")


def filter_line(query: str, check: Callable[[str], object]) -> LineDialog:
    """Return the dialog that asks for a query."""
    hints = {f"{name}:": hint for name, hint in NAMES.items()}
    return LineDialog("Filter: all words must hold; -word: not that word", query, hints, check)


COLUMNS = {
    "label": "= others say the same now, ≠ they do not, ? only they have labelled it, + a note",
    "claims": "C C2PA, T source type, G generator, k camera, s software",
}
"""What their signs mean."""


class Help(ModalScreen[None]):
    """All keys, as they are mapped now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "dismiss", "close"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        """Yield one line a key."""
        with Vertical(classes="dialog wide"):
            yield Static("Keys (Esc to close)", classes="title")
            with VerticalScroll(id="keys"):
                yield Static(Group(*self._sections()))

    def on_mount(self) -> None:
        """Let the arrow keys scroll."""
        self.query_one("#keys").focus()

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one("#keys").scroll_relative(y=lines, animate=False)

    def _sections(self) -> Iterator[RenderableType]:
        for title, keys in SECTIONS.items():
            yield Text(title, "bold")
            mapped = {spelled(self._keymap.get(key.name, key.keys)): key for key in keys}
            yield _table({written: key.help or key.says for written, key in mapped.items()})
        yield Text("Columns", "bold")
        yield _table(COLUMNS)


def _table(lines: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=12)
    for name, meaning in lines.items():
        table.add_row(Text(f" {name}", "bold"), meaning)
    return table
