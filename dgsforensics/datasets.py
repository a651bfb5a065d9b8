"""Labelled images: what a training or evaluation set says of each file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dgsforensics.errors import UsageError
from dgsforensics.records import Label

_LABELS = {
    "real": Label.REAL,
    "0_real": Label.REAL,
    "fake": Label.GENERATED,
    "1_fake": Label.GENERATED,
    "generated": Label.GENERATED,
    "ai": Label.GENERATED,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image."""

    path: Path
    label: Label
    generator: str | None
    """What made it; None for real photographs."""
    source: str
    """Where it was collected: images of one source share size, codec and taste."""
    group: str
    """Images of one group (near-duplicates, or the image alone) never part in a split."""
    sha256: str
    style: str
    """`photo`, `art` or `mixed`, as far as known."""


def read_manifest(file: Path, root: Path) -> Iterator[Sample]:
    """Samples of a JSON Lines manifest; paths are relative to `root`.

    Needs `path`, `label`, `sha256` and a source (`source` or `repo`); raises `UsageError` naming
    file and line.
    """
    try:
        stream = file.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    with stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield Sample(
                    path=root / row["path"],
                    label=_LABELS[row["label"]],
                    generator=row.get("generator"),
                    source=row.get("source") or row["repo"],
                    group=str(row.get("near_dup_group") or row["sha256"]),
                    sha256=_text(row["sha256"]),
                    style=row.get("style") or "photo",
                )
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{file}, line {number}: {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected text, got {value!r}")
    return value
