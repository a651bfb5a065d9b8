"""Stage 1 with a base detector: a head that learns what is new and keeps what the base knew.

Few images of a person's own lie beside the replay of what the base was trained on (`replay`), and
the head is drawn to the base's. How strongly, and how much the replay weighs, is tried out: each
setting is judged on the own images by heads that did not see them, and on those of the replay that
were held out. Without the replay the same fit forgets: on the content-matched sources of the
corpus AUROC on other sources fell by up to 0.08 where with it it fell by 0.01.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import UNKNOWN, Sample
from dgsforensics.errors import UsageError
from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.records import Label

from .replay import Replay
from .splits import ENOUGH_CELLS, folds
from .teacher import Head, fit_head
from .validation import labels_of

PULLS = (3.0, 0.3, 0.03)
"""Penalties on the way from the base's head that are tried, the strongest first."""
SHARES = (0.8, 0.5, 0.2)
"""Weights of the replay in the loss that are tried, the largest first; own images have the rest."""
PARTS = 5
"""At most so many times a head is fitted without a part of the own images."""
_CLOSE = 0.002
"""Mean AUROC by which a setting that changes more has to be better."""


@dataclass(frozen=True)
class AdaptedHead:
    """A head, and how it does on what it did not see."""

    head: Head
    """Fitted to all own images."""
    own: NDArray[np.float64]
    """(N,) logits of the own images as they are, each by a head fitted without it: without its
    near-duplicates, and where there are enough without its source or generator."""
    known: NDArray[np.float64]
    """(M,) logits of the rows of the replay; NaN for those that were fitted to."""
    words: str
    """How it was made, for people."""


def adapt(
    samples: Sequence[Sample],
    drawn: NDArray[np.float32],
    plain: NDArray[np.float32],
    prior: Head | None,
    replay: Replay | None,
    *,
    weigh: Callable[[Sequence[Sample]], NDArray[np.float64]],
    pull: float | None,
    allowed: float,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> AdaptedHead:
    """Fit the head to images with features `drawn` (draws, N, D) in the versions of training.

    `plain` (N, D) are those of the images as they are, by which they are judged. `prior` is the
    base's head; `weigh` says how much each of some images counts; `pull` is the penalty, None:
    tried out; `allowed` is what AUROC on what the base knew may fall by in the gate, of which half
    is risked.
    There have to be two near-duplicate groups of each class. `tell` is told fits done and to do.
    """
    labels = labels_of(samples)
    parts = _parts(samples)
    held = None if replay is None else replay.part(replay.held)
    if held is not None and not _has_both(labels_of(held.samples)):
        held = None  # nothing to rank
    fitted = None if replay is None else replay.part(~replay.held)
    pulls = PULLS if pull is None else (pull,)
    shares = SHARES if fitted is not None and fitted.samples else (0.0,)
    settings = list(itertools.product(pulls, shares))
    total = len(settings) * len(parts) + 1
    done = itertools.count(1)

    def fit(rows: NDArray[np.int64], strength: float, share: float) -> Head:
        weights = weigh([samples[i] for i in rows])
        x, y, w = drawn[:, rows].reshape(-1, drawn.shape[2]), labels[rows], weights
        y, w = np.tile(y, len(drawn)), np.tile(w, len(drawn)) / len(drawn)
        if fitted is not None and share:
            x = np.concatenate([x, fitted.features])
            y = np.concatenate([y, labels_of(fitted.samples)])
            beside = weigh(fitted.samples)
            w = np.concatenate([(1 - share) * w / w.sum(), share * beside / beside.sum()])
        head = fit_head(x, y, w, strength, prior)
        tell(next(done), total)
        return head

    tried: list[_Trial] = []
    for strength, share in settings:
        own, on_known = np.empty(len(samples)), []
        for train, test in parts:
            head = fit(train, strength, share)
            own[test] = linear(head, plain[test])
            if held is not None:
                on_known.append(_auroc(linear(head, held.features), labels_of(held.samples)))
        tried.append(_Trial(strength, share, own, _auroc(own, labels), _mean(on_known)))
    before = np.nan if held is None else _auroc(held.logits, labels_of(held.samples))
    chosen = _best(tried, before - allowed / 2)
    strength, share, own = chosen.pull, chosen.share, chosen.logits
    head = fit(np.arange(len(samples)), strength, share)
    known = np.full(0 if replay is None else len(replay.samples), np.nan)
    if replay is not None:
        known[replay.held] = linear(head, replay.features[replay.held])
    return AdaptedHead(head, own, known, _words(strength, share, len(parts), fitted))


@dataclass(frozen=True)
class _Trial:
    """A setting, and how it did."""

    pull: float
    share: float
    logits: NDArray[np.float64]
    """(N,) of the own images."""
    own: float
    """AUROC."""
    known: float
    """AUROC; NaN where there is nothing to measure it on."""


def _best(tried: Sequence[_Trial], least: float) -> _Trial:
    """The best on own and known images together, of those that forget little, if some do.

    Of those as good the first, which changes least.
    """
    if np.isnan(least):
        return next(t for t in tried if t.own >= max(t.own for t in tried) - _CLOSE)
    safe = [t for t in tried if t.known >= least] or [max(tried, key=lambda t: t.known)]
    best = max(t.own + t.known for t in safe)
    return next(t for t in safe if t.own + t.known >= best - 2 * _CLOSE)


def linear(head: Head, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits (N,) of a head for features (N, D)."""
    logits: NDArray[np.float64] = features @ head[0][0].double().numpy() + float(head[1])
    return logits


def _parts(samples: Sequence[Sample]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices to fit and to judge, each image judged once; both classes among those to fit."""
    labels = labels_of(samples)
    for by in (_maker, _group):
        cells: dict[str, str] = {}
        for label in Label:
            ours = [s for s in samples if s.label == label]
            whole = len({_maker(s) for s in ours} - {UNKNOWN}) >= ENOUGH_CELLS
            cells |= {s.sha256: f"{label}: {(by if whole else _group)(s)}" for s in ours}
        names = set(cells.values())
        counts = [sum(name.startswith(label) for name in names) for label in Label]
        count = max(2, min(PARTS, *counts))
        found = _folds(samples, cells, count)
        if all(_has_both(labels[train]) for train, _ in found):
            return found
    raise UsageError(
        "there is only one near-duplicate group of real or of generated images",
        "give more images that are not near-duplicates of each other",
    )


def _folds(
    samples: Sequence[Sample], cells: dict[str, str], count: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    return list(folds(samples, lambda sample: cells[sample.sha256], count))


def _group(sample: Sample) -> str:
    return sample.group


def _maker(sample: Sample) -> str:
    return sample.generator or sample.source


def _words(strength: float, share: float, parts: int, fitted: Replay | None) -> str:
    text = f"Fitted to the images with a pull of {strength:g} towards the base's head"
    if fitted is not None and share:
        text += f", beside {len(fitted.samples)} that the base knows with {share:.0%} of the weight"
    return (
        f"{text}; judged in {parts} parts, each by a head that saw neither the images of the part "
        "nor their near-duplicates."
    )


def _mean(figures: Sequence[float]) -> float:
    return float(np.mean(figures)) if figures else np.nan


def _has_both(labels: NDArray[np.int64]) -> bool:
    return bool(0 < labels.sum() < len(labels))


def _auroc(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    value = evaluate(logits, labels, 0.0).auroc
    assert value is not None
    return value
