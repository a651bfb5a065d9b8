"""From scores of a person's own images to a calibration: which images count, and what it keeps.

One image of each group of near-duplicates counts: copies would promise a certainty that is not
there. Without generated images the detector keeps those of the calibration it has, and with them
its temperature and intercept; one that has none gets thresholds, but no band and no probability.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from dgsforensics.detector import platt
from dgsforensics.detector.binomial import (
    clean_trials,
    interval,
    photographs_for,
    smallest_rate,
)
from dgsforensics.detector.calibration import Calibration
from dgsforensics.errors import UsageError
from dgsforensics.pictures import near_duplicates
from dgsforensics.records import Failure, Prediction
from dgsforensics.wording import rate as percentage

RATES = (0.001, 0.01, 0.02, 0.05, 0.1)
"""False-positive rates that are always told."""
FEWEST = 20
"""Images of a class below which nothing is calibrated."""


@dataclass(frozen=True, slots=True)
class FolderCount:
    """What became of the files of one folder."""

    folder: str
    """Its name."""
    files: int
    unread: int
    """Left out: without a score, or not to be counted for another reason that is listed."""
    outside: int
    """Left out: no photographs, as a scan would say; see `domain`."""
    copies: int
    """Left out: equal in content to another one."""
    near_duplicates: int
    """Left out: in the group of another one."""
    logits: tuple[float, ...]
    """Of those that count, in the order of the files."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the exact 95 % interval of the share."""

    hits: int
    count: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RateThreshold:
    """A threshold that keeps a false-positive rate, and what it does to the images at hand."""

    logit: float
    probability: float
    flagged: Share
    """Of the photographs."""
    found: Share | None
    """Of the generated images, where there are any."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What the photographs at hand say of one false-positive rate."""

    rate: float
    promised_from: int
    """Photographs it takes to promise the rate."""
    confident_from: int
    """Photographs it takes, with none of them flagged, for the interval to end below the rate."""
    cut: RateThreshold | None
    """None: there are too few photographs to promise it."""


def count(
    folder: str,
    rows: Sequence[Prediction | Failure],
    fingerprints: Mapping[str, int],
    without: Set[str | None],
) -> FolderCount:
    """Return what counts: the first of each content, and of those the first of each group.

    What is out of domain does not count: a scan never flags it, so its score sets no threshold.

    `fingerprints` are those of `groups` by SHA-256; contents in `without` do not count.
    """
    scored = [
        row for row in rows if isinstance(row, Prediction) and row.facts.sha256 not in without
    ]
    within = [row for row in scored if row.domain is None]
    distinct: dict[str, float] = {}
    for row in within:
        assert row.facts.sha256 is not None  # every file that was scored was hashed
        distinct.setdefault(row.facts.sha256, row.logit)
    group = near_duplicates.group([fingerprints[sha256] for sha256 in distinct])
    counting = [logit for i, logit in enumerate(distinct.values()) if group[i] == i]
    return FolderCount(
        folder=folder,
        files=len(rows),
        unread=len(rows) - len(scored),
        outside=len(scored) - len(within),
        copies=len(within) - len(distinct),
        near_duplicates=len(distinct) - len(counting),
        logits=tuple(counting),
    )


def refuse_too_few(images: FolderCount, kind: str) -> None:
    """Raise `UsageError` where less than `FEWEST` count, with what became of the rest."""
    if len(images.logits) >= FEWEST:
        return
    raise UsageError(
        f"{len(images.logits)} {kind} are too few: {images.files} files, of them {images.unread} "
        f"without a score, {images.outside} out of domain, {images.copies} copies, "
        f"{images.near_duplicates} near-duplicates",
        f"give {FEWEST} or more; to promise a false-positive rate of 1 % takes "
        f"{photographs_for(0.01)} photographs",
    )


def refuse_rates(rates: Sequence[float], photographs: int) -> None:
    """Raise `UsageError` for a rate that so many photographs cannot promise."""
    for rate in rates:
        if not 0 < rate < 1:
            raise UsageError(f"a false-positive rate lies between 0 and 1, got {rate:g}")
        if (needed := photographs_for(rate)) > photographs:
            raise UsageError(
                f"a false-positive rate of {percentage(rate)} cannot be promised with "
                f"{photographs} images",
                f"it takes {needed}; the smallest rate that {photographs} support is "
                f"{100 * smallest_rate(photographs):.4g}%",
            )


def fit(
    before: Calibration, real: FolderCount, fake: FolderCount | None, measured_on: str
) -> Calibration:
    """Return a calibration with these photographs.

    Temperature and intercept are fitted where there are generated images; otherwise all but the
    photographs stays as `before` has it. Raises `UsageError` where the scores of generated images
    are no higher than those of photographs.
    """
    if fake is None:
        measured = tuple(sorted(real.logits))
        return replace(before, real=measured, measured_on=measured_on, sources=())
    logits = np.array([*real.logits, *fake.logits], dtype=np.float64)
    labels = np.repeat([0, 1], [len(real.logits), len(fake.logits)]).astype(np.int64)
    try:
        return platt.fit(logits, labels, measured_on)
    except ValueError as error:
        raise UsageError(
            "this detector scores these photographs as high as these generated images, or higher",
            "photographs are the first folder; without the second one, thresholds still hold",
        ) from error


def rates(
    fitted: Calibration, fake: FolderCount | None, asked: Sequence[float] = ()
) -> tuple[Rate, ...]:
    """Return what `RATES` and those asked for come to, ascending."""
    found = []
    for rate in sorted({*RATES, *asked}):
        needed = photographs_for(rate)
        cut = None if needed > len(fitted.real) else _cut(rate, fitted, fake)
        found.append(Rate(rate, needed, clean_trials(rate), cut))
    return tuple(found)


def _cut(rate: float, fitted: Calibration, fake: FolderCount | None) -> RateThreshold:
    logit = fitted.at_fpr(rate)
    return RateThreshold(
        logit=logit,
        probability=fitted.probability(logit),
        flagged=_share(fitted.real, logit),
        found=None if fake is None else _share(fake.logits, logit),
    )


def _share(logits: Sequence[float], threshold: float) -> Share:
    hits = sum(logit >= threshold for logit in logits)
    return Share(hits, len(logits), *interval(hits, len(logits)))
