"""The small screens over the board: a line of text to enter, and the keys."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from dgsforensics.errors import UsageError
from dgsforensics.queries import NAMES
from dgsforensics.tui.keys import SECTIONS, spelled


class Line(ModalScreen[str | None]):
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
        """Title, line, hints."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Input(self._value, select_on_focus=False)
            yield Static("", id="complaint", markup=False)
            hints = Text()
            for name, hint in self._hints.items():
                hints.append(f"{name:<9}", "bold")
                hints.append(f" {hint}\n")
            hints.append("Enter to accept, Esc to leave it as it was", "dim")
            yield VerticalScroll(Static(hints), can_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Accept the line, or say what is wrong with it."""
        event.stop()
        try:
            self._check(event.value)
        except UsageError as error:
            self.query_one("#complaint", Static).update(error.message)
            return
        self.dismiss(event.value)


def filter_line(query: str, check: Callable[[str], object]) -> Line:
    """Asks for a query."""
    hints = {f"{name}:": hint for name, hint in NAMES.items()}
    return Line("Filter: words that must all hold; - in front turns one round", query, hints, check)


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
        """One line a key."""
        with Vertical(classes="dialog wide"):
            yield Static("Keys (Esc to close)", classes="title")
            with VerticalScroll(id="keys"):
                yield Static(Text.assemble(*self._lines()))

    def on_mount(self) -> None:
        """Let the arrow keys scroll."""
        self.query_one("#keys").focus()

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one("#keys").scroll_relative(y=lines, animate=False)

    def _lines(self) -> Iterator[str | tuple[str, str]]:
        for title, keys in SECTIONS.items():
            yield (f"{title}\n", "bold")
            for key in keys:
                mapped = spelled(self._keymap.get(key.name, key.keys))
                yield (f"  {mapped:<12} ", "bold")
                yield f"{key.help or key.says}\n"
        yield ("Columns\n", "bold")
        yield "  label: = others agree, ≠ they do not, ? only they have labelled it, + a note\n"
        yield "  claims: C C2PA, T source type, G generator, k camera, s software\n"
