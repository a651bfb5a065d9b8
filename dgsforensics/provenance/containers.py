"""Where the metadata lie in each kind of file: the blocks, not what is in them. Pixels are skipped.

Every walk jumps from header to header and is bounded, as is each block that comes of it. A walk
through a damaged file ends, with an error or without, after the blocks that were found before.
"""

import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from dgsforensics.files.boxes import boxes
from dgsforensics.provenance import exif

MAX_BLOCK = 1 << 20
"""Bytes of a text, decompressed, and of XMP and IPTC."""
MAX_TREE = 1 << 24
"""Bytes of EXIF and C2PA, of which little is read but which hold thumbnails."""
_MAX_STEPS = 1 << 16
"""Headers that are looked at in one walk: a PNG of 500 MB in chunks of 8 KiB."""
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_IN_PNG = b"XML:com.adobe.xmp"

_log = logging.getLogger(__name__)

Origin = Literal["EXIF", "XMP", "IPTC", "C2PA", "PNG text", "JPEG comment"]


@dataclass(frozen=True, slots=True)
class Block:
    """One stretch of metadata."""

    origin: Origin
    data: bytes
    """EXIF from the TIFF header on, an XMP packet, IPTC records or Photoshop resources, JUMBF
    boxes, or a text."""
    name: str = ""
    """The keyword of a text."""


def blocks(data: bytes, kind: str | None) -> Iterator[Block]:
    """Yield the metadata of a file in the order of the file; none for kinds that are not known
    here.

    Raises `ValueError`, `IndexError` or `zlib.error` where the file is damaged.
    """
    if kind in _WALKS:
        yield from _WALKS[kind](data)


def _jpeg(data: bytes) -> Iterator[Block]:
    at = 2
    manifests: dict[bytes, list[bytes]] = {}
    photoshop: list[bytes] = []
    for _ in range(_MAX_STEPS):
        # An end of the loop and not an error: what was collected in parts must still come out.
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker in (0xDA, 0xD9):  # the pixels begin, or the file ends
            break
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 1:  # fill, or without content
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + _number(data, at + 2, 2)
        body = data[at + 4 : end] if marker in (0xE1, 0xEB, 0xED, 0xFE) else b""
        if marker == 0xE1 and body.startswith(b"Exif\x00"):
            yield Block("EXIF", body[6:])
        elif marker == 0xE1 and body.startswith(_XMP_IN_JPEG):
            yield Block("XMP", body.removeprefix(_XMP_IN_JPEG))
        elif marker == 0xEB and body.startswith(b"JP"):
            # Box instance, packet number, then in each packet anew the header of the box.
            parts = manifests.setdefault(body[2:4], [])
            head = 16 if body[8:12] == b"\x00\x00\x00\x01" else 8
            parts.append(body[8 + head :] if parts else body[8:])
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\x00"):
            photoshop.append(body[14:])
        elif marker == 0xFE:
            yield Block("JPEG comment", body)
        at = end
    if photoshop:
        yield Block("IPTC", b"".join(photoshop)[:MAX_BLOCK])
    for parts in manifests.values():
        yield Block("C2PA", b"".join(parts)[:MAX_TREE])


def _png(data: bytes) -> Iterator[Block]:
    at = 8
    for _ in range(_MAX_STEPS):
        size, kind = _number(data, at, 4), data[at + 4 : at + 8]
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            yield from _png_text(kind, data[at + 8 : at + 8 + size])
        elif kind == b"eXIf":
            yield Block("EXIF", data[at + 8 : at + 8 + min(size, MAX_TREE)])
        elif kind == b"caBX":
            yield Block("C2PA", data[at + 8 : at + 8 + min(size, MAX_TREE)])
        at += size + 12
        if kind == b"IEND" or at >= len(data):
            break


def _png_text(kind: bytes, body: bytes) -> Iterator[Block]:
    keyword, _, rest = body.partition(b"\x00")
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed = rest[:1] == b"\x01"
        rest = rest[2:].split(b"\x00", 2)[-1]  # behind the language and the translated keyword
    elif packed:
        rest = rest[1:]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, MAX_BLOCK)
        except zlib.error:
            _log.debug("damaged compressed text", exc_info=True)
            return
    rest = rest[:MAX_BLOCK]
    name = keyword[:80].decode("latin-1")
    if keyword == _XMP_IN_PNG:
        yield Block("XMP", rest)
    elif name.startswith("Raw profile type "):
        yield from _raw_profile(name.split()[-1].lower(), rest)
    else:
        yield Block("PNG text", rest, name)


def _raw_profile(kind: str, text: bytes) -> Iterator[Block]:
    """Yield metadata that ImageMagick writes as text: a name, a count of bytes, hexadecimal
    digits."""
    digits = b"".join(text.split()[2:])
    body = bytes.fromhex(digits.decode("ascii", errors="replace"))
    if kind in ("exif", "app1") and body.startswith(b"Exif\x00"):
        yield Block("EXIF", body[6:])
    elif kind == "xmp":
        yield Block("XMP", body)
    elif kind in ("iptc", "8bim"):
        yield Block("IPTC", body)


