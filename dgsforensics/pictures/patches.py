"""The input of the method: the 24 flattest and 25 busiest 32x32 patches, stitched to 224x224.

The detector never sees the composition of a picture, only native-resolution pieces of it, chosen
by the entropy of their power spectrum (arXiv 2511.13108 builds on this input). Here the choice is
deterministic: same pixels, same 49 patches, same places.

Three rules go beyond the reference:

* Order. The reference shuffles the patches anew for every call. Here the patch of rank `r` goes to
  tile `20 r mod 49`, one fixed permutation that mixes flat and busy tiles as a shuffle does.
* Small images. The grid starts with a stride of 32; while it holds fewer than 49 patches, the
  stride is halved (patches then overlap), down to 1. A side under 32 is first mirrored up to 32.
  Where even stride 1 gives fewer than 49 places, the patches are repeated in order of entropy.
* Large images. Every patch on the grid is ranked, however many there are. Entropies are computed a
  few patches at a time, so the memory needed beside the picture itself hardly grows with its size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATCH = 32
"""Side of a patch, pixels."""
GRID = 7
"""Tiles along one side of the stitched picture."""
TILES = GRID * GRID
LOWEST = TILES // 2
"""How many of the patches are the ones of lowest entropy; the others are those of highest."""
SIDE = PATCH * GRID
"""Side of the stitched picture, pixels."""

_LUMA = (np.array([0.299, 0.587, 0.114]) / 255).astype(np.float32)
_BLOCK = 128
"""Patches computed at a time: enough to hide the overhead of a call, few enough for the caches."""
_RESOLUTION = 1e-4
"""Bits. Entropies are ranked after rounding to this, in raster order where they are then equal, so
that flat patches do not change places with the rounding of a processor (about 1e-6 here)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The stitched input and where it came from."""

    pixels: NDArray[np.uint8]
    """(224, 224, 3) RGB."""
    origins: NDArray[np.int32]
    """(49, 2) top-left corner (row, column) of the patch in each tile, tiles in raster order.
    For sides under 32 the corner lies in the mirrored picture, which starts at the picture."""
    entropies: NDArray[np.float32]
    """(49,) bits, tiles in raster order."""
    stride: int
    """Pixels between neighbouring patches: 32 where they do not overlap."""
    distinct: int
    """How many of the 49 patches lie in different places."""


def select(pixels: NDArray[np.uint8]) -> Selection:
    """Choose and stitch the 49 patches of an RGB picture (H, W, 3), H and W at least 1."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
    pixels = _at_least_one_patch(pixels)
    height, width = pixels.shape[:2]
    stride = _stride(height, width)
    entropy = entropy_map(pixels, stride)  # (rows, columns)
    ranks = _ranks(entropy.ravel())  # (49,) flat index of each rank
    tiles = np.empty(TILES, dtype=np.int64)
    tiles[20 * np.arange(TILES) % TILES] = ranks  # 20 and 49 have no common factor
    rows, columns = np.divmod(tiles, entropy.shape[1])
    origins = (np.stack([rows, columns], axis=1) * stride).astype(np.int32)
    return Selection(
        pixels=_stitch(pixels, origins),
        origins=origins,
        entropies=entropy.ravel()[tiles],
        stride=stride,
        distinct=len(np.unique(tiles)),
    )


def entropy_map(pixels: NDArray[np.uint8], stride: int = PATCH) -> NDArray[np.float32]:
    """Return spectral entropy in bits of every patch on the grid, (rows, columns).

    With `P` the squared magnitude of the 2-D DFT of the luma in [0, 1], DC included, and
    `p = P / sum(P)`, the entropy is `-sum(p log2 p)`; 0 for a black patch. It lies in [0, 10].
    """
    height, width = pixels.shape[:2]
    tops = range(0, height - PATCH + 1, stride)
    columns = (width - PATCH) // stride + 1
    entropy = np.empty((len(tops), columns), dtype=np.float32)
    for row, top in enumerate(tops):
        for first in range(0, columns, _BLOCK):
            last = min(first + _BLOCK, columns) - 1
            strip = pixels[top : top + PATCH, first * stride : last * stride + PATCH]
            luma = strip[..., 0] * _LUMA[0]  # (32, w) float32; beats a product with _LUMA
            luma += strip[..., 1] * _LUMA[1]
            luma += strip[..., 2] * _LUMA[2]
            windows = np.lib.stride_tricks.sliding_window_view(luma, PATCH, axis=1)[:, ::stride]
            entropy[row, first : last + 1] = _spectral_entropy(windows)
    return entropy


