"""The mouse over a pane: its wheel zooms, and with the button held it drags."""

from textual import events
from textual.geometry import Offset
from textual.widget import Widget


class DraggablePane(Widget):
    """Calls what a pane says it does with it."""

    def __init__(self) -> None:
        super().__init__()
        self._held: Offset | None = None
        """Where the mouse was last while it drags."""

    def zoom(self, steps: int, at: tuple[int, int] | None = None) -> None:
        """Zoom in (positive) or out; the cell `at` (column, row of the pane) stays where it is."""
        raise NotImplementedError

    def pan(self, dx: int, dy: int) -> None:
        """Show what lies `dx` columns to the right and `dy` rows below."""
        raise NotImplementedError

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in at the pointer."""
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out at the pointer."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, steps: int) -> None:
        event.stop()
        if (offset := event.get_content_offset(self)) is not None:
            self.zoom(steps, (offset.x, offset.y))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the picture."""
        if event.button == 1:
            self.capture_mouse()
            self._held = event.screen_offset

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the picture."""
        if self._held is not None:
            moved = event.screen_offset - self._held
            self._held = event.screen_offset
            self.pan(-moved.x, -moved.y)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        self.release_mouse()
        self._held = None
