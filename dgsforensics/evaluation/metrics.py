"""How good a detector is: the field's figures, equal to scikit-learn's where it has them.

Scores are logits, labels 1 for generated. Every figure is computed for many weightings of the same
images at once, (B, N): plain ones are a weighting of ones, a bootstrap sample is one by how often
each image was drawn. `r_acc` and `f_acc` are the shares of real and of generated images on the
right side of the threshold; what is inconclusive is not flagged, nor is what is out of domain.

A calibrated probability holds where both classes are equally common, so in ECE and Brier score
the classes weigh alike, however many images of each there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgsforensics.detector.calibration import Thresholds
from dgsforensics.records import Verdict

BINS = 15
"""Of equal width over the probability of "generated", in ECE and the reliability diagram."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures over one set of images; None where a class is missing."""

    real: int
    generated: int
    auroc: float | None
    ap: float | None
    r_acc: float | None
    f_acc: float | None
    tpr_at_1: float | None
    """Share of generated images found when 1 % of the real ones are flagged."""
    tpr_at_5: float | None
    """The same at 5 %."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSet:
    """What one detector says of N images, and what they are."""

    logits: Floats
    """(N,), finite."""
    probabilities: Floats
    """(N,) in [0, 1]."""
    labels: NDArray[np.int64]
    """(N,), 1 for generated."""
    outside: Bools | None = None
    """(N,), whether an image is out of domain: what would flag it leaves it inconclusive. None: no
    image is, or no verdict is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Weight flagged of each class as the threshold falls to each distinct score, (B, R)."""

    generated: Floats
    real: Floats


def evaluate(scores: Floats, labels: NDArray[np.int64], threshold: float) -> Metrics:
    """Return figures of scores (N,) against labels (N,), flagged from `threshold` on."""
    fake, real = scores[labels == 1], scores[labels == 0]
    both = len(fake) > 0 and len(real) > 0
    found = curve(scores, labels, np.ones((1, len(scores))))
    return Metrics(
        real=len(real),
        generated=len(fake),
        auroc=float(auroc(found)[0]) if both else None,
        ap=float(average_precision(found)[0]) if both else None,
        r_acc=float(np.mean(real < threshold)) if len(real) else None,
        f_acc=float(np.mean(fake >= threshold)) if len(fake) else None,
        tpr_at_1=float(tpr_at_fpr(found, 0.01)[0]) if both else None,
        tpr_at_5=float(tpr_at_fpr(found, 0.05)[0]) if both else None,
    )


def figures(
    scored: ScoreSet, cuts: Mapping[str, Thresholds], rates: Sequence[float], weights: Floats
) -> dict[str, Floats]:
    """Return all figures for weightings (B, N), each as (B,); a class in `scored` has weight in
    each.

    `cuts` are thresholds by the suffix that their figures get; `rates` are those of `tpr_at_RATE`.
    What needs both classes, or the one that is missing, is left out.
    """
    is_fake = scored.labels == 1
    both = bool(is_fake.any()) and not is_fake.all()
    found: dict[str, Floats] = {}
    for suffix, cut in cuts.items():
        found |= {
            f"{name}{suffix}": values
            for name, values in _at_threshold(scored, cut, weights).items()
        }
    if not both:
        return found
    ranked = curve(scored.logits, scored.labels, weights)
    found["auroc"] = auroc(ranked)
    found["ap"] = average_precision(ranked)
    for rate in rates:
        found[f"tpr_at_{rate:g}"] = tpr_at_fpr(ranked, rate)
    balanced = _balanced(scored.labels, weights)
    found["ece"] = _calibration_error(scored, balanced)
    found["brier"] = balanced @ (scored.probabilities - scored.labels) ** 2
    return found


def curve(scores: Floats, labels: NDArray[np.int64], weights: Floats) -> Curve:
    """Return the ROC curve of scores (N,) under weights (B, N), not divided by the totals."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)  # the last of equal scores
    ordered = weights[:, order]
    fake = ordered * labels[order]
    return Curve(
        generated=np.cumsum(fake, axis=1)[:, ends], real=np.cumsum(ordered - fake, axis=1)[:, ends]
    )


def auroc(ranked: Curve) -> Floats:
    """Return the area under the ROC curve, (B,): the share of pairs in order, ties counting
    half."""
    flagged = _from_nothing(ranked.generated)
    heights = (flagged[:, 1:] + flagged[:, :-1]) / 2
    area = np.sum(np.diff(_from_nothing(ranked.real), axis=1) * heights, axis=1)
    found: Floats = area / (ranked.generated[:, -1] * ranked.real[:, -1])
    return found


