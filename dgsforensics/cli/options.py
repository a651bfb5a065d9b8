"""What the commands have in common: options, exit codes, interruption, logging."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.choices import DeviceName
from dgsforensics.console import abandon_stdout
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.interrupts import terminable

SETTINGS = (
    "Settings: flags, then DGSF_* variables, then ./dgsf.toml, then config.toml in the user's "
    "configuration folder."
)
SCAN_EPILOG = (
    "Exit codes: 0 nothing flagged · 1 something flagged · 2 wrong usage, nothing to scan, or "
    f"nothing flagged and a file that could not be read · 130 interrupted. {SETTINGS}"
)

Debug = Annotated[bool, typer.Option("--debug", help="Log everything, show tracebacks.")]


def detector_names(incomplete: str) -> list[str]:
    """Return the names of detectors that begin so, for completion."""
    from dgsforensics.detector import folders

    return [name for name in folders.available() if name.startswith(incomplete)]


def _batch_size(text: str) -> int | None:
    """Read a batch size; raises what Typer shows as a wrong value."""
    if str(text) == "auto":
        return None
    if not str(text).isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither auto nor a whole number from 1.")
    return int(text)


Model = Annotated[
    str | None,
    typer.Option(
        envvar="DGSF_MODEL",
        metavar="NAME|FILE",
        help="Detector.",
        autocompletion=detector_names,
    ),
]
Device = Annotated[DeviceName, typer.Option(envvar="DGSF_DEVICE", help="Where the model runs.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        envvar="DGSF_THRESHOLD",
        metavar="P",
        help="Flag from this probability, 0 to 1.",
        show_default="that of --fpr",
    ),
]
Fpr = Annotated[
    float | None,
    typer.Option(
        envvar="DGSF_FPR",
        metavar="RATE",
        help="Flag at this false-positive rate, as calibrated.",
        show_default="0.01, or the least the calibration supports",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        envvar="DGSF_WORKERS", min=1, metavar="N", help="Decoding threads.", show_default="auto"
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(
        envvar="DGSF_BATCH",
        parser=_batch_size,
        metavar="N|auto",
        help="Images in a forward pass.",
        show_default="auto",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
BackboneWeights = Annotated[
    Path | None,
    typer.Option(
        envvar="DGSF_BACKBONE_WEIGHTS", metavar="FILE", help="Local file with the CLIP weights."
    ),
]
CaseFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CASE]",
        help="Case file, or a folder that was scanned.",
        show_default="the last one used",
    ),
]


Reviewer = Annotated[
    str | None,
    typer.Option(
        envvar="DGSF_REVIEWER", metavar="NAME", help="Who says so.", show_default="login name"
    ),
]


def signature(reviewer: str | None) -> str:
    """Return the name that labels are signed with."""
    if reviewer is None:
        from dgsforensics.scan.surroundings import login_name

        reviewer = login_name()
    if reviewer is None:
        raise UsageError("there is no login name to sign the labels with", "give --reviewer")
    if not (name := reviewer.strip()):
        raise UsageError("--reviewer: a label needs a name")
    return name


@contextmanager
def interruptible() -> Iterator[None]:
    """Give Ctrl-C, SIGTERM and a vanished reader their codes; left to Typer, the latter is 1."""
    try:
        with terminable():
            yield
    except KeyboardInterrupt:
        print("dgsf: interrupted", file=sys.stderr)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        abandon_stdout()
        raise typer.Exit(ExitCode.ERROR) from None


def command_line() -> tuple[str, ...]:
    """Return the command as it was typed, for the record."""
    return ("dgsf", *sys.argv[1:])


def configure_logging(*, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
    """Send log messages to standard error; below warnings only on request."""
    from rich.file_proxy import FileProxy

    from dgsforensics.console import console

    level = logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(
        stream=FileProxy(console(), sys.stderr),  # above the bar, where there is one
        format="dgsf: %(message)s",
        level=logging.DEBUG if debug else level,
    )
    logging.getLogger("PIL").setLevel(logging.DEBUG if debug else logging.ERROR)
    if not debug:
        logging.getLogger("dgsforensics").setLevel(logging.INFO if verbose else level)


def rank(context: typer.Context, parameter: str) -> int:
    """Return how strongly a value was asked for: 3 by flag, 2 by variable, 1 by settings file, 0
    not.
    """
    source = context.get_parameter_source(parameter)
    order = ("DEFAULT_MAP", "ENVIRONMENT", "COMMANDLINE")
    return order.index(source.name) + 1 if source is not None and source.name in order else 0


def unasked(context: typer.Context) -> tuple[str, ...]:
    """Return the options that no flag asked for, with where each comes from, in their order."""
    found = []
    for parameter in context.command.params:
        name = parameter.name or ""
        flags = [flag for flag in parameter.opts if flag.startswith("--")]
        match rank(context, name):
            case 1:
                found.append(f"{flags[0] if flags else name} (settings file)")
            case 2:
                value = parameter.envvar
                found.append(f"{value if isinstance(value, str) else name} (variable)")
    return tuple(found)
