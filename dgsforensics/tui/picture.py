"""The pane that shows one picture, or two side by side: fitted, zoomed, panned, with its heat.

With half blocks and letters all drawing happens when a line is asked for; real pixels take longer,
are made in a thread, and until they arrive the place is empty or shows the view before.
"""

from functools import partial

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from dgsforensics.judgements import Showing, Sight
from dgsforensics.tui import drawing, graphics, pixels, viewport
from dgsforensics.tui.arrival import ANSWER_SECONDS, Arrival
from dgsforensics.tui.decoding import DecodedPicture
from dgsforensics.tui.drawing import Part
from dgsforensics.tui.graphics import Protocol, Renderer
from dgsforensics.tui.heat import Heat
from dgsforensics.tui.keys import ARROWS
from dgsforensics.tui.pixels import DrawnParts
from dgsforensics.tui.pointer import DraggablePane
from dgsforensics.tui.viewport import Box, View


class PicturePane(DraggablePane, can_focus=True):
    """Shows what it is given; keys are bound by the application, the mouse zooms and drags."""

    DEFAULT_CSS = "PicturePane { width: 1fr; height: 1fr; }"
    ALLOW_SELECT = False
    FOCUS_ON_CLICK = False
    BINDINGS = list(ARROWS)  # noqa: RUF012 (as Textual declares it)

    class Drawn(Message):
        """Real pixels are ready; None when they could not be made."""

        bubble = False

        def __init__(self, generation: int, drawn: DrawnParts | None) -> None:
            super().__init__()
            self.generation = generation
            self.drawn = drawn

    def __init__(self, renderer: Renderer = graphics.BLOCKS) -> None:
        super().__init__()
        self._renderer = renderer
        self._pictures: list[tuple[DecodedPicture | None, str]] = [(None, "")]
        self._view = View()
        self._heat: Heat = ()
        self._heat_shown = True
        self._lines: list[Strip] | None = None
        self._lines_for: object = None
        self._drawn: DrawnParts = []
        self._generation = 0
        self._is_drawing = False
        self.arrival = Arrival()

    # What is shown

    @property
    def since(self) -> float | None:
        """When the first picture, or why there is none, was on the screen: the time that messages
        have. None while it is not there.
        """
        return self.arrival.since

    @property
    def has_room(self) -> bool:
        """Whether any of a picture can be seen in the pane as it is now."""
        return self.is_on_screen and min(self.size) > 1

    def sight(self, until: float) -> Sight:
        """Return what somebody saw of the first picture, up to a time."""
        frame, how = self._parts()[0].frame, Showing(self._renderer.protocol.value)
        return self.arrival.sight(how, (frame.width, frame.height) if frame else None, until)

    @property
    def described(self) -> str:
        """How pictures are drawn, and why not better."""
        return self._renderer.described(self.app.console.color_system)

    def show(self, shot: DecodedPicture | None, caption: str) -> None:
        """Show a picture, fitted, with a name below it and nothing beside it.

        Without a shot the caption is that of a picture being loaded; "" when none is selected.
        """
        if shot is None or shot is not self._pictures[0][0]:
            self.arrival.leave()
        self._pictures = [(shot, caption)]
        self._view = View()
        self._heat = ()
        self._heat_shown = True
        self._change()

    def beside(self, shot: DecodedPicture | None, caption: str = "") -> None:
        """Show a second picture to the right, zoomed and panned alike; ("" for none).

        The same part of both is shown at the same size, whatever their numbers of pixels.
        """
        second = [(shot, caption)] if shot or caption else []
        self._pictures = [*self._pictures[:1], *second]
        self._change()

    def heat(self, regions: Heat) -> None:
        """Lay regions and their weights in [-1, 1] over the first picture; none takes them off."""
        self._heat = tuple(regions)
        self._change()

    def toggle_heat(self) -> None:
        """Hide the regions, or show them again."""
        self._heat_shown = not self._heat_shown
        self._change()

    # The view

    def zoom(self, steps: int, at: tuple[int, int] | None = None) -> None:
        """Zoom in (positive) or out; the cell `at` (column, row of the pane) stays where it is."""
        parts = self._parts()
        if (shot := parts[0].shot) is None or shot.image is None:
            return
        part, place = parts[0], None
        if at is not None:
            part = next((p for p in parts if p.left <= at[0] < p.left + p.cells[0]), part)
            cell = self._renderer.cell
            place = ((at[0] - part.left + 0.5) * cell[0], (at[1] + 0.5) * cell[1])
        self._view = viewport.zoomed(self._view, shot.size, part.room, steps, place)
        self._change()

    def fit(self) -> None:
        """Show all of the picture."""
        self._view = View()
        self._change()

    def actual(self) -> None:
        """Show one pixel of the picture as one displayed pixel."""
        part = self._parts()[0]
        if part.shot is not None and part.shot.image is not None:
            self._view = viewport.scaled(self._view, part.shot.size, part.room, 1.0)
            self._change()

    def pan(self, dx: int, dy: int) -> None:
        """Show what lies `dx` columns to the right and `dy` rows below, up to the edge."""
        part = self._parts()[0]
        if part.shot is not None and part.shot.image is not None:
            across, down = self._renderer.cell
            self._view = viewport.panned(
                self._view, part.shot.size, part.room, dx * across, dy * down
            )
            self._change()

    @property
    def scale(self) -> float | None:
        """Displayed pixels along one pixel of the first picture; None without a picture."""
        shown = self._parts()[0].frame
        return shown.scale if shown else None

    @property
    def visible_box(self) -> Box | None:
        """The part of the first picture that can be seen; None without a picture."""
        shown = self._parts()[0].frame
        return shown.box if shown else None

    # Drawing

    def on_hide(self, event: events.Hide) -> None:
        """Note that the picture is not on the screen any more."""
        self.arrival.leave()

    def on_resize(self, event: events.Resize) -> None:
        """Fit again."""
        self._change()

    def render_line(self, y: int) -> Strip:
        """Return one line of the pane."""
        state = (self.size, self.app.current_theme.dark)
        if self._lines is None or self._lines_for != state:
            # What cells without a colour of their own have: both, for a terminal's own text colour
            # may be that of our ground.
            style = Style(color=self.rich_style.color, bgcolor=self.rich_style.bgcolor)
            self._lines = [line.apply_style(style) for line in self._draw()]
            self._lines_for = state
        return self._lines[y]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines within `crop`; sixels are drawn over them by the last."""
        lines = super().render_lines(crop)
        if lines and not self.arrival.is_sent and self._is_whole:
            lines[-1] = self._asking(lines[-1])
        if self._renderer.protocol is not Protocol.SIXEL or not lines or not self.screen.is_active:
            return lines
        x, y = self.content_region.offset
        end = (self.region.x + crop.right, self.region.y + crop.bottom - 1)
        for part in self._parts():
            sequence = pixels.of(self._drawn, part)
            if isinstance(sequence, str):
                lines[-1] = graphics.painted_over(lines[-1], sequence, (x + part.left, y), end)
        return lines

    def _asking(self, last: Strip) -> Strip:
        """Return the last line of the pane, after which the terminal is asked for an answer."""
        number = self.arrival.ask()
        if not self.arrival.answers or self.app.is_headless:  # when all of the screen is written
            self.call_later(lambda: self.arrival.settle(number, Message().time))
        else:
            give_up = self.arrival.give_up
            self.set_timer(ANSWER_SECONDS, lambda: give_up(number, Message().time))
        return graphics.asking(last)

    @property
    def _is_whole(self) -> bool:
        """Whether all of the first picture that can be drawn by now is."""
        shot = self._pictures[0][0]
        if shot is None or shot.image is None or not self._renderer.has_pixels:
            return shot is not None
        return pixels.of(self._drawn, self._parts()[0]) is not None

    def _change(self) -> None:
        self._lines = None
        self.refresh()
        self._generation += 1
        if self._renderer.has_pixels and not self._is_drawing and self.is_mounted:
            self._draw_pixels()

    def _parts(self) -> list[Part]:
        heat = self._heat if self._heat_shown else ()
        return drawing.arrange(self._pictures, self._view, self.size, self._renderer, heat)

    @property
    def _colours(self) -> str | None:
        """How many there are, as Rich names it; None without."""
        if self._renderer.protocol is Protocol.TEXT or self.app.no_color:
            return None
        return self.app.console.color_system or "truecolor"

    def _draw(self) -> list[Strip]:
        return drawing.beside(*(self._draw_part(part) for part in self._parts()), size=self.size)

    def _draw_part(self, part: Part) -> list[Strip]:
        if part.frame is None:
            return drawing.message(part)
        if self._renderer.has_pixels:
            drawn = pixels.of(self._drawn, part)
            lines = drawn if isinstance(drawn, list) else drawing.empty(*part.cells)
        else:
            is_dark = self.app.current_theme.dark
            lines = drawing.in_characters(part, self._renderer, self._colours, is_dark=is_dark)
        return [*lines, drawing.caption(part, self._colours is not None)]

    # Real pixels

    def _draw_pixels(self) -> None:
        self._is_drawing = True
        generation, background = self._generation, self.background_colors[1].rgb
        make = partial(pixels.make, self._parts(), self._renderer, background, self.app.console)
        self.run_worker(
            lambda: self.post_message(self.Drawn(generation, make())), thread=True, group="pixels"
        )

    def on_picture_pane_drawn(self, message: Drawn) -> None:
        """Show what the thread has made, and go on with what was asked for meanwhile."""
        self._is_drawing = False
        if message.drawn is None:
            self._renderer = graphics.BLOCKS
            self._view = View()
        else:
            self._drawn = message.drawn
        self._lines = None
        self.refresh()
        if self._renderer.has_pixels and message.generation != self._generation:
            self._draw_pixels()
