"""`dgsf label`: what an image is, said without the screen."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.cli.options import Debug, Reviewer, configure_logging, interruptible, signature
from dgsforensics.errors import UsageError

EPILOG = (
    "Exit codes: 0 labelled · 2 wrong usage, or an image that is not in the case: then nothing is "
    "written · 130 interrupted."
)
_NONE = "none"
_SQLITE = b"SQLite format 3\0"


@interruptible()
def label(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE] PATH...",
            help="Case file or a folder that was scanned, by default the last one used; then "
            "images, folders (all below them in the case), or sha256: and 8 digits or more.",
            show_default=False,
        ),
    ] = None,
    judgement: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="ai|real|unsure|unfit|none",
            help="What they are; unfit: no image to judge; none: no label any more.",
            show_default=False,
        ),
    ] = "",
    reviewer: Reviewer = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="A note with the label.")] = None,
    files_from: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Read paths from a file or, with -, standard input."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Label images of a case, all of them in one step or none.

    The label belongs to the content of the image, and goes into the log of the case with the score
    that it had.
    """
    configure_logging(debug=debug)
    from dgsforensics import labels, progress
    from dgsforensics.records import Judgement
    from dgsforensics.report import printable
    from dgsforensics.review import Review
    from dgsforensics.store import Case

    known = [*Judgement, _NONE]
    if judgement not in known:
        raise UsageError(f"--as takes {', '.join(known[:-1])} or {_NONE}, got {judgement!r}")
    meant = None if judgement == _NONE else Judgement(judgement)
    who = signature(reviewer)
    path, wanted = _case_and_names(list(names or []))
    if len(wanted) == len(names or []):
        progress.notice(printable(f"case file: {path}"))
    wanted += _listed(files_from)
    if not wanted:
        raise UsageError("nothing to label", "name images or folders after the case")
    with Case.open(path) as case:
        review = Review(case, who)
        chosen = labels.select(review.items, wanted)
        changed = labels.give(review, chosen, meant, note)
    said = "not labelled any more" if meant is None else f"labelled {meant}"
    before = f", {len(chosen) - changed} of them before" if changed < len(chosen) else ""
    progress.notice(f"{len(chosen)} images {said} by {printable(who)}{before}")


def _case_and_names(names: list[str]) -> tuple[Path, list[str]]:
    """The first name is the case where it can be one."""
    from dgsforensics import cases

    if names and _is_case(Path(names[0])):
        return cases.find(Path(names[0])), names[1:]
    return cases.find(None), names


def _is_case(path: Path) -> bool:
    from dgsforensics import cases

    try:
        if path.is_dir():
            return cases.default_path([path]).exists()
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except (OSError, ValueError):  # then it is no case; as an image it need not be there
        return False


def _listed(files_from: str | None) -> list[str]:
    from dgsforensics.folders import read_list

    if files_from is None:
        return []
    if files_from == "-":
        if sys.stdin is None:
            raise UsageError("there is no standard input to read paths from")
        return list(map(str, read_list(sys.stdin.buffer)))
    try:
        with open(files_from, "rb") as stream:
            return list(map(str, read_list(stream)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--files-from: cannot read {files_from}: {reason}") from error
