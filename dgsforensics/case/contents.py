"""What a case knows of contents: where each lies, and its fingerprint."""

import os
from pathlib import Path

from dgsforensics.case.store import Case
from dgsforensics.records import ScoreOrigin


def locations(case: Case) -> list[tuple[Path, str | None]]:
    """Return each path the case knows with the SHA-256 that lay there last, by path."""
    with case.reading() as db:
        rows = db.execute("SELECT path, sha256 FROM location ORDER BY path").fetchall()
    return [(Path(os.fsdecode(row["path"])), row["sha256"]) for row in rows]


def fingerprints(case: Case) -> dict[str, int]:
    """Return the fingerprint (64 bits) of each content that has one, by SHA-256 in its order."""
    with case.reading() as db:
        rows = db.execute(
            "SELECT sha256, fingerprint FROM image WHERE fingerprint IS NOT NULL ORDER BY sha256"
        ).fetchall()
    return {row["sha256"]: row["fingerprint"] % 2**64 for row in rows}  # SQLite's are signed


def origins(case: Case) -> dict[tuple[str, str, str], ScoreOrigin]:
    """Return where each score comes from, by SHA-256 of the image, digest of the weights, and
    preprocessing."""
    with case.reading() as db:
        rows = db.execute(
            "SELECT sha256, weights_sha256, preprocessing, time, tool_version, model_sha256"
            " FROM score"
        ).fetchall()
    return {tuple(row[:3]): ScoreOrigin(*row[3:]) for row in rows}
