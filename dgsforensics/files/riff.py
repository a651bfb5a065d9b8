"""The chunks of a WebP file, and the same file with nothing in it but what makes pixels."""

from collections.abc import Iterator

_PIXELS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_METADATA, _PROFILE = 0x2C, 0x20
"""Bits of VP8X that promise metadata: EXIF, XMP and, the second, a colour profile."""
_MAX_CHUNKS = 1 << 16


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each chunk; the last may end too early."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            return
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, min(end, len(data))
        at = end + (end & 1)


def bare(data: bytes, colours: bool = False) -> bytes | None:
    """Return the picture without metadata and what follows it; None where it is not whole. With
    `colours` its colour profile stays."""
    kinds = _PIXELS | {b"ICCP"} if colours else _PIXELS
    dropped = _METADATA & ~_PROFILE if colours else _METADATA
    parts = []
    for kind, start, end in chunks(data):
        size = int.from_bytes(data[start - 4 : start], "little")
        if kind not in kinds:
            continue
        if start + size > len(data):
            return None
        body = data[start:end]
        if kind == b"VP8X" and body:
            body = bytes([body[0] & ~dropped]) + body[1:]
        parts.append(kind + size.to_bytes(4, "little") + body + bytes(size & 1))
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(content).to_bytes(4, "little") + content if parts else None


def size(data: bytes) -> tuple[int, int] | None:
    """Return width and height as the first chunk says; None where it is none that says so."""
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X" and len(body) == 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = body[6:8], body[8:10]
        return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
    return None


def exif(data: bytes) -> bytes | None:
    """Return the EXIF from its TIFF header on; None without it."""
    for kind, start, end in chunks(data):
        if kind == b"EXIF":
            return data[start:end].removeprefix(b"Exif\x00\x00")
    return None
