"""`dgsf apply`: labelled files moved, copied or tagged, and that taken back."""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgsforensics.choices import FiledAs
from dgsforensics.cli.options import CaseFile, Debug, configure_logging, interruptible
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.judgements import Judgement
from dgsforensics.records import Verdict
from dgsforensics.wording import counted

if TYPE_CHECKING:
    from dgsforensics.case.store import Case
    from dgsforensics.review.filing import FilingResult
    from dgsforensics.review.labels import LabelledImage
    from dgsforensics.review.verdicts import ScoredImage

EPILOG = (
    "Exit codes: 0 all done, or nothing to do · 2 wrong usage, or a file that was refused: it is "
    "listed on standard error, the others are done · 130 interrupted: give the same command again "
    "to go on, or --undo."
)
_DIR = "DIR"
_VERDICTS = {
    FiledAs.FLAGGED: Verdict.FLAGGED,
    FiledAs.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    FiledAs.NOT_FLAGGED: Verdict.NOT_FLAGGED,
}


@interruptible()
def apply(
    case: CaseFile = None,
    move: Annotated[
        Path | None, typer.Option(metavar=_DIR, help="Move files to DIR/<label>/.")
    ] = None,
    copy: Annotated[
        Path | None, typer.Option(metavar=_DIR, help="Copy files to DIR/<label>/.")
    ] = None,
    tag: Annotated[
        Path | None,
        typer.Option(
            metavar=_DIR,
            help="Write XMP sidecars below DIR; beside the pictures, if DIR is their folder.",
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last run.")] = False,
    labels: Annotated[
        list[FiledAs] | None,
        typer.Option(
            "--as",
            help="Files with this label, or with this verdict; may be repeated.",
            show_default="ai",
        ),
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Labels of this reviewer only.")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Move, copy or tag the files that were labelled or flagged, or take that back.

    Below DIR/<label>/ the folders of the case are kept. Nothing is overwritten, and a file that is
    not what was labelled is not touched. Images whose reviewers differ stay where they are.
    """
    configure_logging(debug=debug)
    from dgsforensics import console
    from dgsforensics.case import ledger, location, lock
    from dgsforensics.case.store import Case
    from dgsforensics.wording import printable

    ways = {"move": move, "copy": copy, "tag": tag}
    chosen = [(name, folder) for name, folder in ways.items() if folder is not None]
    if len(chosen) + undo != 1:
        raise UsageError("give one of --move, --copy, --tag and --undo")
    if undo and (labels or reviewer):
        raise UsageError("--undo takes back a whole run: --as and --reviewer do not go with it")
    wanted = labels or [FiledAs.AI]
    by_model = set(_VERDICTS) & set(wanted)
    if by_model and tag is not None:
        raise UsageError(
            "a sidecar says what a person said: --tag takes labels, not verdicts",
            "label them first, with dgsf review or dgsf label",
        )
    if by_model and reviewer is not None:
        raise UsageError("--reviewer goes with labels; a verdict is the detector's")
    path = location.find(case)
    if case is None:
        console.notice(printable(f"case file: {path}"))
    with Case.open(path) as opened, nullcontext() if dry else lock.alone(opened):
        if not dry and ledger.settle(opened):
            console.notice("an earlier run was cut off; what it had done is recorded now")
        if undo:
            refused = _undo(opened, dry)
        else:
            [(name, folder)] = chosen
            refused = _carry_out(opened, name, folder, wanted, reviewer, dry)
    raise typer.Exit(ExitCode.ERROR if refused else ExitCode.CLEAN)


def _carry_out(
    case: "Case", name: str, folder: Path, wanted: list[FiledAs], reviewer: str | None, dry: bool
) -> int:
    from dgsforensics import console
    from dgsforensics.case.ledger import OperationKind
    from dgsforensics.review import filing, labels, verdicts
    from dgsforensics.wording import printable

    judgements = [Judgement(name) for name in wanted if name not in _VERDICTS]
    said_by_model = [_VERDICTS[name] for name in wanted if name in _VERDICTS]
    images: list[LabelledImage | ScoredImage] = []
    if judgements:
        images += labels.labelled(case, reviewer, console.notice)
    chosen = set()
    for image in images:
        assert isinstance(image, labels.LabelledImage)
        said = {decision.judgement for decision in image.decisions}
        if image.judgement is None and said & set(judgements):
            console.notice(f"left where it is, because reviewers disagree: {printable(str(image))}")
        if image.judgement in judgements:
            chosen.add(image.sha256)
    found = verdicts.by_verdict(case, said_by_model) if said_by_model else []
    images += [image for image in found if image.sha256 not in chosen]
    plan = filing.plan(case, OperationKind(name), folder, images, [*judgements, *said_by_model])
    refused = _report(filing.carry_out(case, plan, dry=dry), _DONE[name], dry)
    for place, label in filing.outdated(case, plan, reviewer) if name == OperationKind.TAG else ():
        console.notice(printable(f"{place} says {label}, but that label has been taken back"))
    return refused


def _undo(case: "Case", dry: bool) -> int:
    from dgsforensics import console
    from dgsforensics.review import reversal

    runs = reversal.runs(case)
    if not runs:
        console.notice("there is nothing to take back")
    refused = _report(reversal.undo(case, dry=dry), _BACK, dry)
    if len(runs) > 1 and not refused:
        console.notice(f"{len(runs) - 1} earlier runs can be taken back, each with another --undo")
    return refused


_DONE = {"move": "moved", "copy": "copied", "tag": "tagged"}
_BACK = "taken back"


def _report(outcomes: Iterable["FilingResult"], done: str, dry: bool) -> int:
    """Return a line for each file, as it comes, and the counts; how many were refused."""
    from dgsforensics import console
    from dgsforensics.case.ledger import OperationKind
    from dgsforensics.cli import output
    from dgsforensics.wording import printable

    word = f"would be {done}" if dry else done
    counts = {"done": 0, "already": 0, "refused": 0}
    for outcome in outcomes:
        kind, source, target = outcome.operation[2:5]
        if outcome.refused is not None:
            counts["refused"] += 1
            place = target if done == _BACK else source
            console.notice(printable(f"not {done}: {place}: {outcome.refused}"))
        elif outcome.already:
            counts["already"] += 1
        else:
            counts["done"] += 1
            if done != _BACK:
                output.show(f"{word}: {source} -> {target}")
            elif kind == OperationKind.MOVE:
                output.show(f"{word}: {target} -> {source}")
            else:
                output.show(f"{word}: {target}")
    already = f", {counts['already']} were there already" if counts["already"] else ""
    refused = f", {counts['refused']} refused" if counts["refused"] else ""
    if done != _BACK or any(counts.values()):
        console.notice(f"{counted(counts['done'], 'file')} {word}{already}{refused}")
    return counts["refused"]
