"""Regular files on a disk, opened so that nothing can block, and what the system says of others."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dgsforensics.errors import UnreadableError, UnsupportedError


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Yield a regular file; whatever the system refuses, also in the body, becomes an
    `ImageError`."""
    try:
        with open_regular(path) as file:
            yield file
    except (OSError, ValueError) as error:
        raise UnreadableError(reason_of(error)) from error


def open_regular(path: Path) -> BinaryIO:
    """Return a regular file, to be closed; raises OSError, and `UnsupportedError` for a folder,
    pipe, socket or device, which is never opened."""
    _require_regular(os.stat(path).st_mode)
    # A pipe put in the file's place after the first look would otherwise hang the scan.
    waits = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | waits)
    try:
        _require_regular(os.fstat(number).st_mode)
        return open(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise UnsupportedError(f"not a regular file ({kind_of(mode)})")


def kind_of(mode: int) -> str:
    """Return what a `st_mode` that is no regular file stands for, in words."""
    for test, name in (
        (stat.S_ISDIR, "folder"),
        (stat.S_ISFIFO, "named pipe"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "character device"),
        (stat.S_ISBLK, "block device"),
    ):
        if test(mode):
            return name
    return "unknown kind"


def reason_of(error: OSError | ValueError) -> str:
    """Return why the system did not give a path, in a few words without the path."""
    match error:
        case FileNotFoundError():
            return "no such file or folder"
        case PermissionError():
            return "permission denied"
        case OSError(strerror=str(words)):
            return words[:1].lower() + words[1:]
    return f"not a valid path: {error}"
