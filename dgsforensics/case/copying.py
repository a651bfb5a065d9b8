"""A copy of a case file as it is at one moment, in one file, while others may be writing to it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from dgsforensics import atomic
from dgsforensics.case.connection import explained
from dgsforensics.case.store import Case


def copy(case: Case, target: Path) -> None:
    """Write a copy to a name that nothing has yet; raises `CaseError` and OSError."""
    part = target.with_name(target.name + ".part")
    with explained(part), case.reading() as db, closing(sqlite3.connect(part)) as made:
        db.backup(made)
        made.execute("PRAGMA journal_mode = DELETE")  # nothing of it lies in a second file
    atomic.finish(part, target, atomic.rename)
