"""A file moved or copied to a name that nothing has yet, with its content checked on the way.

What is copied gets the name `part` first, in the folder where it will lie, and is checked before it
gets its own. Links are never followed.
"""

import errno
import hashlib
import os
import shutil
import stat
from io import BufferedReader, BytesIO
from pathlib import Path

from dgsforensics import atomic
from dgsforensics.errors import ImageError, UnreadableError
from dgsforensics.files import content
from dgsforensics.files.archive_paths import member_at
from dgsforensics.files.regular import kind_of, reason_of

_CHUNK = 1 << 20


def digest(path: Path) -> str:
    """Return the SHA-256 of a regular file or member; raises `UnreadableError` for a link and what
    gives no bytes.
    """
    try:
        with _opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except ImageError as error:
        raise UnreadableError(error.message) from error
    except (OSError, ValueError) as error:
        raise UnreadableError(reason_of(error)) from error


def holds(path: Path, sha256: str) -> bool:
    """Return whether a regular file, no link, with this content lies there."""
    try:
        return digest(path) == sha256
    except UnreadableError:
        return False


def link_below(base: Path, path: Path) -> Path | None:
    """Return the first part of `path` below `base` that is a symbolic link; `path` must lie below
    it.
    """
    place = base
    for part in path.relative_to(base).parts:
        place = place / part
        if place.is_symlink():
            return place
    return None


def move(source: Path, target: Path, part: Path, sha256: str) -> None:
    """Give a file another name; to another file system it is copied, checked and then deleted.

    Raises OSError, and `UnreadableError` when the content is not `sha256`, with the source as it
    was. When another program takes the source away meanwhile, the file is at its target all the
    same, and stays there; so it does when the source is something else by then.
    """
    try:
        atomic.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    copy(source, target, part, sha256)
    # Of errors only, here and below: an interrupt may come when the source is gone already, and
    # what it leaves is both files, never none.
    try:
        if digest(source) != sha256:
            raise UnreadableError(f"it changed while it was copied; as it was it lies at {target}")
        source.unlink()
    except (OSError, UnreadableError):
        if atomic.is_gone(source):
            return
        if holds(source, sha256) and not atomic.same_name(source, target):
            target.unlink()
        raise


def copy(source: Path, target: Path, part: Path, sha256: str) -> None:
    """Copy a file with its mode and times, or a member of an archive; raises as `move`."""
    with _opened(source) as file, open(part, "xb") as made:
        try:
            shutil.copyfileobj(file, made, _CHUNK)
            made.flush()
            if member_at(source) is None:
                shutil.copystat(source, part)
            os.fsync(made.fileno())
            if digest(part) != sha256:
                raise UnreadableError("it changed while it was copied")
        except BaseException:
            part.unlink()
            raise
    atomic.finish(part, target, atomic.rename)


def _opened(path: Path) -> BufferedReader | BytesIO:
    """Return a regular file or member, to be closed; a link or a pipe in its place is refused, not
    waited for.
    """
    if member_at(path) is not None:
        return BytesIO(content.read(path))
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise UnreadableError("a symbolic link: neither it nor what it leads to is touched")
    if not stat.S_ISREG(mode):
        raise UnreadableError(f"not a regular file ({kind_of(mode)})")
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return open(os.open(path, flags), "rb")
