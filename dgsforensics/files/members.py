"""The members of an archive that get a row, as `walk` finds the files of a folder."""

from collections.abc import Iterator
from pathlib import Path

from dgsforensics.errors import ImageError, UnreadableError
from dgsforensics.files.archive_paths import is_named_so, opened_archive
from dgsforensics.files.archives import Archive, ArchiveLimits
from dgsforensics.files.candidates import EXCLUDED, WalkReport, failure, if_candidate
from dgsforensics.files.content import read_head
from dgsforensics.files.entries import ArchiveEntry, EntryKind
from dgsforensics.files.globs import GlobSet
from dgsforensics.files.kinds import sniff
from dgsforensics.records import Failure, FileFacts


def is_to_be_entered(path: Path) -> bool:
    """Return whether a file is to be read as an archive: a picture that is only named so is not."""
    if not is_named_so(path):
        return False
    try:
        return sniff(read_head(path)) is None
    except ImageError:
        return True


def inside(
    archive: Path,
    below: list[str],
    exclude: GlobSet,
    report: WalkReport,
    limits: ArchiveLimits,
    only: str = "",
) -> Iterator[Path | Failure]:
    """Yield the members of an archive, or those that are `only` or lie below that.

    `below` are the parts of the archive's path below the folder given. Where the archive is
    damaged or beyond a limit, it is reported behind what could be read of it.
    """
    excluded: set[Path] = set()
    found = False
    try:
        with opened_archive(archive, limits) as opened:
            for name, entry in opened:
                if only and name != only and not name.startswith(f"{only}/"):
                    continue
                found = True
                left_out = _excluded(archive, name, below, exclude)
                if left_out is None and name == only:
                    yield archive / name
                elif left_out is None:
                    yield from _member(opened, archive / name, entry, report)
                elif left_out not in excluded:
                    excluded.add(left_out)
                    report.leave_out(left_out, EXCLUDED)
    except ImageError as error:
        yield failure(archive, error)
        return
    if not found and not only:
        report.leave_out(archive, "empty")
    elif not found:
        yield failure(archive / only, UnreadableError("no such file in the archive"))


def _excluded(archive: Path, name: str, below: list[str], exclude: GlobSet) -> Path | None:
    """The member that a glob means, or the folder around it; None where it is wanted."""
    parts: list[str] = []
    for part in name.split("/"):
        parts.append(part)
        place = archive.joinpath(*parts)
        if exclude.match(place, [*below, *parts]):
            return place
    return None


def _member(
    archive: Archive, path: Path, entry: ArchiveEntry, report: WalkReport
) -> Iterator[Path | Failure]:
    if entry.kind != EntryKind.FILE:
        report.leave_out(path, entry.kind)
    elif is_named_so(path):
        report.leave_out(path, "nested archive")
    else:
        facts = FileFacts(size=entry.size)
        yield from if_candidate(path, lambda: archive.head(entry), report, facts)
