"""Splits that no image, near-duplicate, source or generator straddles.

A detector that has seen one image of a source knows that source's size and JPEG quality, so a split
by image measures memory. What is left out here is left out whole.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets import Sample
from dgsforensics.records import Label

Cell = Callable[[Sample], str]


def by_source(sample: Sample) -> str:
    """Cell of leave-source-out."""
    return sample.source


def by_generator(sample: Sample) -> str:
    """Cell of leave-generator-out: generated images by generator, real ones by source."""
    return f"generator {sample.generator}" if sample.generator else sample.source


def folds(
    samples: Sequence[Sample], cell: Cell, count: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices `(train, test)` of each fold; a cell is in one test set, and a fold has both classes.

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
        groups = {samples[i].group for i in test.tolist()}
        rest = np.flatnonzero(where != fold).tolist()
        train = [i for i in rest if samples[i].group not in groups]
        yield np.array(train, dtype=np.int64), test


def capped(samples: Sequence[Sample], real: int, generated: int) -> list[Sample]:
    """At most so many images of each source of photographs and of each generator in each source,
    one of each near-duplicate group, chosen by content hash: the same on every machine."""
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
