"""Pillow's own limit on pixels, which holds for the whole process."""

import PIL.Image


def lift() -> None:
    """Take the limit away: `files.content.Limits` refuse what is too large, by name and with a
    reason, where Pillow would call a large TIFF or WebP damaged."""
    PIL.Image.MAX_IMAGE_PIXELS = None
