"""The database behind a case file: its schema, its migrations, and opening it without harm.

A file that is not ours, is damaged or comes from a newer version is left byte for byte as it was.
"""

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dgsforensics.errors import CaseError

log = logging.getLogger(__name__)

APPLICATION_ID = 0x44475346
"""Marks a database as ours in its header: "DGSF"."""
BUSY_SECONDS = 30.0
"""How long to wait for another process that is writing to the same case file."""

_SCHEMA_1 = (
    # AUTOINCREMENT: "earlier" is decided by this id, so it must never be given twice.
    """CREATE TABLE scan (
        id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, finished TEXT,
        tool_version TEXT NOT NULL, model TEXT NOT NULL, model_sha256 TEXT NOT NULL,
        preprocessing TEXT NOT NULL, threshold REAL NOT NULL, settings TEXT NOT NULL)""",
    """CREATE TABLE image (
        sha256 TEXT PRIMARY KEY, size INTEGER, format TEXT,
        width INTEGER, height INTEGER, frames INTEGER) WITHOUT ROWID""",
    """CREATE TABLE prediction (
        sha256 TEXT NOT NULL REFERENCES image, model_sha256 TEXT NOT NULL,
        preprocessing TEXT NOT NULL, logit REAL NOT NULL, note TEXT,
        scan_id INTEGER NOT NULL REFERENCES scan,
        PRIMARY KEY (sha256, model_sha256, preprocessing)) WITHOUT ROWID""",
    # size and format are repeated here for files that were never hashed, e.g. too large ones.
    """CREATE TABLE location (
        path BLOB PRIMARY KEY, sha256 TEXT REFERENCES image, size INTEGER, format TEXT,
        status TEXT NOT NULL, reason TEXT, scan_id INTEGER NOT NULL REFERENCES scan,
        position INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX location_of_image ON location (sha256, scan_id)",
    "CREATE INDEX location_of_scan ON location (scan_id, position)",
)
_SCHEMA_2 = (
    # Of an image: the difference hash as a signed number, and what the file claims about itself
    # as a JSON list of [mark, origin, name, value]; null where nobody has looked.
    "ALTER TABLE image ADD COLUMN fingerprint INTEGER",
    "ALTER TABLE image ADD COLUMN evidence TEXT",
    # The log of what reviewers decided. `hash` covers the entry and the hash before it.
    """CREATE TABLE decision (
        id INTEGER PRIMARY KEY, time TEXT NOT NULL, reviewer TEXT NOT NULL, step INTEGER NOT NULL,
        action TEXT NOT NULL, path BLOB NOT NULL, sha256 TEXT NOT NULL, judgement TEXT,
        note TEXT NOT NULL, model TEXT, model_sha256 TEXT, logit REAL, probability REAL,
        threshold REAL, verdict TEXT, hash TEXT NOT NULL)""",
    """CREATE TRIGGER decisions_stay BEFORE UPDATE ON decision
        BEGIN SELECT raise(ABORT, 'the log of decisions is only ever added to'); END""",
    """CREATE TRIGGER decisions_are_kept BEFORE DELETE ON decision
        BEGIN SELECT raise(ABORT, 'the log of decisions is only ever added to'); END""",
    # Files that were moved, copied or tagged. `sha256` is the image's, `written` that of what lies
    # at the target afterwards; `state` is planned, done, undoing or undone.
    """CREATE TABLE filing (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, kind TEXT NOT NULL,
        source BLOB NOT NULL, target BLOB NOT NULL, sha256 TEXT NOT NULL, written TEXT NOT NULL,
        time TEXT NOT NULL, state TEXT NOT NULL)""",
)
_SCHEMA_3 = (
    # What the picture is in place of a photograph; null: it may be one, or nobody looked.
    "ALTER TABLE prediction ADD COLUMN domain TEXT",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3)
"""The statements that lead from schema version n to n + 1; append, never edit."""

_OTHER_FILE = "name another case file, or move this one away"
_ELSEWHERE = "check the disk and the permissions of the folder, or name a case file elsewhere"
_AGAIN = "do it again: what was written before is kept, and a scan resumes"
_EXPLANATIONS = {
    sqlite3.SQLITE_FULL: ("the disk is full", f"free some space and {_AGAIN}"),
    sqlite3.SQLITE_BUSY: (
        "another process kept it locked",
        f"wait until that one is done, and {_AGAIN}",
    ),
    sqlite3.SQLITE_CORRUPT: ("the case file is damaged", _OTHER_FILE),
    sqlite3.SQLITE_NOTADB: ("this is not a case file", _OTHER_FILE),
    sqlite3.SQLITE_READONLY: ("the case file cannot be written", _ELSEWHERE),
    sqlite3.SQLITE_CANTOPEN: ("the case file cannot be opened", _ELSEWHERE),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", _ELSEWHERE),
}


def connect(path: Path, busy: float | None = None) -> sqlite3.Connection:
    """Open a case file by its absolute path, or create it and its folders; for use by any thread.

    `busy`: seconds to wait for another process that is writing, `BUSY_SECONDS` by default.
    Transactions are the caller's to begin and end. Raises `CaseError`.
    """
    wait = BUSY_SECONDS if busy is None else busy
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode if os.path.lexists(path) else None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CaseError(f"{path}: {reason}", "name a case file elsewhere") from error
    if mode is not None and not stat.S_ISREG(mode):
        raise CaseError(f"{path}: a case file must be a regular file", _OTHER_FILE)
    with explained(path):
        if mode is not None:
            _refuse_foreign(path)
            if not os.access(path, os.W_OK):
                return _read_only(path)
        db = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
        try:
            _migrate(db, path)
            _use_wal(db, wait)
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            db.close()
            raise
        return db


def _read_only(path: Path) -> sqlite3.Connection:
    """Return a case that may only be read, such as a copy kept as evidence; writing raises
    `CaseError`.
    """
    alone = "" if path.with_name(path.name + "-wal").exists() else "&immutable=1"
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=ro{alone}", uri=True, isolation_level=None, check_same_thread=False
    )
    db.row_factory = sqlite3.Row
    if _schema_version(db, path) < len(MIGRATIONS):
        db.close()
        raise CaseError(
            f"{path}: of an older version, and cannot be brought up to date: it may only be read",
            "use a copy that may be written",
        )
    return db


def identity(path: Path) -> tuple[int, int]:
    """Return which file lies at a path, whatever its name; raises `CaseError` where none can be
    seen.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        raise moved(path) from error
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror or error}", _ELSEWHERE) from error
    return found.st_dev, found.st_ino


