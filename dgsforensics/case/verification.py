"""Whether a case is as it was written: its database, its scores, its log of decisions.

Covered are the pages of the database, every image and score (each hashed with content, weights,
preprocessing, time and tool version) and the chain of decisions. Not covered are the places of
files and the reasons of failures, which the next scan writes anew. Nor does a hash stop those who
can write the file and make new ones: against them helps a copy, or the head noted elsewhere.
"""

from dataclasses import dataclass

from dgsforensics.case.decisions import Log, LogHead
from dgsforensics.case.hashes import IMAGE, SCORE, image_hash, score_hash
from dgsforensics.case.recording import fits
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.records import Status
from dgsforensics.wording import counted

_DAMAGED = "go back to a copy of the case file; scores and places come back with a new scan"
_AGAIN = "scan again: what does not fit is scored anew"
_SHOWN = 3
"""Contents named in a message."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A case in which everything fits."""

    images: int
    scores: int
    log: LogHead


def verify(case: Case, head: str | None = None) -> Verification:
    """Check all that can be; `head` is a hash of the log that was noted earlier.

    Raises `CaseError` for the first part that is not as it was written.
    """
    with case.reading() as db:
        found = [row[0] for row in db.execute("PRAGMA integrity_check").fetchall()]
        if found != ["ok"]:
            raise CaseError(f"the database is damaged: {'; '.join(found[:_SHOWN])}", _DAMAGED)
        if db.execute("PRAGMA foreign_key_check").fetchall():
            raise CaseError("the database is damaged: rows refer to what is not there", _DAMAGED)
    log = Log(case).verify(head)
    counts = {}
    for name, columns, hash_of in (("image", IMAGE, image_hash), ("score", SCORE, score_hash)):
        with case.reading() as db:
            rows = db.execute(f"SELECT {', '.join(columns)}, hash FROM {name}")
            count, changed = 0, []
            for row in rows:
                count += 1
                if not fits(row, columns, hash_of):
                    changed.append(str(row["sha256"])[:12])
        if changed:
            some = ", ".join(changed[:_SHOWN]) + (", ..." if len(changed) > _SHOWN else "")
            what = "facts and claims" if name == "image" else "scores"
            raise CaseError(
                f"the {what} of {counted(len(changed), 'image')} are not what was written: {some}",
                _AGAIN,
            )
        counts[name] = count
    with case.reading() as db:
        [lost] = db.execute(_WITHOUT_SCORE).fetchone()
    if lost:
        raise CaseError(f"{counted(lost, 'file')} should have a score and have none", _AGAIN)
    return Verification(counts["image"], counts["score"], log)


_WITHOUT_SCORE = f"""SELECT count(*) FROM location l JOIN scan s ON s.id = l.scan_id
    WHERE l.status = '{Status.SCORED}' AND NOT EXISTS (
        SELECT 1 FROM score p WHERE p.sha256 = l.sha256
        AND p.weights_sha256 = coalesce(s.weights_sha256, s.model_sha256)
        AND p.preprocessing = s.preprocessing)"""
