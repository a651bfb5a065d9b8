"""Whether pixels may be a photograph at all: graphics, documents, gradients and noise are not.

A detector was calibrated on photographs, so its error rates hold for nothing else. What is
recognised is a matter of statistics of pixels, not of content: how many neighbours are equal, how
few tones and colours there are, whether edges leap from one ground to another, how much of the
contrast lies between far parts of the picture. The weights were fitted by logistic regression on
one half of 12,000 photographs and rendered graphics, as they were, re-compressed and reduced, and
their thresholds set there, by an earlier script than `benchmarks/domain_weights.py`, whose weights
differ; the cut-offs of the plain rules were set with a look at both halves. `docs/scan-output.md`
has the rates on the other one.

The limits: a screenshot that is mostly a photograph, such as a video player or a page with large
pictures, cannot be told from one, and graphics with much shading or low contrast may pass for one.
A photograph of a printed page is a document here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORTEST = 32
"""Pixels of a side; below that, or with fewer than `FEWEST` in all, nothing can be said."""
FEWEST = 4096
_TILE, _TILES = 16, 16
"""Side of a tile in pixels, and at most so many tiles a side are looked at."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What tells graphics from photographs; shares lie in [0, 1], contrasts are in 8-bit levels."""

    single: float
    """Share of pixels within 4 levels of the median colour."""
    equal: float
    """Share of pairs of neighbours that are equal in all channels."""
    soft: float
    """Share that differ by 3 to 20: shading, texture and noise."""
    hard: float
    """Share that differ by more than 60."""
    medium: float
    """Share of squares of 8 pixels whose contrast is 9 to 48."""
    strong: float
    """Share of those whose contrast is more than 48; the next is of these."""
    two_sided: float
    """Share of pixels near the lightest or darkest of the square, as on both sides of an edge."""
    tones: float
    """Share of pixels in the five commonest bands of five grey levels."""
    entropy: float
    """Bits a pixel of the histogram over 4096 colours."""
    ground: float
    """Share of tiles that reach the commonest lightest, or darkest, tone of all tiles."""
    written: float
    """Share of tiles that reach it and have an edge, too."""
    quiet: float
    """Share of tiles that reach it and are flat or have an edge: nothing in between."""
    edged: float
    """Share of tiles with an edge."""
    broad: float
    """Share of the variance that lies between tiles."""
    uneven: float
    """Deviation of the contrast of tiles, relative to its mean."""
    unfitted: float
    """Deviation of the means of tiles from a polynomial over the picture, levels."""
    unfitted_share: float
    """The same relative to the deviation of the means."""
    near: float
    """Mean square difference two pixels apart, relative to that of eight apart."""


def recognise(pixels: NDArray[np.uint8]) -> str | None:
    """Return what a picture (H, W, 3) is in place of a photograph, in a few words; None: it may be
    one.

    Looks at no more than 256 tiles of 16 x 16 pixels, spread evenly.
    """
    height, width, _ = pixels.shape
    if min(height, width) < SHORTEST or height * width < FEWEST:
        return "too small to judge"
    found = measure(pixels)
    if (plainly := by_rule(found)) is not None:
        return plainly
    document, graphic = (weighed(found) @ _WEIGHTS - _FROM).tolist()
    if document > 0:
        return "a document or drawing"
    return "a flat graphic" if graphic > 0 or flat(found) else None


def by_rule(found: Statistics) -> str | None:
    """Return what needs no weighing."""
    if found.single > 0.995:
        return "a single colour"
    if found.unfitted_share > 0.88 and found.uneven < 0.5:
        return "noise or a pattern"
    if found.broad < 0.12:
        return "noise or a pattern" if found.uneven < 0.35 else "a document or drawing"
    if found.unfitted < 1 or found.unfitted_share < (0.22 if _soft(found) else 0.15):
        return "a document or drawing" if found.edged > 0.1 else "a smooth gradient"
    return None


