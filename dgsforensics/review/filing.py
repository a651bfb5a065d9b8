"""Labelled files moved, copied or tagged, so that it can be gone on with and taken back.

Nothing is ever overwritten, no link is followed, and only content that is what was labelled is
touched. What stands in the way of one file is the outcome of that one; the rest goes on.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dgsforensics import atomic
from dgsforensics.case import contents, ledger, transfer
from dgsforensics.case.decisions import Log, standing
from dgsforensics.case.ledger import Operation, OperationKind, OperationState, folder_name
from dgsforensics.case.store import Case
from dgsforensics.case.transfer import holds
from dgsforensics.errors import UnreadableError, UsageError
from dgsforensics.files.archive_paths import member_at
from dgsforensics.files.regular import reason_of
from dgsforensics.judgements import Judgement
from dgsforensics.records import Verdict
from dgsforensics.review import sidecar
from dgsforensics.review.labels import LabelledImage
from dgsforensics.review.verdicts import ScoredImage


@dataclass(frozen=True, slots=True)
class FilingResult:
    """What became of one operation, or would."""

    operation: Operation
    refused: str | None = None
    """Why it was not done."""
    already: bool = False
    """What it would have led to was there before, and was left so, as was the source."""


@dataclass(frozen=True, slots=True)
class FilingPlan:
    """What is to be done."""

    operations: list[Operation]
    root: Path
    """The folder that holds everything in the case."""
    folder: Path
    """Where it goes."""
    sidecars: dict[str, bytes] = field(default_factory=dict)
    """By their SHA-256."""
    replaceable: dict[Path, str] = field(default_factory=dict)
    """By place the SHA-256 of sidecars that were written for the case and may be replaced."""


_CLOSED = "its place is in an archive, and archives are never changed: name another folder"


def origins(case: Case) -> tuple[Path, dict[tuple[Path, str], Path]]:
    """Return the common root of the images, and by path and sha256 where files lay that were moved.

    Raises `UsageError` when there is no common root, or no image.
    """
    first: dict[tuple[Path, str], Path] = {}
    for row in ledger.operations(case, OperationState.DONE):
        if row.kind == OperationKind.MOVE:  # one move may go on from another
            before = first.pop((row.source, row.sha256), row.source)
            first[row.target, row.sha256] = before
    known = contents.locations(case)
    try:
        root = os.path.commonpath(
            [str(first.get((path, sha256 or ""), path).parent) for path, sha256 in known]
        )
    except ValueError as error:
        raise UsageError(f"the images of {case.path} have no folder in common") from error
    return Path(root), first


def plan(
    case: Case,
    kind: OperationKind,
    folder: Path,
    images: Sequence[LabelledImage | ScoredImage],
    wanted: Sequence[Judgement | Verdict],
) -> FilingPlan:
    """Return the files of the images that are `wanted`, and where each is to go.

    Below `folder` that is `<label>/<path below the common root of the case>`; for a sidecar the
    path without the label, or beside an image that lies in `folder` already. A file that was
    moved before keeps the path that it had in the first place. A sidecar that says something else
    now replaces the one that was written before, if nobody changed that. Raises `UsageError`.
    """
    folder = Path(os.path.abspath(folder))
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{folder}: not a folder")
    root, first = origins(case)
    time = datetime.now(UTC).isoformat(timespec="seconds")
    made = FilingPlan([], root, folder)
    if kind == OperationKind.TAG:
        made.replaceable.update((row.target, row.written) for row in _sidecars(case))
    for image in images:
        label = image.judgement
        if label is None or label not in wanted:
            continue
        for path in image.paths:
            below = first.get((path, image.sha256), path).relative_to(root)
            if kind == OperationKind.TAG:
                place = path if path.is_relative_to(folder) else folder / below
                target = place.with_name(place.name + ".xmp")
                content = sidecar.render(image.decisions)
                written = hashlib.sha256(content).hexdigest()
                made.sidecars[written] = content
            else:
                target, written = folder / folder_name(label) / below, image.sha256
            made.operations.append(Operation(0, 0, kind, path, target, image.sha256, written, time))
    return made


def carry_out(case: Case, plan: FilingPlan, *, dry: bool) -> Iterator[FilingResult]:
    """Do one after the other, everything written down before; where `dry`, only look."""
    waiting = []
    for operation in plan.operations:
        outcome = _at_target(operation, plan)
        if outcome is not None:
            yield outcome
        elif dry:
            yield FilingResult(operation, _at_source(operation, plan))
        else:
            waiting.append(operation)
    for operation in ledger.write_down(case, waiting) if waiting else ():
        refused = _at_source(operation, plan) or _attempt(case, operation, plan)
        if refused is None:
            ledger.mark(case, operation, OperationState.DONE)
        else:
            ledger.forget(case, operation)
        yield FilingResult(operation, refused)


def outdated(
    case: Case, plan: FilingPlan, reviewer: str | None
) -> Iterator[tuple[Path, Judgement]]:
    """Yield the sidecars, beside those of the plan, that say what nobody says any more; what they
    say.

    With a `reviewer`, what that one says otherwise.
    """
    stand = standing(Log(case).after())
    planned = {operation.target for operation in plan.operations}
    for row in _sidecars(case):
        if row.target in planned or not holds(row.target, row.written):
            continue
        said = {
            decision.judgement
            for decision in stand.get(row.sha256, {}).values()
            if decision.judgement is not None and reviewer in (None, decision.reviewer)
        }
        label = sidecar.label_of(row.target.read_bytes())
        if said != {label} and (said or reviewer is None):
            yield row.target, label


def _sidecars(case: Case) -> list[Operation]:
    return [
        row for row in ledger.operations(case, OperationState.DONE) if row.kind == OperationKind.TAG
    ]


def _at_target(operation: Operation, plan: FilingPlan) -> FilingResult | None:
    """Return what the place decides where a file is to go; None when nothing is in the way."""
    target = operation.target
    if target == operation.source:
        return FilingResult(operation, already=True)
    if link := transfer.link_below(plan.folder, target.parent):
        return FilingResult(operation, f"{link} is a symbolic link, which is not followed")
    if not os.path.lexists(target):
        return FilingResult(operation, _CLOSED) if member_at(target) else None
    if holds(target, operation.written):
        return FilingResult(operation, already=True)
    if _replaceable(target, plan):
        return None
    return FilingResult(operation, f"{target} is there already and is something else")


def _replaceable(target: Path, plan: FilingPlan) -> bool:
    return target in plan.replaceable and holds(target, plan.replaceable[target])


def _at_source(operation: Operation, plan: FilingPlan) -> str | None:
    """Return why a file is not what was labelled; None when it is."""
    source = operation.source
    if operation.kind == OperationKind.MOVE and member_at(source) is not None:
        return "it lies in an archive, and archives are never changed: use --copy"
    if source.is_relative_to(plan.root) and (link := transfer.link_below(plan.root, source)):
        return f"{link} is a symbolic link, which is not followed"
    try:
        same = transfer.digest(source) == operation.sha256
    except UnreadableError as error:
        return error.message
    return None if same else "it is not what was labelled: it was changed since"


def _attempt(case: Case, operation: Operation, plan: FilingPlan) -> str | None:
    """Do it; why it cannot be done, if so."""
    target = operation.target
    part = operation.part(target)
    try:
        missing = [folder for folder in target.parents if not folder.exists()]
        for folder in reversed(missing):
            ledger.add_folder(case, operation, folder)
            folder.mkdir()
        match operation.kind:
            case OperationKind.MOVE:
                transfer.move(operation.source, target, part, operation.sha256)
            case OperationKind.COPY:
                transfer.copy(operation.source, target, part, operation.sha256)
            case OperationKind.TAG:
                replace = _replaceable(target, plan)
                atomic.write(plan.sidecars[operation.written], target, part, replace=replace)
    except UnreadableError as error:
        return error.message
    except OSError as error:
        return reason_of(error)
    return None
