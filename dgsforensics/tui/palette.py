"""The 240 colours that are the same in every terminal with 256, and which is nearest to another.

Nearness is measured as the eye does, roughly: in brightness first, in colour half as much. With
equal weights the brightness of a photograph, on which its details rest, is drawn worse.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

FIRST = 16
"""The number of the first: those before it look different from terminal to terminal."""
_CUBE = (0, 95, 135, 175, 215, 255)
RGB = np.array(
    [(r, g, b) for r in _CUBE for g in _CUBE for b in _CUBE]
    + [(level, level, level) for level in range(8, 239, 10)],
    np.float32,
)
"""(240, 3), from the colour with the number `FIRST` on."""

_HUE = 0.5
_OPPONENT = np.array(
    [
        np.array([0.299, 0.587, 0.114]) * np.sqrt(3),
        np.array([0.5, -0.5, 0]) * np.sqrt(3) * _HUE,
        np.array([0.25, 0.25, -0.5]) * np.sqrt(3) * _HUE,
    ],
    np.float32,
)
_BACK = np.linalg.inv(_OPPONENT)
_BITS = 5


def opponent(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return colours (..., 3) as brightness, red-green and blue-yellow: where distances count."""
    return rgb @ _OPPONENT.T


def to_rgb(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what `opponent` was given; perhaps beyond 0 to 255."""
    return colours @ _BACK.T


COLOURS = opponent(RGB)
"""(240, 3), the same as `RGB`."""


def nearest(colours: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return places in `COLOURS`, (...), for colours (..., 3) given by `opponent`."""
    levels = np.clip(to_rgb(colours), 0, 255).astype(np.intp) >> (8 - _BITS)
    found: NDArray[np.intp] = _table()[levels[..., 0], levels[..., 1], levels[..., 2]]
    return found


@cache
def _table() -> NDArray[np.intp]:
    """Return the nearest of each small cube of colours: (32, 32, 32)."""
    middles = (np.arange(1 << _BITS, dtype=np.float32) + 0.5) * (1 << 8 - _BITS)
    grid = opponent(np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), axis=-1))
    distances = (COLOURS**2).sum(axis=1) - 2 * grid @ COLOURS.T  # but for what all have in common
    found: NDArray[np.intp] = distances.argmin(axis=-1)
    return found
