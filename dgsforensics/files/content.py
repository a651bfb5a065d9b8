"""The bytes that a path means, or an `ImageError` in the user's words. Nothing here may block.

A path means a regular file, or a member of an archive: see `files.archive_paths`.
"""

import os
import stat
from dataclasses import dataclass, field, fields
from pathlib import Path

from dgsforensics.errors import ConfigError, ImageError, UnreadableError
from dgsforensics.files import memory
from dgsforensics.files.archive_paths import is_archive, member_at, opened_archive
from dgsforensics.files.kinds import HEAD
from dgsforensics.files.regular import opened


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
    """Return all bytes of a regular file or member that is neither empty nor above the limit.

    Raises `UnsupportedError` for a folder, pipe, socket or device, which is never opened, and for a
    member that is encrypted; `UnreadableError` for the rest: no permission, gone, empty, too large,
    changing, damaged in the archive.
    """
    if (member := member_at(path)) is not None:
        with opened_archive(member.archive) as archive:
            entry = archive.entry(member.name)
            _require_small(entry.size, limits)
            data = archive.read(entry)
    else:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            _require_small(size, limits)
            # One byte more than expected: a file that grows meanwhile must not pass as whole.
            data = file.read(size + 1)
        if len(data) != size:
            raise UnreadableError("the file changed while it was read")
    if not data:
        raise UnreadableError("empty file")
    return data


def _require_small(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise UnreadableError(f"{size} bytes, more than the limit of {limits.max_bytes}")


def size_of(path: Path) -> int | None:
    """Return bytes of a regular file or member, also of one that cannot be read; None where even
    that is not to be had."""
    try:
        if (member := member_at(path)) is not None:
            with opened_archive(member.archive) as archive:
                return archive.entry(member.name).size
        found = os.stat(path)
    except (OSError, ValueError, ImageError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_head(path: Path) -> bytes:
    """Return at most `HEAD` bytes from the start of a regular file, for `sniff`; raises as
    `read`."""
    with opened(path) as file:
        return file.read(HEAD)


def is_folder(path: Path) -> bool:
    """Return whether a path means a folder, an archive, or a folder in an archive."""
    if os.path.isdir(path) or is_archive(path):
        return True
    if (member := member_at(path)) is None:
        return False
    try:
        with opened_archive(member.archive) as archive:
            return archive.has_folder(member.name)
    except ImageError:
        return False


def is_there(path: Path) -> bool:
    """Return whether something has that name, on the disk or in an archive; what is out of reach
    may be there."""
    if (member := member_at(path)) is None:
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError):
            return True
        return True
    try:
        with opened_archive(member.archive) as archive:
            return archive.holds(member.name)
    except ImageError:
        return True
