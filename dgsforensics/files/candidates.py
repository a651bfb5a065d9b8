"""Which of the files that are met in folders and archives may be pictures, and what the others are.

`walk` has the rules in words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dgsforensics.errors import ImageError, UnsupportedError
from dgsforensics.files.kinds import describe, sniff
from dgsforensics.records import Failure, FileFacts, LeftOutFile, Status

_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .jif .png .apng .webp .avif .avifs .tif .tiff .bmp .dib .gif .mpo "
    ".heic .heif .hif .dng .cr2 .cr3 .nef .nrw .arw .sr2 .raf .orf .rw2 .pef .srw .3fr .iiq"
)
SUFFIXES = frozenset(_SUFFIXES.split())
"""Lower-case suffixes that promise a picture of a kind that is read, with or without an extra."""

EXCLUDED = "excluded"
"""The kind of what was left out because somebody asked for that."""
_SHORT = {
    "PDF document": "PDF",
    "ZIP archive or office document": "archive",
    "Matroska or WebM video": "video",
    "unknown data": "of unknown kind",
}
"""Kinds in fewer words than `kinds.describe` has for them."""
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_NOTHING = FileFacts()


@dataclass(slots=True)
class WalkReport:
    """What a walk did besides finding files; filled while it goes on."""

    left_out: list[LeftOutFile] = field(default_factory=list)
    """Files that were met and get no row. Of a folder that is not entered, the folder."""
    unused: list[str] = field(default_factory=list)
    """Globs to exclude by that matched nothing; known at the end."""

    def leave_out(self, path: Path, kind: str) -> None:
        """Note a file that gets no row."""
        self.left_out.append(LeftOutFile(path, kind))


def if_candidate(
    path: Path, head_of: Callable[[], bytes], report: WalkReport, facts: FileFacts = _NOTHING
) -> Iterator[Path | Failure]:
    """Yield a file that was met: itself, why it cannot be told, or nothing.

    `head_of` reads the bytes that it begins with, where it takes them to tell.
    """
    promising = path.suffix.lower() in SUFFIXES
    if promising and not path.name.startswith("._"):
        yield path
        return
    try:
        head = head_of()
    except ImageError as error:
        if promising or not path.suffix:
            yield failure(path, error, facts)
        else:
            report.leave_out(path, "not readable")
        return
    if sniff(head) or (promising and not head.startswith(_APPLE_DOUBLE)):
        yield path
    else:
        report.leave_out(path, kind_of_other(head))


def failure(path: Path, error: ImageError, facts: FileFacts = _NOTHING) -> Failure:
    """Return the row of a file that gave an error."""
    unsupported = isinstance(error, UnsupportedError)
    status = Status.UNSUPPORTED if unsupported else Status.UNREADABLE
    return Failure(path, facts, status, error.sentence)


def kind_of_other(head: bytes) -> str:
    """Return what a file that is no picture is counted as."""
    if not head:
        return "empty"
    if head.startswith(_APPLE_DOUBLE):
        return "macOS shadow"
    kind = describe(head).removeprefix("an ").removeprefix("a ")
    return "archive" if kind.endswith(" archive") else _SHORT.get(kind, kind)
