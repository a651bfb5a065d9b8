"""The segments of a JPEG, and the same file with nothing in it but what makes pixels.

Segments are found as a decoder finds them: by their lengths in the header, by the next marker in
the pixels, and what stands between is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SOS, EOI, DHT, DRI = 0xDA, 0xD9, 0xC4, 0xDD
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame and hold its size."""
_PIXELS = FRAMES | {SOS, DHT, DRI, 0xCC, 0xDB, 0xDC}
"""Markers without which the pixels would be others; DAC, DQT and DNL are the last."""
_ADOBE, _JFIF, _PROFILE, _EXIF = 0xEE, 0xE0, 0xE2, 0xE1
"""The first two say which colour space the components are."""
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_MAX_SEGMENTS = 1 << 16
_LEAST_FILL = 16
"""Zeros at the end of a file without an end marker that are room never written, not pixels."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker and what belongs to it."""

    marker: int
    """Its second byte."""
    start: int
    """Offset of its first byte."""
    body: int
    """Offset behind its length."""
    end: int
    """Offset behind its last byte; of a start of scan that of the header."""
    stop: int
    """As `end`; of a start of scan behind the coded pixels."""


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments of the first picture, up to its end marker, the end of the data, or where
    a segment reaches beyond it."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _END_OF_SCAN.search(data, at)
        if found is None:
            return
        at, marker = found.start(), data[found.start() + 1]
        if marker in (1, 0xD8):
            at += 2
            continue
        if marker == EOI:
            yield Segment(marker, at, at + 2, at + 2, at + 2)
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end > len(data) or end < at + 4:
            return
        stop = end
        if marker == SOS:
            found = _END_OF_SCAN.search(data, end)
            stop = found.start() if found else _end_of_pixels(data, end)
        yield Segment(marker, at, at + 4, end, stop)
        at = stop


def _end_of_pixels(data: bytes, start: int) -> int:
    """Where coded pixels end that nothing marks the end of."""
    written = data.rstrip(b"\x00")
    filled = len(data) - len(written)
    return max(start, len(written) if filled >= _LEAST_FILL else len(data))


def has_end(data: bytes) -> bool:
    """Return whether the first picture has an end marker behind its pixels."""
    seen: set[int] = set()
    for segment in segments(data):
        seen.add(segment.marker)
    return {SOS, EOI} <= seen


def bare(data: bytes, colours: bool = False) -> bytes | None:
    """Return the first picture without metadata and what follows it, with an end marker; None
    where no scan begins. With `colours` its colour profile stays."""
    parts, has_pixels = [data[:2]], False
    for segment in segments(data):
        kept = segment.marker in _PIXELS
        kept = kept or (segment.marker == _ADOBE and data.startswith(b"Adobe", segment.body))
        kept = kept or (segment.marker == _JFIF and data.startswith(b"JFIF\x00", segment.body))
        if segment.marker == _PROFILE and data.startswith(b"ICC_PROFILE\x00", segment.body):
            kept = colours
        if kept:
            parts.append(data[segment.start : segment.stop])
        has_pixels = has_pixels or segment.marker == SOS
    return b"".join([*parts, b"\xff\xd9"]) if has_pixels else None


def size(data: bytes) -> tuple[int, int] | None:
    """Return the largest width and height of a frame; None where there is no frame."""
    sizes = [
        (
            int.from_bytes(data[s.body + 3 : s.body + 5]),
            int.from_bytes(data[s.body + 1 : s.body + 3]),
        )
        for s in segments(data)
        if s.marker in FRAMES
    ]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def scans(data: bytes) -> int:
    """Return how many scans the first picture has: each costs a pass over all its pixels."""
    return sum(segment.marker == SOS for segment in segments(data))


def exif(data: bytes) -> bytes | None:
    """Return the EXIF from its TIFF header on; None without it."""
    for segment in segments(data):
        if segment.marker == _EXIF and data.startswith(b"Exif\x00", segment.body):
            return data[segment.body + 6 : segment.end]
    return None
