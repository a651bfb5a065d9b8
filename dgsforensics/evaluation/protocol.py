"""A detector source by source: what it does where it was never measured shows in nothing else.

Images of one source share size, codec and taste, so many images of few sources say little. Here
every source of photographs counts alike, and so does every generator in every source; beside the
means stands the worst quarter of the sources. A source with images of both classes is a pair:
there content and format help least.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import UNKNOWN
from dgsforensics.detector.binomial import interval
from dgsforensics.evaluation.metrics import Bools, Floats, auroc, curve
from dgsforensics.evaluation.slices import SliceImage
from dgsforensics.records import Label

ENOUGH = 5
"""Images of a class from which on a source, or a generator in it, counts in the means."""


@dataclass(frozen=True, slots=True)
class FlaggedShare:
    """How many of how many are flagged, with the exact 95 % interval of the share."""

    flagged: int
    count: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """One source at the default threshold; None where it has no images of the class."""

    name: str
    real: FlaggedShare | None
    generated: FlaggedShare | None
    auroc: float | None
    """Of its photographs, against all generated images, generators alike."""
    pair: float | None
    """AUROC of its generated images against its own photographs."""


@dataclass(frozen=True, slots=True)
class SourceProtocol:
    """One detector in one tier; means are over sources with `ENOUGH` images, None without any."""

    detector: str
    tier: str
    sources: tuple[SourceFigures, ...]
    """By name."""
    counted_sources: int
    """Sources of photographs in the means."""
    counted_generators: int
    """Generators, each in each source, in the means."""
    auroc: float | None
    """Mean of the next two."""
    auroc_sources: float | None
    """Mean over the sources of photographs, each against all generated images."""
    auroc_generators: float | None
    """Mean over the generators, each in each source, against all photographs."""
    auroc_worst: float | None
    """Mean over the quarter of the sources of photographs that is ranked worst."""
    pairs: float | None
    """Mean AUROC over the sources with both classes."""
    counted_pairs: int
    tpr_at_5: float | None
    """Share found, generators alike, where 5 % of photographs are flagged, sources alike."""
    tpr_at_1: float | None
    found: float | None
    """Share of generated images found at the default threshold, mean over the generators."""
    flagged: float | None
    """Share of photographs flagged there, mean over the sources."""
    flagged_worst: float | None
    """The same, mean over the quarter of the sources with the most."""


def measure(
    detector: str,
    tier: str,
    entries: Sequence[SliceImage],
    logits: Floats,
    outside: Bools,
    threshold: float,
) -> SourceProtocol | None:
    """Return the figures of all entries with a score; None where they name fewer than two sources.

    `logits` (N,), not a number where there is none; `outside` (N,), whether an image is out of
    domain, and so never flagged; `threshold` is the logit from which the detector flags.
    """
    rows = np.flatnonzero(np.isfinite(logits)).tolist()
    source = np.array([entries[i].listed.source for i in rows])
    if len(set(source.tolist()) - {UNKNOWN}) < 2:
        return None
    fake = np.array([entries[i].listed.label == Label.GENERATED for i in rows])
    cell = np.array([f"{entries[i].listed.generator}\0{entries[i].listed.source}" for i in rows])
    scores, flags = logits[rows], (logits[rows] >= threshold) & ~outside[rows]
    weights = np.zeros(len(rows))
    weights[fake], weights[~fake] = _alike(cell[fake]), _alike(source[~fake])
    real_cells = _members(source, ~fake)
    fake_cells = _members(cell, fake)
    found = []
    for name in sorted(set(source.tolist())):
        here = source == name
        found.append(
            SourceFigures(
                name,
                real=_share(flags[here & ~fake]),
                generated=_share(flags[here & fake]),
                auroc=_auroc(scores, fake, weights, fake | (here & ~fake)),
                pair=_auroc(scores, fake, np.ones(len(rows)), here),
            )
        )
    ranked = [s.auroc for s in found if s.name in real_cells and s.auroc is not None]
    by_generator = [
        value
        for members in fake_cells.values()
        if (value := _auroc(scores, fake, weights, members | ~fake)) is not None
    ]
    pairs = [
        s.pair
        for s in found
        if s.pair is not None and s.name in real_cells and _count(s.generated) >= ENOUGH
    ]
    shares = [float(flags[members].mean()) for members in real_cells.values()]
    over = [_mean(ranked), _mean(by_generator)]
    both = [value for value in over if value is not None]
    return SourceProtocol(
        detector=detector,
        tier=tier,
        sources=tuple(found),
        counted_sources=len(real_cells),
        counted_generators=len(fake_cells),
        auroc=_mean(both) if len(both) == 2 else None,
        auroc_sources=over[0],
        auroc_generators=over[1],
        auroc_worst=_mean(sorted(ranked)[: _quarter(len(ranked))]),
        pairs=_mean(pairs),
        counted_pairs=len(pairs),
        tpr_at_5=_tpr(scores, fake, weights, 0.05),
        tpr_at_1=_tpr(scores, fake, weights, 0.01),
        found=_mean([float(flags[members].mean()) for members in fake_cells.values()]),
        flagged=_mean(shares),
        flagged_worst=_mean(sorted(shares, reverse=True)[: _quarter(len(shares))]),
    )


def _members(names: NDArray[np.str_], chosen: Bools) -> dict[str, Bools]:
    """Return the rows of each name among the chosen that has `ENOUGH` of them."""
    found = {name: chosen & (names == name) for name in sorted(set(names[chosen].tolist()))}
    return {name: members for name, members in found.items() if members.sum() >= ENOUGH}


def _alike(names: NDArray[np.str_]) -> Floats:
    """Return weights (N,) that sum to 1, by which every name counts alike.

    A name with fewer than `ENOUGH` images counts by their number, so that no image is a source.
    """
    _, index, counts = np.unique(names, return_inverse=True, return_counts=True)
    raw = 1 / np.maximum(counts[index], ENOUGH)
    weights: Floats = raw / raw.sum() if len(raw) else raw
    return weights


def _auroc(scores: Floats, fake: Bools, weights: Floats, chosen: Bools) -> float | None:
    labels = fake[chosen].astype(np.int64)
    if labels.min(initial=1) == labels.max(initial=0):
        return None
    return float(auroc(curve(scores[chosen], labels, weights[None, chosen]))[0])


def _tpr(scores: Floats, fake: Bools, weights: Floats, rate: float) -> float | None:
    """Return the weight of generated images flagged where `rate` of the photographs are."""
    if fake.all() or not fake.any():
        return None
    ranked = curve(scores, fake.astype(np.int64), weights[None])
    steps = int(np.sum(ranked.real[0] <= rate + 1e-9))
    return float(ranked.generated[0, steps - 1]) if steps else 0.0


def _share(flags: Bools) -> FlaggedShare | None:
    if not len(flags):
        return None
    return FlaggedShare(int(flags.sum()), len(flags), *interval(int(flags.sum()), len(flags)))


def _count(share: FlaggedShare | None) -> int:
    return 0 if share is None else share.count


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _quarter(count: int) -> int:
    return max(1, math.ceil(count / 4))
