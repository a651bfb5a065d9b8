"""Two cases made one: what the other knows of contents, where they lie, and what was decided."""

import json
from dataclasses import dataclass

from dgsforensics.case import scores
from dgsforensics.case.decisions import Log
from dgsforensics.case.store import Case

_SCAN = (
    *("started", "finished", "tool_version", "model", "model_sha256", "preprocessing", "threshold"),
    *("settings", "weights_sha256", "circumstances", "outcome"),
)
_PLACE = ("path", "sha256", "size", "format", "status", "reason", "position", "cached")

_ADD_SCAN = f"INSERT INTO scan ({', '.join(_SCAN)}) VALUES ({', '.join('?' * len(_SCAN))})"
_ADD_PLACE = f"""INSERT OR IGNORE INTO location ({", ".join(_PLACE)}, scan_id)
    VALUES ({", ".join("?" * (len(_PLACE) + 1))})"""


@dataclass(frozen=True, slots=True)
class MergeCount:
    """What a merge brought that was not there."""

    scores: int
    files: int
    decisions: int


def merge(into: Case, other: Case) -> MergeCount:
    """Take into one case what another one has; the other one stays as it is.

    What both have stays as it is in the first; of two decisions of a reviewer on an image the later
    one stands. The other's scans take nothing away. Merging the same again changes nothing. What
    `dgsf apply` did stays with the case that it was done for.
    """
    with other.reading() as db:
        scans = db.execute(f"SELECT id, {', '.join(_SCAN)} FROM scan ORDER BY id").fetchall()
        places = db.execute(f"SELECT scan_id, {', '.join(_PLACE)} FROM location").fetchall()
    if not scans:
        return MergeCount(0, 0, len(Log(into).take_over(Log(other).after())))
    numbers: dict[int, int | None] = {}
    with into.writing() as db:
        there = {row["path"] for row in db.execute("SELECT path FROM location")}
        new = [place for place in places if place["path"] not in there]
        wanted = {place["scan_id"] for place in new}
        for scan in scans:
            if scan["id"] in wanted:
                values = [
                    _covering_nothing(scan[name]) if name == "settings" else scan[name]
                    for name in _SCAN
                ]
                numbers[scan["id"]] = db.execute(_ADD_SCAN, values).lastrowid
        [last] = db.execute("SELECT max(id) FROM scan").fetchone()
    brought = 0 if last is None else scores.take_over(into, other, last)
    with into.writing() as db:
        for place in new:
            db.execute(_ADD_PLACE, (*(place[name] for name in _PLACE), numbers[place["scan_id"]]))
    decisions = Log(into).take_over(Log(other).after())
    return MergeCount(brought, len(new), len(decisions))


def _covering_nothing(settings: str) -> str:
    """The settings of a scan that says nothing of what it did not find."""
    return json.dumps({"exclude": []} | json.loads(settings) | {"folders": []}, sort_keys=True)
