"""What makes a change to a stored score or to the facts of an image show.

Each row carries the SHA-256 over its other columns. Whoever can write the file and knows this
program can make a hash that fits; a slip, a damaged disk and an edit by hand cannot.
"""

import hashlib
import json

IMAGE = ("sha256", "size", "format", "width", "height", "frames", "fingerprint", "evidence")
"""Columns of an image, in the order in which they are hashed."""
SCORE = (
    *("sha256", "weights_sha256", "preprocessing", "logit", "note", "domain", "missing"),
    *("model_sha256", "tool_version", "time", "computed_with"),
)
"""Columns of a score, in the order in which they are hashed."""

_Value = str | int | float | bytes | None


def image_hash(*columns: _Value) -> str:
    """Return the hash of the columns `IMAGE`, in hexadecimal."""
    return _hash("image", columns)


def score_hash(*columns: _Value) -> str:
    """Return the hash of the columns `SCORE`, in hexadecimal.

    The last one counts where it says something: older versions did not have it.
    """
    said = columns[:-1] if len(columns) == len(SCORE) and columns[-1] is None else columns
    return _hash("score", said)


def _hash(kind: str, columns: tuple[_Value, ...]) -> str:
    # What should be text is bytes only where somebody wrote it by hand; it then fits no hash.
    values = [repr(value) if isinstance(value, bytes) else value for value in columns]
    return hashlib.sha256(json.dumps([kind, *values]).encode()).hexdigest()
