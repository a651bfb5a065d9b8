"""What was done with files on behalf of a case, row by row, and the truth about what was cut off.

A row is written before its operation begins and marked after. `settle` looks at the files of rows
that were in between when a process died: each operation is then done or not done, and so recorded.
Who does that, or anything with files, does it `lock.alone`: the rows of a run that is only slow or
stopped look just like those of one that died.
"""

import itertools
import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from dgsforensics import atomic
from dgsforensics.case import transfer
from dgsforensics.case.store import Case
from dgsforensics.case.transfer import holds
from dgsforensics.errors import UsageError
from dgsforensics.files.regular import reason_of
from dgsforensics.judgements import Judgement
from dgsforensics.records import Verdict


def folder_name(label: Judgement | Verdict) -> str:
    """Return the name of the folder that files with a label or a verdict go to."""
    return label.replace(" ", "-")


_FOLDERS = frozenset(folder_name(label) for label in (*Judgement, *Verdict))


class OperationKind(StrEnum):
    """What is done with a file."""

    MOVE = "move"
    COPY = "copy"
    TAG = "tag"
    FOLDER = "folder"
    """Made on the way to a target."""


class OperationState(StrEnum):
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
    kind: OperationKind
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
        """Return what a file on its way to `place` is called until it is whole."""
        return place.with_name(f".dgsf-{self.id}-{self.sha256[:8]}.part")

    def link(self) -> Path | None:
        """Return a symbolic link on the way to either end, which was a folder when this was done.

        Looked at is what both paths have in common at their ends, and the folder of the label; what
        is above was named by a person and may be a link.
        """
        ends = [end.parent.parts[::-1] for end in (self.source, self.target)]
        # Of a sidecar beside its image all is in common, and there is no telling what was named.
        beside = ends[0] == ends[1]
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
        below = 0 if beside else len(list(same))
        base = self.target.parents[below]
        if self.kind != OperationKind.TAG and base.name in _FOLDERS:
            base = base.parent
        return transfer.link_below(self.source.parents[below], self.source) or transfer.link_below(
            base, self.target
        )


def operations(case: Case, *states: OperationState) -> list[Operation]:
    """Return the rows in one of these states, the oldest first."""
    marks = ", ".join("?" * len(states))
    with case.reading() as db:
        rows = db.execute(
            "SELECT id, run, kind, source, target, sha256, written, time FROM filing"
            f" WHERE state IN ({marks}) ORDER BY id",
            states,
        ).fetchall()
    return [
        Operation(
            id=row["id"],
            run=row["run"],
            kind=OperationKind(row["kind"]),
            source=_path(row["source"]),
            target=_path(row["target"]),
            sha256=row["sha256"],
            written=row["written"],
            time=row["time"],
        )
        for row in rows
    ]


def write_down(case: Case, planned: Sequence[Operation]) -> list[Operation]:
    """Record what a new run is going to do, on disk when this returns; the rows with their ids."""
    written = []
    with case.durable() as db:
        [last] = db.execute("SELECT coalesce(max(run), 0) FROM filing").fetchone()
        for operation in planned:
            row = operation._replace(run=last + 1)
            cursor = db.execute(_ADD, _values(row, OperationState.PLANNED))
            assert cursor.lastrowid is not None  # it is None only before an INSERT
            written.append(row._replace(id=cursor.lastrowid))
    return written


def add_folder(case: Case, operation: Operation, folder: Path) -> None:
    """Record a folder that is about to be made for an operation."""
    row = operation._replace(id=0, kind=OperationKind.FOLDER, source=folder, target=folder)
    with case.reading() as db:
        db.execute(_ADD, _values(row, OperationState.DONE))


def mark(case: Case, operation: Operation, state: OperationState) -> None:
    """Record how far it is; with a file that was moved, or moved back, goes its place in the case.

    A sidecar that is done took the place of any before it, which then cannot be taken back.
    """
    with case.writing() as db:
        db.execute(f"{_ADD.replace('INSERT', 'INSERT OR REPLACE')}", _values(operation, state))
        if operation.kind == OperationKind.MOVE and state in (
            OperationState.DONE,
            OperationState.UNDONE,
        ):
            ends = operation.source, operation.target
            old, new = ends if state == OperationState.DONE else ends[::-1]
            db.execute(
                "UPDATE OR REPLACE location SET path = ? WHERE path = ? AND sha256 = ?",
                (os.fsencode(new), os.fsencode(old), operation.sha256),
            )
        if operation.kind == OperationKind.TAG and state == OperationState.DONE:
            db.execute(
                "UPDATE filing SET state = ?"
                " WHERE kind = ? AND state = ? AND target = ? AND id < ?",
                (
                    OperationState.UNDONE,
                    OperationKind.TAG,
                    state,
                    os.fsencode(operation.target),
                    operation.id,
                ),
            )


def forget(case: Case, operation: Operation) -> None:
    """Drop the row of what was not done."""
    with case.reading() as db:
        db.execute("DELETE FROM filing WHERE id = ?", (operation.id,))


def begin_undo(case: Case, done: Iterable[Operation]) -> None:
    """Record that these are about to be taken back, on disk when this returns."""
    with case.durable() as db:
        db.executemany(
            f"UPDATE filing SET state = '{OperationState.UNDOING}' WHERE id = ?",
            [(row.id,) for row in done],
        )


def settle(case: Case) -> int:
    """Finish or drop what a process that died was at; how many operations that were.

    To be called under `lock.alone`. Where two paths lead to one file, or one leads through a link,
    nothing is deleted. Raises `UsageError` for a file that cannot be deleted although it lies
    safely elsewhere.
    """
    pending = operations(case, OperationState.PLANNED, OperationState.UNDOING)
    undoing = {row.id for row in operations(case, OperationState.UNDOING)}
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
    # The name was free when this was planned, so what has it now was put there by this row.
    if not holds(row.target, row.written):
        if holds(row.source, row.sha256) and row.link() is None:
            atomic.drop_empty(row.target, row.source)
        forget(case, row)
        return
    if row.kind == OperationKind.MOVE and holds(row.source, row.sha256) and _apart(row):
        row.source.unlink()
    mark(case, row, OperationState.DONE)


def _settle_undo(case: Case, row: Operation) -> None:
    row.part(row.source).unlink(missing_ok=True)
    if row.kind != OperationKind.MOVE:
        mark(
            case, row, OperationState.DONE if os.path.lexists(row.target) else OperationState.UNDONE
        )
    elif not holds(row.source, row.sha256):
        if holds(row.target, row.written) and row.link() is None:
            atomic.drop_empty(row.source, row.target)
        mark(case, row, OperationState.DONE)
    elif not holds(row.target, row.written):
        mark(case, row, OperationState.UNDONE)
    elif _apart(row):
        row.target.unlink()
        mark(case, row, OperationState.UNDONE)
    else:
        mark(case, row, OperationState.DONE)


def _apart(row: Operation) -> bool:
    """Return whether one of two names may be deleted, because the other one is a name of its
    own."""
    return row.link() is None and not atomic.same_name(row.source, row.target)


_ADD = "INSERT INTO filing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _values(row: Operation, state: OperationState) -> tuple[object, ...]:
    ends = os.fsencode(row.source), os.fsencode(row.target)
    return (row.id or None, row.run, row.kind, *ends, row.sha256, row.written, row.time, state)


def _path(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))
