"""The pixels in the bytes of one image file; or an `ImageError` that says why not.

Nothing a file claims is trusted: its kind comes from its bytes, never from its suffix, only the
decoders named here are ever started, sizes are checked before memory is asked for, and whatever a
decoder stumbles over ends as one `UnreadableError`. All functions may be called from any thread.

Scores depend on how pixels become 8-bit RGB, so the rules are fixed:

* The first frame counts (in HEIC the one marked as primary), turned upright as EXIF says; but not a
  thumbnail that stands before its picture, nor what an animation shows to programs without one.
* Damage beside the pixels is passed over. Of damaged pixels the rows that are whole are taken, or
  all of them where what is missing lies scattered; `Picture.missing` says how much that is.
* 16 bits per channel: the high byte. 12-bit grey is first shifted up to 16.
* 32-bit integers are clipped to 0..65535 and then treated as 16 bits; floating point is clipped to
  0..1, black to white. Both are noted, for files do not say what white is.
* Transparency is laid over white, as a viewer would show it: what hides under it is not judged.
* Colour profiles and the gamma of PNG are applied, unless they are those of sRGB or damaged. CMYK
  without a profile, YCbCr and LAB go through Pillow's plain conversion.
* RAW is developed by LibRaw with the white balance of the camera.

JPEG XL, JPEG 2000, Photoshop, icons and vector drawings are known by name but not read.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dgsforensics.errors import UnreadableError
from dgsforensics.files.content import DEFAULT_LIMITS, Limits, read
from dgsforensics.files.kinds import RAW_KINDS, sniff
from dgsforensics.pictures import frames, rgb
from dgsforensics.pictures.opening import damage_is_unreadable, opener_of
from dgsforensics.pictures.raw import develop
from dgsforensics.pictures.remains import DecodedImage, decoded
from dgsforensics.records import FileFacts


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The pixels that are scored."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright, contiguous, read-only."""
    facts: FileFacts
    note: str | None
    """What the pixels leave out or assume, e.g. "first of 12 frames"."""
    missing: float = 0.0
    """Share of the picture that could not be decoded, or not to be trusted, 0 to 1. The rows that
    are whole are all there is in `pixels`, where all others are missing; `facts` has the size that
    the file promises."""


def load(path: Path, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Read and decode one file; raises `ImageError`."""
    return decode(read(path, limits), limits)


def facts_of(data: bytes) -> FileFacts:
    """Return the digest, size and kind of a whole file, whether or not it can be decoded."""
    return FileFacts(hashlib.sha256(data).hexdigest(), len(data), sniff(data))


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS, facts: FileFacts | None = None) -> Picture:
    """Return the pixels in the bytes of one file.

    `facts` as from `facts_of` spares hashing the bytes again. Raises `UnsupportedError` for what
    is no picture, is not read, or needs an extra; `UnreadableError` for damage and limits.
    """
    facts = facts or facts_of(data)
    if not data:
        raise UnreadableError("empty file")
    kind = facts.format
    if kind in RAW_KINDS:
        pixels = develop(data, kind, limits)
        return _picture(pixels, replace(facts, frames=1), ["developed from RAW"])
    opener = opener_of(kind, data)
    animation = frames.without_placeholder(data, kind)
    page = frames.page_of(data) if kind == "TIFF" else 0
    with (
        damage_is_unreadable(kind, data),
        decoded(data if animation is None else animation, kind, opener, limits, page) as found,
    ):
        notes = _damage(found)
        pixels, size = rgb.upright(found.image, notes, found.rows, found.exif)
        number = frames.count(found.image, kind, data, notes)
        said = frames.said(page, number, animation is not None)
        notes += [said] if said else []
        form = found.image.format if kind == "JPEG" else kind
        facts = replace(facts, format=form, frames=number)
    return _picture(pixels, facts, notes, size, found.missing)


def from_pil(image: Image.Image) -> Picture:
    """Return the pixels of an image already in memory, by the same rules; it is not modified."""
    notes: list[str] = []
    with damage_is_unreadable(image.format, None):
        image.load()
        pixels, _ = rgb.upright(image, notes)
    return _picture(pixels, FileFacts(format=image.format), notes)


def _damage(found: DecodedImage) -> list[str]:
    """What there is to say about damage, the worst first."""
    if found.missing <= 0:
        return list(found.notes)
    share = f"{found.missing:.0%}" if found.missing >= 0.005 else "less than 1%"
    if found.missing == 1:
        said = "damaged: where cannot be told, and no part of the picture can be trusted"
    elif found.rows is not None:
        said = f"damaged: {share} of the picture is missing, the rest was scored"
    else:
        said = f"damaged: {share} of the picture is missing"
    return [said, *found.notes]


def _picture(
    pixels: NDArray[np.uint8],
    facts: FileFacts,
    notes: list[str],
    size: tuple[int, int] | None = None,
    missing: float = 0.0,
) -> Picture:
    pixels.setflags(write=False)
    width, height = size or (pixels.shape[1], pixels.shape[0])
    facts = replace(facts, width=width, height=height)
    return Picture(pixels, facts, "; ".join(notes) or None, missing)
