"""The case file: one SQLite database per scanned root, holding what was seen, where, and its score.

Everything hangs on the sha256 of a file's bytes, so a renamed or copied image keeps its row. Only
the logit is stored: it is what the weights said about those bytes and never changes, while the
probability and the verdict follow from the calibration and the threshold in force when they are
shown, so a new threshold needs no new scan. Failures are stored to be reported, never to skip a
file: limits and extras may have changed by the next scan.

A batch that `Scan.record` returned from survives the death of the process (WAL with
synchronous=NORMAL; after a power cut the last batches may be missing, the file is whole).
"""

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dgsforensics.case.coverage import gone
from dgsforensics.case.schema import connect, explained, identity, immediate, moved
from dgsforensics.records import (
    CaseRow,
    EarlierScore,
    Failure,
    FileFacts,
    Prediction,
    ScanInfo,
    ScanSettings,
    Status,
    StoredTraits,
)

log = logging.getLogger(__name__)

_PAGE = 1000
"""Rows read at a time by `Case.rows`: no lock and no read transaction outlives a page."""
_NO_LIMIT = 2**62
"""Above every id."""
_RENAME_CANDIDATES = 64
"""Earlier places looked at for one new path; without it 50,000 copies of one image cost n² stats.
When a vanished place is not among them its row just stays behind with its old scan."""

_ADD_IMAGE = """INSERT INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (sha256) DO UPDATE SET
    size = coalesce(excluded.size, size), format = coalesce(excluded.format, format),
    width = coalesce(excluded.width, width), height = coalesce(excluded.height, height),
    frames = coalesce(excluded.frames, frames),
    fingerprint = coalesce(excluded.fingerprint, fingerprint),
    evidence = coalesce(excluded.evidence, evidence)"""
# Of two scans that run at once the later one wins, here and in `Scan._locate`.
_ADD_PREDICTION = """INSERT INTO prediction VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (sha256, model_sha256, preprocessing) DO UPDATE SET
    logit = excluded.logit, note = excluded.note, domain = excluded.domain,
    scan_id = excluded.scan_id
    WHERE excluded.scan_id >= scan_id"""
_KNOWN = """SELECT i.sha256, i.size, i.format, i.width, i.height, i.frames, p.logit, p.note,
    p.domain FROM prediction p JOIN image i USING (sha256)
    WHERE p.sha256 = ? AND p.model_sha256 = ? AND p.preprocessing = ? AND p.scan_id < ?"""
_ROWS = f"""SELECT l.sha256, coalesce(i.size, l.size), coalesce(i.format, l.format), i.width,
    i.height, i.frames, l.path, l.status, coalesce(l.reason, p.note), p.logit,
    coalesce(p.scan_id < l.scan_id, 0), i.fingerprint, i.evidence, p.domain, l.scan_id, l.position
    FROM location l JOIN scan s ON s.id = l.scan_id LEFT JOIN image i ON i.sha256 = l.sha256
    LEFT JOIN prediction p ON l.status = '{Status.SCORED}' AND p.sha256 = l.sha256
        AND p.model_sha256 = s.model_sha256 AND p.preprocessing = s.preprocessing
    WHERE (l.scan_id, l.position) > (?, ?) AND l.scan_id <= ?
    ORDER BY l.scan_id, l.position LIMIT {_PAGE}"""
_SCANS = """SELECT id, started, finished, settings, tool_version, model, model_sha256,
    preprocessing, threshold FROM scan"""


