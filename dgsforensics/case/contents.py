"""What a case knows of contents: where each lies, its fingerprint, and all of its scores."""

import os
from dataclasses import dataclass
from pathlib import Path

from dgsforensics.case.hashes import SCORE
from dgsforensics.case.store import Case
from dgsforensics.records import ScoreOrigin


@dataclass(frozen=True, slots=True)
class KeptScore:
    """One score of a content, by some weights; a content may have several."""

    sha256: str
    """Of the image."""
    weights_sha256: str
    preprocessing: str
    logit: float
    domain: str | None
    """As `Prediction.domain`."""
    origin: ScoreOrigin


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


def scores(case: Case) -> list[KeptScore]:
    """Return all scores that the case holds, by SHA-256, weights and preprocessing."""
    with case.reading() as db:
        rows = db.execute(
            f"SELECT {', '.join(SCORE)} FROM score ORDER BY sha256, weights_sha256, preprocessing"
        ).fetchall()
    return [
        KeptScore(
            row["sha256"],
            row["weights_sha256"],
            row["preprocessing"],
            row["logit"],
            row["domain"],
            ScoreOrigin(
                row["time"], row["tool_version"], row["model_sha256"], row["computed_with"]
            ),
        )
        for row in rows
    ]
