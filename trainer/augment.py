"""What training does to pictures, and to real and generated ones alike.

A detector trained on files as they are learns how its sources were sized and compressed. Every
training image is therefore seen in versions that are drawn from one distribution for both classes.
"""

import random
from typing import Literal

from PIL import Image, ImageOps

from . import degrade

VERSION = 1
"""Raised whenever the same seed would give other pixels; `degrade.VERSION` counts as well."""

Augmentation = Literal["web", "flip", "none"]
"""`web`: flip, perhaps a first encoding, then `degrade.degrade`; `flip`: the reference code's only
one; `none`: files as they are."""
_LONGEST_JPEG = 65500
"""Pixels of a side that Pillow encodes."""
_SUBSAMPLINGS = (0, 1, 2)
"""4:4:4, 4:2:2 and 4:2:0, as cameras, editors and the web prefer."""


def web(image: Image.Image, rng: random.Random) -> Image.Image:
    """Flip, perhaps encode as a camera or an editor would, then take a path through the web.

    The first encoding is a JPEG of quality 70 to 98 with a chroma subsampling of its own: most
    photographs come from one and most generated images do not, which must not tell them apart.
    """
    image = flip(image, rng)
    if rng.random() < 0.5 and max(image.size) <= _LONGEST_JPEG:
        image = degrade.encode(image, "JPEG", rng.randint(70, 98), rng.choice(_SUBSAMPLINGS))
    return degrade.degrade(image, rng)


def flip(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image with left and right exchanged, every second time."""
    return ImageOps.mirror(image) if rng.random() < 0.5 else image
