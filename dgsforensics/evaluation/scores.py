"""Scores of evaluations, kept in a JSON Lines file: what was scored once is not scored again.

A score belongs to the bytes of a file, a tier, a detector and its preprocessing, wherever the file
lies. Lines are added as scores come; one that was cut off by a crash is dropped when the file is
opened again. One evaluation at a time writes to a file.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from dgsforensics import tables
from dgsforensics.case.location import named_after
from dgsforensics.errors import UsageError
from dgsforensics.records import EarlierScore, FileFacts, Prediction

_FACTS = tuple(field.name for field in fields(FileFacts))
_KEY = ("sha256", "tier", "model_sha256", "preprocessing")

_START = b'{"sha256": "'
"""Of every line."""

Key = tuple[str, str, str, str]


def default_path(data: Path) -> Path:
    """Return where the scores of a set are kept that nobody named a file for."""
    name = named_after(os.path.abspath(data), "data")
    return platformdirs.user_cache_path("dgsforensics") / "scores" / f"{name}.jsonl"


class Scores:
    """An open file of scores; `known` may be called from any thread."""

    def __init__(self, file: BinaryIO, path: Path, kept: dict[Key, EarlierScore]) -> None:
        """Use `opened`."""
        self.path = path
        self._file = file
        self._kept = kept

    def known(
        self, tier: str, model_sha256: str, preprocessing: str
    ) -> Callable[[str], EarlierScore | None]:
        """Return the scores of one detector and tier, by the SHA-256 of the file."""
        return lambda sha256: self._kept.get((sha256, tier, model_sha256, preprocessing))

    def record(self, rows: Iterable[Prediction], tier: str, preprocessing: str) -> None:
        """Keep scores that were not known; they are on their way to the disk on return."""
        lines = []
        for row in rows:
            assert row.facts.sha256 is not None  # every file that was scored was hashed
            key = (row.facts.sha256, tier, row.model_sha256, preprocessing)
            if key not in self._kept:
                self._kept[key] = EarlierScore(row.facts, row.logit, row.reason, row.domain)
                named = dict(zip(_KEY, key, strict=True)) | asdict(row.facts)
                said = {"logit": row.logit, "note": row.reason, "domain": row.domain}
                lines.append(json.dumps(named | said) + "\n")
        try:
            self._file.write("".join(lines).encode())
            self._file.flush()
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error


@contextmanager
def opened(path: Path) -> Iterator[Scores]:
    """Open a file of scores, or create it and its folders.

    Raises `UsageError` for a place that cannot be written and for lines that are no scores; such
    a file is left as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        whole = tables.whole_lines(content)
        kept = dict(_entries(whole, path))
        if len(whole) < len(content):
            _refuse_foreign(content[len(whole) :])
            os.truncate(path, len(whole))
        file = path.open("ab")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot keep scores in {path}: {reason}", "name another file") from error
    with file:
        yield Scores(file, path, kept)


def _entries(content: bytes, path: Path) -> Iterator[tuple[Key, EarlierScore]]:
    for number, line in enumerate(content.splitlines(), 1):
        yield _entry(line, path, number)


def _refuse_foreign(tail: bytes) -> None:
    """Refuse to drop a torn last line that is not the beginning of one of ours."""
    if tail[: len(_START)] != _START[: len(tail)]:
        raise ValueError("it is something else")


def _entry(line: bytes, path: Path, number: int) -> tuple[Key, EarlierScore]:
    try:
        row: Any = json.loads(line)
        key = tuple(row[name] for name in _KEY)
        logit, note = row["logit"], row["note"]
        domain = row.get("domain")  # lines of before have none, and no score that is used again
        facts = FileFacts(**{name: row[name] for name in _FACTS})
        if not all(isinstance(part, str) for part in key):
            raise TypeError("a key that is not text")
        if not isinstance(logit, float) or not math.isfinite(logit):
            raise TypeError("a score that is no number")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path}, line {number}: not a score as it was written: {error!r}",
            "remove the file, or name another one",
        ) from error
    return (key[0], key[1], key[2], key[3]), EarlierScore(facts, logit, note, domain)
