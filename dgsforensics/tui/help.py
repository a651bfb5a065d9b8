"""The help screen: the keys that do something now, on one page of 80x24."""

from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dgsforensics.tui.keys import SECTIONS, Key, first_key
from dgsforensics.wording import printable

COLUMNS = 3
SIGNS = (
    "label: = others say the same, ≠ they do not, ? only others have one, + a note",
    "claims: C C2PA, T source type, G generator, k camera, s software",
)
"""What the signs in the columns of the list mean."""


class Help(ModalScreen[None]):
    """The keys as they are mapped now, without those that would do nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "dismiss", "close"),
    ]

    def __init__(self, keymap: Mapping[str, str], idle: Collection[str], drawn: str) -> None:
        """`drawn` says how pictures are drawn."""
        super().__init__()
        self._keymap = keymap
        self._idle = idle
        self._drawn = drawn

    def compose(self) -> ComposeResult:
        """Yield the keys in columns, and what signs mean."""
        with Vertical(classes="dialog wide"):
            yield Static(
                "Keys of the moment (Esc to close, Tab goes from pane to pane)", classes="title"
            )
            with VerticalScroll(id="keys"):
                yield Static(self._table())
                for line in (*SIGNS, f"pictures: {printable(self._drawn)}"):
                    yield Static(line, markup=False)

    def on_mount(self) -> None:
        """Let the arrow keys scroll, where the screen is smaller."""
        self.query_one("#keys").focus()

    def _table(self) -> Table:
        lines = list(self._lines())
        height = -(-len(lines) // COLUMNS)
        columns = [lines[place : place + height] for place in range(0, len(lines), height)]
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in columns:
            table.add_column(ratio=1, no_wrap=True)
        for row in range(height):
            table.add_row(*(column[row] if row < len(column) else "" for column in columns))
        return table

    def _lines(self) -> Iterator[Text]:
        for title, keys in SECTIONS.items():
            covered = {name for key in keys for name in key.also}
            shown = [key for key in keys if key.name not in self._idle and key.name not in covered]
            if shown:
                yield Text(title.partition(" (")[0], "bold underline")
            for key in shown:
                line = Text(self._written(key), "bold")
                alone = set(key.also) <= set(self._idle)
                line.append(f" {key.says if alone else key.together}", "not bold")
                yield line

    def _written(self, key: Key) -> str:
        names = [key.name, *(name for name in key.also if name not in self._idle)]
        return " ".join(first_key(name, self._keymap) for name in names)
