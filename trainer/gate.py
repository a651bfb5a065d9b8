"""The forgetting gate: a new detector must not be worse than the one it would replace.

Adapting to new generators is known to make the old ones, and plain photographs, fail. Both
detectors are measured on the same held-out images, as they are on disk, and the losses weighed.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import calibration
from dgsforensics.evaluation.metrics import Metrics, evaluate
from dgsforensics.records import Label

from .validation import labels_of

FEW = 10
"""A generator with fewer images is shown, but its AUROC is too uncertain to be weighed."""
FEW_PHOTOGRAPHS = 20
"""With fewer, a threshold fitted on half of them says nothing about the other half."""


@dataclass(frozen=True)
class GateCandidate:
    """A detector's results on the held-out images."""

    name: str
    logits: NDArray[np.float64]
    """(N,)"""
    threshold: float | None
    """The logit from which it flags; None: fitted on these very images, half against half."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One part of the held-out images, before and after."""

    name: str
    before: Metrics
    after: Metrics
    weighed: bool
    """Whether it counts in the verdict."""


@dataclass(frozen=True)
class Comparison:
    """The outcome, for people and for the exit code."""

    before: str
    after: str
    rows: list[GateRow]
    losses: list[str]
    """What became worse by more than was allowed; empty: passed."""
    remark: str | None
    """What was too uncertain to be weighed."""


def compare(
    before: GateCandidate, after: GateCandidate, samples: Sequence[Sample], allowed: float
) -> Comparison:
    """Return AUROC of all and of each generator, and r_acc of all photographs and of each source.

    `allowed` is the loss that is put up with: of AUROC over all images, of the mean AUROC over the
    generators, of that of each generator (and there two standard errors more), and of the share of
    photographs not flagged (r_acc). Raises `ValueError` for logits that are not finite.
    """
    if not np.isfinite([before.logits, after.logits]).all():
        raise ValueError("logits that are not finite cannot be compared")
    labels = labels_of(samples)
    flags = [_flags(contender, samples) for contender in (before, after)]
    generator = np.array([s.generator or "" for s in samples])
    source = np.array([s.source for s in samples])
    parts: list[tuple[str, NDArray[np.bool_], bool]] = [
        ("all", np.ones(len(samples), dtype=bool), True)
    ]
    for name in sorted(set(generator[labels == 1])):
        chosen = (labels == 0) | (generator == name)
        enough = int(((generator == name) & (labels == 1)).sum()) >= FEW
        parts.append((f"generator {name}", chosen, enough))
    for name in sorted(set(source[labels == 0])):
        parts.append((f"photographs of {name}", (labels == 0) & (source == name), False))
    rows = []
    for name, chosen, weighed in parts:
        old, new = (
            _metrics(contender.logits[chosen], labels[chosen], flag[chosen])
            for contender, flag in zip((before, after), flags, strict=True)
        )
        rows.append(GateRow(name, old, new, weighed))
    price = _price(before, after, int((labels == 0).sum()))
    remark = None
    if (real := rows[0].after.real) < FEW_PHOTOGRAPHS:
        remark = (
            f"r_acc was not weighed: {real} photographs were held out, and with fewer than "
            f"{FEW_PHOTOGRAPHS} it is chance."
        )
    return Comparison(before.name, after.name, rows, _losses(rows, allowed, price), remark)


def _price(before: GateCandidate, after: GateCandidate, real: int) -> float:
    """Return what r_acc loses by the measurement alone, beside a threshold fitted on many
    photographs.

    Half of a small set supports no rate as low as the default: with 10 photographs to fit on, one
    in 11 others is flagged, whatever the detector.
    """
    if before.threshold is None or after.threshold is not None:
        return 0.0
    return max(0.0, 1 / (real // 2 + 1) - calibration.DEFAULT_FPR)


def _losses(rows: Sequence[GateRow], allowed: float, price: float) -> list[str]:
    generators = [row for row in rows if row.weighed and row.name != "all"]
    before, after = rows[0].before, rows[0].after
    checks = {
        "AUROC": (before.auroc, after.auroc, allowed),
    }
    if after.real >= FEW_PHOTOGRAPHS:
        checks["r_acc"] = (before.r_acc, after.r_acc, allowed + price)
    if generators:
        checks["mean AUROC over generators"] = (
            float(np.mean([row.before.auroc for row in generators])),
            float(np.mean([row.after.auroc for row in generators])),
            allowed,
        )
    for row in generators:  # a mean may hide that one of them was forgotten
        chance = 2 * _uncertainty(row.before)
        checks[f"AUROC of {row.name}"] = (row.before.auroc, row.after.auroc, allowed + chance)
    return [
        f"{name} fell from {old:.3f} to {new:.3f}"
        for name, (old, new, most) in checks.items()
        if old is not None and new is not None and new < old - most - 1e-9
    ]


def _uncertainty(metrics: Metrics) -> float:
    """Return standard error of an AUROC (Hanley and McNeil 1982); between 0 and 0.5."""
    a = metrics.auroc or 0.0
    fake, real = metrics.generated, metrics.real
    spread = a * (1 - a) + (fake - 1) * (a / (2 - a) - a * a)
    spread += (real - 1) * (2 * a * a / (1 + a) - a * a)
    return math.sqrt(max(0.0, spread) / (fake * real))


def _metrics(
    logits: NDArray[np.float64], labels: NDArray[np.int64], flagged: NDArray[np.bool_]
) -> Metrics:
    """Return the figures of `evaluate`, with flags that do not come from one threshold."""
    values = asdict(evaluate(logits, labels, 0.0))
    real, fake = flagged[labels == 0], flagged[labels == 1]
    values["r_acc"] = float(np.mean(~real)) if len(real) else None
    values["f_acc"] = float(np.mean(fake)) if len(fake) else None
    return Metrics(**values)


def _flags(contender: GateCandidate, samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """Return (N,) what it flags; without a threshold of its own each half is judged at the other's.

    A threshold that was read off the images it is judged on would keep its promise by construction.
    """
    if contender.threshold is not None:
        return contender.logits >= contender.threshold
    labels = labels_of(samples)
    half = halves(samples)
    flagged = np.zeros(len(samples), dtype=bool)
    for side in (0, 1):
        there, here = half != side, half == side
        if not 0 < labels[there].sum() < there.sum():  # one class is missing: no cross-fitting
            there = np.ones(len(samples), dtype=bool)
        flagged[here] = contender.logits[here] >= _threshold(contender.logits[there], labels[there])
    return flagged


def _threshold(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    try:
        return calibration.fit(logits, labels, "half").thresholds().upper
    except ValueError:  # ranks the wrong way round: 0 is what the head itself says
        return 0.0


def halves(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return (N,) 0 or 1: near-duplicate groups dealt in turn, the classes apart, by their hash."""
    side: dict[str, int] = {}
    counts = {Label.REAL: 0, Label.GENERATED: 0}
    for sample in sorted(samples, key=lambda s: s.sha256):
        if sample.group not in side:
            side[sample.group] = counts[sample.label] % 2
            counts[sample.label] += 1
    return np.array([side[s.group] for s in samples], dtype=np.int64)
