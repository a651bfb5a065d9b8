"""From scores to figures: one detector on one slice in one tier, or two detectors side by side.

Scores are logits of all entries of a set, not a number where an image gave none in that tier; each
figure comes from those that gave one. `outside` says of all entries whether they are out of domain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.detector.calibration import Calibration, Thresholds
from dgsforensics.evaluation import bootstrap, metrics
from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.evaluation.metrics import Bools, Floats, ScoreSet
from dgsforensics.evaluation.output import RATES, Curves, Difference, FigureRow
from dgsforensics.evaluation.slices import Slice, SliceImage
from dgsforensics.records import Label


@dataclass(frozen=True, slots=True)
class JudgedDetector:
    """What turns a detector's logits into probabilities and verdicts."""

    name: str
    calibration: Calibration
    cuts: dict[float | None, Thresholds]
    """By the false-positive rate that was asked for; None for the default thresholds."""


def row(
    contender: JudgedDetector,
    tier: str,
    part: Slice,
    entries: Sequence[SliceImage],
    logits: Floats,
    outside: Bools,
) -> FigureRow:
    """Return all figures of a slice; None for those that a missing class leaves open."""
    rows = _having_scores(part, logits)
    scored = _scored(contender, entries, rows, logits, outside)
    cuts = {_suffix(rate): cut for rate, cut in contender.cuts.items()}
    rates = sorted({*RATES, *(rate for rate in contender.cuts if rate is not None)})
    found: dict[str, Estimate] = {}
    if len(rows):
        found = bootstrap.estimates(
            lambda weights: metrics.figures(scored, cuts, rates, weights),
            scored.labels,
            [entries[i].group for i in rows],
        )
    return FigureRow(
        detector=contender.name,
        tier=tier,
        slice=part.name,
        real_of=part.real_of,
        real=int(np.sum(scored.labels == 0)),
        generated=int(np.sum(scored.labels == 1)),
        figures={name: found.get(name) for name in _names(list(cuts), rates)},
    )


def difference(
    first: tuple[JudgedDetector, Floats],
    second: tuple[JudgedDetector, Floats],
    tier: str,
    part: Slice,
    entries: Sequence[SliceImage],
) -> Difference | None:
    """Return AUROC of the second less that of the first; None where a class is missing."""
    (baseline, before), (contender, after) = first, second
    rows = _having_scores(part, before + after)
    labels = _labels(entries, rows)
    if len(set(labels.tolist())) < 2:
        return None
    estimate, p = bootstrap.auroc_difference(
        before[rows], after[rows], labels, [entries[i].group for i in rows]
    )
    return Difference(
        detector=contender.name,
        baseline=baseline.name,
        tier=tier,
        slice=part.name,
        real=int(np.sum(labels == 0)),
        generated=int(np.sum(labels == 1)),
        auroc=estimate,
        p=p,
    )


def curves(
    contender: JudgedDetector,
    tier: str,
    whole: Slice,
    entries: Sequence[SliceImage],
    logits: Floats,
) -> Curves | None:
    """Return what the diagrams show of the whole set; None where a class is missing."""
    scored = _scored(contender, entries, _having_scores(whole, logits), logits)
    if len(set(scored.labels.tolist())) < 2:
        return None
    return Curves(contender.name, tier, metrics.roc(scored), metrics.reliability(scored))


def _having_scores(part: Slice, logits: Floats) -> NDArray[np.int64]:
    rows = np.array(part.rows, dtype=np.int64)
    found: NDArray[np.int64] = rows[np.isfinite(logits[rows])]
    return found


def _labels(entries: Sequence[SliceImage], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([entries[i].listed.label == Label.GENERATED for i in rows], dtype=np.int64)


def _scored(
    contender: JudgedDetector,
    entries: Sequence[SliceImage],
    rows: NDArray[np.int64],
    logits: Floats,
    outside: Bools | None = None,
) -> ScoreSet:
    chosen = logits[rows]
    probability = contender.calibration.probability
    probabilities = np.array([probability(logit) for logit in chosen.tolist()], dtype=np.float64)
    beyond = None if outside is None else outside[rows]
    return ScoreSet(chosen, probabilities, _labels(entries, rows), beyond)


def _suffix(rate: float | None) -> str:
    return "" if rate is None else f"_at_{rate:g}"


def _names(suffixes: Sequence[str], rates: Sequence[float]) -> list[str]:
    """Return all figures, in the order in which they are shown."""
    names = ["acc", "r_acc", "f_acc", "ap", "auroc", *(f"tpr_at_{rate:g}" for rate in rates)]
    names += ["ece", "brier", "inconclusive"]
    for suffix in suffixes:
        if suffix:
            names += [f"{name}{suffix}" for name in ("acc", "r_acc", "f_acc", "inconclusive")]
    return names