def measure(pixels: NDArray[np.uint8]) -> Statistics:
    """Return the statistics of a picture, (H, W, 3) with sides of at least 16 pixels."""
    rows, columns = _places(pixels.shape[0]), _places(pixels.shape[1])
    sample = pixels[rows[:, None], columns]  # (16 n, 16 m, 3)
    n, m = len(rows) // _TILE, len(columns) // _TILE
    tiles = np.ascontiguousarray(
        sample.reshape(n, _TILE, m, _TILE, 3)
        .transpose(4, 0, 2, 1, 3)
        .reshape(3, n * m, _TILE, _TILE)
    )  # (3, K, 16, 16)
    red, green, blue = tiles.astype(np.uint16)
    grey = ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.uint8)  # (K, 16, 16)
    steps = _steps(tiles)
    two_sided, medium, strong = _squares(grey)
    ground, written, quiet, edged = _grounds(grey)
    broad, uneven, near = _scales(grey)
    means = tiles.reshape(3, n * m, -1).mean(axis=2).T  # (K, 3)
    unfitted = float((means - _polynomial(means, n, m)).std())
    colours = (red >> 4) << 8 | (green >> 4) << 4 | blue >> 4
    shares = np.bincount(colours.ravel(), minlength=1) / colours.size
    shares = shares[shares > 0]
    flat = tiles.reshape(3, -1)
    counts = [np.bincount(channel, minlength=256).cumsum() for channel in flat]
    middle = np.array([[count.searchsorted(count[-1] / 2)] for count in counts], np.uint8)
    off = np.maximum(flat, middle) - np.minimum(flat, middle)
    return Statistics(
        single=float((off.max(axis=0) <= 4).mean()),
        equal=float(steps[0]),
        soft=float(steps[3:21].sum()),
        hard=float(steps[61:].sum()),
        medium=medium,
        strong=strong,
        two_sided=two_sided,
        tones=_tones(grey),
        entropy=float(-(shares * np.log2(shares)).sum()),
        ground=ground,
        written=written,
        quiet=quiet,
        edged=edged,
        broad=broad,
        uneven=uneven,
        unfitted=unfitted,
        unfitted_share=unfitted / (float(means.std(axis=0).max()) + 1e-6),
        near=near,
    )


