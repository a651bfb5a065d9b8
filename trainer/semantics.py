"""What a picture shows, without the traces of how it was made: the caption-free route of DGS-Net.

Suppression needs features that know the content and nothing else. The paper takes captions through
CLIP's text tower. Without captions, or without a text tower, the picture itself is brought down to
48 pixels, where no trace of a generator or codec is left, and read by the frozen image tower: as a
caption does, this describes the whole picture, in the space of the student's features.
"""

from PIL import Image

SIDE = 48
"""Pixels; objects and scenes can still be told, textures cannot."""
VERSION = 1
"""Raised whenever the same picture would give other pixels."""


def lowpass(image: Image.Image, size: int = 224) -> Image.Image:
    """Return the whole RGB picture by way of 48 x 48 pixels, as size x size."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return small.resize((size, size), Image.Resampling.BICUBIC)
