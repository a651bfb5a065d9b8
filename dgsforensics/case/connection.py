"""Opening a case file without harm, and its transactions.

A file that is not ours, is damaged or comes from a newer version is left byte for byte as it was.
"""

import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from dgsforensics.case import schema
from dgsforensics.errors import CaseError

log = logging.getLogger(__name__)

BUSY_SECONDS = 30.0
"""How long to wait for another process that is writing to the same case file."""

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


class Database:
    """An open case file; every method may be called from any thread and raises `CaseError`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Use `Database.open`."""
        self.path = path
        self._db = db
        self._identity = identity(path)
        # One connection for all threads: SQLite would serialise the writes anyway.
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def open(cls, path: Path, busy: float | None = None) -> Iterator[Self]:
        """Open the file, or create it and its folders; `busy` as for `connect`."""
        path = Path(os.path.abspath(path))
        made = cls(path, connect(path, busy))
        try:
            yield made
        finally:
            with made._lock:
                made._db.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, for queries."""
        with self._lock, explained(self.path):
            yield self._db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction that survives the death of the process."""
        with self.reading() as db, immediate(db):
            yield db

    @contextmanager
    def durable(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction that a power cut does not take back once it has ended."""
        with self.reading() as db:
            self.check()
            db.execute("PRAGMA synchronous = FULL")
            try:
                with immediate(db):
                    yield db
            finally:
                db.execute("PRAGMA synchronous = NORMAL")

    def check(self) -> None:
        """Raise `CaseError` if another file, or none, lies at the path by now.

        SQLite would not notice: it goes on writing to a file that nobody can open again.
        """
        if identity(self.path) != self._identity:
            raise moved(self.path)


def connect(path: Path, busy: float | None = None) -> sqlite3.Connection:
    """Open a case file by its absolute path, or create it and its folders; for use by any thread.

    `busy`: seconds to wait for another process that is writing, `BUSY_SECONDS` by default.
    Transactions are the caller's to begin and end. Raises `CaseError` for a place that cannot be
    written and for a file that is no case file, is damaged or has a newer schema; such a file is
    left as it was.
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
    if _schema_version(db, path) < len(schema.MIGRATIONS):
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
    if _pragma(db, "application_id") != schema.APPLICATION_ID:
        raise CaseError(f"{path}: this database belongs to another application", _OTHER_FILE)
    version = _pragma(db, "user_version")
    if version > len(schema.MIGRATIONS):
        raise CaseError(
            f"{path}: written by a newer version (schema {version}, known up to "
            f"{len(schema.MIGRATIONS)})",
            "update dgsforensics, or name another case file",
        )
    return version


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date; of processes that come at once, one does each step."""
    for name, count, function in schema.FUNCTIONS:
        db.create_function(name, count, function, deterministic=True)
    while True:
        with immediate(db):
            tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
            version = _schema_version(db, path) if tables else 0
            if version == len(schema.MIGRATIONS):
                return
            for statement in schema.MIGRATIONS[version]:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
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
