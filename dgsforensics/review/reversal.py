"""What was done with files taken back: the last run first, and nothing that was changed since."""

import errno
import os
from collections.abc import Iterator

from dgsforensics import atomic
from dgsforensics.case import ledger, transfer
from dgsforensics.case.ledger import Operation, OperationKind, OperationState
from dgsforensics.case.store import Case
from dgsforensics.case.transfer import holds
from dgsforensics.errors import UnreadableError
from dgsforensics.files.regular import reason_of
from dgsforensics.review.filing import FilingResult

_IN_USE = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR)
"""Why a folder is not removed that is not ours any more: it has files, or is no folder now."""


def runs(case: Case) -> list[int]:
    """Return the runs of which something can be taken back, the last one last."""
    done = ledger.operations(case, OperationState.DONE)
    return sorted({row.run for row in done if row.kind != OperationKind.FOLDER})


def undo(case: Case, *, dry: bool) -> Iterator[FilingResult]:
    """Take back the last of `runs`, its last file first; where `dry`, only look.

    A file goes back, or a copy or sidecar is deleted, only where its content is still the same. A
    copy stays when the original is gone. What is not at its place any more is refused once. Then
    go the folders that were made for what is all taken back, also those that an earlier call did
    not come to.
    """
    last = max(runs(case), default=None)
    done = [
        row for row in reversed(ledger.operations(case, OperationState.DONE)) if row.run == last
    ]
    files = [row for row in done if row.kind != OperationKind.FOLDER]
    if not dry:
        ledger.begin_undo(case, files)
    for operation in files:
        refused, gone = _at_end(operation)
        if not dry:
            if refused is None:
                refused = _take_back(operation)
            kept = refused is not None and not gone
            ledger.mark(case, operation, OperationState.DONE if kept else OperationState.UNDONE)
        yield FilingResult(operation, refused)
    if not dry:
        yield from _remove_folders(case)


def _remove_folders(case: Case) -> Iterator[FilingResult]:
    """Remove, where they are empty, the folders below which nothing is that was done."""
    done = ledger.operations(case, OperationState.DONE)
    used = {
        folder for row in done if row.kind != OperationKind.FOLDER for folder in row.target.parents
    }
    for row in reversed(done):
        if row.kind != OperationKind.FOLDER or row.target in used:
            continue
        try:
            row.target.rmdir()
        except OSError as error:
            if error.errno not in _IN_USE:
                yield FilingResult(row, f"the folder stays: {reason_of(error)}")
                continue
        ledger.mark(case, row, OperationState.UNDONE)


def _at_end(operation: Operation) -> tuple[str | None, bool]:
    """Return why an operation cannot be taken back, if so, and whether its result is gone
    altogether.
    """
    source, target = operation.source, operation.target
    if link := operation.link():
        return f"{link} is a symbolic link, which is not followed", False
    if atomic.same_name(source, target):
        return f"{source} leads to the same file, and it may be the last one", False
    back = holds(source, operation.sha256)
    if not os.path.lexists(target):
        moved_back = operation.kind == OperationKind.MOVE and back
        return None if moved_back else "it is not there any more", True
    if not holds(target, operation.written):
        return "it was changed since", False
    if operation.kind == OperationKind.MOVE and os.path.lexists(source) and not back:
        return f"{source} is there and is something else", False
    if operation.kind == OperationKind.COPY and not back:
        return f"{source} is gone or was changed: the copy is kept", False
    return None, False


def _take_back(operation: Operation) -> str | None:
    """Undo what `_at_end` has looked at; why it cannot be done, if so."""
    source, target = operation.source, operation.target
    try:
        if operation.kind == OperationKind.MOVE and not os.path.lexists(source):
            source.parent.mkdir(parents=True, exist_ok=True)
            transfer.move(target, source, operation.part(source), operation.sha256)
        else:  # a copy, a sidecar, or a file that also lies where it came from
            target.unlink(missing_ok=True)
    except UnreadableError as error:
        return error.message
    except OSError as error:
        return reason_of(error)
    return None
