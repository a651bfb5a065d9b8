"""Which picture of a file counts, and how many there are.

The first one: but not a thumbnail that stands before what it shows, and not the picture that an
animated PNG keeps for programs without animation.
"""

import logging
from itertools import islice

from PIL import ImageFile

from dgsforensics.files import png, tiff
from dgsforensics.files.kinds import gif_frames
from dgsforensics.files.tiff import TiffTag

MAX_FRAMES = 1000
"""Frames counted in one file; an animation without end costs no more than this."""
_MAX_PAGES = 64
"""Pages of a TIFF that are looked at for what the first is a thumbnail of."""
_SMALL = 640
"""Pixels: the longest side that a thumbnail may have."""
_TIMES = 2
"""How much larger the sides of what it shows are, at least."""
_SAME_SHAPE = 0.03
"""How much the ratios of the sides may differ, which are rounded to pixels."""

_log = logging.getLogger(__name__)


def page_of(data: bytes) -> int:
    """Return the page of a TIFF that counts, from 0."""
    sizes: list[tuple[int, int]] = []
    reduced: list[bool] = []
    try:
        for at in islice(tiff.directories(data), _MAX_PAGES):
            sizes.append((_number(data, at, TiffTag.WIDTH), _number(data, at, TiffTag.HEIGHT)))
            reduced.append(_number(data, at, TiffTag.SUBFILE_TYPE) & 1 == 1)
    except tiff.OUT_OF_BOUNDS:
        _log.debug("the chain of pages breaks off", exc_info=True)
    if not sizes or 0 in sizes[0]:
        return 0
    width, height = sizes[0]
    shown = [
        page
        for page, (w, h) in enumerate(sizes)
        if min(w, h) > 0
        and w >= _TIMES * width
        and h >= _TIMES * height
        and abs(w * height / (h * width) - 1) <= _SAME_SHAPE + 1 / min(width, height)
    ]
    if not shown or not (reduced[0] or max(width, height) <= _SMALL):
        return 0
    return max(shown, key=lambda page: sizes[page])


def _number(data: bytes, directory: int, tag: TiffTag) -> int:
    return next(iter(tiff.numbers(data, directory, tag)), 0)


def without_placeholder(data: bytes, kind: str | None) -> bytes | None:
    """Return the first frame of an animated PNG as a file, where another picture stands before the
    animation; else None."""
    return png.first_of_animation(data) if kind == "PNG" and png.placeholder(data) else None


def count(image: ImageFile.ImageFile, kind: str | None, data: bytes, notes: list[str]) -> int:
    """Return the frames in the file, at most `MAX_FRAMES`; never an error, for one is fine."""
    frames = 0
    try:
        # Pillow would walk a whole GIF or TIFF, however many frames there are.
        if kind in ("GIF", "TIFF"):
            for _ in islice((gif_frames if kind == "GIF" else tiff.directories)(data), MAX_FRAMES):
                frames += 1
        elif kind == "PNG":
            controls = (chunk for chunk in png.chunks(data) if chunk.kind == b"fcTL")
            frames = sum(1 for _ in islice(controls, MAX_FRAMES)) + png.placeholder(data)
        else:
            frames = min(getattr(image, "n_frames", 1), MAX_FRAMES)
    except Exception:
        _log.debug("frames could not be counted", exc_info=True)
        notes.append("the file breaks off or is damaged after the first frame")
    return min(max(frames, 1), MAX_FRAMES)


def said(page: int, frames: int, placeholder: bool) -> str | None:
    """Return which of the frames was taken, for people; None where there is one only."""
    more = " or more" if frames == MAX_FRAMES else ""
    if placeholder:
        return f"first of {frames - 1}{more} frames of the animation, not the picture before it"
    if page:
        return f"page {page + 1} of {frames}{more}: the first is its thumbnail"
    return f"first of {frames}{more} frames" if frames > 1 else None
