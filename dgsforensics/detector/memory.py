"""One budget for the pixels of all files that are decoded at the same time."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from dgsforensics.errors import UnreadableError
from dgsforensics.files import jpeg
from dgsforensics.files.dimensions import promised
from dgsforensics.files.kinds import RAW_KINDS

_PLAIN, _OTHER, _RAW = 12, 20, 30
"""Bytes a pixel takes on its way: decoded, converted, turned, as an array, and its traits read."""
_COEFFICIENTS = 6
"""More, where a JPEG comes in several scans."""
_UNKNOWN = 50_000_000
"""Pixels that are reckoned with where the headers do not say."""


class MemoryBudget:
    """Bytes that are lent and given back, in the order asked for; for use by any thread."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, need: int, patience: float) -> Iterator[None]:
        """Wait for `need` bytes and hold them.

        Raises `UnreadableError` where that is more than there is, and where nobody gave anything
        back for `patience` seconds: what hangs keeps its memory.
        """
        if need > self.total:
            raise UnreadableError(
                f"decoding takes about {_in_words(need)} of memory, more than the budget of "
                f"{_in_words(self.total)}",
                "allow more with --max-memory",
            )
        self._take(need, patience)
        try:
            yield
        finally:
            with self._changed:
                self._free += need
                self._changed.notify_all()

    def _take(self, need: int, patience: float) -> None:
        me = object()
        with self._changed:
            self._queue.append(me)
            try:
                while self._queue[0] is not me or self._free < need:
                    if not self._changed.wait(min(patience, threading.TIMEOUT_MAX)):
                        raise UnreadableError(
                            "other files hold all the memory there is for decoding",
                            "allow more with --max-memory",
                        )
                self._free -= need
            finally:
                self._queue.remove(me)
                self._changed.notify_all()


def needed(data: bytes, kind: str | None, budget: int) -> int:
    """Return about how many bytes decoding a file takes, its own among them; never more than the
    budget where its headers do not say how large the picture is."""
    pixels = promised(data, kind)
    each = _RAW if kind in RAW_KINDS else _OTHER
    if kind == "JPEG":
        each = _PLAIN + (_COEFFICIENTS if jpeg.scans(data) > 1 else 0)
    elif kind == "PNG" and data[24:26] == b"\x08\x02":  # 8 bits, RGB
        each = _PLAIN
    total = 2 * len(data) + each * (_UNKNOWN if pixels is None else pixels)
    return min(total, budget) if pixels is None else total


def _in_words(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"
