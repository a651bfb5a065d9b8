"""Where case files lie: one for each scanned root, in the user's data folder unless named."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from dgsforensics.errors import UsageError
from dgsforensics.files.content import is_folder

SUFFIX = ".sqlite3"
_SQLITE = b"SQLite format 3\0"


def folder() -> Path:
    """Return where case files go that nobody named; it need not exist."""
    return platformdirs.user_data_path("dgsforensics") / "cases"


def scores() -> Path:
    """Return where the user's store of scores lies; it need not exist."""
    return platformdirs.user_data_path("dgsforensics") / f"scores{SUFFIX}"


def default_path(paths: Sequence[Path]) -> Path:
    """Return the case file of these scan arguments.

    The root is the deepest folder or archive that holds all of them; a file counts as its own
    folder.
    Raises `UsageError` without paths and for paths that share no folder (two drives).
    """
    if not paths:
        raise UsageError("there is nothing to scan", "name a folder or some images")
    places = [os.path.abspath(path) for path in paths]
    try:
        root = os.path.commonpath(
            [place if is_folder(Path(place)) else os.path.dirname(place) for place in places]
        )
    except ValueError as error:
        raise UsageError(
            "the paths are on different drives", "scan each drive by itself, or name a case file"
        ) from error
    return folder() / f"{named_after(root, 'case')}{SUFFIX}"


def named_after(place: str, otherwise: str) -> str:
    """Return a file name without suffix for what belongs to an absolute path, no other path's.

    It begins with the last part of the path, or with `otherwise` where that has no letters.
    """
    slug = re.sub(r"\W+", "-", os.path.basename(place).lower()).strip("-")[:40] or otherwise
    return f"{slug}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}"


def known() -> list[Path]:
    """Return the case files in the user's data folder, the one used last first."""
    return sorted(folder().glob(f"*{SUFFIX}"), key=_last_used, reverse=True)


def is_case(path: Path) -> bool:
    """Return whether a file is a database, and so can only be meant as a case file."""
    try:
        if not path.is_file():  # opening a pipe would wait
            return False
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except (OSError, ValueError):  # then it is no case; as an image it need not be there
        return False


def find(target: Path | None) -> Path:
    """Return the case file meant by a file, by a folder that was scanned, or (None) the last one
    used.

    Raises `UsageError` when there is none.
    """
    if target is None:
        found = known()
        if not found:
            raise UsageError("there is no case file yet", "scan a folder first: dgsf scan FOLDER")
        return found[0]
    if is_folder(target):
        path = default_path([target])
        if not path.exists():
            raise UsageError(
                f"{target}: this folder was not scanned, or into another case file",
                f"scan it first: dgsf scan {target}; or name the case file",
            )
        return path
    if not target.exists():
        raise UsageError(f"{target}: no such case file or folder")
    return target


def _last_used(path: Path) -> float:
    """Return when a case file was written last; what is new may still lie in the log beside it."""
    times = []
    for file in (path, path.with_name(path.name + "-wal")):
        try:
            times.append(file.stat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times, default=0.0)
