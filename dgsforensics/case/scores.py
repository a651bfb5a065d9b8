"""Scores by content: in every case the ones that it shows, and in one store all of a user's.

A case holds what it needs to be handed on; the store knows what any scan ever computed, in whatever
folder. It is a case file without places, lies beside the folder of cases, and may be deleted: the
next scan fills it again from the cases. The key is the content, the weights that make the logit and
the preprocessing; the calibration is no part of it.
"""

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dgsforensics.case import location
from dgsforensics.case.hashes import IMAGE, SCORE, image_hash, score_hash
from dgsforensics.case.recording import fits, now
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError

log = logging.getLogger(__name__)

_PAGE = 2000
_WAIT = 5.0
"""Seconds that an old case file may be locked by another program before it is left for later."""
_OF_FILES = """SELECT DISTINCT model_sha256 FROM score WHERE weights_sha256 = model_sha256
    UNION SELECT model_sha256 FROM scan WHERE weights_sha256 IS NULL"""
_IMAGES = f"SELECT {', '.join(IMAGE)}, hash FROM image ORDER BY sha256"
_SCORES = f"""SELECT {", ".join(SCORE)}, hash FROM score
    ORDER BY sha256, weights_sha256, preprocessing"""
_KEEP_IMAGE = f"""INSERT OR IGNORE INTO image ({", ".join(IMAGE)}, hash)
    VALUES ({", ".join("?" * (len(IMAGE) + 1))})"""
_KEEP_SCORE = f"""INSERT OR IGNORE INTO score ({", ".join(SCORE)}, hash, scan_id)
    VALUES ({", ".join("?" * (len(SCORE) + 2))})"""
_TAKING = """INSERT INTO scan (started, finished, tool_version, model, model_sha256, preprocessing,
    threshold, settings, weights_sha256) VALUES (?, ?, '', '', '', '', 0, '{}', '')"""


@contextmanager
def opened() -> Iterator[Case | None]:
    """Yield the user's store, with the scores of all cases in it; None where it cannot be used.

    A scan can do without it, so what is wrong with it is said and no more.
    """
    with ExitStack() as stack:
        store = None
        try:
            store = stack.enter_context(Case.open(location.scores()))
            _take_over_cases(store)
        except CaseError as error:
            log.warning("going on without the scores of other folders: %s", error.message)
        yield store


def without_weights(case: Case) -> set[str]:
    """Return the digests of detector files that older versions scored with, weights unknown."""
    with case.reading() as db:
        return {row["model_sha256"] for row in db.execute(_OF_FILES)}


def adopt(case: Case, weights: Mapping[str, str]) -> None:
    """File the scores of older versions under the weights of their detectors.

    `weights` maps digests of detector files to those of their weights. A score that does not fit
    its hash is dropped.
    """
    for file, made_of in weights.items():
        with case.writing() as db:
            rows = db.execute(
                f"SELECT {', '.join(SCORE)}, hash, scan_id FROM score"
                " WHERE weights_sha256 = ? AND model_sha256 = ?",
                (file, file),
            ).fetchall()
            for row in rows:
                if fits(row, SCORE, score_hash):
                    new = [made_of if name == "weights_sha256" else row[name] for name in SCORE]
                    db.execute(_KEEP_SCORE, (*new, score_hash(*new), row["scan_id"]))
            db.execute(
                "DELETE FROM score WHERE weights_sha256 = ? AND model_sha256 = ?", (file, file)
            )
            db.execute(
                "UPDATE scan SET weights_sha256 = ?"
                " WHERE model_sha256 = ? AND weights_sha256 IS NULL",
                (made_of, file),
            )


def note_source(store: Case, path: Path) -> None:
    """Record that the store gets the scores of this case file as they are made."""
    with store.writing() as db:
        db.execute("INSERT OR IGNORE INTO source VALUES (?)", (bytes(path),))


def take_over(into: Case, case: Case, scan: int | None = None) -> int:
    """Copy images and scores that fit their hashes and are not there yet; how many scores.

    `scan` is the one that they are said to come with; None: one that stands for just this.
    """
    count = 0
    with into.writing() as db:
        if scan is None:
            scan = db.execute(_TAKING, (now(), now())).lastrowid
        for row in _pages(case, _IMAGES):
            if fits(row, IMAGE, image_hash):
                db.execute(_KEEP_IMAGE, tuple(row))
        for row in _pages(case, _SCORES):
            held = db.execute("SELECT 1 FROM image WHERE sha256 = ?", (row["sha256"],)).fetchone()
            if held and fits(row, SCORE, score_hash):
                count += db.execute(_KEEP_SCORE, (*tuple(row), scan)).rowcount
    return count


def _take_over_cases(store: Case) -> None:
    """Take over the scores of the case files that the store has not seen."""
    with store.reading() as db:
        seen = {row["path"] for row in db.execute("SELECT path FROM source")}
    for path in location.known():
        if bytes(path) in seen:
            continue
        try:
            with Case.open(path, busy=_WAIT) as case:
                count = take_over(store, case)
            note_source(store, path)
            log.info("%s: %d scores taken over", path, count)
        except CaseError as error:  # another time, or never: no scan depends on it
            log.info("%s: its scores are not taken over: %s", path, error.message)


def _pages(case: Case, query: str) -> Iterator[sqlite3.Row]:
    """Rows of a query, in pages, so that no other thread waits for long."""
    offset = 0
    while True:
        with case.reading() as db:
            page = db.execute(f"{query} LIMIT {_PAGE} OFFSET {offset}").fetchall()
        yield from page
        if len(page) < _PAGE:
            return
        offset += _PAGE