_BINS = PATCH // 2 + 1
"""Non-negative frequencies of a patch along one axis."""
_ANGLE = 2 * np.pi * np.outer(np.arange(_BINS), np.arange(PATCH)) / PATCH
_DFT = np.concatenate([np.cos(_ANGLE), np.sin(_ANGLE)]).astype(np.float32)
"""(34, 32): cosine and sine part of the DFT of length 32, one row a frequency."""
_ONCE = np.where(np.arange(_BINS) % (PATCH // 2) == 0, 1, 2)
_SHARE = (np.outer(_ONCE, _ONCE) / 2).astype(np.float32)
"""(17, 17): how often a pair of absolute frequencies (y, x) stands in the full spectrum, halved
because `_spectral_entropy` has each pair twice, once for y and once for -y."""


def _spectral_entropy(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return entropy in bits of N patches given as (32, N, 32), rows first.

    The DFT is two matrix products: at this length BLAS is no slower than a batched FFT and steadier
    (`benchmarks/patch_selection.py`). Of the spectrum of a real patch only the non-negative
    frequencies are computed, and those of -y come from the same products as those of y.
    """
    count = patches.shape[1]
    in_x = patches.reshape(PATCH * count, PATCH) @ _DFT.T  # (32 N, 34)
    both = _DFT @ in_x.reshape(PATCH, count * 2 * _BINS)  # (34, 34 N)
    (cc, cs), (sc, ss) = both.reshape(2, _BINS, count, 2, _BINS).transpose(0, 3, 1, 2, 4)
    power = np.empty((2, _BINS, count, _BINS), dtype=np.float32)  # (sign of y, y, N, x)
    for signed, real, imaginary in ((power[0], cc - ss, cs + sc), (power[1], cc + ss, cs - sc)):
        np.square(real, out=signed)
        signed += np.square(imaginary, out=imaginary)
    total = np.einsum("zynx,yx->n", power, _SHARE)  # (N,)
    power *= (1 / (total + np.float32(1e-12)))[:, None]
    logarithm = np.log2(power + np.float32(1e-30))
    logarithm *= power
    entropy: NDArray[np.float32] = -np.einsum("zynx,yx->n", logarithm, _SHARE)
    return entropy


def _at_least_one_patch(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    missing = [max(0, PATCH - side) for side in pixels.shape[:2]]
    if not any(missing):
        return pixels
    return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


def _stride(height: int, width: int) -> int:
    stride = PATCH
    while stride > 1:
        if ((height - PATCH) // stride + 1) * ((width - PATCH) // stride + 1) >= TILES:
            break
        stride //= 2
    return stride


def _ranks(entropy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return flat index of the patch of each rank: the lowest ascending, then the highest
    ascending.
    """
    order = np.argsort(np.round(entropy / _RESOLUTION), kind="stable")
    if len(order) < TILES:
        return np.resize(order, TILES)
    return np.concatenate([order[:LOWEST], order[LOWEST - TILES :]])


def _stitch(pixels: NDArray[np.uint8], origins: NDArray[np.int32]) -> NDArray[np.uint8]:
    stitched = np.empty((SIDE, SIDE, 3), dtype=np.uint8)
    for tile, (top, left) in enumerate(origins):
        row, column = divmod(tile, GRID)
        stitched[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = pixels[
            top : top + PATCH, left : left + PATCH
        ]
    return stitched
