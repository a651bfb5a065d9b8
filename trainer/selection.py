"""Which of the listed images a run takes, and which sources serve for what.

Everything goes by the source, for images of one source share size, codec and taste: what is trained
on, what thresholds come from, and what is looked at once in the end have no source in common. What
is taken of a source is chosen by SHA-256, so it is the same on every machine.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence

from dgsforensics.datasets.labelled import ListedImage
from dgsforensics.errors import UsageError
from dgsforensics.files import content
from dgsforensics.records import Label
from dgsforensics.wording import counted

from .config import SourcesConfig
from .contents import some


def select(
    listed: Sequence[ListedImage], config: SourcesConfig
) -> tuple[list[ListedImage], list[str]]:
    """Return the images that are taken, each with its part where sources have parts, and remarks.

    Of images that share a near-duplicate group one is taken. Raises `UsageError` for a source that
    is named and has no image, and `ImageError` for a file that has to be hashed and cannot be read.
    """
    if config == SourcesConfig():
        return list(listed), []
    named = {*config.exclude, *config.calibration, *config.test}
    if missing := sorted(named - {row.source for row in listed}):
        raise UsageError(
            f"no image is listed of {some(missing)}",
            "correct the names under [sources], or give the manifest that lists them",
        )
    remarks = []
    kept = [row for row in listed if row.source not in config.exclude]
    if config.exclude:
        gone = counted(len(listed) - len(kept), "image")
        remarks.append(f"Left out {gone} of {some(sorted(config.exclude))}.")
    if config.exclude_images:
        whole = len(kept)
        kept = [row for row in kept if not _digest(row).startswith(config.exclude_images)]
        remarks.append(f"Left out {counted(whole - len(kept), 'image')} by SHA-256.")
    fitting = [
        row for row in kept if row.source in config.test or row.style not in config.exclude_styles
    ]
    if config.exclude_styles:
        gone = counted(len(kept) - len(fitting), "image")
        remarks.append(f"Left out {gone} of style {' or '.join(config.exclude_styles)}.")
    taken = _capped([_with_part(row, config) for row in fitting], config)
    if len(taken) < len(fitting):
        remarks.append(
            f"{len(taken)} of {counted(len(fitting), 'image')} were taken: one of each group of "
            f"near-duplicates, and of a source at most {_most(config.real)} photographs and "
            f"{_most(config.generated)} images of a generator"
            + (f" ({config.held_out} of sources held out)." if config.held_out else ".")
        )
    return taken, remarks


def _with_part(row: ListedImage, config: SourcesConfig) -> ListedImage:
    """Return the image with the part of its source; without named sources, with its own."""
    if row.source in config.test:
        return dataclasses.replace(row, split="test")
    if not config.calibration:
        return row
    held = row.source in config.calibration
    return dataclasses.replace(row, split="validation" if held else "train")


def _capped(listed: Sequence[ListedImage], config: SourcesConfig) -> list[ListedImage]:
    """Return the first of each cell by SHA-256, in the order of the list."""
    caps = (config.real, config.generated, config.held_out)
    if caps == (None, None, None):
        return list(listed)
    taken: Counter[tuple[str, str | None]] = Counter()
    seen: set[str] = set()
    chosen = set()
    digests = [_digest(row) for row in listed]
    for i in sorted(range(len(listed)), key=lambda i: digests[i]):
        row = listed[i]
        most = config.real if row.label == Label.REAL else config.generated
        if row.split in ("validation", "test") and config.held_out is not None:
            most = config.held_out
        group = row.group or digests[i]
        cell = row.source, row.generator
        if group not in seen and (most is None or taken[cell] < most):
            seen.add(group)
            taken[cell] += 1
            chosen.add(i)
    return [row for i, row in enumerate(listed) if i in chosen]


def _digest(row: ListedImage) -> str:
    """Return the SHA-256 that the data give, or that of the file."""
    return row.sha256 or hashlib.sha256(content.read(row.path)).hexdigest()


def _most(cap: int | None) -> str:
    return "all" if cap is None else str(cap)
