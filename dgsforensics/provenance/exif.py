"""Tags in the directories of TIFF and EXIF. Only those asked for are read, and only up to a bound.

Pillow would read them all, warn of each broken one, and open a TIFF to get at its tags. Here a tag
that claims nonsense costs only itself.
"""

import logging
import struct
from collections.abc import Collection
from enum import IntEnum

MAX_BYTES = 1 << 20
"""What is read of one value."""
_MAX_ENTRIES = 1000
"""Entries that are looked at in one directory; cameras write fewer than 100."""
_CODES = {3: "H", 4: "I", 5: "II", 9: "i", 10: "ii", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""Numbers by type; 5 and 10 are fractions. All other types stay bytes."""
_MAX_NUMBERS = 16
_THUMBNAIL = (513, 514)
"""Where it lies and how long it is."""
_LATITUDE = 2
"""In the directory of GPS."""

_log = logging.getLogger(__name__)

Value = bytes | tuple[float, ...]
"""Texts and opaque data as bytes; numbers as a tuple, without fractions over zero."""


class ExifTag(IntEnum):
    """The tags this project reads."""

    DESCRIPTION = 270
    MAKE = 271
    MODEL = 272
    SOFTWARE = 305
    ARTIST = 315
    XMP = 700
    COPYRIGHT = 33432
    EXPOSURE_TIME = 33434
    F_NUMBER = 33437
    IPTC = 33723
    PHOTOSHOP = 34377
    EXIF = 34665
    GPS = 34853
    """Only there where the directory holds a latitude; its place, never the latitude."""
    ISO = 34855
    TAKEN = 36867
    FOCAL_LENGTH = 37386
    USER_COMMENT = 37510
    LENS = 42036
    C2PA = 52545


def tags(data: bytes, wanted: Collection[int] = frozenset(ExifTag)) -> dict[int, Value]:
    """Return the wanted tags of the first directory and of the EXIF directory that it points to.

    `data` begins with the TIFF header. A tag that lies outside the data is left out. Raises
    `ValueError` where there is no first directory.
    """
    if data[:2] not in (b"II", b"MM"):
        raise ValueError("no TIFF header")
    order = "<" if data[:2] == b"II" else ">"
    big = 0x2B in data[2:4]
    try:
        (first,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        found = _directory(data, first, wanted, order, big)
    except struct.error as error:
        raise ValueError("the first directory lies outside the data") from error
    found = _follow(data, found.get(ExifTag.EXIF), wanted, order, big) | found
    if not _follow(data, found.get(ExifTag.GPS), {_LATITUDE}, order, big).get(_LATITUDE):
        found.pop(ExifTag.GPS, None)
    return found


def thumbnail(data: bytes) -> bytes | None:
    """Return the JPEG in the second directory, which is the first one's picture made small; None
    where there is none.

    `data` begins with the TIFF header.
    """
    if data[:2] not in (b"II", b"MM") or 0x2B in data[2:4]:
        return None
    order = "<" if data[:2] == b"II" else ">"
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, first)
        (second,) = struct.unpack_from(order + "I", data, first + 2 + 12 * entries)
        found = _directory(data, second, _THUMBNAIL, order, False) if second else {}
    except struct.error:
        _log.debug("the second directory lies outside the data")
        return None
    match [found.get(tag) for tag in _THUMBNAIL]:
        case [(int(at), *_), (int(size), *_)] if at + size <= len(data):
            body = data[at : at + size]
            return body if body.startswith(b"\xff\xd8") else None
    return None


def _follow(
    data: bytes, pointer: Value | None, wanted: Collection[int], order: str, big: bool
) -> dict[int, Value]:
    """Return the tags of a directory that another one points to; none where that leads nowhere."""
    if isinstance(pointer, tuple) and pointer:
        try:
            return _directory(data, int(pointer[0]), wanted, order, big)
        except struct.error:
            _log.debug("a directory lies outside the data")
    return {}


def _directory(
    data: bytes, at: int, wanted: Collection[int], order: str, big: bool
) -> dict[int, Value]:
    count_code, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    found: dict[int, Value] = {}
    if at >= len(data):  # beyond what struct takes as an offset
        raise struct.error("offset outside the data")
    (entries,) = struct.unpack_from(order + count_code, data, at)
    at += struct.calcsize(count_code)
    for place in range(at, at + entry * min(entries, _MAX_ENTRIES), entry):
        if place + entry > len(data):
            _log.debug("the directory breaks off")
            break
        tag, kind, count = struct.unpack_from(order + "HH" + pointer, data, place)
        if tag in wanted and tag not in found:
            value = _value(data, place + 4 + struct.calcsize(pointer), kind, count, order, pointer)
            if value is None:
                _log.debug("tag %d lies outside the data", tag)
            else:
                found[tag] = value
    return found


def _value(data: bytes, at: int, kind: int, count: int, order: str, pointer: str) -> Value | None:
    code = _CODES.get(kind, "B")
    size = struct.calcsize("=" + code) * count
    if size > struct.calcsize(pointer):
        (at,) = struct.unpack_from(order + pointer, data, at)
    if at + size > len(data):
        return None
    if code == "B":
        return data[at : at + min(size, MAX_BYTES)]
    numbers = struct.unpack_from(order + code * min(count, _MAX_NUMBERS), data, at)
    if len(code) == 1:
        return numbers
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return tuple(above / below for above, below in pairs if below)
