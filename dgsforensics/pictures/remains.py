"""An image as far as its file can be decoded, and how much of it is missing.

What is not pixels must not cost them: a file that a decoder refuses is tried again without its
metadata. What then still fails keeps the rows that were decoded before.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from dgsforensics.errors import ImageError, UnreadableError, UnsupportedError
from dgsforensics.files import jpeg, png, riff
from dgsforensics.files.content import Limits
from dgsforensics.files.heif import unread_coding
from dgsforensics.files.holes import first_hole
from dgsforensics.pictures.jpeg_damage import damage
from dgsforensics.pictures.opening import Opener, check_size

_BARE = {"JPEG": jpeg.bare, "PNG": png.bare, "WEBP": riff.bare}
_EXIF = {"JPEG": jpeg.exif, "PNG": png.exif, "WEBP": riff.exif}
_IN_ROWS = {"PNG", "TIFF", "BMP", "GIF"}
"""Kinds whose decoders leave what they have read when they fail."""
_FINAL = (ImageError, MemoryError, Image.DecompressionBombError)
"""What another attempt would not change."""
WRONG_SUM = "a check sum of the pixels is wrong"
LEFT_OUT = "metadata left out: damaged or too large"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class DecodedImage:
    """What a decoder gave."""

    image: ImageFile.ImageFile
    """Loaded."""
    missing: float = 0.0
    """Share of the picture that is not there or not to be trusted."""
    rows: slice | None = None
    """The stored rows that are whole, where all others are missing."""
    notes: list[str] = field(default_factory=list)
    exif: bytes | None = None
    """From the TIFF header on, where `image` came without it."""


@contextmanager
def decoded(
    data: bytes, kind: str | None, opener: Opener, limits: Limits, page: int = 0
) -> Iterator[DecodedImage]:
    """Yield the image in the bytes of a file; raises whatever the decoder does where it has
    nothing."""
    failure: Exception | None = None
    with ExitStack() as stack:
        partial: tuple[bytes, ImageFile.ImageFile] | None = None
        for number, source in enumerate(_sources(data, kind)):
            if partial:
                partial[1].close()  # the pixels of one attempt at a time
            try:
                image, error = _loaded(source, opener, limits, page)
            except _FINAL:
                raise
            except Exception as error:  # already the header
                failure = failure or error.with_traceback(None)
                continue
            stack.enter_context(image)
            if error is None:
                yield _whole(image, data, kind, is_bare=number > 0)
                return
            failure = failure or error
            partial = source, image
        if failure and partial and kind in _IN_ROWS:
            yield _part(*partial, data, kind, opener, limits, page, failure)
            return
    if kind in ("HEIC", "AVIF") and (coding := unread_coding(data)):
        raise UnsupportedError(f"{coding} is not read")
    assert failure is not None
    raise failure


def _sources(data: bytes, kind: str | None) -> Iterator[bytes]:
    """The file as it is, and with less and less beside its pixels."""
    yield data
    for colours in (True, False):
        bare = _BARE[kind](data, colours) if kind in _BARE else None
        if bare is not None:
            yield bare


def _loaded(
    source: bytes, opener: Opener, limits: Limits, page: int
) -> tuple[ImageFile.ImageFile, Exception | None]:
    """The image, and what kept it from being read to the end."""
    image = opener(BytesIO(source))
    try:
        if page:
            image.seek(page)
        check_size(*image.size, limits)
        image.load()
    except _FINAL:
        image.close()
        raise
    except Exception as error:
        _log.debug("decoding failed", exc_info=True)
        return image, error.with_traceback(None)  # which would keep the pixels of other attempts
    return image, None


def _whole(
    image: ImageFile.ImageFile, data: bytes, kind: str | None, is_bare: bool
) -> DecodedImage:
    """An image that was read to the end: decoders get there through damage, too."""
    found = DecodedImage(image)
    if is_bare and kind is not None:
        found.exif = _EXIF[kind](data)
        found.notes.append(LEFT_OUT)
    if kind == "JPEG":
        if not jpeg.has_end(data):
            found.notes = ["the end marker is missing"]
        if (extent := damage(data)) is not None:
            if extent.rows == 0:
                raise UnreadableError("truncated: it ends before the first row of blocks is whole")
            found.missing = extent.missing
            found.rows = None if extent.rows is None else slice(0, extent.rows)
            if not extent.missing:
                found.notes.append("more data than pixels")
    elif kind == "PNG" and not all(
        png.is_sound(data, chunk) for chunk in png.chunks(data) if chunk.kind == b"IDAT"
    ):
        found.notes.append(WRONG_SUM)
        _count_rows(found, data)
    elif (hole := first_hole(data, kind)) is not None:
        found.missing = 1 - hole / len(data)
    return found


def _part(
    source: bytes,
    image: ImageFile.ImageFile,
    data: bytes,
    kind: str | None,
    opener: Opener,
    limits: Limits,
    page: int,
    failure: Exception,
) -> DecodedImage:
    """What a decoder that works from row to row has left when it failed."""
    image.tile = []  # so that nothing tries again
    found = DecodedImage(image)
    if kind == "PNG":
        found.exif = png.exif(data)
        if not _count_rows(found, data):
            raise failure
        if not found.missing:
            found.notes.append(WRONG_SUM)
        return found
    lacking = _unwritten(source, image, opener, limits, page)
    if lacking.all():
        raise failure
    found.missing = float(lacking.mean())
    rows = np.flatnonzero(~lacking.any(axis=1))
    if not found.missing:
        found.notes.append(LEFT_OUT)
    elif rows.size and rows[-1] - rows[0] + 1 == rows.size:  # a stretch of whole rows
        found.rows = slice(int(rows[0]), int(rows[-1]) + 1)
        found.missing = 1 - rows.size / len(lacking)
    return found


def _count_rows(found: DecodedImage, data: bytes) -> bool:
    """Say which rows of a PNG are sound, and return whether any is there."""
    head, rows = png.header(data), png.unpack(data)
    if head is None or rows.there < head.row:
        return False
    if rows.is_whole:
        return True
    if head.interlaced:
        found.missing = max(0.0, 1 - rows.sound / head.unpacked)
        return True
    count = min(rows.sound // head.row, head.height)
    found.missing = 1 - count / head.height
    found.rows = slice(0, count) if 0 < count < head.height else None
    return True


def _unwritten(
    source: bytes, image: ImageFile.ImageFile, opener: Opener, limits: Limits, page: int
) -> NDArray[np.bool_]:
    """Where the decoder has put nothing, (H, W): what it finds there beforehand stays there."""
    again = opener(BytesIO(source))
    with again:
        if page:
            again.seek(page)
        again.im = Image.new(image.mode, image.im.size, 1).im
        try:
            again.load()
        except Exception:
            _log.debug("failed again", exc_info=True)
        again.tile = []
        before, after = np.asarray(again), np.asarray(image)
    height, width = after.shape[:2]
    differs: NDArray[np.bool_] = (before != after).reshape(height, width, -1).any(axis=2)
    return differs
