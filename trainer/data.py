"""From what the data say to what is trained on: every file checked, grouped and split.

The result can be written down: a run that goes on later then knows its data and its split without
decoding an image.
"""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dgsforensics import atomic
from dgsforensics.case.store import Case
from dgsforensics.datasets import labelled
from dgsforensics.datasets.labelled import ListedImage, Sample, as_sample
from dgsforensics.errors import UsageError
from dgsforensics.pictures import near_duplicates
from dgsforensics.records import Label
from dgsforensics.review import labels
from dgsforensics.wording import counted, printable

from . import contents, splits
from .contents import ReadableImage, place, some

FORMAT = "dgsf split 1"
_GIVEN = "Training and validation as the data give them."


@dataclass(frozen=True, slots=True)
class Dataset:
    """Checked images in two parts that share no near-duplicate; each content occurs once."""

    train: list[Sample]
    validation: list[Sample]
    split_by: str
    """How they were split, in sentences for people."""
    notes: list[str]
    """What was left out and why, in sentences for people."""
    digest: str
    """SHA-256 over contents, labels and parts: the same data, split alike, wherever they lie."""
    test: list[Sample] = field(default_factory=list)
    """A third part, of sources looked at once in the end; mostly there is none."""


def gather(
    sources: Sequence[Path],
    case: Path | None,
    notice: Callable[[str], None],
    root: Path | None = None,
) -> list[ListedImage]:
    """Return what a folder or manifest lists, what was labelled in a case, or both together.

    `notice` is told what was left out. Raises `UsageError`, also when a class is missing.
    """
    reviewed: list[ListedImage] = []
    if case is not None:
        with Case.open(case) as opened:
            reviewed = labels.training(opened, notice)
    if sources:
        return labelled.read(sources, root, notice, also=reviewed)
    present = {entry.label for entry in reviewed}
    if missing := [name for name, label in labels.TRAINED_ON.items() if label not in present]:
        raise UsageError(
            f"{case}: no image is labelled {' or '.join(missing)}",
            "label images of both kinds, or give DATA with the others as well",
        )
    return reviewed


