"""How far the coded blocks of a baseline JPEG make sense (ITU-T T.81, annex F).

Decoders go on through any bits: Huffman codes fall into step again, and what follows is out of
place and off in colour. Here a code that does not exist, or a block with more than 64 coefficients,
is an end. Used for files that a decoder has complained of, not for all: a megabyte takes about a
second.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.files import jpeg
from dgsforensics.files.jpeg import Segment

_BASELINE = {0xC0, 0xC1}
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_HOLE = 256
_RUN = re.compile(rb"(.)\1{%d}" % (_HOLE - 1), re.S)
"""As many equal bytes in a row are no pixels but what a disk holds where nothing was written."""
_LATE = 8
"""Groups of blocks before the one that makes no sense which may be garbled already."""
_LEFT = 4
"""Bytes behind the last group that may be filling."""
_PIECE = 1 << 17
"""Bytes that are looked at together."""
_TAIL = 1 << 13
"""Bytes behind a piece that a group begun in it may reach: at most 10 blocks of 64 codes."""

Table = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""By the next 16 bits: how many bits a symbol takes, 0 for none, and what it says."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a picture makes sense."""

    missing: float
    """Share of groups of blocks (MCU) that are not there or not to be trusted, 0 to 1."""
    rows: int | None
    """Rows of pixels from the top that are whole, where all damage lies below them; else None."""


@dataclass(frozen=True, slots=True)
class _Layout:
    across: int
    """Groups in a row."""
    total: int
    height: int
    """Pixels of a group."""
    restart: int
    """Groups between two restart markers."""
    blocks: list[tuple[Table, Table]]
    """Tables for the first and the other coefficients of each block in a group."""


