"""How a file comes to a name that nothing has yet: moved, copied or written, whole or not at all.

Nothing here overwrites but where replacing is asked for: where the name is taken, even from one
moment to the next, the answer is `FileExistsError`. What is copied gets the name `part` first, in
the folder where it will lie, and is checked before it gets its own. Links are never followed.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from dgsforensics.errors import UnreadableError
from dgsforensics.files.content import kind_of, reason_of

_CHUNK = 1 << 20
_FOLDERS_SYNC = hasattr(os, "O_DIRECTORY")
"""Windows writes the names of files down by itself."""


def digest(path: Path) -> str:
    """SHA-256 of a regular file; raises `UnreadableError` for a link and what gives no bytes."""
    try:
        with _opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise UnreadableError(reason_of(error)) from error


def holds(path: Path, sha256: str) -> bool:
    """Whether a regular file, no link, with this content lies there."""
    try:
        return digest(path) == sha256
    except UnreadableError:
        return False


def link_below(base: Path, path: Path) -> Path | None:
    """The first part of `path` below `base` that is a symbolic link; `path` must lie below it."""
    place = base
    for part in path.relative_to(base).parts:
        place = place / part
        if place.is_symlink():
            return place
    return None


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to one name, by linked folders; two hard links are two names."""
    try:
        return one.name == other.name and os.path.samefile(one.parent, other.parent)
    except OSError:  # a folder that is not there has no name in common with another
        return False


def drop_empty(taken: Path, waiting: Path) -> None:
    """Delete an empty file that only took its name, while what was to come there is `waiting`."""
    if os.path.lexists(waiting) and os.path.lexists(taken):
        status = os.lstat(taken)
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(taken)


def move(source: Path, target: Path, part: Path, sha256: str) -> None:
    """Give a file another name; to another file system it is copied, checked and then deleted.

    Raises OSError, and `UnreadableError` when the content is not `sha256`, with the source as it
    was. When another program takes the source away meanwhile, the file is at its target all the
    same, and stays there; so it does when the source is something else by then.
    """
    try:
        _rename(source, target)
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
        if _is_gone(source):
            return
        if holds(source, sha256) and not same_place(source, target):
            target.unlink()
        raise


def copy(source: Path, target: Path, part: Path, sha256: str) -> None:
    """Copy a file with its mode and times; raises as `move`."""
    with _opened(source) as file, open(part, "xb") as made:
        try:
            shutil.copyfileobj(file, made, _CHUNK)
            made.flush()
            shutil.copystat(source, part)
            os.fsync(made.fileno())
            if digest(part) != sha256:
                raise UnreadableError("it changed while it was copied")
        except BaseException:
            part.unlink()
            raise
    _finish(part, target, _rename)


def write(content: bytes, target: Path, part: Path, *, replace: bool = False) -> None:
    """Write a new file, or by `replace` onto another one, in one step; raises OSError."""
    with open(part, "xb") as made:
        try:
            made.write(content)
            made.flush()
            os.fsync(made.fileno())
        except BaseException:
            part.unlink()
            raise
    _finish(part, target, os.replace if replace else _rename)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A name to write to, whose file takes the place of `target`, in one step, when all went well.

    After an error or a kill `target` is as it was; a kill leaves `<name>.part` beside it.
    """
    part = target.with_name(target.name + ".part")
    try:
        yield part
        with open(part, "rb+") as made:
            os.fsync(made.fileno())
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)
        raise
    _finish(part, target, os.replace)


def _finish(part: Path, target: Path, rename: Callable[[Path, Path], None]) -> None:
    try:
        rename(part, target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if _FOLDERS_SYNC:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _rename(source: Path, target: Path) -> None:
    """Rename on one file system, never onto another file: `os.rename` would replace it."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise
        _rename_onto_own(source, target)
        return
    try:
        os.unlink(source)
    except OSError:
        if _is_gone(source):  # by another hand: the target is the only name that is left
            return
        if os.path.samestat(os.lstat(source), os.lstat(target)) and not same_place(source, target):
            os.unlink(target)
        raise


def _rename_onto_own(source: Path, target: Path) -> None:
    """Without hard links: take the name with an empty file, then replace that."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.replace(source, target)
    except BaseException:
        drop_empty(target, source)
        raise


def _is_gone(path: Path) -> bool:
    """Whether nothing lies there; what is out of reach is not gone."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _opened(path: Path) -> BufferedReader:
    """A regular file, to be closed; a link or a pipe in its place is refused, not waited for."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise UnreadableError("a symbolic link: neither it nor what it leads to is touched")
    if not stat.S_ISREG(mode):
        raise UnreadableError(f"not a regular file ({kind_of(mode)})")
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return open(os.open(path, flags), "rb")
