"""Labels outside the screen: given to images by name, and handed on as a file or for training.

What stands is each reviewer's last decision for an image. An image has a label of its own where all
who labelled it agree; where they differ it has none, and is named instead.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgsforensics import atomic
from dgsforensics.case import contents, transfer
from dgsforensics.case.decisions import Log, standing
from dgsforensics.case.store import Case
from dgsforensics.datasets.labelled import UNKNOWN, ListedImage
from dgsforensics.errors import UsageError
from dgsforensics.files.regular import reason_of
from dgsforensics.judgements import Decision, Judgement
from dgsforensics.pictures import near_duplicates
from dgsforensics.records import Label
from dgsforensics.review.item import Item
from dgsforensics.tables import csv_line, to_json
from dgsforensics.wording import counted

FIELDS = (
    *("path", "label", "sha256", "reviewer", "time", "note", "verdict", "probability", "logit"),
    *("threshold", "model", "model_sha256", "near_dup_group"),
)
"""Of an exported label, in this order; what is not known is null."""
DIGITS = 8
"""The fewest of a digest that name an image."""
_BY_DIGEST = "sha256:"
TRAINED_ON = {Judgement.AI: Label.GENERATED, Judgement.REAL: Label.REAL}
"""What a detector learns from a label; from the others nothing."""
_DIFFER = "reviewers differ"
_CHANGED = "changed or gone since they were labelled"
_LABEL_FIRST = "label images first, with dgsf review or dgsf label"


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image with a label, or with several that differ."""

    sha256: str
    paths: tuple[Path, ...]
    """Where it lies, absolute, sorted; at least one."""
    decisions: tuple[Decision, ...]
    """One a reviewer, the latest last; each with a judgement."""

    @property
    def judgement(self) -> Judgement | None:
        """What all say; None where they differ."""
        said = {decision.judgement for decision in self.decisions}
        return said.pop() if len(said) == 1 else None

    @property
    def reviewers(self) -> str:
        """Their names."""
        return ", ".join(decision.reviewer for decision in self.decisions)

    def __str__(self) -> str:
        said = ", ".join(f"{d.reviewer} says {d.judgement}" for d in self.decisions)
        return f"{self.paths[0]}: {said}"


# Giving them


def select(items: Sequence[Item], wanted: Sequence[str]) -> list[Item]:
    """Return the images meant by paths of files and folders and by `sha256:` and a beginning, each
    once.

    Raises `UsageError` naming what is not among `items`, is ambiguous or has no digest.
    """
    chosen: dict[str, Item] = {}
    for name in wanted:
        by_digest = name.startswith(_BY_DIGEST)
        meant = _by_digest(items, name) if by_digest else _by_path(items, name)
        for item in meant:
            if item.sha256 is not None:
                chosen.setdefault(item.sha256, item)
    return list(chosen.values())


def _by_path(items: Sequence[Item], name: str) -> list[Item]:
    place = os.path.abspath(name)
    below = place.rstrip(os.sep) + os.sep
    paths = ((item, str(item.path)) for item in items)
    found = [item for item, path in paths if path == place or path.startswith(below)]
    if not found:
        raise UsageError(f"{name}: not in the case", "name files and folders that were scanned")
    if not any(item.sha256 for item in found):
        raise UsageError(f"{name}: could not be read in the scan, so it cannot be labelled")
    return found


def _by_digest(items: Sequence[Item], name: str) -> list[Item]:
    start = name.removeprefix(_BY_DIGEST).lower()
    if len(start) < DIGITS or not set(start) <= set("0123456789abcdef"):
        raise UsageError(f"{name}: give {DIGITS} hexadecimal digits or more")
    found = [item for item in items if item.sha256 and item.sha256.startswith(start)]
    if len({item.sha256 for item in found}) != 1:
        wrong = "more than one image begins so" if found else "not in the case"
        raise UsageError(f"{name}: {wrong}")
    return found


# Reading them


def labelled(
    case: Case, reviewer: str | None = None, notice: Callable[[str], None] = lambda text: None
) -> list[LabelledImage]:
    """Return all images with a label that lie somewhere, by path; of one `reviewer`, if given.

    `notice` is told how many lie nowhere any more. Raises `UsageError` when nothing is labelled, or
    nothing by that reviewer.
    """
    stand = standing(Log(case).after())
    given = {
        sha256: sorted((d for d in mine.values() if d.judgement is not None), key=lambda d: d.id)
        for sha256, mine in stand.items()
    }
    names = sorted({decision.reviewer for mine in given.values() for decision in mine})
    if not names:
        raise UsageError(f"{case.path}: no image is labelled", _LABEL_FIRST)
    if reviewer is not None and reviewer not in names:
        raise UsageError(
            f"{case.path}: {reviewer} has labelled nothing",
            f"there are labels by {', '.join(names)}",
        )
    places = _places(case)
    found, lost = [], 0
    for sha256, mine in given.items():
        said = tuple(d for d in mine if reviewer in (None, d.reviewer))
        if said and sha256 in places:
            found.append(LabelledImage(sha256, tuple(places[sha256]), said))
        elif said:
            lost += 1
    if lost:
        notice(f"{lost} labelled images left out: they lie nowhere that the case file knows.")
    return sorted(found, key=lambda image: image.paths)


