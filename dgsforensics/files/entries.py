"""What the readers of archives have in common: the entries of an archive's own list."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from dgsforensics.errors import ImageError, UnreadableError


class EntryKind(StrEnum):
    """What an entry stands for."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special file"
    """A pipe, a device."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One thing in an archive, as the archive itself lists it; nothing of it is to be trusted."""

    name: str
    """As stored, `/` between folders."""
    kind: EntryKind
    size: int
    """Bytes when unpacked, as promised."""
    key: Any
    """What its reader finds the bytes by."""
    sealed: ImageError | None = None
    """Why the bytes are not to be had, such as a password; None where they are."""


class ArchiveReader(Protocol):
    """One open archive, for one thread at a time."""

    skips: bool
    """Whether passing over a member costs nothing."""

    def entries(self) -> Iterator[ArchiveEntry]:
        """Yield what the archive holds, in its order; `UnreadableError` where it is damaged."""

    def data(self, entry: ArchiveEntry, most: int | None = None) -> bytes:
        """Return the first bytes of a file, `most` or all; `UnreadableError` for damage."""

    def close(self) -> None:
        """Let go of the file."""


class TooMuchError(UnreadableError):
    """An archive beyond a limit."""


def too_much(allowed: int) -> TooMuchError:
    """Return the error for an archive that unpacks to more bytes than are `allowed`."""
    return TooMuchError(
        f"unpacks to more than {allowed / 1e6:.0f} MB, far more than pictures come to",
        "unpack it yourself if you trust it",
    )
