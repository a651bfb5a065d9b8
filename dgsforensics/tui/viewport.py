"""Which part of a picture is shown where: geometry without a screen.

Everything is counted in display pixels, which are square: what a cell of the terminal holds of
them (1 x 2 with half blocks) is the renderer's affair. A *room* is the (width, height) in display
pixels that one picture has. Places in a picture are fractions of its sides.
"""

import math
from dataclasses import dataclass

from PIL import Image

from dgsforensics.tui.decoding import DecodedPicture

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of a picture's width and height."""

STEPS = tuple(2.0**power for power in range(-14, 4))
"""Scales between the one that fits and 8:1."""


@dataclass(frozen=True, slots=True)
class View:
    """What the viewer asked to see."""

    scale: float | None = None
    """Display pixels along one pixel of the picture; None for all of the picture."""
    x: float = 0.5
    y: float = 0.5
    """The place in the middle of the room."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of a picture that is visible, and its place in the room."""

    box: Box
    left: int
    top: int
    width: int
    height: int
    """Where the part goes, display pixels; both sides at least 1."""
    scale: float
    """Display pixels along one pixel of the picture."""


def filling(size: tuple[int, int], room: tuple[int, int]) -> float:
    """Return the scale at which a picture just fills the room in one direction."""
    return min(room[0] / size[0], room[1] / size[1])


def fitting(size: tuple[int, int], room: tuple[int, int]) -> float:
    """Return the scale at which all of a picture is shown: `filling`, but never enlarged."""
    return min(1.0, filling(size, room))


def frame(view: View, size: tuple[int, int], room: tuple[int, int]) -> Frame:
    """Return where a picture of `size` pixels stands in a room; a view beyond its edges is moved
    back.
    """
    scale = fitting(size, room) if view.scale is None else view.scale
    left, right, x, width = _axis(size[0], room[0], scale, view.x)
    top, bottom, y, height = _axis(size[1], room[1], scale, view.y)
    return Frame((left, top, right, bottom), x, y, width, height, scale)


def _axis(length: int, room: int, scale: float, middle: float) -> tuple[float, float, int, int]:
    """Begin and end of the visible part, its first display pixel, and how many there are."""
    if length * scale <= room:
        extent = min(room, max(1, round(length * scale)))
        return 0.0, 1.0, (room - extent) // 2, extent
    span = room / scale  # pixels of the picture
    start = middle * length - span / 2
    if scale >= 1:
        # To a whole display pixel, so that each shows one pixel of the picture. Middles lie on
        # halves and wholes: by quarters, rounding errors do not make panning jump.
        start = math.floor(start * scale + 0.25) / scale
    start = min(max(start, 0.0), length - span)
    return start / length, (start + span) / length, 0, room


def zoomed(
    view: View,
    size: tuple[int, int],
    room: tuple[int, int],
    steps: int,
    at: tuple[float, float] | None = None,
) -> View:
    """Step up (positive) or down; what is under `at`, a place in the room, stays there."""
    fit = fitting(size, room)
    ladder = [fit, *(step for step in STEPS if step > fit * 1.001)]
    before = frame(view, size, room)
    if steps > 0:
        higher = [step for step in ladder if step > before.scale * 1.001]
        scale = higher[min(steps, len(higher)) - 1] if higher else before.scale
    else:
        lower = [step for step in ladder if step < before.scale / 1.001]
        scale = lower[max(steps, -len(lower))] if steps and lower else before.scale
    if scale <= fit * 1.001:
        return View()
    return scaled(view, size, room, scale, at)


def scaled(
    view: View,
    size: tuple[int, int],
    room: tuple[int, int],
    scale: float,
    at: tuple[float, float] | None = None,
) -> View:
    """Return another scale, with what is under `at` (None: in the middle of the room) kept
    there."""
    before = frame(view, size, room)
    left, top, right, bottom = before.box
    x, y = at or (room[0] / 2, room[1] / 2)
    seen_x = left + (right - left) * _clamped((x - before.left) / before.width)
    seen_y = top + (bottom - top) * _clamped((y - before.top) / before.height)
    moved = View(
        scale,
        seen_x - (x - room[0] / 2) / (scale * size[0]),
        seen_y - (y - room[1] / 2) / (scale * size[1]),
    )
    return _kept_in(moved, size, room)


def panned(view: View, size: tuple[int, int], room: tuple[int, int], dx: float, dy: float) -> View:
    """Show what lies `dx` display pixels to the right and `dy` below, as far as there is any."""
    if view.scale is None:
        return view
    x, y = view.x + dx / (view.scale * size[0]), view.y + dy / (view.scale * size[1])
    return _kept_in(View(view.scale, x, y), size, room)


def _kept_in(view: View, size: tuple[int, int], room: tuple[int, int]) -> View:
    """Return the same view with its middle where it can be, so that the way back is never
    longer."""
    middle = []
    for place, length, extent in zip((view.x, view.y), size, room, strict=True):
        half = extent / (view.scale or 1.0) / 2 / length
        middle.append(0.5 if half >= 0.5 else min(max(place, half), 1 - half))
    return View(view.scale, *middle)


def _clamped(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0)


def cut(shot: DecodedPicture, shown: Frame, finer: tuple[int, int] = (1, 1)) -> Image.Image:
    """Return the visible part in display pixels; enlarged without smoothing, reduced with.

    `finer` says how many pixels each of them is to have, across and down.
    """
    if shot.image is None:
        raise ValueError("there is no picture to cut from")
    level = shot.image
    for smaller in shot.smaller:
        if smaller.width >= shown.scale * finer[0] * shot.size[0]:
            level = smaller
    resampling = Image.Resampling.HAMMING if finer == (1, 1) else Image.Resampling.BICUBIC
    if shown.scale >= 1:
        resampling = Image.Resampling.NEAREST
    left, top, right, bottom = shown.box
    box = (
        left * level.width,
        top * level.height,
        min(right * level.width, level.width),
        min(bottom * level.height, level.height),
    )
    size = (shown.width * finer[0], shown.height * finer[1])
    return level.resize(size, resampling, box=box)
