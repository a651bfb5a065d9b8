"""`dgsf`: parses, wires, prints, exits. Heavy imports happen inside the commands."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from dgsforensics.errors import DgsError, ExitCode, UsageError

EPILOG = (
    "Exit codes: 0 nothing flagged · 1 something flagged · 2 wrong usage, or nothing flagged and "
    "a file that could not be read · 130 interrupted. Settings: flags, then DGSF_* variables, then "
    "./dgsf.toml, then config.toml in the user's configuration folder."
)

NOT_IN_SETTINGS = ("--output", "--case", "--files-from", "--help")
"""Of one run only: a settings file beside the pictures must not choose what is written."""

app = typer.Typer(
    name="dgsf",
    help="Find AI-generated images in a folder, offline. A signal, not proof.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def run() -> NoReturn:
    """Entry point of the console script: `main`, then out without the destructors of libraries.

    At a normal exit a thread inside torch now and then aborts the process (exit code 134; one scan
    in ten beside a busy one, torch 2.14.1, after everything was written).
    """
    try:
        main()
    except SystemExit as exit:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(exit.code if isinstance(exit.code, int) else ExitCode.ERROR)


def main() -> NoReturn:
    """Every way out is a `SystemExit` with the exit code that is documented.

    Typer exits by itself for wrong usage (2) and for what a command raises as `typer.Exit`.
    """
    debug = "--debug" in sys.argv
    try:
        app()
    except DgsError as error:
        _complain(error.message, error.hint, debug)
    except Exception as error:  # a defect of ours: say so without a wall of text
        message = f"internal error: {type(error).__name__}: {error}"
        _complain(message, "run it again with --debug for a full report", debug)
    try:
        sys.stdout.flush()
    except OSError:  # the cause has been said; Python would say it again at exit
        _abandon_stdout()
    sys.exit(ExitCode.ERROR)


def _abandon_stdout() -> None:
    """Give what is still unwritten to nobody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, hint: str | None, debug: bool) -> None:
    from dgsforensics.report import printable

    if debug:
        traceback.print_exc()
    print(f"dgsf: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"      {printable(hint)}", file=sys.stderr)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Give Ctrl-C and a vanished reader their codes; left to Typer, the latter is 1: flagged."""
    try:
        yield
    except KeyboardInterrupt:
        print("dgsf: interrupted", file=sys.stderr)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        _abandon_stdout()
        raise typer.Exit(ExitCode.ERROR) from None


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dgsf {version('dgsforensics')}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def _configure(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find AI-generated images in a folder, offline. A signal, not proof."""
    from dgsforensics import settings

    group = context.command
    assert isinstance(group, TyperGroup)
    names = {
        name: {
            option.removeprefix("--"): parameter.name or ""
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--") and option not in NOT_IN_SETTINGS
        }
        for name, command in group.commands.items()
    }
    context.default_map = settings.load(names)


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch is auto or a whole number from 1, got {text!r}")
    return int(text)


@app.command(epilog=EPILOG)
def scan(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Images and folders.", show_default=False)
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Read paths from a file or, with -, standard input."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(envvar="DGSF_MODEL", metavar="NAME|FILE", help="Detector.")
    ] = None,
    backbone_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="DGSF_BACKBONE_WEIGHTS", metavar="FILE", help="Local file with the CLIP weights."
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            envvar="DGSF_DEVICE", metavar="auto|cpu|cuda|mps", help="Where the model runs."
        ),
    ] = "auto",
    batch: Annotated[
        str, typer.Option(envvar="DGSF_BATCH", metavar="N|auto", help="Images in a forward pass.")
    ] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            envvar="DGSF_WORKERS",
            min=1,
            metavar="N",
            help="Decoding threads.",
            show_default="auto",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            envvar="DGSF_THRESHOLD", metavar="P", help="Flag from this probability, 0 to 1."
        ),
    ] = None,
    fpr: Annotated[
        float | None,
        typer.Option(
            envvar="DGSF_FPR",
            metavar="RATE",
            help="Flag at this false-positive rate, e.g. 0.01, as calibrated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write here; the suffix chooses the format."
        ),
    ] = None,
    case: Annotated[
        Path | None,
        typer.Option(
            envvar="DGSF_CASE",
            metavar="FILE",
            help="Case file.",
            show_default="one a folder, in the user's data",
        ),
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache", help="Score all again; without --case, keep no case file either."
        ),
    ] = False,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out; may be repeated.")
    ] = None,
    follow_symlinks: Annotated[
        bool, typer.Option("--follow-symlinks", help="Follow symbolic links inside folders.")
    ] = False,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Refuse larger pictures.", show_default="250 million"
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001, metavar="SECONDS", help="Give up on a file after that.", show_default="30"
        ),
    ] = None,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 once the scan has run through.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything, show tracebacks.")
    ] = False,
) -> None:
    """Score images and list those that look generated.

    Results go to standard output, everything else to standard error. What was scored is kept in a
    case file: a second scan of the same images runs the model on nothing, an interrupted one goes
    on where it stopped.
    """
    from dgsforensics import scanning
    from dgsforensics.files import Limits

    _configure_logging(quiet=quiet, verbose=verbose, debug=debug)
    formats = {"as_json": as_json, "as_jsonl": as_jsonl, "as_csv": as_csv}
    chosen = _strongest(context, [name for name, on in formats.items() if on])
    limits = {"threshold": threshold, "fpr": fpr}
    cut = _strongest(context, [name for name, value in limits.items() if value is not None])
    if len(chosen) > 1:
        raise UsageError("choose one of --json, --jsonl and --csv")
    if not paths and files_from is None:
        raise UsageError("nothing to scan", "give images, folders or --files-from")

    given: dict[str, Any] = {"max_pixels": max_pixels, "max_seconds": max_seconds}
    request = scanning.Request(
        paths=list(paths or []),
        files_from=files_from,
        model=model,
        backbone_weights=backbone_weights,
        device=device,
        batch=_batch(batch),
        workers=workers,
        threshold=threshold if "threshold" in cut else None,
        fpr=fpr if "fpr" in cut else None,
        format=chosen[0].removeprefix("as_") if chosen else None,
        output=output,
        case=case,
        use_cache=not no_cache,
        exclude=list(exclude or []),
        follow_symlinks=follow_symlinks,
        limits=Limits(**{name: value for name, value in given.items() if value is not None}),
        settings=[n.removeprefix("as_") for n in context.params if _rank(context, n) == 1],
        quiet=quiet,
    )
    with _interruptible():
        code = scanning.run(request)
    if exit_zero and code != ExitCode.INTERRUPTED:
        code = ExitCode.CLEAN
    raise typer.Exit(int(code))


def _rank(context: typer.Context, parameter: str) -> int:
    """How strongly a value was asked for: 3 by flag, 2 by variable, 1 by settings file, 0 not."""
    source = context.get_parameter_source(parameter)
    order = ("DEFAULT_MAP", "ENVIRONMENT", "COMMANDLINE")
    return order.index(source.name) + 1 if source is not None and source.name in order else 0


def _strongest(context: typer.Context, given: list[str]) -> list[str]:
    """Of options that exclude each other, those asked for most strongly."""
    top = max((_rank(context, name) for name in given), default=0)
    return [name for name in given if _rank(context, name) == top]


def _configure_logging(*, quiet: bool, verbose: bool, debug: bool) -> None:
    from rich.file_proxy import FileProxy

    from dgsforensics.progress import console

    level = logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(
        stream=FileProxy(console(), sys.stderr),  # above the bar, where there is one
        format="dgsf: %(message)s",
        level=logging.DEBUG if debug else level,
    )
    logging.getLogger("PIL").setLevel(logging.DEBUG if debug else logging.ERROR)
    if not debug:
        logging.getLogger("dgsforensics").setLevel(logging.INFO if verbose else level)


if __name__ == "__main__":
    run()
