"""What was done with files on behalf of a case, row by row, and the truth about what was cut off.

A row is written before its operation begins and marked after. `settle` looks at the files of rows
that were in between when a process died: each operation is then done or not done, and so recorded.
"""

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from dgsforensics import placing
from dgsforensics.case.schema import immediate
from dgsforensics.case.store import Case
from dgsforensics.errors import UnreadableError, UsageError
from dgsforensics.files import reason_of


class Kind(StrEnum):
    """What is done with a file."""

    MOVE = "move"
    COPY = "copy"
    TAG = "tag"
    FOLDER = "folder"
    """Made on the way to a target."""


class State(StrEnum):
    """How far an operation is."""

    PLANNED = "planned"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


class Operation(NamedTuple):
    """One row; what one call does is a run."""

    id: int
    """0 before it is written down."""
    run: int
    kind: Kind
    source: Path
    """Absolute, as the target: the file that was labelled."""
    target: Path
    sha256: str
    """Of the image."""
    written: str
    """SHA-256 of what lies at the target afterwards: the image, or its sidecar."""
    time: str
    """ISO 8601, UTC."""

    def part(self, place: Path) -> Path:
        """What a file on its way to `place` is called until it is whole."""
        return place.with_name(f".dgsf-{self.id}-{self.sha256[:8]}.part")


def holds(path: Path, sha256: str) -> bool:
    """Whether a regular file, no link, with this content lies there."""
    try:
        return placing.digest(path) == sha256
    except UnreadableError:
        return False


def operations(case: Case, *states: State) -> list[Operation]:
    """The rows in one of these states, the oldest first."""
    marks = ", ".join("?" * len(states))
    with case.reading() as db:
        rows = db.execute(
            "SELECT id, run, kind, source, target, sha256, written, time FROM filing"
            f" WHERE state IN ({marks}) ORDER BY id",
            states,
        ).fetchall()
    return [
        Operation(number, run, Kind(kind), _path(source), _path(target), *rest)
        for number, run, kind, source, target, *rest in rows
    ]


def write_down(case: Case, planned: Sequence[Operation]) -> list[Operation]:
    """Record what a new run is going to do, on disk when this returns; the rows with their ids."""
    written = []
    with case.durable() as db:
        [last] = db.execute("SELECT coalesce(max(run), 0) FROM filing").fetchone()
        for operation in planned:
            row = operation._replace(run=last + 1)
            cursor = db.execute(_ADD, _values(row, State.PLANNED))
            assert cursor.lastrowid is not None  # it is None only before an INSERT
            written.append(row._replace(id=cursor.lastrowid))
    return written


def add_folder(case: Case, operation: Operation, folder: Path) -> None:
    """Record a folder that is about to be made for an operation."""
    row = operation._replace(id=0, kind=Kind.FOLDER, source=folder, target=folder)
    with case.reading() as db:
        db.execute(_ADD, _values(row, State.DONE))


def mark(case: Case, operation: Operation, state: State) -> None:
    """Record how far it is; with a file that was moved, or moved back, goes its place in the case.

    A row that another process took for a leftover meanwhile is written again.
    """
    with case.reading() as db, immediate(db):
        db.execute(f"{_ADD.replace('INSERT', 'INSERT OR REPLACE')}", _values(operation, state))
        if operation.kind == Kind.MOVE and state in (State.DONE, State.UNDONE):
            ends = operation.source, operation.target
            old, new = ends if state == State.DONE else ends[::-1]
            db.execute(
                "UPDATE OR REPLACE location SET path = ? WHERE path = ? AND sha256 = ?",
                (os.fsencode(new), os.fsencode(old), operation.sha256),
            )


def forget(case: Case, operation: Operation) -> None:
    """Drop the row of what was not done."""
    with case.reading() as db:
        db.execute("DELETE FROM filing WHERE id = ?", (operation.id,))


def begin_undo(case: Case, done: Iterable[Operation]) -> None:
    """Record that these are about to be taken back, on disk when this returns."""
    with case.durable() as db:
        db.executemany(
            f"UPDATE filing SET state = '{State.UNDOING}' WHERE id = ?", [(row.id,) for row in done]
        )


def settle(case: Case) -> int:
    """Finish or drop what a process that died was at; how many operations that were.

    Raises `UsageError` for a file that cannot be deleted although it lies safely elsewhere.
    """
    pending = operations(case, State.PLANNED, State.UNDOING)
    undoing = {row.id for row in operations(case, State.UNDOING)}
    for row in pending:
        try:
            if row.id in undoing:
                _settle_undo(case, row)
            else:
                _settle_plan(case, row)
        except OSError as error:
            raise UsageError(
                f"{error.filename}: left over from a run that was cut off, and cannot be deleted: "
                f"{reason_of(error)}",
                "delete it, then go on",
            ) from error
    return len(pending)


def _settle_plan(case: Case, row: Operation) -> None:
    row.part(row.target).unlink(missing_ok=True)
    if not holds(row.target, row.written):
        forget(case, row)
        return
    # The name was free when this was planned, so what has it now was put there by this row.
    if row.kind == Kind.MOVE and holds(row.source, row.sha256):
        row.source.unlink()
    mark(case, row, State.DONE)


def _settle_undo(case: Case, row: Operation) -> None:
    row.part(row.source).unlink(missing_ok=True)
    if row.kind != Kind.MOVE:
        mark(case, row, State.DONE if os.path.lexists(row.target) else State.UNDONE)
    elif not holds(row.source, row.sha256):
        mark(case, row, State.DONE)
    else:
        if holds(row.target, row.written):
            row.target.unlink()
        mark(case, row, State.UNDONE)


_ADD = "INSERT INTO filing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _values(row: Operation, state: State) -> tuple[object, ...]:
    ends = os.fsencode(row.source), os.fsencode(row.target)
    return (row.id or None, row.run, row.kind, *ends, row.sha256, row.written, row.time, state)


def _path(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))
