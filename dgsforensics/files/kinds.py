"""What the bytes of a file are: its kind, its frames, whether it breaks off. No decoder is started.

Only headers and tables are read, and every walk through them is bounded.
"""

import logging
from collections.abc import Iterator
from itertools import islice

from dgsforensics.files import tiff

HEAD = 4096
"""Bytes from the start of a file that `sniff` needs."""

_MAX_DIRECTORIES = 1000
"""Directories of a TIFF that are looked at to see whether it is whole."""
_MAX_GIF_BLOCKS = 1 << 22
"""Enough for 1 GiB of full blocks; a file of tiny ones must not keep us counting for minutes."""
RAW_KINDS = {"CR2", "CR3", "DNG", "RAF", "ORF", "RW2", "RAW"}
"""RAW stands for the TIFF-based ones that only their cameras tell apart: NEF, ARW, PEF, ..."""
UNREAD_KINDS = {"JXL": "JPEG XL", "JPEG2000": "JPEG 2000", "PSD": "a Photoshop document"}
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"IIRO", "ORF"),
    (b"IIRS", "ORF"),
    (b"MMOR", "ORF"),
    (b"IIU\x00", "RW2"),
    (b"8BPS", "PSD"),
    (b"\xff\x0a", "JXL"),
    (b"\x00\x00\x00\x0cJXL \r\n", "JXL"),
    (b"\x00\x00\x00\x0cjP  \r\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"RIFF", "a sound or video"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_CFA, _LINEAR_RAW = 32803, 34892
"""Values of PhotometricInterpretation that only undeveloped sensor data has."""

_log = logging.getLogger(__name__)


def sniff(head: bytes) -> str | None:
    """Return the kind of picture the bytes begin as, also a kind that is not read; None for no
    picture.

    Any length will do; with `HEAD` bytes or more the kind is right but for rare TIFF-based RAW.
    """
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return _tiff_kind(head)
    if head[4:8] == b"ftyp":
        length = min(max(int.from_bytes(head[:4], "big"), 16), HEAD)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, length, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & _HEIC_BRANDS or head[8:12] in (b"mif1", b"msf1"):
            return "HEIC"
        if head[8:12] == b"crx ":
            return "CR3"
    return None


def gif_frames(data: bytes) -> Iterator[int]:
    """Yield offset of each frame; IndexError where the file breaks off."""
    at = 13 + _colour_table(data[10])
    blocks = 0
    while at < len(data):
        if data[at] == 0x21:  # extension: label, then blocks
            at += 2
        elif data[at] == 0x2C:  # frame: place, flags, colours, code size, then blocks
            yield at
            at += 11 + _colour_table(data[at + 9])
        else:
            return
        while size := data[at]:
            at += size + 1
            blocks += 1
            if blocks > _MAX_GIF_BLOCKS:
                raise IndexError("more blocks than are worth counting")
        at += 1


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff_kind(head: bytes) -> str:
    """Return TIFF, or the RAW format built on it: those hold sensor data in the first
    directories."""
    if head[8:10] == b"CR":
        return "CR2"
    try:
        first = next(tiff.directories(head))
        if tiff.numbers(head, first, tiff.TiffTag.DNG_VERSION):
            return "DNG"
        for at in (first, *tiff.numbers(head, first, tiff.TiffTag.SUB_IFDS)):
            if {_CFA, _LINEAR_RAW} & {*tiff.numbers(head, at, tiff.TiffTag.PHOTOMETRIC)}:
                return "RAW"
    except (StopIteration, *tiff.OUT_OF_BOUNDS):
        _log.debug("the TIFF directories lie beyond the bytes at hand")
    return "TIFF"


def describe(head: bytes) -> str:
    """Return what bytes that are no picture look like, for people."""
    for signature, name in _OTHERS:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return "a video"
    if head[257:262] == b"ustar":
        return "a TAR archive"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:4] == b"<svg" or (start[:5] == b"<?xml" and b"<svg" in start):
        return "an SVG drawing"
    if b"\x00" not in head and sum(byte < 32 for byte in head.translate(None, b"\t\n\f\r")) == 0:
        return "text"
    return "unknown data"


def ends_early(kind: str | None, data: bytes) -> bool:
    """Return whether a file is shorter than its own tables say, where the decoder does not tell."""
    if kind == "WEBP":
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if kind == "TIFF":
        try:
            return not all(
                at < len(data) for at in islice(tiff.directories(data), _MAX_DIRECTORIES)
            )
        except tiff.OUT_OF_BOUNDS:
            return True
    at = 0
    while kind in ("AVIF", "HEIC") and at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            return False
        at += size
    return at > len(data)
