"""The bytes of one regular file, or an `ImageError` in the user's words. Nothing here may block."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

from dgsforensics.errors import ConfigError, UnreadableError, UnsupportedError
from dgsforensics.files import memory
from dgsforensics.files.kinds import HEAD


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost."""

    max_pixels: int = 250_000_000
    """Width times height. TIFF and WebP also stop at twice `PIL.Image.MAX_IMAGE_PIXELS`."""
    max_bytes: int = 1 << 30
    """Size of the file."""

    max_seconds: float = 30.0
    """Kept by whoever runs `load` in a thread of its own; decoders cannot be interrupted."""

    max_memory: int = field(default_factory=memory.budget)
    """Bytes that all files being decoded may take together; kept by whoever runs `load`."""

    def __post_init__(self) -> None:
        """Refuse what would refuse everything."""
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not value > 0:
                raise ConfigError(f"{limit.name} must be above 0, not {value}")


DEFAULT_LIMITS = Limits()


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return all bytes of a regular file that is neither empty nor above the limit.

    Raises `UnsupportedError` for a folder, pipe, socket or device, which is never opened, and
    `UnreadableError` for the rest: no permission, gone, empty, too large, changing.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.max_bytes:
            raise UnreadableError(f"{size} bytes, more than the limit of {limits.max_bytes}")
        # One byte more than expected: a file that grows meanwhile must not pass as whole.
        data = file.read(size + 1)
    if len(data) != size:
        raise UnreadableError("the file changed while it was read")
    if not data:
        raise UnreadableError("empty file")
    return data


def size_of(path: Path) -> int | None:
    """Return bytes of a regular file that could not be read; None where even that is not to be
    had."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_head(path: Path) -> bytes:
    """Return at most `HEAD` bytes from the start of a regular file, for `sniff`; raises as
    `read`."""
    with _opened(path) as file:
        return file.read(HEAD)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Yield a regular file; whatever the system refuses, also in the body, becomes an
    `ImageError`."""
    try:
        _require_regular(os.stat(path).st_mode)
        with open(path, "rb", opener=_open_without_waiting) as file:
            _require_regular(os.fstat(file.fileno()).st_mode)
            yield file
    except (OSError, ValueError) as error:
        raise UnreadableError(reason_of(error)) from error


def _open_without_waiting(path: str, flags: int) -> int:
    # A pipe put in the file's place after the first look would otherwise hang the scan.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


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
