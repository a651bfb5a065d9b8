"""`dgsf`: wires the commands together, catches what they raise, exits.

A module holds one command or one group of them, and is registered with one line below. Heavy
imports happen inside the functions that are the commands.
"""

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from dgsforensics.cli import (
    apply,
    calibrate,
    case,
    evaluate,
    export,
    inspect,
    label,
    models,
    output,
    report,
    review,
    scan,
    train,
)
from dgsforensics.cli.options import SCAN_EPILOG
from dgsforensics.console import abandon_stdout
from dgsforensics.errors import DgsError, ExitCode

WIDEST = 1000
"""Columns of help, where the terminal has them."""
NOT_IN_SETTINGS = (
    *("--output", "--case", "--files-from", "--help", "--reviewer"),
    *("--out", "--config", "--resume", "--force", "--from-case", "--as", "--note", "--labels"),
    *("--html", "--pdf", "--sarif", "report --csv", "report --json", "--scores", "--name"),
    *("--only", "--list-skipped", "--yes"),
    *("--all", "--move", "--copy", "--tag", "--undo"),
)
"""Of one run only: a settings file beside the pictures must not choose what is written."""

app = typer.Typer(
    rich_markup_mode=None,
    name="dgsf",
    help="Find AI-generated images in a folder, offline. A signal, not proof.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
    pretty_exceptions_enable=False,
)
app.command(epilog=SCAN_EPILOG)(scan.scan)
app.command(epilog=review.EPILOG)(review.review)
app.command(epilog=inspect.EPILOG)(inspect.inspect)
app.command(epilog=report.EPILOG)(report.report)
app.command(epilog=train.EPILOG)(train.train)
app.command("eval", epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=calibrate.EPILOG)(calibrate.calibrate)
app.command(epilog=label.EPILOG)(label.label)
app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=apply.EPILOG)(apply.apply)
app.add_typer(case.app, name="case")
app.add_typer(models.app, name="models")


def run() -> NoReturn:
    """Run `main` as the console script does, and leave without the destructors of libraries.

    At a normal exit a thread inside torch now and then aborts the process (exit code 134; one scan
    in ten beside a busy one, torch 2.14.1, after everything was written).
    """
    try:
        main()
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else ExitCode.ERROR
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # a reader that has seen enough; the code says what came out
            abandon_stdout()
        except OSError as error:
            code = ExitCode.ERROR
            print(f"dgsf: cannot write the results: {error.strerror}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(code)


def main() -> NoReturn:
    """Run the command line; every way out is a `SystemExit` with a documented exit code.

    Typer exits by itself for wrong usage (2) and for what a command raises as `typer.Exit`.
    """
    debug = "--debug" in sys.argv
    _open_streams()
    output.start()
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
        abandon_stdout()
    sys.exit(ExitCode.ERROR)


def _open_streams() -> None:
    """Stand in for streams that are closed: the next file opened would get their number, and what
    is printed would end up in it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            stream = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)


def _complain(message: str, hint: str | None, debug: bool) -> None:
    from dgsforensics.wording import printable

    if debug:
        traceback.print_exc()
    print(f"dgsf: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"      {printable(hint)}", file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dgsf {version('dgsforensics')}")
        raise typer.Exit


@app.callback(epilog=SCAN_EPILOG)
def _configure(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find AI-generated images in a folder, offline. A signal, not proof."""
    # Settings are for plain commands; of a group, such as `models`, none can be set.
    from dgsforensics import settings

    group = context.command
    assert isinstance(group, TyperGroup)
    names = {
        name: {
            option.removeprefix("--"): parameter.name or ""
            for parameter in ([] if isinstance(command, TyperGroup) else command.params)
            for option in parameter.opts
            if option.startswith("--") and not {option, f"{name} {option}"} & set(NOT_IN_SETTINGS)
        }
        for name, command in group.commands.items()
    }
    context.default_map = settings.load(names)
