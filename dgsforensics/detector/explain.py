"""Which regions of a picture moved its logit: each is covered in turn, and the picture scored anew.

The change is `logit(all) - logit(covered)`: positive where the region spoke for "generated".
(Occlusion; Zeiler and Fergus, arXiv 1311.2901.)

A region is one of the 7x7 tiles of the detector's input. With the view `patches` a tile is one of
the 49 patches that were chosen, wherever it lies; the rest of the picture was never seen, and has
no say. With the view `whole` it is a rectangle of the picture.

A covered region takes the mean colour of the whole input: of all flat fillings it changes the
brightness and the colours that the tower sees least, where black or grey would itself be something
new. It is still flat, so the change also tells what the model makes of a flat tile.

What it does not mean. It says what this model reacted to, not where a picture was altered or
generated, and not that the score is right. Changes do not add up to the logit: what several regions
say together is lost on one alone, so a sure score may have no strong region at all. A large change
in a logit far from the threshold decided nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from dgsforensics.detector.detector import NO_SCORE, Detector
from dgsforensics.detector.views import canonical_pixels, input_pixels
from dgsforensics.errors import UnreadableError
from dgsforensics.pictures import patches
from dgsforensics.pictures.decoder import Picture
from dgsforensics.pictures.patches import GRID, PATCH, TILES

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the picture's width and height."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture and what covering it did."""

    box: Box
    change: float
    """Logit of the picture less that with this region covered."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What has been found so far."""

    logit: float
    """Of the picture."""
    regions: tuple[Region, ...]
    """Those that have been covered, in the order of the tiles."""
    total: int
    """How many there will be: 49, or fewer where the patches of a small picture repeat."""


def explain(
    detector: Detector, picture: Picture, batch: int | None = None
) -> Iterator[Explanation]:
    """Cover the regions of a picture; after each batch, yield what is known by then.

    The last one is whole. With the same `batch` the logit is that of a scan, bit for bit. To stop,
    stop asking. Raises `UnreadableError` where the model gives no finite score.
    """
    pixels, places = _places(detector, picture)  # (size, size, 3)
    inputs = chain([pixels], _covered(pixels, [tiles for _, tiles in places]))
    size = detector.batch_size(batch)
    logits: list[float] = []
    while part := list(islice(inputs, size)):
        logits += detector.logits(np.stack(part), size)
        if not all(math.isfinite(logit) for logit in logits):
            raise UnreadableError(NO_SCORE)
        logit, *covered = logits
        regions = zip(places, covered, strict=False)
        yield Explanation(
            logit, tuple(Region(box, logit - other) for (box, _), other in regions), len(places)
        )


def _places(
    detector: Detector, picture: Picture
) -> tuple[NDArray[np.uint8], list[tuple[Box, list[int]]]]:
    """Return the input, and its regions: where each lies in the picture, and the tiles that show
    it.
    """
    if detector.config.input.view == "whole":
        pixels, _ = input_pixels(detector.config.input, picture)
        return pixels, [(_cell(tile), [tile]) for tile in range(TILES)]
    shown = canonical_pixels(detector.config.input, picture)
    selection = patches.select(shown)
    places: dict[tuple[int, int], list[int]] = {}
    for tile, (top, left) in enumerate(selection.origins.tolist()):
        places.setdefault((top, left), []).append(tile)
    height, width = shown.shape[:2]
    return selection.pixels, [
        (
            # A patch of a picture under 32 pixels reaches into its mirror image.
            (left / width, top / height, _end(left, width), _end(top, height)),
            tiles,
        )
        for (top, left), tiles in places.items()
    ]


def _end(start: int, length: int) -> float:
    return min(1.0, (start + PATCH) / length)


def _cell(tile: int) -> Box:
    row, column = divmod(tile, GRID)
    return column / GRID, row / GRID, (column + 1) / GRID, (row + 1) / GRID


def _covered(pixels: NDArray[np.uint8], regions: list[list[int]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the input (size, size, 3) with the tiles of one region after the other covered."""
    mean = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)  # (3,)
    edges = np.rint(np.linspace(0, len(pixels), GRID + 1)).astype(int)
    for tiles in regions:
        covered = pixels.copy()
        for row, column in (divmod(tile, GRID) for tile in tiles):
            covered[edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = mean
        yield covered
