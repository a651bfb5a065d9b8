"""What a scan looked for: a file that a later one should have found again and did not is gone.

A scan of one file or of a part of the folder says nothing of the rest, nor does one with excludes
of what it left out.
"""

import os
from collections.abc import Callable, Sequence

from dgsforensics.case.scans import ScanInfo, ScanOptions
from dgsforensics.records import CaseRow


def gone(scans: Sequence[ScanInfo]) -> Callable[[CaseRow], bool]:
    """Return a function that tells of a row of these scans whether a later, finished one looked for
    it in vain.

    `folders` of a scan's options holds the folders that it went through; one by an older version,
    which did not say, is taken to have looked everywhere.
    """
    excludes = {scan.id: _excludes(scan.settings.options) for scan in scans}
    looked = [
        (scan.id, _beginnings(scan.settings.options), excludes[scan.id])
        for scan in scans
        if scan.finished is not None
    ]

    def tell(row: CaseRow) -> bool:
        path = str(row.path)
        return any(
            number > row.scan_id
            and (beginnings is None or path.startswith(beginnings))
            and left_out <= excludes[row.scan_id]
            for number, beginnings, left_out in looked
        )

    return tell


def _beginnings(options: ScanOptions) -> tuple[str, ...] | None:
    """Return what the paths that a scan covers begin with; None for all paths."""
    folders = options.folders
    return None if folders is None else tuple(os.path.join(folder, "") for folder in folders)


def _excludes(options: ScanOptions) -> frozenset[str]:
    said = options.exclude if options.folders is not None else ()
    return frozenset(said if options.archives else (*said, _ARCHIVES))


_ARCHIVES = "\0archives"
"""Stands for all that lies in archives; no glob has a NUL."""
