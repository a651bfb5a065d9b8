"""A scan being recorded: rows as they are scored, and what is known of contents before that.

A batch that `Scan.record` returned from survives the death of the process (WAL with
synchronous=NORMAL; after a power cut the last batches may be missing, the file is whole).
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dgsforensics.case.circumstances import ScanOutcome
from dgsforensics.case.connection import Database
from dgsforensics.case.hashes import IMAGE, SCORE, image_hash, score_hash
from dgsforensics.case.scans import ScanSettings
from dgsforensics.files.archive_paths import member_at
from dgsforensics.files.content import is_there
from dgsforensics.records import (
    EarlierScore,
    Failure,
    FileFacts,
    Prediction,
    ScoreOrigin,
    StoredTraits,
    Traits,
)

log = logging.getLogger(__name__)

_RENAME_CANDIDATES = 64
"""Earlier places looked at for one new path; without it 50,000 copies of one image cost n² stats.
When a vanished place is not among them its row just stays behind with its old scan."""

_IMAGE_OF = f"SELECT {', '.join(IMAGE)}, hash FROM image WHERE sha256 = ?"
_WRITE_IMAGE = f"""INSERT INTO image ({", ".join(IMAGE)}, hash)
    VALUES ({", ".join("?" * (len(IMAGE) + 1))}) ON CONFLICT (sha256) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in (*IMAGE[1:], "hash"))}"""
_SCORE_OF = f"""SELECT {", ".join(SCORE)}, hash FROM score
    WHERE sha256 = ? AND weights_sha256 = ? AND preprocessing = ?"""
# Of two scans that run at once the later one wins, here and in `Scan._locate`.
_WRITE_SCORE = f"""INSERT INTO score ({", ".join(SCORE)}, hash, scan_id)
    VALUES ({", ".join("?" * (len(SCORE) + 2))})
    ON CONFLICT (sha256, weights_sha256, preprocessing) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in (*SCORE[3:], "hash", "scan_id"))}
    WHERE excluded.scan_id >= scan_id"""


class Scan:
    """A running scan; made by `Case.begin_scan`. Every method may be called from any thread."""

    def __init__(self, file: Database, scan_id: int, settings: ScanSettings) -> None:
        """Use `Case.begin_scan`."""
        self.id = scan_id
        self.refused: set[str] = set()
        """The contents whose stored score does not fit its hash: they have to be scored again."""
        self._file = file
        self._settings = settings
        self._key = as_text(settings.weights), as_text(settings.preprocessing)
        self._position = 0

    def known(self, sha256: str) -> EarlierScore | None:
        """Return the score of these bytes by the same weights and preprocessing, from before.

        Whether that scan finished or was interrupted is the same. This scan's own rows do not
        count: whether the second of two equal files is `cached` must not depend on how far the
        writer has got. A score that does not fit its hash is none, and goes to `refused`.
        """
        with self._file.reading() as db:
            score = db.execute(f"{_SCORE_OF} AND scan_id < ?", (sha256, *self._key, self.id))
            row = score.fetchone()
            image = db.execute(_IMAGE_OF, (sha256,)).fetchone()
        if row is None or image is None:
            return None
        if not (fits(row, SCORE, score_hash) and fits(image, IMAGE, image_hash)):
            if sha256 not in self.refused:
                log.warning("a stored score does not fit its hash: image %s", sha256[:12])
            self.refused.add(sha256)
            return None
        return EarlierScore(
            facts=FileFacts(*(image[name] for name in IMAGE[:6])),
            logit=row["logit"],
            note=row["note"],
            domain=row["domain"],
            missing=row["missing"],
            traits=_loaded(image["fingerprint"], image["evidence"]),
            origin=ScoreOrigin(
                row["time"], row["tool_version"], row["model_sha256"], row["computed_with"]
            ),
        )

    def record(self, rows: Iterable[Prediction | Failure]) -> None:
        """Commit a batch, all or nothing; calls in scan order make `Case.rows` come in that order.

        Paths are kept absolute. Raises ValueError for a prediction without a sha256 or by another
        model.
        """
        batch = self._checked(rows)
        with self._file.writing() as db:
            for position, row in enumerate(batch, start=self._position):
                self._add(db, row)
                self._locate(db, row, position)
        self._position += len(batch)

    def remember(self, rows: Iterable[Prediction | Failure]) -> None:
        """Keep the scores of a batch, and not where the files lie; raises as `record`."""
        scored = [row for row in self._checked(rows) if isinstance(row, Prediction)]
        with self._file.writing() as db:
            for row in scored:
                self._add(db, row)

    def finish(self, outcome: ScanOutcome | None = None) -> None:
        """Mark the scan as complete."""
        told = None if outcome is None else outcome.to_json()
        with self._file.writing() as db:
            db.execute(
                "UPDATE scan SET finished = ?, outcome = ? WHERE id = ?", (now(), told, self.id)
            )

    def _checked(self, rows: Iterable[Prediction | Failure]) -> list[Prediction | Failure]:
        batch = list(rows)  # a generator must not do its work while others wait for the lock
        for row in batch:
            if isinstance(row, Prediction):
                if row.facts.sha256 is None:
                    raise ValueError(f"{row.path}: a prediction needs the sha256 of its file")
                if row.model_sha256 != self._settings.model_sha256:
                    raise ValueError(f"{row.path}: scored by another model than this scan's")
        return batch

    def _add(self, db: sqlite3.Connection, row: Prediction | Failure) -> None:
        """Write what is known of a content, where that is news."""
        facts, sha256 = row.facts, row.facts.sha256
        if sha256 is None:
            return
        found = (facts.size, facts.format, facts.width, facts.height, facts.frames, *_traits(row))
        old = db.execute(_IMAGE_OF, (sha256,)).fetchone()
        sound = old is not None and fits(old, IMAGE, image_hash)
        before = [old[name] for name in IMAGE[1:]] if sound else [None] * len(found)
        image = [sha256, *(b if a is None else a for a, b in zip(found, before, strict=True))]
        if not sound or image[1:] != before:
            db.execute(_WRITE_IMAGE, (*image, image_hash(*image)))
        if isinstance(row, Prediction):
            self._add_score(db, row, sha256)

    def _add_score(self, db: sqlite3.Connection, row: Prediction, sha256: str) -> None:
        made = row.origin or ScoreOrigin(
            now(), self._settings.tool_version, self._settings.model_sha256, row.computed_with
        )
        texts = row.reason, row.domain, made.computed_with
        *told, computed = [None if text is None else as_text(text) for text in texts]
        missing = None if row.missing is None else float(row.missing)
        origin = as_text(made.model_sha256), as_text(made.tool_version), made.time
        score = [sha256, *self._key, float(row.logit), *told, missing, *origin, computed]
        if row.cached:
            old = db.execute(_SCORE_OF, (sha256, *self._key)).fetchone()
            if old is not None and fits(old, SCORE, score_hash):
                return  # it is where it came from, or made by a scan that came first
        db.execute(_WRITE_SCORE, (*score, score_hash(*score), self.id))

    def _locate(self, db: sqlite3.Connection, row: Prediction | Failure, position: int) -> None:
        """Say that the content was seen at this path; the place a renamed file had is forgotten."""
        path, sha256 = os.fsencode(os.path.abspath(row.path)), row.facts.sha256
        old = db.execute("SELECT sha256, scan_id FROM location WHERE path = ?", (path,)).fetchone()
        if old is not None and old["scan_id"] > self.id:
            return  # a later scan, running at the same time, has seen this path already
        if sha256 is not None and (old is None or old["sha256"] != sha256):
            earlier = db.execute(
                "SELECT path FROM location WHERE sha256 = ? AND scan_id < ? AND path <> ? LIMIT ?",
                (sha256, self.id, path, _RENAME_CANDIDATES),
            ).fetchall()
            gone = next(filter(_is_gone, (there["path"] for there in earlier)), None)
            if gone is not None:
                db.execute("DELETE FROM location WHERE path = ?", (gone,))
        reason = as_text(row.reason) if isinstance(row, Failure) else None  # else with the score
        cached = isinstance(row, Prediction) and row.cached
        place = (path, sha256, row.facts.size, row.facts.format, row.status, reason)
        db.execute(
            "INSERT OR REPLACE INTO location (path, sha256, size, format, status, reason, scan_id,"
            " position, cached) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, self.id, position, cached),
        )


def fits(row: sqlite3.Row, columns: Sequence[str], hash_of: Any) -> bool:
    """Tell whether a stored row is as it was written."""
    return bool(hash_of(*(row[name] for name in columns)) == row["hash"])


def now() -> str:
    """Return the time, in UTC, as it is kept."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def as_text(value: str) -> str:
    """Return text as SQLite can hold it: names that are not UTF-8 reach messages as lone
    surrogates."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _traits(row: Prediction | Failure) -> tuple[int | None, str | None]:
    """Fingerprint and evidence as columns; SQLite's integers are signed."""
    traits = row.traits if isinstance(row, Prediction) else None
    if traits is None:
        return None, None
    number = traits.fingerprint
    claims = [(piece.mark, piece.origin, piece.name, piece.value) for piece in traits.evidence]
    return number - 2**64 if number >= 2**63 else number, json.dumps(claims)


def _loaded(fingerprint: int | None, claims: str | None) -> Traits | None:
    """The same, back from the columns."""
    if fingerprint is None or claims is None:
        return None
    return Traits(fingerprint % 2**64, StoredTraits(fingerprint % 2**64, claims).evidence)


def _is_gone(path: bytes) -> bool:
    place = Path(os.fsdecode(path))
    # What an archive holds by now may take long to find out, and others wait for the database.
    return member_at(place) is None and not is_there(place)
