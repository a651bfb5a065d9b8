"""`dgsf inspect`: all about one file, on one page."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.choices import DeviceName
from dgsforensics.cli.options import (
    BackboneWeights,
    Debug,
    Device,
    Fpr,
    Model,
    Quiet,
    Threshold,
    configure_logging,
    interruptible,
)
from dgsforensics.errors import ExitCode
from dgsforensics.records import Failure, Prediction, Verdict

EPILOG = (
    "Exit codes: 0 nothing flagged · 1 something flagged · 2 wrong usage, or nothing flagged and a "
    "file that could not be read · 130 interrupted."
)


@interruptible()
def inspect(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Images.", show_default=False)
    ],
    model: Model = None,
    backbone_weights: BackboneWeights = None,
    device: Device = DeviceName.AUTO,
    threshold: Threshold = None,
    fpr: Fpr = None,
    case: Annotated[
        Path | None,
        typer.Option(
            metavar="CASE",
            help="Also name what looks alike in this case file, or folder that was scanned.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show all about a file: its score, what it claims, how it is built, its hashes.

    The score stands on its scale, with both thresholds and what they were measured on. Claims are
    never part of it, and their absence is no evidence. No case is made or changed.
    """
    configure_logging(quiet=quiet, debug=debug)
    from dgsforensics.case import location
    from dgsforensics.cli import output
    from dgsforensics.report import inspection, inspection_page
    from dgsforensics.scan.request import ScanRequest

    request = ScanRequest(
        paths=files,
        model=model,
        backbone_weights=backbone_weights,
        device=device,
        threshold=threshold,
        fpr=fpr,
        makes_case=False,
    )
    found = inspection.inspect(request, None if case is None else location.find(case))
    if as_json:
        output.show(inspection_page.as_json(found))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        output.show(*inspection_page.lines(found, width))
    raise typer.Exit(_exit_code([one.row for one in found.files]))


def _exit_code(rows: list[Prediction | Failure]) -> ExitCode:
    if any(isinstance(row, Prediction) and row.verdict == Verdict.FLAGGED for row in rows):
        return ExitCode.FLAGGED
    return ExitCode.ERROR if any(isinstance(row, Failure) for row in rows) else ExitCode.CLEAN
