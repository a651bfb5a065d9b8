"""What training does to pictures, and to real and generated ones alike.

A detector trained on files as they are learns how its sources were sized and compressed. Every
training image is therefore seen in versions that are drawn from one distribution for both classes.
"""

import math
import random
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from dgsforensics.pictures.canonical import LONGEST, encode, shrink

VERSION = 1
"""Raised whenever the same seed would give other pixels."""

Augmentation = Literal["web", "flip", "none"]
"""`web`: flip, perhaps a first encoding, then `degrade`; `flip`: the reference code's only one;
`none`: files as they are."""
SHORTEST = 192
"""Lower end of the longest side drawn in `degrade`, pixels; `canonical.LONGEST` is the upper."""
_LONGEST_JPEG = 65500
"""Pixels of a side that Pillow encodes."""
_SUBSAMPLINGS = (0, 1, 2)
"""4:4:4, 4:2:2 and 4:2:0, as cameras, editors and the web prefer."""
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def web(image: Image.Image, rng: random.Random) -> Image.Image:
    """Flip, perhaps encode as a camera or an editor would, then take a path through the web.

    The first encoding is a JPEG of quality 70 to 98 with a chroma subsampling of its own: most
    photographs come from one and most generated images do not, which must not tell them apart.
    """
    image = flip(image, rng)
    if rng.random() < 0.5 and max(image.size) <= _LONGEST_JPEG:
        image = encode(image, "JPEG", rng.randint(70, 98), rng.choice(_SUBSAMPLINGS))
    return degrade(image, rng)


def flip(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image with left and right exchanged, every second time."""
    return ImageOps.mirror(image) if rng.random() < 0.5 else image


def degrade(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return a random path through the web: resize or crop, maybe blur, maybe noise, one or two
    codecs.

    The longest side is drawn log-uniformly between 192 and 1536 pixels (never above the picture's
    own) and reached by resizing, cropping or both.
    """
    longest = max(image.size)
    high = min(longest, LONGEST)
    target = math.exp(rng.uniform(math.log(min(SHORTEST, high)), math.log(high)))
    way = rng.choice(("resize", "crop", "both"))
    if way != "crop":
        factor = target / longest if way == "resize" else math.sqrt(target / longest)
        image = shrink(image, factor, rng.choice(_FILTERS))
    image = _crop(image, round(target), rng)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.2:
        image = _add_noise(image, rng.uniform(1, 6), rng.getrandbits(32))
    if rng.random() < 0.8:
        image = encode(image, "JPEG", rng.randint(45, 95))
    else:
        image = encode(image, "WEBP", rng.randint(50, 95))
    if rng.random() < 0.4:
        image = encode(image, "JPEG", rng.randint(55, 95))
    return image


def _crop(image: Image.Image, longest: int, rng: random.Random) -> Image.Image:
    width, height = min(image.width, longest), min(image.height, longest)
    left = rng.randint(0, image.width - width)
    top = rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _add_noise(image: Image.Image, sigma: float, seed: int) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return Image.fromarray(np.rint(np.clip(pixels + noise, 0, 255)).astype(np.uint8))
