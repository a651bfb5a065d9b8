"""Splits that no image, near-duplicate, source or generator straddles.

A detector that has seen one image of a source knows that source's size and JPEG quality, so a split
by image measures memory. What is left out here is left out whole.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import UNKNOWN, Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label
from dgsforensics.wording import printable

Cell = Callable[[Sample], str]
By = Literal["auto", "generator", "source", "group"]
ENOUGH_CELLS = 4
"""Generators or sources of a class from which on `auto` holds out whole ones."""
_GROUP = "near-duplicate group"
_NAMED = 10
"""Cells named in a sentence; there may be hundreds."""


def by_source(sample: Sample) -> str:
    """Return cell of leave-source-out."""
    return sample.source


def by_generator(sample: Sample) -> str:
    """Return cell of leave-generator-out: generated images by generator, real ones by source."""
    return f"generator {sample.generator}" if sample.generator else sample.source


def folds(
    samples: Sequence[Sample], cell: Cell, count: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield indices `(train, test)` of each fold; a cell is in one test set, and a fold has both
    classes.

    Cells are dealt out by size, largest first, each to the fold with the fewest images of its
    class. Training images that share a near-duplicate group with the test set are dropped.
    """
    sizes = Counter((cell(s), s.label) for s in samples)
    home: dict[str, int] = {}
    load: Counter[tuple[int, Label]] = Counter()
    for (name, label), size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        if name not in home:
            home[name] = min(range(count), key=lambda fold: (load[fold, label], fold))
        load[home[name], label] += size
    where = np.array([home[cell(s)] for s in samples])
    for fold in range(count):
        test = np.flatnonzero(where == fold)
        train = without_groups_of(samples, np.flatnonzero(where != fold).tolist(), test.tolist())
        yield np.array(train, dtype=np.int64), test


def capped(samples: Sequence[Sample], real: int, generated: int) -> list[Sample]:
    """Return at most so many images of each source of photographs and of each generator in each
    source, one of each near-duplicate group, chosen by content hash: the same on every machine."""
    taken: Counter[tuple[str, str | None]] = Counter()
    groups: set[str] = set()
    chosen = []
    for sample in sorted(samples, key=lambda s: s.sha256):
        cell = (sample.source, sample.generator)
        limit = real if sample.label == Label.REAL else generated
        if sample.group not in groups and taken[cell] < limit:
            taken[cell] += 1
            groups.add(sample.group)
            chosen.append(sample)
    return chosen


def without_groups_of(samples: Sequence[Sample], train: list[int], held: list[int]) -> list[int]:
    """Return the training indices whose near-duplicate group is not among those held out."""
    groups = {samples[i].group for i in held}
    return [i for i in train if samples[i].group not in groups]


def require_both_classes(train: Sequence[Sample], validation: Sequence[Sample]) -> None:
    """Raise `UsageError` where a part lacks a class; nothing could be trained or measured."""
    for name, part in (("training", train), ("validation", validation)):
        for label in Label:
            if not any(sample.label == label for sample in part):
                raise UsageError(
                    f"no {label} image is left for {name}",
                    "give more images of that class that are not near-duplicates of each other, "
                    "hold out another share, split by group, or put the images of the two parts "
                    "into folders named train and val",
                )


def hold_out(
    samples: Sequence[Sample], share: float, by: By, seed: int
) -> tuple[list[int], list[int], str]:
    """Return indices for training and for validation, and in words how they were split.

    About `share` of each class, in (0, 1), is held out: whole generators (whole sources, for
    photographs) or whole near-duplicate groups, drawn by a hash of `seed` and name, so that order
    and machine do not matter. `generator` and `source` ask for cells of that kind; `group` for
    groups; `auto` takes the generators and sources of a class when it has `ENOUGH_CELLS`, else its
    groups. What has no known cell stays in training where cells are held out. Training images of
    a group that is held out are dropped.

    Raises `UsageError` for another `share` or `by`, when a class has fewer than two of the cells
    asked for, and when a part would lack a class.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share to hold out must be between 0 and 1, not {share}")
    if by not in get_args(By):
        raise UsageError(f"cannot split by {by!r}", f"known: {', '.join(get_args(By))}")
    held: set[int] = set()
    drawn: dict[Label, tuple[str, dict[int, str], set[str]]] = {}
    for label in Label:
        kind, cells = _cells(samples, label, by)
        total = sum(sample.label == label for sample in samples)
        chosen = _drawn(Counter(cells.values()), share * total, seed)
        held.update(i for i, name in cells.items() if name in chosen)
        if by == "source":  # a source with both classes is held out with both
            held.update(i for i, sample in enumerate(samples) if sample.source in chosen)
        drawn[label] = kind, cells, chosen
    words = []
    for label, (kind, cells, chosen) in drawn.items():
        total = sum(sample.label == label for sample in samples)
        taken = sum(samples[i].label == label for i in held)
        words.append(_words(label, kind, chosen, taken, total))
        if unknown := total - len(cells):
            words.append(f"{unknown} {label} images of unknown {kind} stay in training.")
    rest = [i for i in range(len(samples)) if i not in held]
    validation = sorted(held)
    train = without_groups_of(samples, rest, validation)
    if dropped := len(rest) - len(train):
        words.append(f"{dropped} near-duplicates of images held out were dropped from training.")
    require_both_classes([samples[i] for i in train], [samples[i] for i in validation])
    return train, validation, printable(" ".join(words))


def _cells(samples: Sequence[Sample], label: Label, by: By) -> tuple[str, dict[int, str]]:
    """Return what the images of a class are held out by, and the name of it for those that have
    one.
    """
    members = {i: sample for i, sample in enumerate(samples) if sample.label == label}
    if label == Label.REAL or by == "source":
        kind, names = "source", {i: sample.source for i, sample in members.items()}
    else:
        kind, names = "generator", {i: s.generator or UNKNOWN for i, s in members.items()}
    cells = {i: name for i, name in names.items() if name != UNKNOWN}
    count = len(set(cells.values()))
    if by in ("generator", "source") and count < 2:
        raise UsageError(
            f"cannot hold out a {kind}: the {label} images name {count}",
            "name them in folders or manifest, or split by group",
        )
    if by == "group" or (by == "auto" and count < ENOUGH_CELLS):
        return _GROUP, {i: sample.group for i, sample in members.items()}
    return kind, cells


def _drawn(sizes: Mapping[str, int], target: float, seed: int) -> set[str]:
    """Return cells whose sizes come close to the target: at least one and never all, if there are
    two.

    In the order of their hashes all that still fit; then the one, if any, that brings the sum
    nearer. A large cell is thus held out only where the small ones do not suffice.
    """
    chosen: set[str] = set()
    total = 0
    order = sorted(sizes, key=lambda name: _draw(seed, name))
    for name in order:
        if total + sizes[name] <= target:
            chosen.add(name)
            total += sizes[name]
    rest = [name for name in order if name not in chosen]
    if len(rest) > 1:
        nearest = min(rest, key=lambda name: abs(total + sizes[name] - target))
        if not chosen or abs(total + sizes[nearest] - target) < abs(total - target):
            chosen.add(nearest)
    return chosen


def _draw(seed: int, name: str) -> bytes:
    # Names of folders may hold bytes that are not UTF-8.
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()


def _words(label: Label, kind: str, chosen: set[str], taken: int, total: int) -> str:
    what = f"by {kind}"
    if kind != _GROUP:
        names = sorted(chosen)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = f"{kind} {', '.join(names[:_NAMED])}{more}"
    return f"Held out: {taken} of {total} {label} images, {what}."
