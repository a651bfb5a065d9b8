"""Rows for programs: JSON on one line."""

import json


def to_json(value: object) -> str:
    """Return one line of JSON. Text is left readable unless it holds what a terminal might act on;
    a name that is not UTF-8 keeps its bytes as the escapes `\\udc80` to `\\udcff`, which Python's
    `os.fsencode` turns back."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if text.isprintable() else json.dumps(value, allow_nan=False)
