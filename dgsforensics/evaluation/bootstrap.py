"""How sure a figure is: percentile bootstrap, by class and by group of near-duplicates.

Each resample draws as many groups of real and of generated images as there are, with replacement:
images that show the same thing are drawn together, for together they say less than as many others
would. The seed is fixed, so the same scores give the same intervals. Where a figure does not vary,
as when all images are right, neither does its interval: it says what these images say, no more.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.evaluation.metrics import Floats, auroc, curve

RESAMPLES = 1000
SEED = 0
WITHOUT_INTERVAL = frozenset({"ece"})
"""Chance raises it, and resampling raises it once more: percentiles would often miss the value."""
_CELLS = 1 << 20
"""Weights held at a time: resamples times images."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; both ends are None where it has none."""

    value: float
    low: float | None
    high: float | None


def estimates(
    compute: Callable[[Floats], Mapping[str, Floats]],
    labels: NDArray[np.int64],
    groups: Sequence[Hashable],
) -> dict[str, Estimate]:
    """Return the figures that `compute` has for weights (B, N), each (B,), with intervals.

    Those of `WITHOUT_INTERVAL` come without one.
    `labels` (N,) are 0 and 1, `groups` (N,) name what is drawn together within a class.
    """
    values = compute(np.ones((1, len(labels))))
    parts = [compute(weights) for weights in resamples(labels, groups)]
    found = {}
    for name, value in values.items():
        low, high = None, None
        if name not in WITHOUT_INTERVAL:
            low, high = _interval(np.concatenate([part[name] for part in parts]))
        found[name] = Estimate(float(value[0]), low, high)
    return found


def auroc_difference(
    first: Floats, second: Floats, labels: NDArray[np.int64], groups: Sequence[Hashable]
) -> tuple[Estimate, float]:
    """Return AUROC of the scores `second` (N,) less that of `first`, and a two-sided p.

    Paired: each resample weighs the images alike for both. p is twice the share of resamples on the
    other side of zero, never below 2 / (RESAMPLES + 1). Needs both classes.
    """

    def difference(weights: Floats) -> dict[str, Floats]:
        return {
            "auroc": auroc(curve(second, labels, weights)) - auroc(curve(first, labels, weights))
        }

    drawn = np.concatenate([difference(weights)["auroc"] for weights in resamples(labels, groups)])
    value = float(difference(np.ones((1, len(labels))))["auroc"][0])
    fewer = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    low, high = _interval(drawn)
    return Estimate(value, low, high), min(1.0, 2 * (int(fewer) + 1) / (len(drawn) + 1))


def resamples(labels: NDArray[np.int64], groups: Sequence[Hashable]) -> Iterator[Floats]:
    """Yield `RESAMPLES` weightings of N images in all, as (B, N): how often each one was drawn."""
    rng = np.random.default_rng(SEED)
    strata: list[tuple[NDArray[np.int64], NDArray[np.int64], int]] = []
    for label in (0, 1):
        members = np.flatnonzero(labels == label)
        numbers: dict[Hashable, int] = {}
        found = [numbers.setdefault(groups[i], len(numbers)) for i in members.tolist()]
        strata.append((members, np.array(found, dtype=np.int64), len(numbers)))
    step = max(1, _CELLS // max(1, len(labels)))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        weights = np.zeros((rows, len(labels)))
        for members, of_member, count in strata:
            if count:
                drawn = rng.integers(count, size=(rows, count))
                drawn += np.arange(rows)[:, None] * count
                times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
                weights[:, members] = times[:, of_member]
        yield weights


def _interval(drawn: Floats) -> tuple[float, float]:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
