"""The last line: the keys of the pane that has the focus, most needed first."""

from collections.abc import Mapping

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from dgsforensics.tui.keys import FOOTERS, KEYS, first_key


class KeyLine(Widget):
    """Says as many keys as there is room for; help and quit are never left out."""

    COMPONENT_CLASSES = {"keyline--key"}  # noqa: RUF012 (as Textual declares it)

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__()
        self._keymap = keymap
        self._pane = "Rows"

    def say(self, pane: str) -> None:
        """Say the keys of a pane, by the name of its class."""
        self._pane = pane if pane in FOOTERS else "Rows"
        self.refresh()

    def render(self) -> Text:
        """Return the line."""
        first, last = FOOTERS[self._pane], ("help", "quit")
        style = self.get_component_rich_style("keyline--key", partial=True)
        end = self._spelled(last, style)
        room, line = self.size.width + 1 - cell_len(end.plain), Text()  # the last blank may go
        for name in first:
            said = self._spelled([name], style)
            if cell_len(line.plain) + cell_len(said.plain) > room:
                break
            line.append_text(said)
        line.append_text(end)
        line.right_crop(1)
        return line

    def _spelled(self, names: tuple[str, ...] | list[str], style: Style) -> Text:
        line = Text()
        for name in names:
            line.append(first_key(name, self._keymap), style)
            line.append(f" {KEYS[name].says} ")
        return line
