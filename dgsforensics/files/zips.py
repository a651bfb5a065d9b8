"""Members of ZIP archives, stored or deflated: what pictures lie in. Nothing is unpacked to disk.

Other ways to compress are named and not read: `zipfile` sets no bound to what they unfold at once.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dgsforensics.errors import ImageError, UnreadableError, UnsupportedError
from dgsforensics.files.entries import ArchiveEntry, EntryKind, TooMuchError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
"""What such an archive begins with: a member, the end of an empty one, a mark of several parts."""
MAX_DIRECTORY = 16 << 20
"""Bytes of the list of members, of which Python makes some thirty times as many."""
_END, _TAIL = b"PK\x05\x06", 22 + (1 << 16)
_END_64, _LOCATOR_64 = b"PK\x06\x06", b"PK\x06\x07"
_ENCRYPTED, _UTF_8, _UNIX = 0x1, 0x800, 3
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError),
    *(RuntimeError, OverflowError, KeyError, IndexError),
)
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 97: "WavPack"}
_CHUNK = 1 << 20


class ZipReader:
    """A ZIP archive; see `entries.ArchiveReader`."""

    skips = True

    def __init__(self, file: BinaryIO) -> None:
        """Take a file over; raises `UnreadableError` where it has no list of members."""
        self._file = file
        if (size := _directory_size(file)) > MAX_DIRECTORY:
            raise TooMuchError(f"its list of members has {size / 1e6:.0f} MB")
        with _damage():
            self._zip = zipfile.ZipFile(file)

    def entries(self) -> Iterator[ArchiveEntry]:
        """Yield what the archive holds, in its order."""
        for info in self._zip.infolist():
            yield ArchiveEntry(_name(info), _kind(info), info.file_size, info, _seal(info))

    def data(self, entry: ArchiveEntry, most: int | None = None) -> bytes:
        """Return the first bytes of a file, `most` or all; `UnreadableError` for damage."""
        left = entry.size if most is None else min(most, entry.size)
        parts = []
        with _damage(), self._zip.open(entry.key) as member:
            while left and (part := member.read(min(left, _CHUNK))):
                parts.append(part)
                left -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the file."""
        self._zip.close()
        self._file.close()


def _name(info: zipfile.ZipInfo) -> str:
    """The name as its maker meant it: macOS writes UTF-8 and does not say so."""
    name = info.filename.replace("\\", "/")
    if info.flag_bits & _UTF_8:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _kind(info: zipfile.ZipInfo) -> EntryKind:
    if info.filename.endswith("/"):
        return EntryKind.FOLDER
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    if stat.S_ISLNK(mode):
        return EntryKind.LINK
    return EntryKind.FILE if stat.S_IFMT(mode) in (0, stat.S_IFREG) else EntryKind.SPECIAL


def _seal(info: zipfile.ZipInfo) -> ImageError | None:
    if info.flag_bits & _ENCRYPTED:
        return UnsupportedError(
            "encrypted", "unpack the archive with its password, then scan the folder"
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        return UnsupportedError(
            f"compressed in a way that is not read ({method})", "unpack the archive first"
        )
    return None


def _directory_size(file: BinaryIO) -> int:
    """Bytes of the list of members as the end of the archive gives them; 0 where it does not."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    bare = max(0, len(tail) - 22)
    at = bare if tail.startswith(_END, bare) else tail.rfind(_END)  # as `zipfile` finds it
    if at < 0:
        return 0
    found = int.from_bytes(tail[at + 12 : at + 16], "little")
    locator = tail[max(0, at - 20) : at]
    if locator.startswith(_LOCATOR_64):  # then the number may be in a record of its own
        file.seek(max(0, size - len(tail) + at - 76))
        record = file.read(76)[:56]
        if record.startswith(_END_64):
            found = int.from_bytes(record[40:48], "little")
    return min(found, size)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except zipfile.BadZipFile as error:
        raise UnreadableError(f"damaged ZIP archive: {_words(error)}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError("damaged ZIP archive: a name in it is not UTF-8") from error
    except _DAMAGE as error:
        raise UnreadableError(f"damaged ZIP archive: {_words(error)}") from error


def _words(error: Exception) -> str:
    text = str(error)
    if "CRC" in text:
        return "a wrong check sum"
    if "not a zip file" in text:
        return "its end is missing, which lists what it holds"
    return text[:1].lower() + text[1:] or type(error).__name__
