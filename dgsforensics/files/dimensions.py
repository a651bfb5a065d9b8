"""How many pixels a file promises, by its headers alone: what decoding it will take."""

from itertools import islice

from dgsforensics.files import jpeg, png, riff, tiff
from dgsforensics.files.boxes import boxes
from dgsforensics.files.kinds import RAW_KINDS

_MAX_DIRECTORIES = 64
"""Directories of a TIFF that are looked at."""


def promised(data: bytes, kind: str | None) -> int | None:
    """Return the pixels of the largest picture that decoding may unfold; None where the headers do
    not say, as in RAW of some makers."""
    size: tuple[int, int] | None = None
    match kind:
        case "JPEG":
            size = jpeg.size(data)
        case "PNG":
            if (head := png.header(data)) is not None:
                size = head.width, head.height
        case "WEBP":
            size = riff.size(data)
        case "GIF":
            size = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
        case "BMP":
            size = _bmp(data)
        case "AVIF" | "HEIC":
            return _iso(data)
        case _ if kind == "TIFF" or kind in RAW_KINDS:
            return _tiff(data)
    return None if size is None else size[0] * size[1]


def _bmp(data: bytes) -> tuple[int, int]:
    if data[14:15] == b"\x0c":
        return int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
    width, height = data[18:22], data[22:26]
    return (
        abs(int.from_bytes(width, "little", signed=True)),
        abs(int.from_bytes(height, "little", signed=True)),
    )


def _iso(data: bytes) -> int | None:
    """The largest picture that the item properties name (`ispe` of ISO 23008-12)."""
    sizes = []
    for meta, start, end in boxes(data, 0, len(data)):
        for name, first, last in boxes(data, start + 4, end) if meta == b"meta" else ():
            for inner, at, stop in boxes(data, first, last) if name == b"iprp" else ():
                for prop, place, _ in boxes(data, at, stop) if inner == b"ipco" else ():
                    if prop == b"ispe":
                        width = int.from_bytes(data[place + 4 : place + 8])
                        sizes.append(width * int.from_bytes(data[place + 8 : place + 12]))
    return max(sizes, default=None)


def _tiff(data: bytes) -> int | None:
    """The largest of the first pages and of the pictures that those point to."""
    sizes = []
    try:
        for page in islice(tiff.directories(data), _MAX_DIRECTORIES):
            for at in (page, *tiff.numbers(data, page, tiff.TiffTag.SUB_IFDS)):
                width = tiff.numbers(data, at, tiff.TiffTag.WIDTH)
                height = tiff.numbers(data, at, tiff.TiffTag.HEIGHT)
                sizes += [width[0] * height[0]] if width and height else []
    except tiff.OUT_OF_BOUNDS:
        return max(sizes, default=None)
    return max(sizes, default=None)
