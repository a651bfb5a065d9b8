"""Looks, in a thread, whether files are still where they were: a disk may take its time to say."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from dgsforensics.files.content import is_there


class PresenceWatch:
    """Looks for the files that it was asked for last; to be closed."""

    def __init__(self, found: Callable[[dict[Path, bool]], object]) -> None:
        """`found` is told, in the thread, which files are there; it must neither block nor
        raise.
        """
        self._found = found
        self._changed = threading.Condition()
        self._wanted: Sequence[Path] | None = None
        self._closed = False
        threading.Thread(target=self._serve, daemon=True, name="presence").start()

    def look(self, paths: Sequence[Path]) -> None:
        """Look for these, in place of those that were asked for before."""
        with self._changed:
            self._wanted = paths
            self._changed.notify()

    def close(self) -> None:
        """Stop after what is being looked at; does not wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _serve(self) -> None:
        while (paths := self._next()) is not None:
            found = {path: is_there(path) for path in paths}
            if not self._closed:
                self._found(found)

    def _next(self) -> Sequence[Path] | None:
        with self._changed:
            while self._wanted is None and not self._closed:
                self._changed.wait()
            paths, self._wanted = self._wanted, None
            return None if self._closed else paths