def _webp(data: bytes) -> Iterator[Block]:
    at = 12
    for _ in range(_MAX_STEPS):
        if at + 8 > len(data):
            break
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        start = at + 8
        if kind == b"EXIF":
            yield Block("EXIF", data[start : start + min(size, MAX_TREE)].removeprefix(_EXIF))
        elif kind == b"XMP ":
            yield Block("XMP", data[start : start + min(size, MAX_BLOCK)])
        elif kind == b"C2PA":
            yield Block("C2PA", data[start : start + min(size, MAX_TREE)])
        at = start + size + size % 2


def _tiff(data: bytes) -> Iterator[Block]:
    # The file is its own EXIF: nothing of it needs copying.
    yield Block("EXIF", data)
    found = exif.tags(
        data, (exif.ExifTag.XMP, exif.ExifTag.IPTC, exif.ExifTag.PHOTOSHOP, exif.ExifTag.C2PA)
    )
    origins: dict[int, Origin] = {
        exif.ExifTag.XMP: "XMP",
        exif.ExifTag.IPTC: "IPTC",
        exif.ExifTag.PHOTOSHOP: "IPTC",
        exif.ExifTag.C2PA: "C2PA",
    }
    for tag, value in found.items():
        if isinstance(value, bytes):
            yield Block(origins[tag], value)


def _iso(data: bytes) -> Iterator[Block]:
    """Yield HEIC and AVIF: boxes of ISO 14496-12, in `meta` the items of ISO 23008-12."""
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"meta":
            yield from _items(data, start + 4, end)
        elif kind == b"uuid" and data[start : start + 16] == _XMP_UUID:
            yield Block("XMP", data[start + 16 : min(end, start + MAX_BLOCK)])
        elif kind == b"uuid" and data[start : start + 16] == _C2PA_UUID:
            # version and flags, the purpose up to a zero, the offset of hash trees
            at = data.index(b"\x00", start + 20, end) + 9
            yield Block("C2PA", data[at : min(end, at + MAX_TREE)])


def _items(data: bytes, start: int, end: int) -> Iterator[Block]:
    inside = {kind: (first, last) for kind, first, last in boxes(data, start, end)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    first, last = inside[b"iinf"]
    kinds = {}
    for _, at, stop in boxes(data, first + (8 if data[first] else 6), last):
        width = 4 if data[at] > 2 else 2
        item, kind = _number(data, at + 4, width), data[at + 6 + width : at + 10 + width]
        is_xmp = kind == b"mime" and b"application/rdf+xml" in data[at:stop]
        if kind == b"Exif" or is_xmp:
            kinds[item] = kind
    for item, offset, size in _locations(data, *inside[b"iloc"]):
        body = data[offset : offset + min(size, MAX_TREE)] if item in kinds else b""
        if kinds.get(item) == b"Exif":
            # Before it stands how far the TIFF header is away.
            yield Block("EXIF", body[4 + _number(body, 0, 4) :].removeprefix(_EXIF))
        elif item in kinds:
            yield Block("XMP", body[:MAX_BLOCK])


def _locations(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, offset in the file and size of each item that lies there in one piece."""
    version = data[at]
    offset_width, size_width = data[at + 4] >> 4, data[at + 4] & 15
    base_width, index_width = data[at + 5] >> 4, data[at + 5] & 15 if version else 0
    width = 4 if version > 1 else 2
    count = _number(data, at + 6, width)
    at += 6 + width
    for _ in range(min(count, _MAX_STEPS)):
        item, at = _number(data, at, width), at + width
        method = 0
        if version:
            method, at = data[at + 1] & 15, at + 2
        base = _number(data, at + 2, base_width)
        extents = _number(data, at + 2 + base_width, 2)
        at += 4 + base_width
        place = at + index_width
        if method == 0 and extents == 1:
            offset = base + _number(data, place, offset_width)
            yield item, offset, _number(data, place + offset_width, size_width)
        at += extents * (index_width + offset_width + size_width)
        if at > end:
            break


def _number(data: bytes, at: int, width: int) -> int:
    """Return a big-endian number that must be there; of no bytes, 0."""
    if at + width > len(data):
        raise IndexError("the file breaks off")
    return int.from_bytes(data[at : at + width])


_EXIF = b"Exif\x00\x00"
_WALKS: dict[str | None, Callable[[bytes], Iterator[Block]]] = {
    "JPEG": _jpeg,
    "MPO": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "AVIF": _iso,
    "HEIC": _iso,
    **dict.fromkeys(("TIFF", "DNG", "CR2", "ORF", "RW2", "RAW"), _tiff),
}
