"""The lock that lets one process at a time do anything with files on behalf of a case."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.files.regular import reason_of

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""Windows has no such flag, and asks for a privilege to make a link."""


@contextmanager
def alone(case: Case) -> Iterator[None]:
    """Let no other process do anything with files on behalf of this case meanwhile.

    The system lets go of the lock when the process ends, however it ends; the empty file that is
    locked stays. Raises `CaseError` when another process holds it.
    """
    real = Path(os.path.realpath(case.path))
    file = real.with_name(real.name + ".lock")
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o666)
    except OSError as error:
        raise CaseError(
            f"{file}: {reason_of(error)}", "make it a file that can be written"
        ) from error
    try:
        try:
            _lock(lock)
        except (BlockingIOError, PermissionError) as error:
            raise CaseError(
                f"{case.path}: another dgsf apply is at work with this case",
                "wait for it to end; one that was stopped goes on with fg",
            ) from error
        except OSError as error:
            raise CaseError(
                f"{file}: cannot be locked: {reason_of(error)}",
                "copy the case file to a disk that has locks",
            ) from error
        yield
    finally:
        os.close(lock)


def _lock(descriptor: int) -> None:
    """Lock an open file; raises BlockingIOError, or PermissionError on Windows, where another
    process has done so."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
