"""The log of decisions in a case file: what each reviewer said of each image, and saw then.

The log is only ever added to. Taking a label away, undoing and redoing are entries of their own;
what stands is each reviewer's last entry for an image. Every entry carries a digest over itself and
the digest before it, so a change, an insertion or a deletion in the middle shows. That the end was
cut off shows only against a head that was noted elsewhere: `verify` takes one.

Entries of older versions say nothing of the picture. Their digest covers what they had then, so a
log that was begun with such a version goes on in one chain.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dgsforensics.case.recording import as_text
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.judgements import Action, Decision, Judgement, ScoreSeen, Showing, Sight
from dgsforensics.records import Verdict

ORIGIN = "0" * 64
"""Stands for the hash before the first entry."""
_NAMES = (
    *("id", "time", "reviewer", "step", "action", "path", "sha256", "judgement", "note"),
    *("model", "model_sha256", "logit", "probability", "threshold", "verdict"),
    *("showing", "shown_width", "shown_height", "shown_seconds", "hash"),
)
_COLUMNS = ", ".join(_NAMES)
_NUMBER, _TEXT = float | None, str | None
_TYPES = (
    *(int, str, str, int, str, bytes, str, _TEXT, str),
    *(_TEXT, _TEXT, _NUMBER, _NUMBER, _NUMBER, _TEXT),
    *(_TEXT, int | None, int | None, _NUMBER, str),
)
"""Of the columns, in Python."""
_OF_SIGHT = 4
"""Columns, the last before the hash, that entries of older versions do not have."""

Standing = dict[str, dict[str, Decision]]
"""By the sha256 of an image and by reviewer: the last decision."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What is to be written down about one image."""

    path: Path
    sha256: str
    judgement: Judgement | None
    note: str
    shown: ScoreSeen | None
    sight: Sight | None = None


@dataclass(frozen=True, slots=True)
class LogHead:
    """A log whose hashes all fit."""

    entries: int
    head: str
    """The last hash; `ORIGIN` of an empty log."""


