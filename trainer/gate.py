"""The forgetting gate: a new detector must not be worse than the one it would replace.

Adapting to new generators is known to make the old ones, and plain photographs, fail. Both
detectors are measured on the same images that neither was fitted to, a person's own and those that
the base knew (`replay`), and judged by the same rule: each half of the images at the threshold of
the other half, for either detector.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import platt
from dgsforensics.evaluation.metrics import Metrics, evaluate
from dgsforensics.records import Label

from .validation import labels_of

FEW = 10
"""A generator with fewer images is shown, but its AUROC is too uncertain to be weighed."""
FEW_PHOTOGRAPHS = 20
"""With fewer, a threshold fitted on half of them says nothing about the other half."""


Part = Literal["all", "part", "generator", "source"]
"""All images; own or known ones; one generator against all photographs; photographs of a source."""


@dataclass(frozen=True)
class GateCandidate:
    """A detector's results on the held-out images."""

    name: str
    logits: NDArray[np.float64]
    """(N,)"""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One part of the images, before and after."""

    name: str
    kind: Part
    known: bool
    """Whether these are images of the replay, which the base knew."""
    before: Metrics
    after: Metrics

    @property
    def weighed(self) -> bool:
        """Whether its AUROC counts in the verdict."""
        if self.kind == "generator":
            return self.after.generated >= FEW
        return self.kind != "source"


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

    def shown(self, most: int = 5) -> list[GateRow]:
        """Return the rows that a person reads: their own, and of the known ones those that lost
        most, at most so many."""
        known = [row for row in self.rows if row.known and row.kind in ("generator", "source")]
        worst = sorted(known, key=_gain)[:most]
        return [row for row in self.rows if row not in known or row in worst]

    @property
    def gain(self) -> float:
        """Mean AUROC gained over own images and over known ones, where these are of both classes,
        else over all."""
        parts = [row for row in self.rows if row.kind == "part" and row.after.auroc is not None]
        return float(np.mean([_gain(row) for row in parts or self.rows[:1]]))


def compare(
    before: GateCandidate,
    after: GateCandidate,
    samples: Sequence[Sample],
    allowed: float,
    known: NDArray[np.bool_] | None = None,
) -> Comparison:
    """Return AUROC of all and of each generator, and r_acc of all photographs and of each source.

    `known` (N,) says which images are of the replay; None: none. They are counted with the others,
    and once more by themselves, as the others are. `allowed` is the loss that is put up with: of
    AUROC over all images, over the own and over the known ones, of the mean AUROC over the
    generators, of that of each generator (and there two standard errors more), and of the share of
    photographs not flagged (r_acc, and of the own ones, with two standard errors more). 1 allows
    everything. Raises `ValueError` for logits that are not finite.
    """
    if not np.isfinite([before.logits, after.logits]).all():
        raise ValueError("logits that are not finite cannot be compared")
    labels = labels_of(samples)
    old = np.zeros(len(samples), dtype=bool) if known is None else known
    flags = [_flags(contender, samples) for contender in (before, after)]

    def row(name: str, chosen: NDArray[np.bool_], kind: Part, of_known: bool) -> GateRow:
        first, second = (
            _metrics(contender.logits[chosen], labels[chosen], flag[chosen])
            for contender, flag in zip((before, after), flags, strict=True)
        )
        return GateRow(name, kind, of_known, first, second)

    rows = [row("all", np.ones(len(samples), dtype=bool), "all", False)]
    for of_known in (False, True):
        part = old == of_known
        if part.any() and not part.all():
            rows.append(row("known images" if of_known else "own images", part, "part", of_known))
    for of_known in (False, True):
        part = old == of_known
        generators = {s.generator or "" for s, is_in in zip(samples, part, strict=True) if is_in}
        generator = np.array([s.generator or "" for s in samples])
        for name in sorted(generators - {""}):
            chosen = (labels == 0) | (part & (labels == 1) & (generator == name))
            rows.append(row(f"generator {name}", chosen, "generator", of_known))
        source = np.array([s.source for s in samples])
        for name in sorted(set(source[part & (labels == 0)])):
            chosen = part & (labels == 0) & (source == name)
            rows.append(row(f"photographs of {name}", chosen, "source", of_known))
    remark = None
    if (real := rows[0].after.real) < FEW_PHOTOGRAPHS:
        remark = (
            f"r_acc was not weighed: {real} photographs were held out, and with fewer than "
            f"{FEW_PHOTOGRAPHS} it is chance."
        )
    losses = [] if allowed >= 1 else _losses(rows, allowed)
    return Comparison(before.name, after.name, rows, losses, remark)


def _losses(rows: Sequence[GateRow], allowed: float) -> list[str]:
    checks: list[tuple[str, float | None, float | None, float]] = []
    generators = [row for row in rows if row.weighed and row.kind == "generator"]
    for row in rows:
        before, after, chance = row.before, row.after, 0.0
        if row.kind in ("all", "part"):
            of = "" if row.kind == "all" else f" of the {row.name}"
            checks.append((f"AUROC{of}", before.auroc, after.auroc, allowed))
            if after.real >= FEW_PHOTOGRAPHS:
                if row.kind == "part" and before.r_acc is not None:
                    share = min(before.r_acc, 1 - 1 / after.real)
                    chance = 2 * math.sqrt(share * (1 - share) / after.real)
                checks.append((f"r_acc{of}", before.r_acc, after.r_acc, allowed + chance))
    if generators:
        old, new = (
            float(np.mean([metrics.auroc for metrics in side]))
            for side in ([r.before for r in generators], [r.after for r in generators])
        )
        checks.append(("mean AUROC over generators", old, new, allowed))
    for row in generators:  # a mean may hide that one of them was forgotten
        most = allowed + 2 * _uncertainty(row.before)
        known = "known " if row.known else ""
        checks.append((f"AUROC of {known}{row.name}", row.before.auroc, row.after.auroc, most))
    return [
        f"{name} fell from {old:.3f} to {new:.3f}"
        for name, old, new, most in checks
        if old is not None and new is not None and new < old - most - 1e-9
    ]


def _gain(row: GateRow) -> float:
    """What a part gained: of a source of photographs, of which no AUROC is had, in r_acc."""
    pairs = [(row.before.auroc, row.after.auroc), (row.before.r_acc, row.after.r_acc)]
    return next((new - old for old, new in pairs if old is not None and new is not None), 0.0)


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
    """Return (N,) what it flags, each half of the images judged at the threshold of the other.

    A threshold that was read off the images it is judged on would keep its promise by construction.
    """
    labels = labels_of(samples)
    sources = np.array([s.source for s in samples])
    half = halves(samples)
    flagged = np.zeros(len(samples), dtype=bool)
    for side in (0, 1):
        there, here = half != side, half == side
        if not 0 < labels[there].sum() < there.sum():  # one class is missing: no cross-fitting
            there = np.ones(len(samples), dtype=bool)
        threshold = _threshold(contender.logits[there], labels[there], sources[there].tolist())
        flagged[here] = contender.logits[here] >= threshold
    return flagged


def _threshold(
    logits: NDArray[np.float64], labels: NDArray[np.int64], sources: Sequence[str]
) -> float:
    try:
        return platt.fit(logits, labels, "half", sources).thresholds().upper
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
