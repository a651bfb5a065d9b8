"""The case file: one SQLite database per scanned root, holding what was seen, where, and its score.

Everything hangs on the sha256 of a file's bytes, so a renamed or copied image keeps its row. Only
the logit is stored: it is what the weights said about those bytes and never changes, while the
probability and the verdict follow from the calibration and the threshold in force when they are
shown, so neither a new threshold nor a new calibration needs a new scan. Failures are stored to be
reported, never to skip a file: limits and extras may have changed by the next scan.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from dgsforensics.case.circumstances import Circumstances, ScanOutcome
from dgsforensics.case.connection import Database
from dgsforensics.case.coverage import gone
from dgsforensics.case.recording import Scan, as_text, now
from dgsforensics.case.scans import ScanInfo, ScanOptions, ScanSettings
from dgsforensics.records import CaseRow, FileFacts, Status, StoredTraits

PAGE = 1000
"""Rows read at a time by `Case.rows`: no lock and no read transaction outlives a page."""
_NO_LIMIT = 2**62
"""Above every id."""
_ROWS = f"""SELECT l.sha256, coalesce(i.size, l.size) AS size, coalesce(i.format, l.format) AS
    format, i.width, i.height, i.frames, l.path, l.status, coalesce(l.reason, p.note) AS reason,
    p.logit, l.cached, i.fingerprint, i.evidence, p.domain, p.missing, l.scan_id, l.position
    FROM location l JOIN scan s ON s.id = l.scan_id LEFT JOIN image i ON i.sha256 = l.sha256
    LEFT JOIN score p ON l.status = '{Status.SCORED}' AND p.sha256 = l.sha256
        AND p.weights_sha256 = coalesce(s.weights_sha256, s.model_sha256)
        AND p.preprocessing = s.preprocessing
    WHERE (l.scan_id, l.position) > (?, ?) AND l.scan_id <= ?
    ORDER BY l.scan_id, l.position LIMIT ?"""
_SCANS = """SELECT id, started, finished, settings, tool_version, model, model_sha256,
    preprocessing, threshold, weights_sha256, circumstances, outcome FROM scan"""
_FACTS = ("sha256", "size", "format", "width", "height", "frames")


class Case:
    """An open case file; every method may be called from any thread and raises `CaseError`."""

    def __init__(self, file: Database) -> None:
        """Use `Case.open`."""
        self._file = file
        self.path = file.path

    @classmethod
    @contextmanager
    def open(cls, path: Path, busy: float | None = None) -> Iterator[Self]:
        """Open the case file, or create it and its folders; `busy` as for `connection.connect`."""
        with Database.open(path, busy) as file:
            yield cls(file)

    def begin_scan(self, settings: ScanSettings) -> Scan:
        """Start a scan; it counts as interrupted until `Scan.finish`."""
        tool, model = as_text(settings.tool_version), as_text(settings.model)
        key = as_text(settings.model_sha256), as_text(settings.preprocessing)
        weights = None if settings.weights_sha256 is None else as_text(settings.weights_sha256)
        options = json.dumps(settings.options.to_dict(), sort_keys=True)
        told = None if settings.circumstances is None else settings.circumstances.to_json()
        with self.writing() as db:
            cursor = db.execute(
                "INSERT INTO scan (started, tool_version, model, model_sha256, preprocessing,"
                " threshold, settings, weights_sha256, circumstances)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (now(), tool, model, *key, settings.threshold, options, weights, told),
            )
            assert cursor.lastrowid is not None  # it is None only before an INSERT
            return Scan(self._file, cursor.lastrowid, settings)

    def last_scan(self) -> ScanInfo | None:
        """Return the scan begun last, finished or not; None in a new case file."""
        with self.reading() as db:
            row = db.execute(f"{_SCANS} ORDER BY started DESC, id DESC LIMIT 1").fetchone()
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
                page = db.execute(_ROWS, (*after, last, PAGE)).fetchall()
            if not page:
                return
            yield from map(_row, page)
            after = page[-1]["scan_id"], page[-1]["position"]

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield the connection, for queries of the modules that build on this one."""
        return self._file.reading()

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Run one transaction that survives the death of the process."""
        return self._file.writing()

    def durable(self) -> AbstractContextManager[sqlite3.Connection]:
        """Run one transaction that a power cut does not take back once it has ended."""
        return self._file.durable()

    def check(self) -> None:
        """Raise `CaseError` if another file, or none, lies at the path by now."""
        self._file.check()


def _row(row: sqlite3.Row) -> CaseRow:
    claims, mark = row["evidence"], row["fingerprint"]
    return CaseRow(
        path=Path(os.fsdecode(row["path"])),
        facts=FileFacts(*(row[name] for name in _FACTS)),
        status=Status(row["status"]),
        reason=row["reason"],
        logit=row["logit"],
        cached=bool(row["cached"]),
        scan_id=row["scan_id"],
        position=row["position"],
        traits=None if claims is None or mark is None else StoredTraits(mark % 2**64, claims),
        domain=row["domain"],
        missing=row["missing"],
    )


def _info(row: sqlite3.Row) -> ScanInfo:
    finished = row["finished"]
    return ScanInfo(
        id=row["id"],
        started=datetime.fromisoformat(row["started"]),
        finished=None if finished is None else datetime.fromisoformat(finished),
        settings=ScanSettings(
            tool_version=row["tool_version"],
            model=row["model"],
            model_sha256=row["model_sha256"],
            preprocessing=row["preprocessing"],
            threshold=row["threshold"],
            options=ScanOptions.from_dict(json.loads(row["settings"])),
            weights_sha256=row["weights_sha256"],
            circumstances=Circumstances.from_json(row["circumstances"]),
        ),
        outcome=ScanOutcome.from_json(row["outcome"]),
    )
