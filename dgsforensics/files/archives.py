"""Archives as lists of members: what each is called, how many bytes they may come to, their bytes.

Nothing is unpacked to disk, archives inside archives are left alone, and what an archive may take
is bounded by `ArchiveLimits`.

The names in an archive are only names. They are made harmless before they become part of a path:
`..` is shown as `(..)`, a leading slash is dropped, and of two members with the same name the
second is `a (2).jpg`. Members come in the order of the archive, so the names stay the same.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO

from dgsforensics.errors import UnreadableError
from dgsforensics.files import tars, zips
from dgsforensics.files.entries import (
    ArchiveEntry,
    ArchiveReader,
    EntryKind,
    TooMuchError,
    too_much,
)
from dgsforensics.files.kinds import HEAD


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What one archive may hold."""

    members: int = 100_000
    unpacked: int = 256 << 30
    """Bytes of all members."""
    ratio: int = 250
    """Bytes of all members for each byte of the archive; pictures are compressed already."""
    harmless: int = 256 << 20
    """Bytes up to which the ratio does not matter."""

    def allowed(self, size: int) -> int:
        """Return how many bytes an archive of this size may unpack to."""
        return min(self.unpacked, max(self.harmless, self.ratio * size))


DEFAULT_ARCHIVE_LIMITS = ArchiveLimits()


class Archive:
    """An open archive, to be used from any thread."""

    def __init__(self, file: BinaryIO, limits: ArchiveLimits) -> None:
        """Use `opened_archive`; takes the file over."""
        size = os.fstat(file.fileno()).st_size
        self._limits, self._allowed = limits, limits.allowed(size)
        self._lock = threading.Lock()
        self._reader = _reader(file, self._allowed)
        self._entries: dict[str, ArchiveEntry] = {}
        self._names: list[str] = []
        self._coming = self._named()
        self._damage: UnreadableError | None = None
        self._copies: Counter[str] = Counter()
        self._folders: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, ArchiveEntry]]:
        """Yield what is no folder by the name it is shown with; raises `UnreadableError` where the
        archive is damaged or beyond a limit, behind what comes before."""
        at = 0
        while True:
            with self._lock:
                if at == len(self._names) and not self._advance():
                    break
                name = self._names[at]
            yield name, self._entries[name]
            at += 1
        if self._damage is not None:
            raise UnreadableError(self._damage.message, self._damage.hint)

    def entry(self, name: str) -> ArchiveEntry:
        """Return a member; raises `UnreadableError` where there is none."""
        with self._lock:
            while name not in self._entries and self._advance():
                pass
        if name not in self._entries:
            if self._damage is not None:
                raise UnreadableError(
                    f"not in the archive as far as it can be read: {self._damage}"
                )
            raise UnreadableError("no such file in the archive")
        return self._entries[name]

    def holds(self, name: str) -> bool:
        """Return whether a member or a folder has this name, as far as the archive can be read."""
        with self._lock:
            while name not in self._entries and name not in self._folders and self._advance():
                pass
            return name in self._entries or name in self._folders

    def has_folder(self, name: str) -> bool:
        """Return whether some member lies below this name; `` stands for the whole archive."""
        with self._lock:
            while name not in self._folders and self._advance():
                pass
            return name in self._folders

    def head(self, entry: ArchiveEntry) -> bytes:
        """Return at most `HEAD` bytes from the start of a member; `UnreadableError`."""
        _require_open(entry)
        with self._lock:
            return self._reader.data(entry, HEAD)

    def read(self, entry: ArchiveEntry) -> bytes:
        """Return all bytes of a member; `UnreadableError` also where they are not as many as
        promised."""
        _require_open(entry)
        with self._lock:
            data = self._reader.data(entry)
        if len(data) != entry.size:
            raise UnreadableError(f"the archive holds {len(data)} of its {entry.size} bytes")
        return data

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _advance(self) -> bool:
        """Read one entry more; False at the end."""
        try:
            name, entry = next(self._coming)
        except StopIteration:
            return False
        except UnreadableError as error:
            self._damage = error
            return False
        self._entries[name] = entry
        self._names.append(name)
        self._folders.update(map(str, PurePosixPath(name).parents))
        return True

    def _named(self) -> Iterator[tuple[str, ArchiveEntry]]:
        total = 0
        for number, entry in enumerate(self._reader.entries()):
            if number >= self._limits.members:
                raise TooMuchError(f"holds more than {self._limits.members} files")
            total += entry.size
            if total > self._allowed:
                if not self._reader.skips:
                    raise too_much(self._allowed)
                total -= entry.size
                entry = replace(entry, sealed=too_much(self._allowed))
            if entry.kind != EntryKind.FOLDER:
                yield self._unused(harmless(entry.name)), entry

    def _unused(self, name: str) -> str:
        path, unused = PurePosixPath(name), name
        while unused in self._entries:
            self._copies[name] += 1
            unused = str(path.with_stem(f"{path.stem} ({self._copies[name] + 1})"))
        return unused


def begins_so(head: bytes) -> bool:
    """Return whether bytes begin as an archive that is read."""
    return head.startswith((*zips.MAGIC, *tars.COMPRESSED)) or tars.is_tar(head)


def harmless(name: str) -> str:
    """Return a name from an archive that stays below the archive, whatever it holds."""
    parts = [_harmless(part) for part in name.split("/") if part not in ("", ".")]
    return "/".join(parts) or "(no name)"


def _harmless(part: str) -> str:
    if part == "..":
        return "(..)"
    part = part.replace("\0", "(0)")
    return part.replace(":", "_").replace("\\", "_") if os.name == "nt" else part


def _require_open(entry: ArchiveEntry) -> None:
    if (error := entry.sealed) is not None:
        raise type(error)(error.message, error.hint)


def _reader(file: BinaryIO, allowed: int) -> ArchiveReader:
    head = file.read(HEAD)
    file.seek(0)
    if head.startswith(zips.MAGIC):
        return zips.ZipReader(file)
    if begins_so(head):
        return tars.TarReader(file, allowed)
    raise UnreadableError("named like an archive, and is none that is read")