def moved(path: Path) -> CaseError:
    """Return what to say where the open case file no longer lies at its path."""
    return CaseError(
        f"{path}: the case file was moved away or replaced", "put it back, or open the one there"
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a `CaseError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is detail
        what, hint = _EXPLANATIONS.get(primary, ("the case file cannot be used", _OTHER_FILE))
        raise CaseError(f"{path}: {what} ({error})", hint) from error


@contextmanager
def immediate(db: sqlite3.Connection) -> Iterator[None]:
    """Yield one transaction that holds the write lock from its start, rolled back on any
    exception."""
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back already
            db.execute("ROLLBACK")
        raise


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _refuse_foreign(path: Path) -> None:
    """Raise `CaseError` for another application's database before any lock or journal is made.

    `immutable` makes SQLite read the main file alone. That is enough: the application id is
    committed with the first schema, before the switch to WAL. Opening the file without SQLite
    would be wrong: closing it drops the locks that this process holds on it.
    """
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        try:
            if _pragma(db, "page_count") > 0:
                _schema_version(db, path)
        except sqlite3.Error as error:
            # Damaged, or being created by another process just now: opening it with locks tells.
            log.debug("%s: read without locks: %s", path, error)


def _schema_version(db: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of our database; `CaseError` if it is another's or too new."""
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise CaseError(f"{path}: this database belongs to another application", _OTHER_FILE)
    version = _pragma(db, "user_version")
    if version > len(MIGRATIONS):
        raise CaseError(
            f"{path}: written by a newer version (schema {version}, known up to {len(MIGRATIONS)})",
            "update dgsforensics, or name another case file",
        )
    return version


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date; of processes that come at once, one does each step."""
    while True:
        with immediate(db):
            tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
            version = _schema_version(db, path) if tables else 0
            if version == len(MIGRATIONS):
                return
            for statement in MIGRATIONS[version]:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {version + 1}")


def _use_wal(db: sqlite3.Connection, wait: float) -> None:
    """Switch to the write-ahead log; SQLite does not wait for other processes here, so we do."""
    deadline = time.monotonic() + wait
    while True:
        try:
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if mode != "wal":  # some network file systems; a rollback journal is as safe, only slower
        log.info("the file system of the case file has no write-ahead log: %s journal", mode)
