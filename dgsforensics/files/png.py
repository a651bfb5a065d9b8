"""The chunks of a PNG, and the same file with nothing in it but what makes pixels."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KIND = re.compile(rb"[A-Za-z]{4}")
_RESUME = re.compile(rb"IDAT|PLTE|tRNS|fdAT|IEND")
"""Where to go on behind a chunk whose length is wrong."""
_COLOURS = {b"iCCP", b"sRGB", b"gAMA", b"cHRM"}
_MAX_CHUNKS = 1 << 20
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_ADAM7 = (*_PASSES, (0, 1, 1, 2))
"""First column, first row, steps between columns and rows of each pass of an interlaced picture."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk."""

    kind: bytes
    start: int
    """Offset of its content."""
    end: int
    """Offset behind it; in a file that breaks off, behind what there is."""


@dataclass(frozen=True, slots=True)
class Header:
    """What IHDR says."""

    width: int
    height: int
    bits: int
    """Of one sample."""
    colour: int
    """Colour type: 0 grey, 2 RGB, 3 palette, 4 and 6 with alpha."""
    interlaced: bool

    @property
    def row(self) -> int:
        """Bytes of one row, its filter type included, of a picture that is not interlaced."""
        return self._row(self.width)

    @property
    def unpacked(self) -> int:
        """Bytes of all rows."""
        if not self.interlaced:
            return self.row * self.height
        total = 0
        for left, top, across, down in _ADAM7:
            width, height = -(-(self.width - left) // across), -(-(self.height - top) // down)
            if width > 0 and height > 0:
                total += self._row(width) * height
        return total

    def _row(self, width: int) -> int:
        return 1 + (width * self.bits * _CHANNELS.get(self.colour, 1) + 7) // 8


def chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to IEND or the end of the data.

    A length that leads nowhere costs its own chunk only: the next one that makes pixels is sought.
    """
    at = 8
    for _ in range(_MAX_CHUNKS):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if not _KIND.fullmatch(kind):
            found = _RESUME.search(data, at)
            if found is None:
                return
            at = found.start() - 4
            continue
        start = at + 8
        end = start + size
        leads_on = kind == b"IEND" or _KIND.fullmatch(data, end + 8, end + 12)
        if not leads_on and (found := _RESUME.search(data, start)):
            at = found.start() - 4
            if kind in (b"IDAT", b"fdAT"):
                yield Chunk(kind, start, max(start, min(end, at - 4)))
            continue
        yield Chunk(kind, start, min(end, len(data)))
        if kind == b"IEND":
            return
        at = end + 4


def header(data: bytes) -> Header | None:
    """Return what IHDR says; None without one."""
    if data[12:16] != b"IHDR" or len(data) < 29:
        return None
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return Header(width, height, data[24], data[25], data[28] == 1)


def is_sound(data: bytes, chunk: Chunk) -> bool:
    """Return whether the check sum of a chunk is right."""
    with memoryview(data) as view:
        found = zlib.crc32(view[chunk.start : chunk.end], zlib.crc32(chunk.kind))
    return data[chunk.end : chunk.end + 4] == found.to_bytes(4)


def placeholder(data: bytes) -> bool:
    """Return whether the picture outside the animation is what comes first in an animated PNG."""
    kinds: list[bytes] = []
    for chunk in chunks(data):
        if chunk.kind == b"IDAT":
            return b"acTL" in kinds and b"fcTL" not in kinds and _animation(data) is not None
        kinds.append(chunk.kind)
    return False


def bare(data: bytes, colours: bool = False) -> bytes | None:
    """Return the still picture alone, without metadata and animation, all check sums right; None
    where there are no pixels. With `colours` what is sound of profile and gamma stays."""
    head, rows = data[16:29], [chunk for chunk in chunks(data) if chunk.kind == b"IDAT"]
    if header(data) is None or not rows:
        return None
    return _file(data, head, [data[chunk.start : chunk.end] for chunk in rows], colours)


def first_of_animation(data: bytes) -> bytes | None:
    """Return the first frame of the animation as a file of its own; None without one."""
    found = _animation(data)
    if found is None or header(data) is None:
        return None
    control, rows = found
    size = data[control.start + 4 : control.start + 12]
    return _file(data, size + data[24:29], [data[c.start + 4 : c.end] for c in rows], True)


def _animation(data: bytes) -> tuple[Chunk, list[Chunk]] | None:
    """Return the control chunk of the first frame that is not the still one, and its rows."""
    control: Chunk | None = None
    rows: list[Chunk] = []
    for chunk in chunks(data):
        if chunk.kind == b"fcTL":
            if rows:
                break
            control = chunk
        elif chunk.kind == b"fdAT" and control is not None:
            rows.append(chunk)
    return (control, rows) if control is not None and rows else None


def exif(data: bytes) -> bytes | None:
    """Return the EXIF from its TIFF header on; None without it."""
    return next((data[c.start : c.end] for c in chunks(data) if c.kind == b"eXIf"), None)


def _file(data: bytes, head: bytes, rows: list[bytes], colours: bool) -> bytes:
    parts = [SIGNATURE, *_chunk(b"IHDR", head)]
    for chunk in chunks(data):
        kept = colours and chunk.kind in _COLOURS and is_sound(data, chunk)
        if kept or chunk.kind in (b"PLTE", b"tRNS"):
            parts += _chunk(chunk.kind, data[chunk.start : chunk.end])
        elif chunk.kind == b"IDAT":
            break
    for row in rows:
        parts += _chunk(b"IDAT", row)
    return b"".join([*parts, *_chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> list[bytes]:
    sum = zlib.crc32(body, zlib.crc32(kind))
    return [len(body).to_bytes(4), kind, body, sum.to_bytes(4)]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What the pixel chunks of a PNG give when they are unpacked."""

    there: int
    """Bytes of rows."""
    sound: int
    """Those before the first damage; 0 also where nothing says where that is."""
    is_whole: bool
    """Whether they end as they should."""


def unpack(data: bytes) -> Unpacked:
    """Return how much of the rows is there, and sound.

    What follows a chunk with a wrong check sum is not, but where the sum over all rows is right.
    Only files that name no chunk so, or keep all pixels in one, need another sign: a row begins
    with the type of its filter, and bytes out of place soon give one that does not exist.
    """
    head = header(data)
    inflate, total, before = zlib.decompressobj(), 0, None
    row = head.row if head and not head.interlaced else None
    misplaced: int | None = None
    is_sum = False
    for chunk in chunks(data):
        if chunk.kind != b"IDAT":
            continue
        is_cut = chunk.end + 4 > len(data)
        if before is None and not is_cut and not is_sound(data, chunk):
            before = total
        for at in range(chunk.start, chunk.end, _STEP):
            waiting = data[at : min(at + _STEP, chunk.end)]
            while waiting and not inflate.eof and not is_sum:
                try:
                    rows = inflate.decompress(waiting, _STEP)
                except zlib.error as error:
                    is_sum = "data check" in str(error)  # over all rows, which came before it
                    if not is_sum:
                        return Unpacked(total, _sound(total - _LATE, before, misplaced, row), False)
                    break
                if row and misplaced is None:
                    first = -total % row
                    types = rows[first::row]
                    wrong = next((n for n, kind in enumerate(types) if kind > _FILTERS), None)
                    misplaced = None if wrong is None else total + first + wrong * row
                total += len(rows)
                waiting = inflate.unconsumed_tail
        if inflate.eof:
            return Unpacked(total, total, True)
        if is_sum:
            there = head.unpacked if head else total
            if before is None and misplaced is None:  # only the sum is wrong, for all we know
                return Unpacked(there, there, False)
            return Unpacked(there, _sound(0, before, misplaced, row), False)
    if before is None and misplaced is None:  # it breaks off
        return Unpacked(total, total, False)
    return Unpacked(total, _sound(0, before, misplaced, row), False)


def _sound(until: int, before: int | None, misplaced: int | None, row: int | None) -> int:
    """Where damage begins at the earliest, by what was found: where unpacking failed, the first
    chunk with a wrong check sum, and the first row with a filter that does not exist."""
    if misplaced is not None and row:
        until = misplaced - 2 * row
    return max(before or 0, until)


_FILTERS = 4
"""The last type of filter."""
_STEP = 1 << 14
"""Bytes that are unpacked at a time; what comes with damage in the same step does not count."""
_LATE = 1 << 16
"""Bytes that damage may garble before they cannot be unpacked."""
