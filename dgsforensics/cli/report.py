"""`dgsf report`: a case as a page, on paper, as a table, for programs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgsforensics import atomic
from dgsforensics.cli.options import CaseFile, Debug, Quiet, configure_logging, interruptible
from dgsforensics.errors import UsageError
from dgsforensics.wording import counted

if TYPE_CHECKING:
    from dgsforensics.report.facts import CaseReport

EPILOG = "Exit codes: 0 written · 2 wrong usage, or the case is not sound · 130 interrupted."


@interruptible()
def report(
    case: CaseFile = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A page with pictures.", show_default=False),
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page on paper, A4; takes Chromium, Chrome or Edge.",
            show_default=False,
        ),
    ] = None,
    sarif: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="SARIF 2.1.0, for code hosts.", show_default=False),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A table, a row for each file.", show_default=False),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All that is recorded.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write what a case knows: scores, claims, labels, thresholds, limits, and what was not read.

    Several files may be asked for at once. Nothing is scored, and the case stays as it is; pictures
    in the page are of what lies on the disk now, where that is still what was scanned.
    """
    configure_logging(quiet=quiet, debug=debug)
    named = {"html": html, "pdf": pdf, "sarif": sarif, "csv": csv, "json": json}
    wanted = {name: path for name, path in named.items() if path is not None}
    _check(wanted, force)

    from importlib.metadata import version

    from dgsforensics import console
    from dgsforensics.case import location
    from dgsforensics.case.recording import now
    from dgsforensics.case.store import Case
    from dgsforensics.cli import output
    from dgsforensics.report import facts
    from dgsforensics.report import pdf as printer

    if pdf is not None:
        printer.browser()  # to be missed before the work, not after it
    made = now()
    with Case.open(location.find(case)) as opened:
        found = facts.gather(opened, version("dgsforensics"), made)
    if not quiet:
        told = ", ".join(f"{count} {kind}" for kind, count in found.counts.most_common())
        console.notice(f"{counted(found.files, 'file')}" + (f": {told}" if told else ""))
    for name, content in _contents(found, list(wanted)).items():
        _save(name, content, wanted[name], force)
        output.show(str(wanted[name]))


def _check(wanted: dict[str, Path], force: bool) -> None:
    """Refuse what cannot be written before anything is read."""
    if not wanted:
        raise UsageError(
            "nothing to write", "give --html, --pdf, --sarif, --csv or --json, each with a file"
        )
    places = [os.path.realpath(path) for path in wanted.values()]
    if len(set(places)) < len(places):
        raise UsageError("two formats cannot go to the same file", "give each a name of its own")
    for name, path in wanted.items():
        if not path.absolute().parent.is_dir() or path.is_dir():
            raise UsageError(
                f"--{name}: cannot write {path}", "name a file in a folder that exists"
            )
        if path.exists() and not force:
            raise UsageError(f"--{name}: {path} is there already", "--force overwrites it")


def _contents(found: "CaseReport", names: list[str]) -> dict[str, bytes]:
    """Return what goes into each file."""
    from dgsforensics.report import document, page, pdf, sarif, spreadsheet

    renderers: dict[str, Callable[[CaseReport], bytes]] = {
        "sarif": sarif.render,
        "csv": spreadsheet.render,
        "json": document.render,
    }
    made = {name: renderers[name](found) for name in names if name in renderers}
    if {"html", "pdf"} & set(names):
        shown = page.render(found)
        made["html"] = shown
        if "pdf" in names:
            made["pdf"] = pdf.render(shown)
    return {name: made[name] for name in names}


def _save(name: str, content: bytes, path: Path, force: bool) -> None:
    """Write a file whole or not at all."""
    try:
        atomic.save(content, path, replace=force)
    except FileExistsError as error:
        raise UsageError(f"--{name}: {path} is there already", "--force overwrites it") from error
    except OSError as error:
        raise UsageError(f"--{name}: cannot write {path}: {error.strerror}") from error
