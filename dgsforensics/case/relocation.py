"""Cases that follow their pictures: a folder that was renamed keeps its labels and its scores.

Labels hang on content, so nothing of them changes; what is rewritten is where the files lie.
"""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dgsforensics.case import contents, ledger, location
from dgsforensics.case.ledger import OperationKind, OperationState
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError, UsageError
from dgsforensics.files import content
from dgsforensics.records import Failure

log = logging.getLogger(__name__)

_SHARE = 0.5
"""Of a case's files that have to be found again by name and size."""
_WAIT = 2.0
"""Seconds to wait for another program that is writing to a case that may be the one."""


def root(case: Case) -> Path | None:
    """Return the folder that the case is about; None where there is no one folder."""
    scans = case.scans()
    folders = scans[-1].settings.options.folders if scans else None
    if folders is not None and len(folders) == 1:
        return Path(folders[0])
    moved = {
        row.target: row.source
        for row in ledger.operations(case, OperationState.DONE)
        if row.kind == OperationKind.MOVE
    }
    parents = {moved.get(path, path).parent for path, _ in contents.locations(case)}
    try:
        return Path(os.path.commonpath(parents)) if parents else None
    except ValueError:  # on two drives
        return None


def follow_renamed(
    paths: Sequence[Path], found: Iterable[Path | Failure], case: Path
) -> Path | None:
    """Give a case file the name `case` whose folder is gone, and is this one by what it holds.

    `found` are the files below the one folder of `paths`. Returns the folder's old path; None where
    there is no such case.
    """
    cases = location.known()
    if not cases or len(paths) != 1 or not content.is_folder(paths[0]):
        return None
    new = Path(os.path.abspath(paths[0]))
    sizes: dict[str, int] = {}
    for file in found:
        if isinstance(file, Path):
            size = content.size_of(file)
            if size is not None:
                sizes[os.path.relpath(os.path.abspath(file), new)] = size
    for known in cases:
        try:
            with Case.open(known, busy=_WAIT) as opened:
                old = root(opened)
                if old is None or content.is_there(old) or not _is_same(opened, old, sizes):
                    continue
                rebase(opened, old, new)
        except CaseError as error:
            log.debug("%s: %s", known, error.message)
            continue
        rename(known, case)
        return old
    return None


def rebase(case: Case, old: Path, new: Path) -> None:
    """Record that what lay below one folder lies below another now."""
    below, target = os.fsencode(os.path.join(old, "")), os.fsencode(os.path.join(new, ""))

    def moved(path: bytes) -> bytes:
        return target + path[len(below) :] if path.startswith(below) else path

    with case.writing() as db:
        for row in db.execute("SELECT path FROM location").fetchall():
            if row["path"].startswith(below):
                db.execute(
                    "UPDATE OR REPLACE location SET path = ? WHERE path = ?",
                    (moved(row["path"]), row["path"]),
                )
        for row in db.execute("SELECT id, source, target FROM filing").fetchall():
            ends = moved(row["source"]), moved(row["target"])
            db.execute("UPDATE filing SET source = ?, target = ? WHERE id = ?", (*ends, row["id"]))
        for row in db.execute("SELECT id, settings FROM scan").fetchall():
            options = json.loads(row["settings"])
            if "folders" in options:
                options["folders"] = [_moved(folder, old, new) for folder in options["folders"]]
                text = json.dumps(options, sort_keys=True)
                db.execute("UPDATE scan SET settings = ? WHERE id = ?", (text, row["id"]))


def rename(case: Path, target: Path) -> None:
    """Give a case file that nobody has open another place; raises `UsageError`."""
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", "name another place, or merge the two")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(case, target)
    except OSError as error:
        raise UsageError(
            f"cannot move {case} to {target}: {error.strerror}", "copy the file instead"
        ) from error
    delete_beside(case)


def delete_beside(case: Path) -> None:
    """Delete what lay beside a case file that is gone: its log of writes, its lock."""
    for ending in ("-wal", "-shm", ".lock"):
        case.with_name(case.name + ending).unlink(missing_ok=True)


def _moved(folder: str, old: Path, new: Path) -> str:
    place = Path(folder)
    return str(new / place.relative_to(old)) if place.is_relative_to(old) else folder


def _is_same(case: Case, old: Path, sizes: dict[str, int]) -> bool:
    """Whether enough of the files of a case are there by relative path and size."""
    with case.reading() as db:
        rows = db.execute(
            "SELECT l.path, coalesce(i.size, l.size) AS size FROM location l"
            " LEFT JOIN image i ON i.sha256 = l.sha256"
        ).fetchall()
    held = [(os.path.relpath(os.fsdecode(row["path"]), old), row["size"]) for row in rows]
    same = sum(1 for name, size in held if sizes.get(name) == size)
    return same > 0 and len(held) * _SHARE <= same
