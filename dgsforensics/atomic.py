"""Files written whole or not at all, and names that are only ever given to what has none yet.

Nothing here overwrites unless replacing is asked for: where the name is taken, even from one moment
to the next, the answer is `FileExistsError`.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

_FOLDERS_SYNC = hasattr(os, "O_DIRECTORY")
"""Windows writes the names of files down by itself."""


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
    finish(part, target, os.replace if replace else rename)


def save(content: bytes, file: Path, *, replace: bool) -> None:
    """Write a file, where a link leads to what it leads to, in one step; raises as `write`."""
    target = Path(os.path.realpath(file))
    write(content, target, target.with_name(f".{target.name}.{os.getpid()}.part"), replace=replace)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a name to write to, whose file takes the place of `target`, in one step, when all went
    well.

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
    finish(part, target, os.replace)


def write_text(text: str, target: Path) -> None:
    """Write a text in UTF-8 onto what is there, in one step; raises OSError."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def finish(part: Path, target: Path, give_name: Callable[[Path, Path], None]) -> None:
    """Give a finished `part` its name and write the folder down; raises OSError, `part` gone."""
    try:
        give_name(part, target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if _FOLDERS_SYNC:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def rename(source: Path, target: Path) -> None:
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
        if is_gone(source):  # by another hand: the target is the only name that is left
            return
        if os.path.samestat(os.lstat(source), os.lstat(target)) and not same_name(source, target):
            os.unlink(target)
        raise


def _rename_onto_own(source: Path, target: Path) -> None:
    """Take the name with an empty file, then replace that: for file systems without hard links."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        os.replace(source, target)
    except BaseException:
        drop_empty(target, source)
        raise


def same_name(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one name, by linked folders; two hard links are two
    names."""
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


def is_gone(path: Path) -> bool:
    """Return whether nothing lies there; what is out of reach is not gone."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
