"""Which regions moved the score, drawn over the picture: red towards generated, blue towards real.

The scale is the same for every image: by how much covering a region changes the odds that the
picture is generated. A region that changes them little is left as it is. Where there is no colour,
the strongest regions are outlined in plus and minus signs instead.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from dgsforensics.tui.viewport import Box, Frame

Heat = Sequence[tuple[Box, float]]
"""Regions and their weights in [-1, 1]; positive is towards generated."""

GENERATED = (235, 40, 30)
REAL = (40, 90, 255)
STRENGTH = 0.7
"""Share of the tint where the weight is 1 or -1."""
FULL_ODDS = 10.0
"""Times by which a region changes the odds that has its full colour."""
LEAST_ODDS = 1.5
"""Times by which a region changes the odds, at the least, to matter: from 50 % to 60 %, say."""
STRONGEST = 8
"""Regions that get signs."""


def on_scale(changes: Iterable[tuple[Box, float]], temperature: float) -> Heat:
    """Return regions with weights in [-1, 1] from what covering each takes off the logit.

    The logit over the `temperature` of the calibration is the logarithm of the odds. A region that
    does not matter has weight 0.
    """
    found = []
    for box, change in changes:
        exponent = change / temperature
        matters = abs(exponent) >= math.log(LEAST_ODDS)
        weight = exponent / math.log(FULL_ODDS) if matters else 0.0
        found.append((box, min(max(weight, -1.0), 1.0)))
    return found


def matters(heat: Heat) -> bool:
    """Return whether any region does."""
    return any(weight for _, weight in heat)


def tinted(image: Image.Image, shown: Frame, cell: tuple[int, int], heat: Heat) -> Image.Image:
    """Return the visible part of a picture (`viewport.cut`, as fine as it may be) with its regions
    in colour.

    A region is at least one cell, however small it is shown; where several meet, the strongest
    counts.
    """
    weights = np.zeros((shown.height, shown.width), np.float32)
    for box, weight in sorted(heat, key=lambda region: abs(region[1])):
        if (place := _place(box, shown, cell)) is not None:
            left, top, right, bottom = place
            weights[top:bottom, left:right] = weight
    finer = image.width // shown.width, image.height // shown.height
    weights = weights.repeat(finer[1], axis=0).repeat(finer[0], axis=1)
    share = STRENGTH * np.minimum(np.abs(weights), 1)[..., None]
    colour = np.where(weights[..., None] > 0, np.array(GENERATED), np.array(REAL))
    mixed = np.asarray(image) * (1 - share) + colour * share
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


def signs(shown: Frame, cell: tuple[int, int], heat: Heat) -> dict[tuple[int, int], str]:
    """Return `+` or `-` for the cells (column, row) of the room that outline the strongest
    regions."""
    found: dict[tuple[int, int], str] = {}
    strongest = sorted(heat, key=lambda region: abs(region[1]))[-STRONGEST:]
    for box, weight in strongest:
        place = _place(box, shown, cell)
        if place is None or not weight:
            continue
        left, right = ((shown.left + x) / cell[0] for x in (place[0], place[2]))
        top, bottom = ((shown.top + y) / cell[1] for y in (place[1], place[3]))
        columns = range(math.floor(left), max(math.floor(left) + 1, math.floor(right)))
        rows = range(math.floor(top), max(math.floor(top) + 1, math.floor(bottom)))
        for row in rows:
            for column in columns:
                if row in (rows[0], rows[-1]) or column in (columns[0], columns[-1]):
                    found[column, row] = "+" if weight > 0 else "-"
    return found


def _place(box: Box, shown: Frame, cell: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return where a region lies in the visible part, display pixels; None where it is out of
    sight.
    """
    left, right = _span(box[0], box[2], shown.box[0], shown.box[2], shown.width, cell[0])
    top, bottom = _span(box[1], box[3], shown.box[1], shown.box[3], shown.height, cell[1])
    return None if left >= right or top >= bottom else (left, top, right, bottom)


def _span(
    begin: float, end: float, first: float, last: float, extent: int, least: int
) -> tuple[int, int]:
    if end <= first or begin >= last:
        return 0, 0
    begin, end = ((place - first) / (last - first) * extent for place in (begin, end))
    if end - begin < least:
        begin = min(max(0.0, (begin + end - least) / 2), max(0.0, extent - least))
        end = begin + least
    return max(0, round(begin)), min(extent, round(end))
