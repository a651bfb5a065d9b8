"""Statistics of pixels that tell graphics, documents, gradients and noise from photographs.

Looked at are no more than 256 tiles of 16 x 16 pixels, spread evenly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TILE, _TILES = 16, 16
"""Side of a tile in pixels, and at most so many tiles a side are looked at."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DomainStatistics:
    """What tells graphics from photographs; shares lie in [0, 1], contrasts are in 8-bit levels."""

    dominant_colour: float
    """Share of pixels within 4 levels of the median colour."""
    gradient_zero: float
    """Share of pairs of neighbours that are equal in all channels."""
    gradient_low: float
    """Share that differ by 3 to 20: shading, texture and noise."""
    gradient_high: float
    """Share that differ by more than 60."""
    contrast_medium: float
    """Share of squares of 8 pixels whose contrast is 9 to 48."""
    contrast_high: float
    """Share of those whose contrast is more than 48; the next is of these."""
    bimodality: float
    """Share of pixels near the lightest or darkest of the square, as on both sides of an edge."""
    tone_concentration: float
    """Share of pixels in the five commonest bands of five grey levels."""
    colour_entropy: float
    """Bits a pixel of the histogram over 4096 colours."""
    background: float
    """Share of tiles that reach the commonest lightest, or darkest, tone of all tiles."""
    background_text: float
    """Share of tiles that reach it and have an edge, too."""
    background_clean: float
    """Share of tiles that reach it and are flat or have an edge: nothing in between."""
    edge_density: float
    """Share of tiles with an edge."""
    variance_between_tiles: float
    """Share of the variance that lies between tiles."""
    contrast_variation: float
    """Coefficient of variation of the contrast of tiles."""
    trend_residual: float
    """Deviation of the means of tiles from a polynomial over the picture, levels."""
    trend_residual_ratio: float
    """The same relative to the deviation of the means."""
    structure_ratio: float
    """Mean square difference two pixels apart, relative to that of eight apart."""


def measure(pixels: NDArray[np.uint8]) -> DomainStatistics:
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
    return DomainStatistics(
        dominant_colour=float((off.max(axis=0) <= 4).mean()),
        gradient_zero=float(steps[0]),
        gradient_low=float(steps[3:21].sum()),
        gradient_high=float(steps[61:].sum()),
        contrast_medium=medium,
        contrast_high=strong,
        bimodality=two_sided,
        tone_concentration=_tones(grey),
        colour_entropy=float(-(shares * np.log2(shares)).sum()),
        background=ground,
        background_text=written,
        background_clean=quiet,
        edge_density=edged,
        variance_between_tiles=broad,
        contrast_variation=uneven,
        trend_residual=unfitted,
        trend_residual_ratio=unfitted / (float(means.std(axis=0).max()) + 1e-6),
        structure_ratio=near,
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
    """Return bimodality, medium and high contrast."""
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
    """Return what concerns the background, light or dark, and the density of edges."""
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
    """Return variance between tiles, variation of contrast, and structure ratio."""
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
