"""Blank pictures, gradients and noise, drawn at random: what has no content at all.

Made for `domain_fit.py`; as `graphics.py`, a picture follows from its kind and number.
"""

import zlib

import numpy as np
from graphics import SIZES, Random, colour, named, pixels
from PIL import Image


def draw(kind: str, number: int) -> Image.Image:
    return KINDS[kind](np.random.default_rng([zlib.crc32(kind.encode()), number]))


def grid(r: Random) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (H, W) in [0, 1], down and across."""
    width, height = SIZES[r.integers(len(SIZES))]
    y, x = np.mgrid[0:height, 0:width]
    return y / (height - 1), x / (width - 1)


def blank(r: Random) -> Image.Image:
    """One colour, perhaps with a trace of noise as codecs leave it."""
    y, _ = grid(r)
    trace = r.normal(0, r.choice([0, 0, 0.4, 0.8]), (*y.shape, 1))
    return pixels(np.array(colour(r)) + trace)


def linear_gradient(r: Random) -> Image.Image:
    y, x = grid(r)
    angle = r.uniform(0, 2 * np.pi)
    return blended(r, np.cos(angle) * y + np.sin(angle) * x)


def radial_gradient(r: Random) -> Image.Image:
    y, x = grid(r)
    down, across = r.uniform(-0.2, 1.2, 2)
    return blended(r, np.hypot(y - down, (x - across) * r.uniform(0.5, 2)))


def mesh_gradient(r: Random) -> Image.Image:
    y, x = grid(r)
    corners = r.uniform(0, 255, (2, 2, 3))
    top = corners[0, 0] * (1 - x[..., None]) + corners[0, 1] * x[..., None]
    bottom = corners[1, 0] * (1 - x[..., None]) + corners[1, 1] * x[..., None]
    return pixels(top * (1 - y[..., None]) + bottom * y[..., None])


def blended(r: Random, way: np.ndarray) -> Image.Image:
    """From one colour to another along (H, W), perhaps with dither."""
    share = ((way - way.min()) / np.ptp(way))[..., None] ** r.uniform(0.6, 1.6)
    first, last = np.array(colour(r)), np.array(colour(r))
    dither = r.normal(0, r.choice([0, 0, 0.5, 1]), share.shape)
    return pixels(first + share * (last - first) + dither)


def noise(r: Random) -> Image.Image:
    y, _ = grid(r)
    shape = (*y.shape, int(r.choice([1, 3])))
    values: np.ndarray
    if r.random() < 0.4:
        values = r.integers(0, 256, shape)
    else:
        values = r.normal(r.uniform(60, 200), r.uniform(4, 60), shape)
    return pixels(np.broadcast_to(values, (*y.shape, 3)))


def salt_and_pepper(r: Random) -> Image.Image:
    y, _ = grid(r)
    values = np.full(y.shape, r.uniform(0, 255))
    for level in (0, 255):
        values[r.random(y.shape) < r.uniform(0.01, 0.2)] = level
    return pixels(values[..., None].repeat(3, 2))


def pattern(r: Random) -> Image.Image:
    """A fine checkerboard, stripes or a grid, in two colours."""
    down, across = np.indices(grid(r)[0].shape)
    period = int(r.integers(1, 7))
    which = [
        (down // period + across // period) % 2,
        (across // period) % 2,
        (down // period) % 2,
        ((down + across) // period) % 2,
    ][r.integers(4)]
    first, second = np.array(colour(r)), np.array(colour(r))
    return pixels(np.where(np.expand_dims(which, 2) == 1, first, second))


BLANK = named(blank)
GRADIENTS = named(linear_gradient, radial_gradient, mesh_gradient)
NOISE = named(noise, salt_and_pepper, pattern)
KINDS = BLANK | GRADIENTS | NOISE