def average_precision(ranked: Curve) -> Floats:
    """Return the mean precision over the steps of recall, (B,), without interpolation."""
    flagged = ranked.generated + ranked.real
    precision = np.divide(ranked.generated, flagged, out=np.zeros_like(flagged), where=flagged > 0)
    gains = np.diff(_from_nothing(ranked.generated), axis=1)
    found: Floats = np.sum(gains * precision, axis=1) / ranked.generated[:, -1]
    return found


def tpr_at_fpr(ranked: Curve, rate: float) -> Floats:
    """Return the share of generated images found, (B,), with at most a share `rate` of real ones
    flagged.
    """
    allowed = np.floor(rate * ranked.real[:, -1:] + 1e-9)
    steps = np.sum(ranked.real <= allowed, axis=1, keepdims=True)
    flagged = np.take_along_axis(_from_nothing(ranked.generated), steps, axis=1)
    found: Floats = flagged[:, 0] / ranked.generated[:, -1]
    return found


def roc(scored: ScoreSet, most: int = 200) -> list[tuple[float, float]]:
    """Return points (FPR, TPR) of the ROC curve from (0, 0) to (1, 1), at most about `most` of
    them.
    """
    ranked = curve(scored.logits, scored.labels, np.ones((1, len(scored.logits))))
    x = _from_nothing(ranked.real)[0] / ranked.real[0, -1]
    y = _from_nothing(ranked.generated)[0] / ranked.generated[0, -1]
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).round().astype(np.int64))
    return [(float(x[i]), float(y[i])) for i in kept]


def reliability(scored: ScoreSet) -> list[tuple[float, float, int]]:
    """Return mean probability, share generated and images of each bin that is not empty.

    Means and shares with the classes weighing alike.
    """
    balanced = _balanced(scored.labels, np.ones((1, len(scored.labels))))[0]
    bins = _bins(scored.probabilities)
    found = []
    for number in np.unique(bins):
        inside = bins == number
        weight = balanced[inside]
        found.append(
            (
                float(np.average(scored.probabilities[inside], weights=weight)),
                float(np.average(scored.labels[inside], weights=weight)),
                int(inside.sum()),
            )
        )
    return found


def _at_threshold(scored: ScoreSet, cut: Thresholds, weights: Floats) -> dict[str, Floats]:
    is_fake = scored.labels == 1
    outside = np.zeros_like(is_fake) if scored.outside is None else scored.outside
    verdicts = [
        cut.verdict(logit, "outside" if out else None)
        for logit, out in zip(scored.logits.tolist(), outside.tolist(), strict=True)
    ]
    flagged = np.array([verdict == Verdict.FLAGGED for verdict in verdicts])
    between = np.array([verdict == Verdict.INCONCLUSIVE for verdict in verdicts])
    found = {
        "acc": weights @ (flagged == is_fake) / weights.sum(axis=1),
        "inconclusive": weights @ between / weights.sum(axis=1),
    }
    if not is_fake.all():
        found["r_acc"] = weights @ (~flagged & ~is_fake) / weights[:, ~is_fake].sum(axis=1)
    if is_fake.any():
        found["f_acc"] = weights @ (flagged & is_fake) / weights[:, is_fake].sum(axis=1)
    return found


def _balanced(labels: NDArray[np.int64], weights: Floats) -> Floats:
    """Return weights (B, N) scaled so that each class has one half."""
    fake = weights * labels
    real = weights - fake
    halves = real / real.sum(axis=1, keepdims=True) + fake / fake.sum(axis=1, keepdims=True)
    found: Floats = halves / 2
    return found


def _calibration_error(scored: ScoreSet, balanced: Floats) -> Floats:
    """Return expected calibration error, (B,): arXiv 1706.04599 for the probability of one
    class."""
    inside = np.eye(BINS)[_bins(scored.probabilities)]  # (N, BINS)
    found: Floats = np.abs(
        balanced @ (inside * (scored.probabilities - scored.labels)[:, None])
    ).sum(axis=1)
    return found


def _bins(probabilities: Floats) -> NDArray[np.int64]:
    return np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)


def _from_nothing(steps: Floats) -> Floats:
    """Return a curve (B, R) with the point before anything is flagged, (B, R + 1)."""
    return np.pad(steps, ((0, 0), (1, 0)))


def metrics_row(name: str, metrics: Metrics) -> dict[str, Any]:
    """Return one row of a table of results, figures to three decimals."""
    values = {
        key: round(value, 3) if isinstance(value, float) else value
        for key, value in asdict(metrics).items()
    }
    return {"": name} | values
