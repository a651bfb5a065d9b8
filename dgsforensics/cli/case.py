"""`dgsf case`: the case files at hand, what is in them, and whether that is sound."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.cli import case_files, output, seal
from dgsforensics.cli.options import CaseFile, Debug, configure_logging, interruptible
from dgsforensics.errors import CaseError, UsageError
from dgsforensics.wording import counted

EPILOG = "Exit codes: 0 done, sound · 2 wrong usage, or not sound · 130 interrupted."
_DIGITS = 12
"""Of a digest that are shown."""

app = typer.Typer(
    rich_markup_mode=None,
    help="List, show, verify, seal, merge, move and remove case files.",
    no_args_is_help=True,
    epilog=EPILOG,
)


@app.command("list", epilog=EPILOG)
@interruptible()
def list_cases(debug: Debug = False) -> None:
    """List the case files in your data folder, the one used last first."""
    configure_logging(debug=debug)
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
            metavar="HEX",
            help="A head noted earlier: nothing up to there was changed or cut off. With --sealed "
            "the digest that seal printed.",
        ),
    ] = None,
    sealed: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Check what seal wrote, and every picture where it lay, instead of a case.",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Check the database, every score and the chain of decisions, and say what that covers."""
    configure_logging(debug=debug)
    from dgsforensics import console
    from dgsforensics.case import location
    from dgsforensics.case.store import Case
    from dgsforensics.case.verification import verify

    if head is not None:
        head = head.lower()
        if len(head) != 64 or not set(head) <= set("0123456789abcdef"):
            raise UsageError("--head takes the 64 hexadecimal digits that were printed")
    if sealed is not None:
        if case is not None:
            raise UsageError("give a case or --sealed, not both")
        seal.verify_sealed(sealed, head)
        return
    path = location.find(case)
    with Case.open(path) as opened:
        sound = verify(opened, head)
    output.show(
        f"{path}: sound",
        "database: whole, as SQLite checks it",
        f"scores: {sound.scores}, of {counted(sound.images, 'image')}, each as it was written",
        f"decisions: {sound.log.entries}, in an unbroken chain",
        f"head {sound.log.head}",
    )
    console.notice(
        "not covered: where files lie, and why some gave no score; nor does a hash stop those who "
        "can write the file and make new ones"
    )
    if head is None:
        console.notice(
            "note the head elsewhere: with --head it proves later that no decision up to here was "
            "changed or cut off"
        )


@app.command(epilog=EPILOG)
@interruptible()
def show(case: CaseFile = None, debug: Debug = False) -> None:
    """Show what is in a case: its folder, its scans, what came out, who labelled how much."""
    configure_logging(debug=debug)
    from collections import Counter

    from dgsforensics.case import location, relocation
    from dgsforensics.case.decisions import Log, standing
    from dgsforensics.case.store import Case
    from dgsforensics.review.session import Review
    from dgsforensics.wording import chance, listed

    path = location.find(case)
    with Case.open(path) as opened:
        scans, root = opened.scans(), relocation.root(opened)
        kinds = Counter(str(item.kind) for item in Review(opened, "").items)
        given = standing(Log(opened).after())
    labels: Counter[str] = Counter()
    for mine in given.values():
        for decision in mine.values():
            if decision.judgement is not None:
                labels[f"{decision.judgement} by {decision.reviewer}"] += 1
    output.show(f"case file: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    output.show(f"folder: {'-' if root is None else root}")
    output.show(f"files: {kinds.total()}" + (f" ({listed(kinds)})" if kinds else ""))
    output.show(f"labels: {listed(labels) or 'none'}")
    rows = [["scan", "begun (UTC)", "ended", "detector", "flagged from", "version"]]
    for scan in scans:
        made = scan.settings
        ended = "-" if scan.finished is None else scan.finished.isoformat()[11:16]
        detector = f"{made.model} {made.model_sha256[:_DIGITS]}"
        began = scan.started.isoformat()[:16].replace("T", " ")
        threshold = chance(made.threshold)
        rows.append([str(scan.id), began, ended, detector, threshold, made.tool_version])
    output.table(rows)


@app.command(epilog=EPILOG)
@interruptible()
def log(
    case: CaseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    debug: Debug = False,
) -> None:
    """Show all decisions in the order in which they were made."""
    configure_logging(debug=debug)
    from dgsforensics.case import location
    from dgsforensics.case.decisions import Log
    from dgsforensics.case.store import Case
    from dgsforensics.review import phrases
    from dgsforensics.tables import to_json

    path = location.find(case)
    with Case.open(path) as opened:
        decisions = Log(opened).after()
    if as_json:
        facts = [asdict(decision) | {"path": str(decision.path)} for decision in decisions]
        output.show(to_json({"case": str(path), "decisions": facts}))
        return
    rows = [["entry", "time", "reviewer", "action", "label", "picture", "sha256", "path"]]
    for decision in decisions:
        what = [decision.reviewer, decision.action, decision.judgement or "-"]
        what.append(phrases.sight(decision.sight))
        note = f"  ({decision.note})" if decision.note else ""
        place = [decision.sha256[:_DIGITS], f"{decision.path}{note}"]
        rows.append([str(decision.id), decision.time, *what, *place])
    output.table(rows)


app.command(epilog=EPILOG)(seal.seal)
app.command("rm", epilog=EPILOG)(case_files.remove)
app.command(epilog=EPILOG)(case_files.merge)
app.command(epilog=EPILOG)(case_files.move)


def _facts(path: Path) -> list[str]:
    """Return when it was last used, how much it holds, and of which folder."""
    from dgsforensics.case import contents, relocation
    from dgsforensics.case.decisions import Log, standing
    from dgsforensics.case.store import Case

    with Case.open(path) as case:
        scans, decisions = case.scans(), Log(case).after()
        images = len({sha256 for _, sha256 in contents.locations(case)} - {None})
        root = relocation.root(case)
    times = [(scan.finished or scan.started).isoformat() for scan in scans]
    times += [decision.time for decision in decisions[-1:]]
    given = standing(decisions).values()
    labelled = sum(any(d.judgement for d in mine.values()) for mine in given)
    last = max(times)[:16].replace("T", " ") if times else "-"
    return [last, str(len(scans)), str(images), str(labelled), "-" if root is None else str(root)]
