"""The small screens over the board: a line of text to enter, a notice, a question."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from dgsforensics.errors import UsageError
from dgsforensics.review.queries import NAMES
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


def _table(lines: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=12)
    for name, meaning in lines.items():
        table.add_row(Text(f" {name}", "bold"), meaning)
    return table
