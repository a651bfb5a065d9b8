"""`dgsf case rm`, `merge` and `move`: case files as a whole."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.cli import output
from dgsforensics.cli.options import Debug, configure_logging, interruptible
from dgsforensics.errors import UsageError
from dgsforensics.wording import counted, printable


@interruptible()
def remove(
    cases: Annotated[
        list[Path],
        typer.Argument(metavar="CASE...", help="Case files, or folders that were scanned."),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    debug: Debug = False,
) -> None:
    """Delete case files with their labels; the pictures are not touched.

    Scores stay in your store of scores: a new scan of the same pictures runs the model on nothing.
    """
    configure_logging(debug=debug)
    from dgsforensics.case import location, relocation
    from dgsforensics.case.decisions import Log
    from dgsforensics.case.store import Case

    found = []
    for named in cases:
        path = location.find(named)
        with Case.open(path) as opened:
            found.append((path, len(Log(opened).after())))
    for path, decisions in found:
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError(f"{path}: {counted(decisions, 'decision')}", "--yes deletes it")
            said = f"Delete {printable(path)} with {counted(decisions, 'decision')}?"
            if not typer.confirm(said, err=True):
                continue
        path.unlink()
        relocation.delete_beside(path)
        output.show(f"deleted: {path}")


@interruptible()
def merge(
    into: Annotated[Path, typer.Argument(metavar="CASE", help="What is added to.")],
    others: Annotated[
        list[Path], typer.Argument(metavar="OTHER...", help="What is added; stays as it is.")
    ],
    debug: Debug = False,
) -> None:
    """Add what other cases know: files, scores, and decisions with their reviewers and times.

    Of two decisions of a reviewer on an image the later one stands. What apply did stays with the
    case that it was done for.
    """
    configure_logging(debug=debug)
    from dgsforensics.case import location, merging
    from dgsforensics.case.store import Case

    target = location.find(into)
    for named in others:
        path = location.find(named)
        if path.samefile(target):
            raise UsageError(f"{path}: a case is not merged with itself")
        with Case.open(target) as opened, Case.open(path) as other:
            count = merging.merge(opened, other)
        output.show(
            f"{path}: {counted(count.files, 'file')}, {counted(count.scores, 'score')} and "
            f"{counted(count.decisions, 'decision')} added"
        )


@interruptible()
def move(
    case: Annotated[
        Path, typer.Argument(metavar="CASE", help="A case file, or the folder as it was named.")
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="The folder where the pictures lie now; or a new name that ends in .sqlite3.",
        ),
    ],
    debug: Debug = False,
) -> None:
    """Tell a case where its pictures lie now, or give the case file another place.

    A folder that was renamed as a whole needs no telling: the next scan of it notices.
    """
    configure_logging(debug=debug)
    from dgsforensics.case import location, relocation
    from dgsforensics.case.store import Case
    from dgsforensics.files.content import is_folder

    # Of a folder that is gone the case file still goes by its name.
    path = location.default_path([case / "x"]) if not case.exists() else location.find(case)
    if not path.exists():
        raise UsageError(f"{case}: no case file or folder that was scanned", "see dgsf case list")
    if target.suffix == location.SUFFIX:
        relocation.rename(path, target)
        output.show(f"{path} -> {target}")
        return
    if not is_folder(target):
        raise UsageError(
            f"{target}: no such folder", f"name a folder, or a file that ends in {location.SUFFIX}"
        )
    with Case.open(path) as opened:
        old = relocation.root(opened)
        if old is None:
            raise UsageError(f"{path}: its files have no folder in common")
        new = Path(target.absolute())
        renamed = location.default_path([target])
        in_folder = path.parent == location.folder()
        if in_folder and renamed != path and renamed.exists():
            raise UsageError(f"{target} has a case of its own", f"dgsf case merge {target} {path}")
        relocation.rebase(opened, old, new)
    if in_folder and renamed != path:
        relocation.rename(path, renamed)
    output.show(f"{old} -> {new}")
