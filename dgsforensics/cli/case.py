"""`dgsf case`: the case files at hand, their log, and whether it is sound."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.cli import output
from dgsforensics.cli.options import CaseFile, Debug, configure_logging, interruptible
from dgsforensics.errors import CaseError, UsageError
from dgsforensics.wording import counted

EPILOG = "Exit codes: 0 done, sound · 2 wrong usage, or not sound · 130 interrupted."
_DIGITS = 12
"""Of a digest that are shown."""

app = typer.Typer(
    help="List case files, show and verify the log of decisions.",
    no_args_is_help=True,
    epilog=EPILOG,
)


@app.command("list", epilog=EPILOG)
@interruptible()
def list_cases(debug: Debug = False) -> None:
    """List the case files in your data folder, the one used last first."""
    _start(debug)
    from dgsforensics.case import location

    rows = [["last used (UTC)", "scans", "images", "labels", "folder", "case file"]]
    for path in location.known():
        try:
            rows.append([*_facts(path), str(path)])
        except CaseError as error:
            rows.append([f"UNUSABLE: {error.message}"])
    output.table(rows)


@app.command(epilog=EPILOG)
@interruptible()
def verify(
    case: CaseFile = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HEX", help="A head noted earlier: nothing up to there was changed or cut off."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Compute the chain of hashes through the log of decisions again."""
    _start(debug)
    from dgsforensics import console
    from dgsforensics.case import location
    from dgsforensics.case.decisions import Log
    from dgsforensics.case.store import Case

    if head is not None:
        head = head.lower()
        if len(head) != 64 or not set(head) <= set("0123456789abcdef"):
            raise UsageError("--head takes the 64 hexadecimal digits that verify printed")
    path = location.find(case)
    with Case.open(path) as opened:
        sound = Log(opened).verify(head)
    output.show(f"{path}: {counted(sound.entries, 'decision')}, sound", f"head {sound.head}")
    if head is None:
        console.notice(
            "note the head elsewhere: with --head it proves later that nothing up to here was "
            "changed or cut off"
        )


@app.command(epilog=EPILOG)
@interruptible()
def log(
    case: CaseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show all decisions in the order in which they were made."""
    _start(debug)
    from dgsforensics.case import location
    from dgsforensics.case.decisions import Log
    from dgsforensics.case.store import Case
    from dgsforensics.tables import to_json

    path = location.find(case)
    with Case.open(path) as opened:
        decisions = Log(opened).after()
    if as_json:
        facts = [asdict(decision) | {"path": str(decision.path)} for decision in decisions]
        output.show(to_json({"case": str(path), "decisions": facts}))
        return
    rows = [["entry", "time", "reviewer", "action", "label", "sha256", "path"]]
    for decision in decisions:
        what = [decision.reviewer, decision.action, decision.judgement or "-"]
        note = f"  ({decision.note})" if decision.note else ""
        place = [decision.sha256[:_DIGITS], f"{decision.path}{note}"]
        rows.append([str(decision.id), decision.time, *what, *place])
    output.table(rows)


def _start(debug: bool) -> None:
    configure_logging(debug=debug)
    output.start()


def _facts(path: Path) -> list[str]:
    """Return when it was last used, how much it holds, and of which folder."""
    from dgsforensics.case import contents
    from dgsforensics.case.decisions import Log, standing
    from dgsforensics.case.store import Case
    from dgsforensics.review import filing

    with Case.open(path) as case:
        scans, decisions = case.scans(), Log(case).after()
        images = len({sha256 for _, sha256 in contents.locations(case)} - {None})
        root = str(filing.origins(case)[0]) if images else "-"
    times = [(scan.finished or scan.started).isoformat() for scan in scans]
    times += [decision.time for decision in decisions[-1:]]
    given = standing(decisions).values()
    labelled = sum(any(d.judgement for d in mine.values()) for mine in given)
    last = max(times)[:16].replace("T", " ") if times else "-"
    return [last, str(len(scans)), str(images), str(labelled), root]