class Log:
    """The log of an open case; for use by any thread, beside any other process."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def append(
        self,
        reviewer: str,
        action: Action,
        entries: Sequence[LogEntry],
        *,
        after: int | None = None,
    ) -> list[Decision]:
        """Write one step, all entries or none; it is on disk when this returns.

        `after` is the id of the last entry that the step is built upon: where there is a later one,
        nothing is written and the list is empty.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        written: list[Decision] = []
        with self._case.durable() as db:
            last = db.execute("SELECT id, hash FROM decision ORDER BY id DESC LIMIT 1").fetchone()
            number, head = (0, ORIGIN) if last is None else (last["id"], last["hash"])
            if after is not None and number != after:
                return []
            step = number + 1
            for number, entry in enumerate(entries, start=step):
                row = _row(number, time, reviewer, step, action, entry)
                head = _hash(head, row)
                written.append(_write(db, row, head))
        return written

    def take_over(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Write decisions of another log, with the reviewers and times that they have there.

        Left out are those that are here already, and those older than what the same reviewer said
        of the same image here. Returns what was written, all on disk or nothing.
        """
        written: list[Decision] = []
        with self._case.durable() as db:
            here = list(map(_decision, db.execute(f"SELECT {_COLUMNS} FROM decision ORDER BY id")))
            held = {_what(decision) for decision in here}
            latest = {(mine.reviewer, mine.sha256): mine.time for mine in here}
            number, head = (here[-1].id, here[-1].hash) if here else (0, ORIGIN)
            steps: dict[int, int] = {}
            for decision in decisions:
                key = decision.reviewer, decision.sha256
                if _what(decision) in held or decision.time < latest.get(key, ""):
                    continue
                number += 1
                entry = LogEntry(
                    decision.path,
                    decision.sha256,
                    decision.judgement,
                    decision.note,
                    decision.shown,
                    decision.sight,
                )
                step = steps.setdefault(decision.step, number)
                who = decision.time, decision.reviewer, step, decision.action
                row = _row(number, *who, entry)
                head = _hash(head, row)
                written.append(_write(db, row, head))
        return written

    def after(self, last: int = 0) -> list[Decision]:
        """Return the entries beyond the id `last`, in order: what this and other processes have
        added.
        """
        self._case.check()
        with self._case.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM decision WHERE id > ? ORDER BY id", (last,)
            ).fetchall()
        return [_decision(row) for row in rows]

    def verify(self, head: str | None = None) -> LogHead:
        """Compute every hash again; `head` is one that was noted earlier and must still be there.

        Raises `CaseError` naming the first entry that does not fit.
        """
        expected, before, seen = 1, ORIGIN, head is None or head == ORIGIN
        with self._case.reading() as db:
            for row in db.execute(f"SELECT {_COLUMNS} FROM decision ORDER BY id"):
                number, found = row["id"], row["hash"]
                if number != expected:
                    raise CaseError(f"entry {expected} of the log is missing", _TAMPERED)
                if not _as_stored(row) or _hash(before, row[:-1]) != found:
                    raise CaseError(f"entry {number} of the log was changed", _TAMPERED)
                seen = seen or found == head
                expected, before = expected + 1, found
        if not seen:
            raise CaseError(
                f"the log does not hold {head}: it was cut off or written anew",
                _TAMPERED,
            )
        return LogHead(expected - 1, before)


_TAMPERED = "what comes before it is sound; compare with a copy of the case file"


def standing(decisions: Iterable[Decision], before: Standing | None = None) -> Standing:
    """Return what stands after these decisions, on top of what stood `before`, which is changed.

    A reviewer whose last entry has neither label nor note no longer has a decision there.
    """
    result: Standing = {} if before is None else before
    for decision in decisions:
        mine = result.setdefault(decision.sha256, {})
        mine[decision.reviewer] = decision
        if decision.judgement is None and not decision.note:
            del mine[decision.reviewer]
    return result


def _row(
    number: int, time: str, reviewer: str, step: int, action: Action, entry: LogEntry
) -> tuple[Any, ...]:
    """Return one entry as SQLite holds it, without its hash."""
    place = os.fsencode(os.path.abspath(entry.path))
    judged = None if entry.judgement is None else entry.judgement.value
    seen = entry.shown
    shown: tuple[Any, ...] = (None,) * 6
    if seen is not None:
        scores = (float(seen.logit), float(seen.probability), float(seen.threshold))
        shown = (as_text(seen.model), seen.model_sha256, *scores, seen.verdict.value)
    saw: tuple[Any, ...] = (None,) * _OF_SIGHT
    if (sight := entry.sight) is not None:
        saw = (sight.showing.value, sight.width, sight.height, float(sight.seconds))
    what = (place, entry.sha256, judged, as_text(entry.note))
    return (number, time, as_text(reviewer), step, action.value, *what, *shown, *saw)


def _write(db: sqlite3.Connection, row: tuple[Any, ...], head: str) -> Decision:
    marks = ", ".join("?" * len(_NAMES))
    db.execute(f"INSERT INTO decision ({_COLUMNS}) VALUES ({marks})", (*row, head))
    return _decision(dict(zip(_NAMES, (*row, head), strict=True)))


def _what(decision: Decision) -> tuple[object, ...]:
    """What tells one decision from another, wherever it stands."""
    return (
        *(decision.time, decision.reviewer, decision.sha256),
        *(decision.action, decision.judgement, decision.note),
    )


def _decision(row: Mapping[str, Any] | sqlite3.Row) -> Decision:
    seen = None
    if row["model"] is not None:
        seen = ScoreSeen(
            model=row["model"],
            model_sha256=row["model_sha256"],
            logit=row["logit"],
            probability=row["probability"],
            threshold=row["threshold"],
            verdict=Verdict(row["verdict"]),
        )
    sight = None
    if row["showing"] is not None:
        size = row["shown_width"], row["shown_height"]
        sight = Sight(Showing(row["showing"]), *size, row["shown_seconds"])
    return Decision(
        id=row["id"],
        time=row["time"],
        reviewer=row["reviewer"],
        step=row["step"],
        action=Action(row["action"]),
        path=Path(os.fsdecode(row["path"])),
        sha256=row["sha256"],
        judgement=None if row["judgement"] is None else Judgement(row["judgement"]),
        note=row["note"],
        shown=seen,
        hash=row["hash"],
        sight=sight,
    )


def _as_stored(row: Sequence[Any]) -> bool:
    """Return whether each column has the type that `_row` gave it; the hash does not tell a path's
    bytes from text that spells them.
    """
    return all(isinstance(value, kind) for value, kind in zip(row, _TYPES, strict=True))


def _hash(before: str, row: Sequence[Any]) -> str:
    """Return the SHA-256 over the hash before and the entry as JSON, the path's bytes in
    hexadecimal."""
    if all(value is None for value in row[-_OF_SIGHT:]):  # as an older version wrote it
        row = row[:-_OF_SIGHT]
    values = [value.hex() if isinstance(value, bytes) else value for value in row]
    return hashlib.sha256(f"{before}\n{json.dumps(values)}".encode()).hexdigest()
