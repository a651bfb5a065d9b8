"""Boxes as ISO 14496-12 has them: what HEIC and AVIF files and C2PA manifest stores are made of."""

from collections.abc import Iterator

_MAX_BOXES = 1 << 16


def boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each box in a stretch; ends where they make no
    sense.

    Never raises; start and end lie within the stretch.
    """
    stop = min(stop, len(data))
    for _ in range(_MAX_BOXES):
        size, kind, head = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        end = at + size if size else stop
        if at + head > end or end > stop:
            break
        yield kind, at + head, end
        at = end
