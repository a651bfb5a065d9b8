"""Stretches of zeros where coded pixels should be: room on a disk that was never written.

Decoders of WebP, AVIF and HEIC take them for pixels without a word. In what an arithmetic or prefix
coder has written so many zeros in a row do not happen, however flat the picture is.
"""

from dgsforensics.files import riff
from dgsforensics.files.boxes import boxes

_SECTOR = 512
"""Bytes: the least that a disk leaves unwritten."""
_LONG = 8192
"""Where metadata lie among the pixels, with fillings of up to 4 KiB of their own."""


def first_hole(data: bytes, kind: str | None) -> int | None:
    """Return where the first hole in the pixels of a WebP, AVIF or HEIC file begins; None without
    one."""
    if kind == "WEBP":
        coded = [(at, end) for name, at, end in riff.chunks(data) if name in _CODED]
        return _first(data, coded, _SECTOR)
    if kind in ("AVIF", "HEIC"):
        coded = [(at, end) for name, at, end in boxes(data, 0, len(data)) if name == b"mdat"]
        return _first(data, coded, _LONG)
    return None


def _first(data: bytes, stretches: list[tuple[int, int]], least: int) -> int | None:
    places = (data.find(bytes(least), start, end) for start, end in stretches)
    return next((place for place in places if place >= 0), None)


_CODED = {b"VP8 ", b"VP8L", b"ANMF"}