def _places(case: Case) -> dict[str, list[Path]]:
    places: dict[str, list[Path]] = defaultdict(list)
    for path, sha256 in contents.locations(case):
        if sha256 is not None:
            places[sha256].append(path)
    return places


def training(case: Case, notice: Callable[[str], None] = lambda text: None) -> list[ListedImage]:
    """Return what was labelled AI or real, for training; each image at a place where it still lies.

    `notice` is told what is taken and how many images are left out and why. Raises `UsageError`
    when nothing is left.
    """
    listed: list[ListedImage] = []
    left_out: Counter[str] = Counter()
    for image in labelled(case, notice=notice):
        if image.judgement not in TRAINED_ON:
            left_out[f"labelled {image.judgement}" if image.judgement else _DIFFER] += 1
            continue
        label = TRAINED_ON[image.judgement]
        # Another file of this image may have been edited since; this one is as it was labelled.
        path = next((path for path in image.paths if transfer.holds(path, image.sha256)), None)
        if path is None:
            left_out[_CHANGED] += 1
            continue
        listed.append(
            ListedImage(
                path=path,
                label=label,
                generator=UNKNOWN if label == Label.GENERATED else None,
                source=UNKNOWN,
                caption=None,
                split=None,
                sha256=image.sha256,
                group=None,
                style="photo",
                origin=f"{case.path.name}, labelled by {image.reviewers}",
            )
        )
    remarks = [
        f"{counted(count, 'image')} left out: {reason}." for reason, count in left_out.items()
    ]
    if not listed:
        nothing = "nothing" if _CHANGED not in left_out else "nothing that is still there"
        words = " ".join([f"{case.path}: {nothing} is labelled ai or real.", *remarks])
        raise UsageError(words, _LABEL_FIRST)
    counts = Counter(entry.label for entry in listed)
    taken = " and ".join(f"{counts[label]} {label}" for label in Label)
    for remark in [f"{taken} images from the labels in {case.path.name}.", *remarks]:
        notice(remark)
    return listed


# Handing them on


def rows(case: Case, images: Sequence[LabelledImage], *, every: bool) -> Iterator[dict[str, Any]]:
    """Yield the fields of one image and path after another; where `every`, of each reviewer apart.

    Without `every`, images whose reviewers differ are passed over.
    """
    group_of = _groups(case)
    for image in images:
        apart = [(decision,) for decision in image.decisions]
        for said in apart if every else [image.decisions] if image.judgement else []:
            for path in image.paths:
                yield _row(path, said, group_of.get(image.sha256))


def _row(path: Path, said: Sequence[Decision], group: str | None) -> dict[str, Any]:
    last = said[-1]
    shown = next((decision.shown for decision in reversed(said) if decision.shown), None)
    notes = dict.fromkeys(decision.note for decision in said if decision.note)
    values: dict[str, Any] = {
        "path": str(path),
        "label": str(last.judgement),
        "sha256": last.sha256,
        "reviewer": ", ".join(decision.reviewer for decision in said),
        "time": last.time,
        "note": "; ".join(notes),
        "near_dup_group": group,
    }
    for name in ("verdict", "probability", "logit", "threshold", "model", "model_sha256"):
        values[name] = None if shown is None else getattr(shown, name)
    return {name: values[name] for name in FIELDS}


def _groups(case: Case) -> dict[str, str]:
    """Return the near-duplicate group of each image, named by the smallest SHA-256 in it, where
    known.
    """
    known = contents.fingerprints(case)
    names = list(known)
    roots = near_duplicates.group(list(known.values()))
    return {sha256: names[root] for sha256, root in zip(names, roots, strict=True)}


def as_jsonl(labels: Sequence[dict[str, Any]]) -> bytes:
    """Return one object a line; `datasets.read` takes it as a manifest."""
    return "".join(to_json(row) + "\n" for row in labels).encode()


def as_csv(labels: Sequence[dict[str, Any]]) -> bytes:
    """Return a header and one line a row; raises `UsageError` for a name that is not UTF-8."""
    lines = [csv_line(FIELDS), *(csv_line(row.values()) for row in labels)]
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "a name that is not UTF-8 cannot be kept in CSV", "export to a .jsonl file"
        ) from error


def save(content: bytes, file: Path, *, force: bool) -> None:
    """Write a file whole or not at all, onto one that is there only by `force`; `UsageError`."""
    try:
        atomic.save(content, file, replace=force)
    except FileExistsError as error:
        raise UsageError(f"{file} is there already", "--force replaces it") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {file}: {reason_of(error)}") from error
