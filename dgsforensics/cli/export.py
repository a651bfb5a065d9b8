"""`dgsf export`: the labels of a case as a file."""

from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.cli.options import CaseFile, Debug, configure_logging, interruptible
from dgsforensics.errors import UsageError
from dgsforensics.wording import counted

EPILOG = "Exit codes: 0 written · 2 wrong usage, or nothing is labelled · 130 interrupted."
_STDOUT = Path("-")


@interruptible()
def export(
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE.jsonl|FILE.csv|-",
            help="Where to write the labels; -: JSON Lines to standard output.",
            show_default=False,
        ),
    ],
    case: CaseFile = None,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Labels of this reviewer only.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="One row a reviewer, also where reviewers differ.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
    debug: Debug = False,
) -> None:
    """Write what was labelled: a row for each image and place, and a manifest for `dgsf train`.

    An image has the label that all who labelled it agree on; where they differ it is left out, and
    listed on standard error.
    """
    configure_logging(debug=debug)
    from dgsforensics import console
    from dgsforensics.case import location
    from dgsforensics.case.store import Case
    from dgsforensics.cli import output
    from dgsforensics.review import labels as handing
    from dgsforensics.wording import printable

    kinds = {".jsonl": handing.as_jsonl, ".csv": handing.as_csv}
    as_bytes = handing.as_jsonl if labels == _STDOUT else kinds.get(labels.suffix.lower())
    if as_bytes is None:
        raise UsageError(f"--labels: {labels.name} ends neither in .jsonl nor in .csv")
    with Case.open(location.find(case)) as opened:
        found = handing.labelled(opened, reviewer, console.notice)
        rows = list(handing.rows(opened, found, every=every))
    content = as_bytes(rows)
    if labels == _STDOUT:
        output.show(*content.decode().split("\n")[:-1])
    else:
        handing.save(content, labels, force=force)
    differ = [image for image in found if image.judgement is None and not every]
    for image in differ:
        console.notice(f"left out, because reviewers disagree: {printable(str(image))}")
    left_out = f", {len(differ)} left out" if differ else ""
    console.notice(
        f"{counted(len(rows), 'row')} of {counted(len(found) - len(differ), 'image')}{left_out}"
    )
    if labels != _STDOUT:
        output.show(str(labels))
