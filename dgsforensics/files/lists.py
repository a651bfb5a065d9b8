"""The paths that a command is given: in lists, on standard input, and what cannot be one."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dgsforensics.errors import UsageError
from dgsforensics.files.kinds import sniff
from dgsforensics.files.regular import reason_of

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?=[^/])", re.IGNORECASE)
"""`pathlib` makes one slash of two."""


def read_list(data: bytes) -> Iterator[Path]:
    """Yield paths from a list, separated by NUL if it holds any, else one a line.

    Blank ones are skipped. Bytes that are not UTF-8 survive as in `os.fsdecode`.
    """
    if b"\0" in data:
        entries = data.split(b"\0")
    else:
        # Windows tools start such files with a mark and end lines with two characters.
        entries = [
            line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        ]
    for entry in entries:
        if entry.strip():
            yield Path(os.fsdecode(entry))


def read_list_from(name: str) -> list[Path]:
    """Return the paths in a list by its name, `-` for standard input.

    Raises `UsageError` where it cannot be read, and for a picture in the place of a list.
    """
    if name == "-" and sys.stdin is None:
        raise UsageError("there is no standard input to read paths from")
    try:
        if name == "-":
            return _checked(sys.stdin.buffer, "standard input")
        with open(name, "rb") as stream:
            return _checked(stream, name)
    except (OSError, ValueError) as error:
        raise UsageError(f"--files-from: cannot read {name}: {reason_of(error)}") from error


def refuse_addresses(paths: Iterable[Path]) -> None:
    """Raise `UsageError` for what is an address on the web and no file."""
    for path in paths:
        if _ADDRESS.match(str(path)) and not os.path.lexists(path):
            address = _ADDRESS.sub(r"\1://", str(path), count=1)
            raise UsageError(
                f"{address} is an address: dgsf reads files and never connects to anything",
                "download it first, then give the file: dgsf scan FILE",
            )


def _checked(stream: BinaryIO, name: str) -> list[Path]:
    data = stream.read()
    kind = sniff(data)
    if kind is not None:
        raise UsageError(
            f"{name} holds a picture ({kind}), not a list of paths",
            "give the path of a file: dgsf scan FILE",
        )
    return list(read_list(data))
