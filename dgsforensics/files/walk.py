"""From the paths a user gives to the files that get a row, in an order that never changes.

Arguments in the order given, folders depth first, their entries sorted by the bytes of the name.
Every file that may be a picture comes out, and every place that could not be looked into comes
out as a `Failure`, so that a report accounts for all it was asked about.

* A file named by the user always gets a row, whatever it is.
* A file met inside a folder gets one when its first bytes are a picture's, also of a kind that is
  not read, or when its suffix is a picture's: then a mislabelled, empty or damaged one is reported
  too. Text, video and the like lie beside photographs everywhere and are passed over. Where the
  bytes cannot be had, a picture's suffix or none at all suffices.
* A pipe, socket or device is reported and never opened.
* Hidden files and folders count. The `._name` shadows that macOS leaves on foreign disks do not.
* A symbolic link named by the user is followed. Inside folders links are passed over unless asked
  for; then a link into its own parents is reported as a loop, a broken one as unreadable, and a
  folder that was already walked under another name is not walked again.
* The same path twice, compared as absolute, is one row, at its first place.
* Archives are walked as folders are, their members in the order of the archive, unless that is not
  wanted. One that is damaged, or beyond a limit, is reported behind what could be read of it. Links
  and other archives inside are passed over.

What is passed over gets no row, but is told to `WalkReport` with its kind, so that a report can
say what it is not about.

`exclude` holds shell globs: see `files.globs`. An excluded folder is not entered. Files named by
the user are compared too, as grep does; a folder named by the user is never excluded itself.
"""

import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dgsforensics.files.archive_paths import member_at
from dgsforensics.files.archives import DEFAULT_ARCHIVE_LIMITS, ArchiveLimits
from dgsforensics.files.candidates import EXCLUDED, WalkReport, if_candidate
from dgsforensics.files.content import read_head
from dgsforensics.files.globs import GlobSet
from dgsforensics.files.members import inside, is_to_be_entered
from dgsforensics.files.regular import kind_of, reason_of
from dgsforensics.records import Failure, FileFacts, Status

_log = logging.getLogger(__name__)

Identity = tuple[int, int]
"""Device and inode: the same folder under whatever name."""


@dataclass(slots=True)
class _Walk:
    """What one call of `find_files` was asked for and has met so far."""

    exclude: GlobSet
    follow_symlinks: bool
    report: WalkReport
    archives: ArchiveLimits | None
    seen: set[str] = field(default_factory=set)
    """Absolute paths that have a row."""
    walked: set[Identity] = field(default_factory=set)
    """Folders; kept only when links are followed, for without them none is met twice."""


def find_files(
    paths: Iterable[Path],
    *,
    exclude: Sequence[str] = (),
    follow_symlinks: bool = False,
    report: WalkReport | None = None,
    archives: ArchiveLimits | None = DEFAULT_ARCHIVE_LIMITS,
) -> Iterator[Path | Failure]:
    """Yield files to scan below the paths, and what could not be looked into; see the module for
    rules. Where `archives` is None, archives are files like any other.

    Lazy: nothing is read before it is asked for, and `paths` may be a stream.
    """
    walk = _Walk(GlobSet(exclude), follow_symlinks, report or WalkReport(), archives)
    for path in paths:
        for found in _from_argument(path, walk):
            place = os.path.abspath(found.path if isinstance(found, Failure) else found)
            if place not in walk.seen:
                walk.seen.add(place)
                yield found
    walk.report.unused = walk.exclude.unused


def _from_argument(path: Path, walk: _Walk) -> Iterator[Path | Failure]:
    if walk.archives is not None and (member := member_at(path)) is not None:
        yield from inside(member.archive, [], walk.exclude, walk.report, walk.archives, member.name)
        return
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        yield _unreadable(path, _reason(path, error))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _below(path, (status.st_dev, status.st_ino), walk)
    elif walk.exclude.match(path, [path.name]):
        walk.report.leave_out(path, EXCLUDED)
    elif stat.S_ISREG(status.st_mode):
        if walk.archives is not None and is_to_be_entered(path):
            yield from inside(path, [], walk.exclude, walk.report, walk.archives)
        else:
            yield path
    else:
        yield _not_a_file(path, status.st_mode)


def _below(root: Path, identity: Identity, walk: _Walk) -> Iterator[Path | Failure]:
    """Yield what lies below, depth first and without recursion: a tree may be deeper than Python's
    stack.
    """
    if identity in walk.walked:
        _log.debug("already walked: %r", root)
        return
    # Each level: the folder's identity, its path below the root, and its entries still to come.
    levels: list[tuple[Identity, list[str], Iterator[Path | Failure]]] = []
    levels.append((identity, [], _entries(root)))
    if walk.follow_symlinks:
        walk.walked.add(identity)
    while levels:
        _, below, entries = levels[-1]
        entry = next(entries, None)
        if entry is None:
            levels.pop()
            continue
        if isinstance(entry, Failure):
            yield entry
            continue
        parts = [*below, entry.name]
        if walk.exclude.match(entry, parts):
            walk.report.leave_out(entry, EXCLUDED)
            continue
        try:
            status = os.stat(entry, follow_symlinks=walk.follow_symlinks)
        except OSError as error:
            yield _unreadable(entry, _reason(entry, error))
            continue
        inner = (status.st_dev, status.st_ino)
        if stat.S_ISLNK(status.st_mode):
            walk.report.leave_out(entry, "link")
        elif stat.S_ISREG(status.st_mode):
            if walk.archives is not None and is_to_be_entered(entry):
                yield from inside(entry, parts, walk.exclude, walk.report, walk.archives)
            else:
                yield from if_candidate(entry, partial(read_head, entry), walk.report)
        elif not stat.S_ISDIR(status.st_mode):
            yield _not_a_file(entry, status.st_mode)
        elif walk.follow_symlinks and inner in {level[0] for level in levels}:
            yield _unreadable(entry, "directory loop: the link leads back to a folder above it")
        elif inner in walk.walked:
            _log.debug("already walked: %r", entry)
        else:
            levels.append((inner, parts, _entries(entry)))
            if walk.follow_symlinks:
                walk.walked.add(inner)


def _entries(folder: Path) -> Iterator[Path | Failure]:
    """Return what a folder holds, by the bytes of the name; one failure if it cannot be listed."""
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)
    except OSError as error:
        return iter([_unreadable(folder, f"folder cannot be listed: {reason_of(error)}")])
    return (folder / name for name in names)


def _reason(path: Path, error: OSError | ValueError) -> str:
    is_dangling = isinstance(error, FileNotFoundError) and os.path.islink(path)
    return "broken symbolic link" if is_dangling else reason_of(error)


def _unreadable(path: Path, reason: str) -> Failure:
    return Failure(path, FileFacts(), Status.UNREADABLE, reason)


def _not_a_file(path: Path, mode: int) -> Failure:
    return Failure(path, FileFacts(), Status.UNSUPPORTED, f"not a regular file ({kind_of(mode)})")
