"""The tables of a case file, and the steps that lead to them from those of older versions."""

from collections.abc import Callable

from dgsforensics.case.hashes import IMAGE, image_hash, score_hash

APPLICATION_ID = 0x44475346
"""Marks a database as ours in its header: "DGSF"."""
FUNCTIONS: tuple[tuple[str, int, Callable[..., str]], ...] = (
    ("image_hash", len(IMAGE), image_hash),
    ("score_hash", -1, score_hash),  # of an older version, too, which had fewer columns
)
"""What the statements below call, with the number of arguments; -1: any."""

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
_SCHEMA_4 = (
    # Scores are kept by what makes the logit, not by the file that holds it and a calibration; null
    # and, in `score`, the digest of the file stand for scans by older versions.
    "ALTER TABLE scan ADD COLUMN weights_sha256 TEXT",
    # `hash` covers the other columns: see `case.hashes`.
    "ALTER TABLE image ADD COLUMN hash TEXT NOT NULL DEFAULT ''",
    f"UPDATE image SET hash = image_hash({', '.join(IMAGE)})",
    """CREATE TABLE score (
        sha256 TEXT NOT NULL REFERENCES image, weights_sha256 TEXT NOT NULL,
        preprocessing TEXT NOT NULL, logit REAL NOT NULL, note TEXT, domain TEXT, missing REAL,
        model_sha256 TEXT NOT NULL, tool_version TEXT NOT NULL, time TEXT NOT NULL,
        scan_id INTEGER NOT NULL REFERENCES scan, hash TEXT NOT NULL,
        PRIMARY KEY (sha256, weights_sha256, preprocessing)) WITHOUT ROWID""",
    """INSERT INTO score SELECT p.sha256, p.model_sha256, p.preprocessing, p.logit, p.note,
        p.domain, NULL, p.model_sha256, s.tool_version, s.started, p.scan_id,
        score_hash(p.sha256, p.model_sha256, p.preprocessing, p.logit, p.note, p.domain, NULL,
            p.model_sha256, s.tool_version, s.started)
        FROM prediction p JOIN scan s ON s.id = p.scan_id""",
    # Whether the score of a file was there before its scan.
    "ALTER TABLE location ADD COLUMN cached INTEGER NOT NULL DEFAULT 0",
    """UPDATE location SET cached = 1 WHERE EXISTS (
        SELECT 1 FROM prediction p JOIN scan s ON s.id = location.scan_id
        WHERE p.sha256 = location.sha256 AND p.model_sha256 = s.model_sha256
            AND p.preprocessing = s.preprocessing AND p.scan_id < location.scan_id)""",
    "DROP TABLE prediction",
    # Of the user's store of scores: the case files whose scores it has.
    "CREATE TABLE source (path BLOB PRIMARY KEY) WITHOUT ROWID",
)
_SCHEMA_5 = (
    # What the reviewer saw of the picture; all null in entries by older versions, whose hash covers
    # the columns before these alone.
    "ALTER TABLE decision ADD COLUMN showing TEXT",
    "ALTER TABLE decision ADD COLUMN shown_width INTEGER",
    "ALTER TABLE decision ADD COLUMN shown_height INTEGER",
    "ALTER TABLE decision ADD COLUMN shown_seconds REAL",
)
_SCHEMA_6 = (
    # Who scanned, where and with what, and what came of it: see `case.circumstances`. Null in scans
    # by older versions; the outcome, too, of a scan that did not run through.
    "ALTER TABLE scan ADD COLUMN circumstances TEXT",
    "ALTER TABLE scan ADD COLUMN outcome TEXT",
    # What a score was computed with; null in scores by older versions, whose hash is without it.
    "ALTER TABLE score ADD COLUMN computed_with TEXT",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    *(_SCHEMA_1, _SCHEMA_2, _SCHEMA_3),
    *(_SCHEMA_4, _SCHEMA_5, _SCHEMA_6),
)
"""The statements that lead from schema version n to n + 1; append, never edit."""