def _places(length: int) -> NDArray[np.int64]:
    """Return positions along a side: whole tiles, on the grid of JPEG's blocks, spread over all of
    it.
    """
    count = min(_TILES, length // _TILE)
    # With fewer they lie side by side: a mirrored picture of whole tiles is then sampled alike.
    span = length - _TILE if count == _TILES else (count - 1) * _TILE
    starts = np.linspace(0, span, count).astype(np.int64) // 8 * 8
    places: NDArray[np.int64] = (starts[:, None] + np.arange(_TILE)).ravel()
    return places


def _steps(tiles: NDArray[np.uint8]) -> Floats:
    """Return how often neighbours differ by how much in the channel where they differ most,
    (256,)."""
    counts = np.zeros(256)
    for before, after in ((tiles[..., 1:], tiles[..., :-1]), (tiles[:, :, 1:], tiles[:, :, :-1])):
        apart = np.maximum(before, after) - np.minimum(before, after)
        counts += np.bincount(apart.max(axis=0).ravel(), minlength=256)
    shares: Floats = counts / counts.sum()
    return shares


def _squares(grey: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return `two_sided`, `medium` and `strong`."""
    squares = grey.reshape(-1, 2, 8, 2, 8).swapaxes(2, 3).reshape(-1, 64)
    low, high = squares.min(axis=1), squares.max(axis=1)
    contrast = high - low
    edges = contrast > 48
    two_sided = 0.6  # as common where there is no edge to ask
    if edges.any():
        within = (squares[edges] - low[edges, None]) / contrast[edges, None]
        two_sided = float(((within < 0.2) | (within > 0.8)).mean())
    return two_sided, float(((contrast > 8) & ~edges).mean()), float(edges.mean())


def _tones(grey: NDArray[np.uint8]) -> float:
    counts = np.bincount(grey.ravel(), minlength=256)
    total = 0
    for _ in range(5):
        bands = np.convolve(np.pad(counts, 2), np.ones(5, np.int64), "valid")
        best = int(bands.argmax())
        total += int(bands[best])
        counts[max(0, best - 2) : best + 3] = 0
    return total / grey.size


def _grounds(grey: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Return `ground`, `written`, `quiet` and `edged`; each of the two grounds has a say."""
    ordered = np.partition(grey.reshape(len(grey), -1), (8, 247), axis=1)
    dark, light = ordered[:, 8].astype(np.int64), ordered[:, 247].astype(np.int64)
    contrast = light - dark
    edges = contrast > 50
    shares = []
    for tone in (light, dark):
        near = np.convolve(np.pad(np.bincount(tone, minlength=256), 10), np.ones(21), "valid")
        on = np.abs(tone - near.argmax()) <= 10
        shares.append([on.mean(), (on & edges).mean(), (on & (edges | (contrast <= 25))).mean()])
    ground, written, quiet = np.max(shares, axis=0).tolist()
    return ground, written, quiet, float(edges.mean())


def _scales(grey: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return `broad`, `uneven` and `near`."""
    tone = grey.astype(np.float32)
    deviations = tone.std(axis=(1, 2))
    between = float(tone.mean(axis=(1, 2)).var())

    def apart(steps: int) -> float:
        across = tone[..., steps:] - tone[..., :-steps]
        down = tone[:, steps:] - tone[:, :-steps]
        return float(np.square(across).mean() + np.square(down).mean()) / 2

    return (
        between / (float(tone.var()) + 1e-6),
        float(deviations.std()) / (float(deviations.mean()) + 1e-6),
        apart(2) / (apart(8) + 1e-6),
    )


def _polynomial(means: Floats, n: int, m: int) -> Floats:
    """Return the means of n x m tiles (K, 3) by a polynomial of their place, of the fifth degree if
    that leaves most of them free.
    """
    down, across = np.linspace(-1, 1, n), np.linspace(-1, 1, m)
    terms = 6 if n * m >= 40 else 3
    basis = np.stack(
        [np.outer(down**j, across**i).ravel() for i in range(terms) for j in range(terms - i)], 1
    )
    fitted: Floats = basis @ np.linalg.lstsq(basis, means, rcond=None)[0]
    return fitted


def _soft(found: Statistics) -> bool:
    """Return whether there is no edge anywhere."""
    return found.edged == 0 and found.strong < 0.01


def flat(found: Statistics) -> bool:
    """Return whether all is even but for edges between a few tones."""
    if found.equal > 0.93 or (found.tones > 0.97 and found.hard > 0.002):
        return True
    bare = found.medium < 0.12 * found.strong
    return bare and found.strong > 0.01 and found.two_sided > 0.72


def weighed(found: Statistics) -> Floats:
    """Return what the rows of `_WEIGHTS` are for, (16,)."""
    return np.array(
        [
            found.equal,
            np.log(found.soft + 0.01),
            np.log(found.hard + 0.002),
            np.log(found.medium + 0.01),
            np.log(found.strong + 0.01),
            found.two_sided,
            found.tones,
            np.log(1.03 - found.tones),
            found.entropy,
            found.ground,
            found.written,
            found.quiet,
            found.edged,
            found.broad,
            np.log(found.unfitted + 1),
            min(1.2, found.near),
        ]
    )


_WEIGHTS = np.array(
    [
        [-1.49, 12.15],  # equal
        [1.59, 2.75],  # soft
        [-0.36, -1.69],  # hard
        [-0.59, -2.32],  # medium
        [1.83, -2.15],  # strong
        [8.87, 16.93],  # two_sided
        [19.28, 14.48],  # tones
        [-1.26, -0.38],  # few_tones
        [-0.31, 0.83],  # entropy
        [-6.31, 3.31],  # ground
        [11.04, 9.39],  # written
        [-0.63, -20.83],  # quiet
        [-2.07, 12.38],  # edged
        [-8.3, -6.16],  # broad
        [-0.47, -1.55],  # unfitted
        [3.21, 1.25],  # near
    ]
)
"""For a document or drawing, and for a flat graphic; logits less a constant."""
_FROM = (13.51, 31.35)
"""What the sums must exceed: where the worst of the sources that were fitted on had few above."""
