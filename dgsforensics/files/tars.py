"""Members of TAR archives, plain or compressed as a whole.

A compressed one can only be read forwards, and going back means to begin again. Several threads ask
for its members nearly in order, so what one of them passes over is kept for a while for the others.
"""

import bz2
import gzip
import lzma
import os
import struct
import tarfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from dgsforensics.errors import UnreadableError, UnsupportedError
from dgsforensics.files.entries import ArchiveEntry, EntryKind, too_much

COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")
"""What a compressed one begins with: gzip, bzip2, xz."""
_HEAD = 1 << 20
"""Bytes of one header; some are as long as they like."""
_KEPT, _KEPT_EACH = 64 << 20, 16 << 20
"""Bytes of members passed over that are kept, of all and of one."""
_LZMA_MEMORY = 512 << 20
_DAMAGE = (
    *(tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError),
    *(struct.error, RecursionError, OverflowError, IndexError, KeyError),
)


def is_tar(head: bytes) -> bool:
    """Return whether bytes begin as a plain TAR archive: its first header adds up."""
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return head[: tarfile.BLOCKSIZE] == bytes(tarfile.BLOCKSIZE)  # one without members
    return True


class TarReader:
    """A TAR archive; see `entries.ArchiveReader`."""

    def __init__(self, file: BinaryIO, allowed: int) -> None:
        """Take a file over, which unpacks to no more than `allowed` bytes."""
        self._file = file
        head = file.read(6)
        file.seek(0)
        self.skips = not head.startswith(COMPRESSED)
        self._bytes = file if self.skips else _unpacked(file, head)
        self._stream = _Bounded(self._bytes, allowed)
        self._files: list[ArchiveEntry] = []
        """Those listed so far, for what is passed over."""
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def entries(self) -> Iterator[ArchiveEntry]:
        """Yield what the archive holds, in its order; `UnreadableError` where it is damaged."""
        with _damage():
            archive: Any = tarfile.TarFile(
                fileobj=self._stream,  # type: ignore[arg-type]
                encoding="utf-8",
                errors="surrogateescape",
            )
            before = -1
            while (info := archive.next()) is not None:
                if not before < info.offset_data or info.size < 0:
                    raise UnreadableError("damaged TAR archive: a size that makes no sense")
                before = info.offset_data
                archive.members.clear()
                entry = _entry(info)
                if entry.kind == EntryKind.FILE:
                    self._files.append(entry)
                yield entry
            # A header that makes no sense ends the list without a word.
            self._stream.seek(archive.offset)
            end = self._stream.read(tarfile.BLOCKSIZE)
            if len(end) < tarfile.BLOCKSIZE:
                raise UnreadableError("the TAR archive breaks off")
            if any(end):
                raise UnreadableError("damaged TAR archive: a header that makes no sense")

    def data(self, entry: ArchiveEntry, most: int | None = None) -> bytes:
        """Return the first bytes of a file, `most` or all; `UnreadableError` for damage."""
        with _damage():
            if most is None and not self.skips:
                if (kept := self._kept.pop(entry.key, None)) is not None:
                    return kept
                self._keep_up_to(entry.key)
            self._bytes.seek(entry.key)
            return self._bytes.read(entry.size if most is None else min(most, entry.size))

    def close(self) -> None:
        """Let go of the file."""
        self._bytes.close()
        self._file.close()

    def _keep_up_to(self, end: int) -> None:
        """Keep the files between here and there: another thread will ask for them."""
        here = self._bytes.tell()
        for entry in self._between(here, end):
            self._bytes.seek(entry.key)
            self._kept[entry.key] = self._bytes.read(entry.size)
            while sum(map(len, self._kept.values())) > _KEPT:
                self._kept.popitem(last=False)

    def _between(self, here: int, end: int) -> list[ArchiveEntry]:
        """The last files between two places that there is room for."""
        found: list[ArchiveEntry] = []
        room = _KEPT
        for entry in reversed(self._files):
            if entry.key < here or room < 0:
                break
            if entry.key < end and entry.size <= _KEPT_EACH:
                found.append(entry)
                room -= entry.size
        return found[::-1]


class _Bounded:
    """A stream for `tarfile`, which believes what headers say: within bounds, and forwards."""

    def __init__(self, stream: BinaryIO, allowed: int) -> None:
        self._stream, self._allowed = stream, allowed

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _HEAD:
            raise UnreadableError("damaged TAR archive: a header of a size that makes no sense")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def seek(self, place: int) -> int:
        self._check(place)
        return self._stream.seek(place)

    def tell(self) -> int:
        return self._stream.tell()

    def _check(self, place: int) -> None:
        if place > self._allowed:
            raise too_much(self._allowed)


def _entry(info: tarfile.TarInfo) -> ArchiveEntry:
    kind = EntryKind.SPECIAL
    if info.isreg():
        kind = EntryKind.FILE
    elif info.isdir():
        kind = EntryKind.FOLDER
    elif info.issym() or info.islnk():
        kind = EntryKind.LINK
    sealed = None
    if info.issparse():
        sealed = UnsupportedError("stored with holes (sparse)", "unpack the archive first")
    size = info.size if kind == EntryKind.FILE else 0
    return ArchiveEntry(info.name, kind, size, info.offset_data, sealed)


def _unpacked(file: BinaryIO, head: bytes) -> Any:
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    with _damage():  # how much memory it takes is for its maker to say
        trial = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
        trial.decompress(file.read(1 << 16), max_length=1)
    file.seek(0, os.SEEK_SET)
    return lzma.LZMAFile(file)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (EOFError, tarfile.ReadError) as error:
        broken = isinstance(error, EOFError) or "unexpected end" in str(error)
        said = "the TAR archive breaks off" if broken else f"damaged TAR archive: {error}"
        raise UnreadableError(said) from error
    except _DAMAGE as error:
        text = str(error) or type(error).__name__
        raise UnreadableError(f"damaged TAR archive: {text[:1].lower()}{text[1:]}") from error
