"""The line above the keys: how far a scan is, and what the last key did."""

from textual.widgets import Static

from dgsforensics.wording import printable


class StatusLine(Static):
    """Says two things, one beside the other."""

    def __init__(self) -> None:
        super().__init__("", id="status", markup=False)
        self._scan = self._said = ""

    def say(self, text: str) -> None:
        """Show what the last key did; "" when that is over."""
        self._said = printable(text)
        self._show()

    def say_scan(self, text: str) -> None:
        """Show how far the scan is; "" when it is over."""
        self._scan = printable(text)
        self._show()

    def _show(self) -> None:
        self.update(" · ".join(filter(None, [self._scan, self._said])))
