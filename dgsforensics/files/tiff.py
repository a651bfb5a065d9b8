"""The directories of a TIFF and the numbers in their tags; no value is followed further."""

import struct
from collections.abc import Iterator
from enum import IntEnum

OUT_OF_BOUNDS = (struct.error, IndexError, OverflowError)
"""What reading at an offset beyond the bytes ends with."""


class TiffTag(IntEnum):
    """The tags that tell kinds and pages apart."""

    SUBFILE_TYPE = 254
    """Bit 0: a smaller version of another page."""
    WIDTH = 256
    HEIGHT = 257
    PHOTOMETRIC = 262
    SUB_IFDS = 330
    DNG_VERSION = 50706


def _layout(data: bytes) -> tuple[str, str, str, int]:
    """Return byte order, codes of a count and of a pointer, bytes of an entry: classic or
    BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    return (order, "Q", "Q", 20) if 0x2B in data[2:4] else (order, "H", "I", 12)


def directories(data: bytes) -> Iterator[int]:
    """Yield offset of each directory in the chain, each once; an error where the chain breaks
    off."""
    order, count_code, pointer, entry = _layout(data)
    (at,) = struct.unpack_from(order + pointer, data, 8 if pointer == "Q" else 4)
    seen = set()
    while at and at not in seen:
        seen.add(at)
        (count,) = struct.unpack_from(order + count_code, data, at)
        yield at
        end = at + struct.calcsize(count_code) + count * entry
        (at,) = struct.unpack_from(order + pointer, data, end)


def numbers(data: bytes, at: int, wanted: int) -> tuple[int, ...]:
    """Return the first eight integers of one tag in the directory at an offset; empty without
    it."""
    order, count_code, pointer, entry = _layout(data)
    (entries,) = struct.unpack_from(order + count_code, data, at)
    at += struct.calcsize(count_code)
    for place in range(at, at + entry * min(entries, 512), entry):
        tag, kind, count = struct.unpack_from(order + "HH" + pointer, data, place)
        if tag == wanted:
            code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind, "B")
            value = place + 4 + struct.calcsize(pointer)
            if struct.calcsize(code) * count > struct.calcsize(pointer):
                (value,) = struct.unpack_from(order + pointer, data, value)
            return struct.unpack_from(f"{order}{min(count, 8)}{code}", data, value)
    return ()