def prepare(
    listed: Sequence[ListedImage],
    *,
    share: float,
    by: splits.By,
    seed: int,
    skip_unreadable: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Read, check, group and split what is listed.

    Where the data name images for validation, all others are for training; otherwise
    `splits.hold_out` decides by `share`, `by` and `seed`. Paths become absolute. `progress` is
    told files done and files to do; `notes` come first among those of the result.

    Raises `UsageError`, naming files, for content that is not what the data say, for unreadable
    files (unless `skip_unreadable`), for the same content under both labels or given for both
    parts, and when a part would lack a class.
    """
    remarks = list(notes)
    rows, unreadable = contents.examine(listed, progress)
    if unreadable:
        words = counted(len(unreadable), "image")
        if not skip_unreadable:
            raise UsageError(
                f"{words} cannot be read: {some(unreadable)}",
                "mend or remove them, or leave them out with --skip-unreadable",
            )
        remarks.append(f"Left out {words} that cannot be read: {some(unreadable)}.")
    _refuse_twins(
        [row for row in rows if row.listed.label == Label.REAL],
        [row for row in rows if row.listed.label == Label.GENERATED],
        "the same content is labelled real and generated",
    )
    _refuse_twins(
        [row for row in rows if row.listed.split == "train"],
        [row for row in rows if row.listed.split == "validation"],
        "the same content is given for training and for validation",
    )
    unique = _once(rows)
    if copies := len(rows) - len(unique):
        remarks.append(f"{copies} copies were left out: the same content is used once.")
    test = [sample for row, sample in unique if row.listed.split == "test"]
    unique = [(row, sample) for row, sample in unique if row.listed.split != "test"]
    apart = splits.without_groups_of(
        [*(sample for _, sample in unique), *test],
        list(range(len(unique))),
        list(range(len(unique), len(unique) + len(test))),
    )
    if dropped := len(unique) - len(apart):
        remarks.append(f"{dropped} near-duplicates of images for the test were dropped.")
    unique = [unique[i] for i in apart]
    samples = [sample for _, sample in unique]
    if any(entry.split == "validation" for entry in listed):
        held = [i for i, (row, _) in enumerate(unique) if row.listed.split == "validation"]
        rest = [i for i, (row, _) in enumerate(unique) if row.listed.split != "validation"]
        train = splits.without_groups_of(samples, rest, held)
        if dropped := len(rest) - len(train):
            remarks.append(
                f"{dropped} near-duplicates of images for validation were dropped from training."
            )
        splits.require_both_classes([samples[i] for i in train], [samples[i] for i in held])
        how = _GIVEN
    else:
        train, held, how = splits.hold_out(samples, share, by, seed)
    parts = [samples[i] for i in train], [samples[i] for i in held]
    notes_then = [printable(remark) for remark in remarks]
    return Dataset(*parts, how, notes_then, _digest(*parts, test), test)


def write_split(dataset: Dataset, file: Path) -> None:
    """Write the whole data set as JSON Lines, at once or not at all; `UsageError` if it cannot."""
    rows: list[dict[str, object]] = [
        {
            "format": FORMAT,
            "split_by": dataset.split_by,
            "notes": dataset.notes,
            "digest": dataset.digest,
        }
    ]
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    for part, samples in parts.items():
        for sample in samples:
            rows.append(dataclasses.asdict(sample) | {"path": str(sample.path), "part": part})
    try:
        # In ASCII, where the bytes of a path that are not UTF-8 survive as escapes.
        with (
            atomic.replacing(file) as part_file,
            part_file.open("w", encoding="ascii", newline="\n") as stream,
        ):
            stream.writelines(json.dumps(row) + "\n" for row in rows)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error


def read_split(file: Path) -> Dataset:
    """Return what `write_split` wrote; raises `UsageError` when it is not there or not that."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    parts: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
    number = 1
    try:
        head = json.loads(lines[0])
        if head["format"] != FORMAT:
            raise ValueError(f"format {head['format']!r}, expected {FORMAT!r}")
        for line in lines[1:]:
            number += 1
            row = json.loads(line)
            part = parts[row.pop("part")]
            part.append(Sample(**row | {"path": Path(row["path"]), "label": Label(row["label"])}))
        if head["digest"] != _digest(**parts):
            raise ValueError("rows are missing or were changed")
        return Dataset(
            parts["train"],
            parts["validation"],
            head["split_by"],
            head["notes"],
            head["digest"],
            parts["test"],
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{file}, line {number}: not a split as it was recorded: {error!r}",
            "start over with --force instead of --resume",
        ) from error


def still_there(dataset: Dataset) -> None:
    """Hash all files again; raises `UsageError` naming those that changed or are gone."""
    contents.require_unchanged([*dataset.train, *dataset.validation, *dataset.test])


def _refuse_twins(
    some_rows: Sequence[ReadableImage], others: Sequence[ReadableImage], what: str
) -> None:
    """Raise where the two share content."""
    here, there = _first_by_content(some_rows), _first_by_content(others)
    pairs = [
        f"{place(row.listed)} and {place(there[sha256].listed)}"
        for sha256, row in here.items()
        if sha256 in there
    ]
    if pairs:
        raise UsageError(f"{what}: {some(pairs)}", "keep one of each pair")


def _first_by_content(rows: Sequence[ReadableImage]) -> dict[str, ReadableImage]:
    """Return, of copies, the one for which the data give a part, then the first by path."""
    first: dict[str, ReadableImage] = {}
    for row in sorted(rows, key=lambda row: (row.listed.split is None, str(row.listed.path))):
        first.setdefault(row.sha256, row)
    return first


def _once(rows: Sequence[ReadableImage]) -> list[tuple[ReadableImage, Sample]]:
    """Return each content once, in order, with its group.

    A group is named as in the data, or by the smallest SHA-256 in it: files that come or go
    elsewhere do not rename it.
    """
    known = [row.listed.group for row in rows]
    roots = near_duplicates.group([row.fingerprint for row in rows], known=known)
    given: dict[int, set[str]] = defaultdict(set)
    hashes: dict[int, set[str]] = defaultdict(set)
    for row, root in zip(rows, roots, strict=True):
        hashes[root].add(row.sha256)
        if row.listed.group:
            given[root].add(row.listed.group)
    first = _first_by_content(rows)
    unique = []
    for row, root in zip(rows, roots, strict=True):
        if first[row.sha256] is row:
            checked = dataclasses.replace(
                row.listed,
                path=row.listed.path.absolute(),
                sha256=row.sha256,
                group=min(given[root] or hashes[root]),
            )
            unique.append((row, as_sample(checked)))
    return unique


def _digest(train: Sequence[Sample], validation: Sequence[Sample], test: Sequence[Sample]) -> str:
    lines = [
        f"{sample.sha256},{sample.label},{part}\n"
        for part, samples in (("train", train), ("validation", validation), ("test", test))
        for sample in samples
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
