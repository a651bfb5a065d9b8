"""`dgsf label`: what an image is, said without the screen."""

from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.choices import LabelName
from dgsforensics.cli.options import Debug, Reviewer, configure_logging, interruptible, signature
from dgsforensics.errors import UsageError
from dgsforensics.wording import counted

EPILOG = (
    "Exit codes: 0 labelled · 2 wrong usage, or an image that is not in the case: then nothing is "
    "written · 130 interrupted."
)


@interruptible()
def label(
    judgement: Annotated[
        LabelName,
        typer.Option(
            "--as",
            help="What they are; unfit: no image to judge; none: no label any more.",
            show_default=False,
        ),
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CASE] PATH...",
            help="Case file or a folder that was scanned, by default the last one used; then "
            "images, folders (all below them in the case), or sha256: and 8 digits or more.",
            show_default=False,
        ),
    ] = None,
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
    from dgsforensics import console
    from dgsforensics.case.store import Case
    from dgsforensics.files.lists import read_list_from
    from dgsforensics.judgements import Judgement, Showing, Sight
    from dgsforensics.review import labels
    from dgsforensics.review.session import Review
    from dgsforensics.wording import printable

    meant = None if judgement == LabelName.NONE else Judgement(judgement)
    who = signature(reviewer)
    path, wanted = _case_and_names(list(names or []))
    if len(wanted) == len(names or []):
        console.notice(printable(f"case file: {path}"))
    if files_from is not None:
        wanted += map(str, read_list_from(files_from))
    if not wanted:
        raise UsageError("nothing to label", "name images or folders after the case")
    with Case.open(path) as case:
        review = Review(case, who)
        chosen = labels.select(review.items, wanted)
        unseen = Sight(Showing.COMMAND)
        changed = review.label(chosen, meant, note, sight=unseen, others=unseen)
    said = "not labelled any more" if meant is None else f"labelled {meant}"
    before = f", {len(chosen) - changed} of them before" if changed < len(chosen) else ""
    console.notice(f"{counted(len(chosen), 'image')} {said} by {printable(who)}{before}")


def _case_and_names(names: list[str]) -> tuple[Path, list[str]]:
    """Return the first name is the case where it can be one."""
    from dgsforensics.case import location

    if names and _is_case(Path(names[0])):
        return location.find(Path(names[0])), names[1:]
    return location.find(None), names


def _is_case(path: Path) -> bool:
    from dgsforensics.case import location
    from dgsforensics.files.content import is_folder

    return location.default_path([path]).exists() if is_folder(path) else location.is_case(path)
