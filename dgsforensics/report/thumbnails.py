"""Small pictures of what lies on the disk now, where that is still what was scanned."""

import base64
import hashlib
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from dgsforensics.errors import ImageError
from dgsforensics.files import content
from dgsforensics.pictures import decoder, pixel_limit
from dgsforensics.report.facts import ReportImage

SIDE = 256
"""Pixels of the longer side."""
MAX_THUMBNAILS = 2000
"""In one page: 30 MB of it."""
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture for a page, or why there is none."""

    uri: str | None
    """A JPEG as a `data:` address."""
    width: int = 0
    height: int = 0
    remark: str = ""
    """Empty where there is a picture."""


TOO_MANY = Thumbnail(None, remark=f"no picture: a page holds at most {MAX_THUMBNAILS}")


def thumbnail(image: ReportImage) -> Thumbnail:
    """Return a picture of the first of the files that still has the recorded SHA-256."""
    sha256 = image.row.facts.sha256
    if sha256 is None:
        return Thumbnail(None, remark="no picture: the file was never read")
    remark = "file is no longer there"
    for path in image.paths:
        try:
            data = content.read(path)
        except ImageError as error:
            if content.is_there(path):
                remark = f"file cannot be read now: {error.message}"
            continue
        if hashlib.sha256(data).hexdigest() != sha256:
            remark = "file was changed since the scan"
            continue
        try:
            return _of_bytes(data)
        except ImageError as error:
            return Thumbnail(None, remark=f"no picture: {error.message}")
    return Thumbnail(None, remark=remark)


def _of_bytes(data: bytes) -> Thumbnail:
    """Return a picture that keeps nothing of the file but pixels; raises `ImageError`."""
    pixel_limit.lift()
    small = Image.fromarray(decoder.decode(data).pixels)
    small.thumbnail((SIDE, SIDE))
    made = BytesIO()
    small.save(made, "JPEG", quality=_QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(made.getvalue()).decode()
    return Thumbnail(uri, small.width, small.height)
