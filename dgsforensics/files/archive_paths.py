"""Paths that lead into archives: a member has one as a file has, `evidence.zip/img/a.jpg`.

A file counts as an archive by its suffix and its bytes: office documents are ZIP archives too, and
are not meant.
"""

import atexit
import os
import stat
import threading
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dgsforensics.errors import ImageError, UnreadableError
from dgsforensics.files.archives import (
    DEFAULT_ARCHIVE_LIMITS,
    Archive,
    ArchiveLimits,
    begins_so,
)
from dgsforensics.files.kinds import HEAD
from dgsforensics.files.regular import open_regular, opened, reason_of

SUFFIXES = (
    *(".zip", ".cbz", ".cbt", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2"),
    *(".tar.xz", ".txz"),
)
"""Lower-case ends of names that promise an archive."""
_OPEN = 4
"""Archives that are kept open for the next member."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where the bytes of a member are: in which archive, and under which of its names."""

    archive: Path
    name: str
    """As shown, `/` between folders; empty for the whole archive."""


def is_named_so(path: Path) -> bool:
    """Return whether a name promises an archive that is read."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith("._")


def is_archive(path: Path) -> bool:
    """Return whether a regular file is an archive that is read, by its name and its bytes."""
    if not is_named_so(path):
        return False
    try:
        with opened(path) as file:
            return begins_so(file.read(HEAD))
    except ImageError:
        return False


def member_at(path: Path) -> Member | None:
    """Return what a path means that leads into an archive; None for any other path. Whether there
    is such a member is not looked at."""
    try:
        os.stat(path)
        return None
    except (OSError, ValueError):
        pass  # also of names that are too long for a disk
    for above in path.parents:
        try:
            mode = os.stat(above).st_mode
        except (OSError, ValueError):
            continue
        found = stat.S_ISREG(mode) and is_archive(above)
        return Member(above, path.relative_to(above).as_posix()) if found else None
    return None


class _Shelf:
    """Archives that are in use, or were of late."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._archives: OrderedDict[Hashable, Archive] = OrderedDict()
        self._users: Counter[Hashable] = Counter()

    def close(self) -> None:
        """Let go of all, for nobody comes back."""
        while self._archives:
            self._archives.popitem()[1].close()

    @contextmanager
    def lent(self, path: Path, limits: ArchiveLimits) -> Iterator[Archive]:
        file = open_regular(path)
        with self._lock:
            found = os.fstat(file.fileno())
            key = os.path.abspath(path), found.st_ino, found.st_size, found.st_mtime_ns, limits
            if key in self._archives:
                file.close()
            else:
                self._archives[key] = _archive(file, limits)
            self._archives.move_to_end(key)
            archive = self._archives[key]
            self._users[key] += 1
        try:
            yield archive
        finally:
            with self._lock:
                self._users[key] -= 1
                idle = [key for key in self._archives if not self._users[key]]
                for old in idle[: max(0, len(self._archives) - _OPEN)]:
                    self._archives.pop(old).close()
                    del self._users[old]


def _archive(file: BinaryIO, limits: ArchiveLimits) -> Archive:
    try:
        return Archive(file, limits)
    except BaseException:
        file.close()
        raise


_shelf = _Shelf()
atexit.register(_shelf.close)


@contextmanager
def opened_archive(path: Path, limits: ArchiveLimits = DEFAULT_ARCHIVE_LIMITS) -> Iterator[Archive]:
    """Yield an archive. It stays open for a while afterwards, for members are asked for one by one.

    Raises `UnreadableError` where it cannot be read, or not as an archive, also for the body.
    """
    try:
        with _shelf.lent(path, limits) as archive:
            yield archive
    except (OSError, ValueError) as error:
        raise UnreadableError(reason_of(error)) from error