class Case:
    """An open case file; every method may be called from any thread and raises `CaseError`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Use `Case.open`."""
        self.path = path
        self._db = db
        self._identity = identity(path)
        # One connection for all threads: SQLite would serialise the writes anyway.
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def open(cls, path: Path, busy: float | None = None) -> Iterator[Self]:
        """Open the case file, or create it and its folders.

        `busy`: seconds to wait for another process that is writing, `BUSY_SECONDS` by default.
        Raises `CaseError` for a place that cannot be written and for a file that is not a case
        file, is damaged or has a newer schema; such a file is left as it was.
        """
        path = Path(os.path.abspath(path))
        case = cls(path, connect(path, busy))
        try:
            yield case
        finally:
            with case._lock:
                case._db.close()

    def begin_scan(self, settings: ScanSettings) -> "Scan":
        """Start a scan; it counts as interrupted until `Scan.finish`."""
        tool, model = as_text(settings.tool_version), as_text(settings.model)
        key = as_text(settings.model_sha256), as_text(settings.preprocessing)
        options = json.dumps(dict(settings.options), sort_keys=True)
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO scan VALUES (NULL, ?, NULL, ?, ?, ?, ?, ?, ?)",
                (_now(), tool, model, *key, settings.threshold, options),
            )
            assert cursor.lastrowid is not None  # it is None only before an INSERT
            return Scan(self, cursor.lastrowid, settings)

    def last_scan(self) -> ScanInfo | None:
        """Return the scan begun last, finished or not; None in a new case file."""
        with self.reading() as db:
            row = db.execute(f"{_SCANS} ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else _info(row)

    def scans(self) -> list[ScanInfo]:
        """Return all scans, the first one first."""
        with self.reading() as db:
            return [_info(row) for row in db.execute(f"{_SCANS} ORDER BY id").fetchall()]

    def rows(self, scan_id: int | None = None) -> Iterator[CaseRow]:
        """Yield the files of a scan in the order they were recorded; by default of the last scan.

        A file that a later scan saw again belongs to that one, so earlier scans have gaps.
        """
        if scan_id is None:
            last = self.last_scan()
            if last is None:
                return
            scan_id = last.id
        yield from self._rows((scan_id, -1), scan_id)

    def current(self) -> Iterator[CaseRow]:
        """Return what is to be reviewed: all files but those that a later scan looked for in vain.

        A scan that was interrupted, or of a part of the folder, so takes nothing else away.
        """
        return self._there((0, -1))

    def beyond(self, row: CaseRow) -> Iterator[CaseRow]:
        """Return the same of what was recorded after a row, by its scan or a later one, running or
        not.
        """
        return self._there((row.scan_id, row.position))

    def _there(self, after: tuple[int, int]) -> Iterator[CaseRow]:
        is_gone = gone(self.scans())
        return (row for row in self._rows(after, _NO_LIMIT) if not is_gone(row))

    def _rows(self, after: tuple[int, int], last: int) -> Iterator[CaseRow]:
        """Yield the files of the scans up to `last` that come after a scan and a position in it."""
        while True:
            with self.reading() as db:
                page = db.execute(_ROWS, (*after, last)).fetchall()
            if not page:
                return
            for record in page:
                path, status, reason, logit, cached, mark, claims, domain, *order = record[6:]
                place, seen = Path(os.fsdecode(path)), FileFacts(*record[:6])
                traits = None if claims is None else StoredTraits(mark % 2**64, claims)
                row = (place, seen, Status(status), reason, logit, bool(cached), *order)
                yield CaseRow(*(*row, traits, domain))
            after = page[-1][-2:]

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, for queries of the modules that build on this one."""
        with self._lock, explained(self.path):
            yield self._db

    def check(self) -> None:
        """Raise `CaseError` if another file, or none, lies at the path by now.

        SQLite would not notice: it goes on writing to a file that nobody can open again.
        """
        if identity(self.path) != self._identity:
            raise moved(self.path)

    @contextmanager
    def durable(self) -> Iterator[sqlite3.Connection]:
        """Yield one transaction that a power cut does not take back once it has ended."""
        with self.reading() as db:
            self.check()
            db.execute("PRAGMA synchronous = FULL")
            try:
                with immediate(db):
                    yield db
            finally:
                db.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self.reading() as db, immediate(db):
            yield db


class Scan:
    """A running scan; made by `Case.begin_scan`."""

    def __init__(self, case: Case, scan_id: int, settings: ScanSettings) -> None:
        """Use `Case.begin_scan`."""
        self.id = scan_id
        self._case = case
        self._model_sha256 = as_text(settings.model_sha256)
        self._preprocessing = as_text(settings.preprocessing)
        self._position = 0

    def known(self, sha256: str) -> EarlierScore | None:
        """Return the score of these bytes by the same model and preprocessing, from an earlier
        scan.

        Finished or interrupted is the same. This scan's own rows do not count: whether the second
        of two equal files is `cached` must not depend on how far the writer has got.
        """
        key = (sha256, self._model_sha256, self._preprocessing, self.id)
        with self._case.reading() as db:
            row = db.execute(_KNOWN, key).fetchone()
        return None if row is None else EarlierScore(FileFacts(*row[:6]), *row[6:])

    def record(self, rows: Iterable[Prediction | Failure]) -> None:
        """Commit a batch, all or nothing; calls in scan order make `Case.rows` come in that order.

        A cached prediction changes only where its content was last seen. Paths are kept absolute.
        Raises ValueError for a prediction without a sha256 or by another model.
        """
        batch = list(rows)  # a generator must not do its work while others wait for the lock
        for row in batch:
            if isinstance(row, Prediction):
                if row.facts.sha256 is None:
                    raise ValueError(f"{row.path}: a prediction needs the sha256 of its file")
                if as_text(row.model_sha256) != self._model_sha256:
                    raise ValueError(f"{row.path}: scored by another model than this scan's")
        with self._case._transaction() as db:
            for position, row in enumerate(batch, start=self._position):
                self._add(db, row, position)
        self._position += len(batch)

    def finish(self) -> None:
        """Mark the scan as complete."""
        with self._case._transaction() as db:
            db.execute("UPDATE scan SET finished = ? WHERE id = ?", (_now(), self.id))

    def _add(self, db: sqlite3.Connection, row: Prediction | Failure, position: int) -> None:
        facts, sha256 = row.facts, row.facts.sha256
        cached = isinstance(row, Prediction) and row.cached
        if sha256 is not None and not cached:
            known = (sha256, facts.size, facts.format, facts.width, facts.height, facts.frames)
            db.execute(_ADD_IMAGE, (*known, *_traits(row)))
        if isinstance(row, Prediction) and not cached:
            note = None if row.reason is None else as_text(row.reason)
            key = (sha256, self._model_sha256, self._preprocessing)
            db.execute(_ADD_PREDICTION, (*key, row.logit, note, self.id, row.domain))
        self._locate(db, row, position)

    def _locate(self, db: sqlite3.Connection, row: Prediction | Failure, position: int) -> None:
        """Say that the content was seen at this path; the place a renamed file had is forgotten."""
        path, sha256 = os.fsencode(os.path.abspath(row.path)), row.facts.sha256
        old = db.execute("SELECT sha256, scan_id FROM location WHERE path = ?", (path,)).fetchone()
        if old is not None and old[1] > self.id:
            return  # a later scan, running at the same time, has seen this path already
        if sha256 is not None and (old is None or old[0] != sha256):
            earlier = db.execute(
                "SELECT path FROM location WHERE sha256 = ? AND scan_id < ? AND path <> ? LIMIT ?",
                (sha256, self.id, path, _RENAME_CANDIDATES),
            ).fetchall()
            gone = next((place for (place,) in earlier if _is_gone(place)), None)
            if gone is not None:
                db.execute("DELETE FROM location WHERE path = ?", (gone,))
        reason = as_text(row.reason) if isinstance(row, Failure) else None  # else in `prediction`
        place = (path, sha256, row.facts.size, row.facts.format)
        db.execute(
            "INSERT OR REPLACE INTO location VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, row.status, reason, self.id, position),
        )


def _info(row: tuple[Any, ...]) -> ScanInfo:
    scan_id, started, finished, options, *decisive = row
    decisive.append(json.loads(options))
    return ScanInfo(
        id=scan_id,
        started=datetime.fromisoformat(started),
        finished=None if finished is None else datetime.fromisoformat(finished),
        settings=ScanSettings(*decisive),
    )


def _traits(row: Prediction | Failure) -> tuple[int | None, str | None]:
    """Return fingerprint and evidence as columns; SQLite's integers are signed."""
    traits = row.traits if isinstance(row, Prediction) else None
    if traits is None:
        return None, None
    number = traits.fingerprint
    claims = [(piece.mark, piece.origin, piece.name, piece.value) for piece in traits.evidence]
    return number - 2**64 if number >= 2**63 else number, json.dumps(claims)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def as_text(value: str) -> str:
    """Return text as SQLite can hold it: names that are not UTF-8 reach messages as lone
    surrogates.
    """
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_gone(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:  # out of reach is not gone
        log.debug("cannot look at %r: %s", path, error)
    return False
