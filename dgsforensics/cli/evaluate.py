"""`dgsf eval`: how good detectors are on labelled images."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgsforensics import atomic
from dgsforensics.choices import DeviceName, SliceBy
from dgsforensics.cli.options import (
    BackboneWeights,
    Batch,
    Debug,
    Device,
    Quiet,
    Verbose,
    Workers,
    configure_logging,
    detector_names,
    interruptible,
)
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.wording import counted

if TYPE_CHECKING:
    from dgsforensics.evaluation.output import Evaluation

EPILOG = (
    "Exit codes: 0 done · 2 wrong usage, or no image could be read · 130 interrupted, run it again "
    "to go on."
)
_SHOWN = 20
"""Files without a score that are named on standard error; JSON and HTML name all."""


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with real/ and fake/ (or 0_real/, 1_fake/) at any depth, or a manifest "
            "(.jsonl, .csv) with path and label. What is for training is left out.",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="DGSF_MODEL",
            metavar="NAME|FILE",
            help="Detector; several are compared with the first.",
            autocompletion=detector_names,
            show_default="the bundled detector",
        ),
    ] = None,
    tiers: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="What is done to the images first: clean, web, hard, with commas."
        ),
    ] = "clean",
    by: Annotated[SliceBy, typer.Option(help="How figures are split up.")] = SliceBy.GENERATOR,
    fpr: Annotated[
        list[float] | None,
        typer.Option(
            metavar="RATE",
            help="Also at this false-positive rate: TPR, and verdicts at the calibrated threshold; "
            "may be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a page with diagrams.", show_default=False),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Keep scores here, and use those that are there.",
            show_default="one for DATA, in the user's cache",
        ),
    ] = None,
    backbone_weights: BackboneWeights = None,
    device: Device = DeviceName.AUTO,
    batch: Batch = None,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Evaluate detectors on labelled images.

    For all images and for each generator: accuracies, AP, AUROC, TPR at fixed false-positive rates
    and calibration, with 95 % intervals. Scores are kept: run it again after an interruption, or
    with other options, and only what is missing is scored.
    """
    from dgsforensics import console
    from dgsforensics.evaluation import run
    from dgsforensics.evaluation.scores import default_path
    from dgsforensics.evaluation.tiers import parse
    from dgsforensics.wording import printable

    configure_logging(quiet=quiet, verbose=verbose, debug=debug)
    if as_json and as_csv:
        raise UsageError("choose one of --json and --csv")
    request = run.EvaluationRequest(
        data=data,
        models=[str(name) for name in model] if model else [None],
        tiers=parse(tiers),
        by=by,
        rates=tuple(sorted(set(fpr or []))),
        scores=default_path(data) if scores is None else scores,
        backbone_weights=backbone_weights,
        device=device,
        batch=batch,
        workers=workers,
    )
    if html is not None:
        _refuse_unwritable(html)
    with interruptible():
        try:
            with console.stages(quiet) as tell:
                found = run.run(request, tell)
        except KeyboardInterrupt:
            if not quiet:
                console.notice(f"scores so far are kept in {printable(request.scores)}")
            raise
        if not quiet:
            _remark(found)
        if html is not None:
            _write_page(found, html)
        _print(found, as_json=as_json, as_csv=as_csv)


def _remark(found: "Evaluation") -> None:
    """Tell on standard error what a person has to know about the data."""
    from dgsforensics import console
    from dgsforensics.wording import printable

    for note in found.notes:
        console.notice(printable(note))
    if found.copies:
        console.notice(f"{counted(found.copies, 'image')} left out: copies.")
    if found.unread:
        console.notice(f"{counted(len(found.unread), 'file')} could not be evaluated:")
        for unread in found.unread[:_SHOWN]:
            console.notice(f"  {printable(unread.path)}: {printable(unread.reason)}")
        if len(found.unread) > _SHOWN:
            console.notice(f"  and {len(found.unread) - _SHOWN} more, which --json lists")


def _refuse_unwritable(page: Path) -> None:
    """Refuse a page that cannot be written before hours of work are done for it."""
    if not page.absolute().parent.is_dir() or page.is_dir():
        raise UsageError(f"--html: cannot write {page}", "name a file in a folder that exists")


def _write_page(found: "Evaluation", file: Path) -> None:
    """Write the page whole or not at all."""
    from dgsforensics.evaluation import page

    try:
        atomic.write_text(page.render(found), file)
    except OSError as error:
        raise UsageError(f"--html: cannot write {file}: {error.strerror}") from error


def _print(found: "Evaluation", *, as_json: bool, as_csv: bool) -> None:
    """Print the results to standard output."""
    from rich.console import Console

    from dgsforensics.evaluation import output, protocol_table

    try:
        if as_json:
            sys.stdout.write(output.as_json(found))
        elif as_csv:
            sys.stdout.write(output.as_csv(found))
        else:
            # Away from a terminal nothing limits the width.
            width = None if sys.stdout.isatty() else 1000
            console = Console(width=width, highlight=False, markup=False, emoji=False)
            for table in [*output.tables(found), *protocol_table.tables(found)]:
                console.print(table)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # a reader that has seen enough
    except OSError as error:
        raise UsageError(f"cannot write the results: {error.strerror}") from error
    raise typer.Exit(ExitCode.CLEAN)