def extent(data: bytes, is_cut: bool) -> Extent | None:
    """Return how much of a JPEG makes sense; None where it is not of one baseline scan.

    `is_cut`: it breaks off at its end, so what is missing there is missing nowhere else.
    """
    found = {s.marker: s for s in jpeg.segments(data)}
    scans = [s for s in jpeg.segments(data) if s.marker == jpeg.SOS]
    frame = next((found[marker] for marker in _BASELINE if marker in found), None)
    layout = frame and len(scans) == 1 and _layout(data, frame, scans[0])
    if not layout:
        return None
    coded = data[scans[0].end : scans[0].stop]
    parts = _RESTART.split(coded) if layout.restart < layout.total else [coded]
    sound, from_top, first = 0, True, None
    for number in range(-(-layout.total // layout.restart)):
        wanted = min(layout.restart, layout.total - number * layout.restart)
        last = is_cut and number >= len(parts) - 1
        there = _sound(parts[number], layout, wanted, last) if number < len(parts) else 0
        if first is None and there != wanted:
            first = number * layout.restart + (there or 0)
            from_top = there is not None
        sound += there or 0
    if first is None:
        return Extent(0.0, None)
    if from_top and sound == first:  # nothing behind the damage makes sense again
        rows = first // layout.across * layout.height
        return Extent(1 - first // layout.across / -(-layout.total // layout.across), rows)
    return Extent(1 - sound / layout.total, None)


def has_hole(data: bytes) -> bool:
    """Return whether a JPEG of one baseline scan has zeros in its pixels that no encoder wrote.

    Of a flat picture there may be as many: where zeros say that nothing changes.
    """
    found = {s.marker: s for s in jpeg.segments(data)}
    scan = found.get(jpeg.SOS)
    if scan is None or not _BASELINE & found.keys():
        return False
    if data.find(bytes(_HOLE), scan.end, scan.stop) < 0:
        return False
    # Said by sixteen zeros: the end of a block, or that it goes on.
    return any(said[0] != 0 for number, (_, said) in _tables(data) if number >> 4)


def _layout(data: bytes, frame: Segment, scan: Segment) -> _Layout | None:
    body = data[frame.body : frame.end]
    parts = {body[at]: (body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body) - 2, 3)}
    head = data[scan.body : scan.end]
    chosen = [(head[at], head[at + 1]) for at in range(1, 1 + 2 * head[0], 2)]
    tables = dict(_tables(data))
    restart = 0
    for segment in jpeg.segments(data):
        if segment.marker == jpeg.DRI:
            restart = int.from_bytes(data[segment.body : segment.body + 2])
    if {part for part, _ in chosen} != set(parts) or body[0] != 8:
        return None
    single = len(parts) == 1
    across = 8 * (1 if single else max(h for h, _ in parts.values()))
    height = 8 * (1 if single else max(v for _, v in parts.values()))
    blocks = []
    for part, selected in chosen:
        pair = tables.get(selected >> 4), tables.get(0x10 | selected & 15)
        if pair[0] is None or pair[1] is None:
            return None
        blocks += [(pair[0], pair[1])] * (1 if single else parts[part][0] * parts[part][1])
    columns = -(-int.from_bytes(body[3:5]) // across)
    total = columns * -(-int.from_bytes(body[1:3]) // height)
    return _Layout(columns, total, height, restart or total, blocks) if total else None


def _tables(data: bytes) -> Iterator[tuple[int, Table]]:
    """Class and number of each Huffman table in one byte, and the table."""
    for segment in jpeg.segments(data):
        at = segment.body
        while segment.marker == jpeg.DHT and at + 17 <= segment.end:
            number, counts = data[at], data[at + 1 : at + 17]
            at += 17
            size, said = np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, np.uint8)
            code = 0
            for bits, count in enumerate(counts, start=1):
                for symbol in data[at : at + count]:
                    place = slice(code << 16 - bits, (code + 1) << 16 - bits)
                    if number >> 4:
                        more, run = symbol & 15, symbol >> 4
                        # What it adds to the place in the block; 0 ends the block.
                        said[place] = run + 1 if more or run == 15 else 0
                        valid = more <= 10 and (more or run in (0, 15))
                    else:
                        more, valid = symbol, symbol <= 11
                    size[place] = bits + more if valid else 0
                    code += 1
                at += count
                code <<= 1
            yield number, (size, said)


def _sound(coded: bytes, layout: _Layout, wanted: int, is_cut: bool) -> int | None:
    """Groups at the start of one stretch that make sense; None where there are too many or too
    few of them and nothing says where they went wrong."""
    run = _RUN.search(coded)
    data = (coded[: run.start()] if run else coded).replace(b"\xff\x00", b"\xff")
    groups, at = 0, 0
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE + _TAIL]
        is_last = start + _PIECE >= len(data)
        bits = 8 * (len(piece) if is_last else _PIECE)
        found, at, broken = _walk(piece, layout, wanted - groups, at, bits)
        groups += found
        if groups == wanted:
            left = len(data) - start - at // 8
            return wanted if left <= _LEFT and run is None else None
        if broken:
            return max(0, groups - _LATE)
        at -= 8 * _PIECE
    return groups if is_cut or run else None


def _walk(piece: bytes, layout: _Layout, wanted: int, at: int, bits: int) -> tuple[int, int, bool]:
    """Groups that begin before `bits`, where the next one would, and whether one makes no sense."""
    windows = _windows(piece)
    total = 8 * len(piece)
    looked: dict[int, tuple[bytes, bytes]] = {}
    for pair in layout.blocks:
        for table in pair:
            if id(table[0]) not in looked:
                looked[id(table[0])] = table[0][windows].tobytes(), table[1][windows].tobytes()
    blocks = [(looked[id(dc[0])][0], *looked[id(ac[0])]) for dc, ac in layout.blocks]
    groups = 0
    while groups < wanted and at < bits:
        begin = at
        for first, size, said in blocks:
            step, place = first[at] if at < total else 0, 1
            at += step
            while step and place < 64:
                if at >= total:
                    return groups, begin, False
                step = size[at]
                more = said[at]
                at += step
                if not more:
                    break
                place += more
            if not step or place > 64:
                return groups, begin, at < total
        if at > total:
            return groups, begin, False
        groups += 1
    return groups, at, False


def _windows(piece: bytes) -> NDArray[np.uint16]:
    """The 16 bits from each bit on; behind the end come ones, as encoders fill up."""
    padded = np.frombuffer(piece + b"\xff\xff\xff", np.uint8).astype(np.uint32)
    joined = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifted = joined[: len(piece), None] >> np.arange(8, 0, -1, dtype=np.uint32)
    return (shifted & 0xFFFF).astype(np.uint16).ravel()
