"""Shell globs for what is to be left out, and whether each of them was of any use.

A glob without a slash is compared with the name of each file and folder. One with a slash is
compared with the path below the folder given, and with the path as it is printed and as the shell
completes it: relative to the current folder, or absolute. `**` stands for any number of folders;
letters' case counts.
"""

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path


class GlobSet:
    """Some globs, compared with one path after the other."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = [glob for glob in dict.fromkeys(globs) if glob.strip("/")]
        self._used: set[str] = set()

    def match(self, path: Path, below: list[str]) -> bool:
        """Tell whether a path is meant; `below` are its parts below the folder given."""
        found = [glob for glob in self._globs if _is_meant(glob, path, below)]
        self._used.update(found)
        return bool(found)

    @property
    def unused(self) -> list[str]:
        """Those that have matched nothing so far."""
        return [glob for glob in self._globs if glob not in self._used]


def _is_meant(glob: str, path: Path, below: list[str]) -> bool:
    parts = glob.strip("/").split("/")
    if len(parts) == 1 and not glob.startswith("/"):
        return fnmatchcase(below[-1], parts[0])
    return _matches(below, parts) or _matches(_absolute(path), _absolute(glob))


def _absolute(place: str | Path) -> list[str]:
    return os.path.abspath(place).strip(os.sep).split(os.sep)


def _matches(parts: list[str], glob: list[str]) -> bool:
    """Whether the parts of a path match a glob part by part, `**` taking any number of them."""
    if not glob:
        return not parts
    if glob[0] == "**":
        return _matches(parts, glob[1:]) or (bool(parts) and _matches(parts[1:], glob))
    return bool(parts) and fnmatchcase(parts[0], glob[0]) and _matches(parts[1:], glob[1:])
