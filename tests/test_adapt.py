"""A head adapted to few images, with what the base knew replayed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from dgsforensics.datasets.labelled import Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label
from dgsforensics.trainer.adapt import AdaptedHead, adapt, linear
from dgsforensics.trainer.replay import Replay
from dgsforensics.trainer.teacher import balanced_weights, fit_head

WIDTH = 24


def images(kind: str, real: int, generated: int, groups: int = 0) -> list[Sample]:
    made = []
    for i in range(real + generated):
        name = hashlib.sha256(f"{kind}{i}".encode()).hexdigest()
        group = f"{kind} {i >= real} {i % groups}" if groups else name
        made.append(
            Sample(
                Path(name),
                Label.REAL if i < real else Label.GENERATED,
                None if i < real else f"maker of {kind}",
                f"camera of {kind}",
                group,
                name,
                "photo",
            )
        )
    return made


def features(samples: list[Sample], trace: int, seed: int) -> np.ndarray:
    """Noise, and in generated images a trace in one coordinate."""
    rows = np.random.default_rng(seed).normal(size=(len(samples), WIDTH)).astype(np.float32)
    rows[:, trace] += 2.5 * np.array([s.label == Label.GENERATED for s in samples])
    # Another camera: what shows an old generator is common in these photographs.
    rows[:, 0] += 2.0 * (trace != 0)
    return rows


def labels(samples: list[Sample]) -> np.ndarray:
    return np.array([s.label == Label.GENERATED for s in samples], dtype=np.int64)


def weigh(samples: list[Sample]) -> np.ndarray:
    return balanced_weights(samples, 0.0)


def auroc(logits: np.ndarray, truth: np.ndarray) -> float:
    return float((logits[truth == 0][None] < logits[truth == 1][:, None]).mean())


OLD, HELD, NEW = images("old", 200, 200), images("held", 100, 100), images("new", 50, 10)
BASE = fit_head(features(OLD, 0, 1), labels(OLD), np.ones(400), 0.1)
REPLAY = Replay(
    [*OLD, *HELD],
    np.concatenate([features(OLD, 0, 1), features(HELD, 0, 2)]),
    np.concatenate([np.full(400, np.nan), linear(BASE, features(HELD, 0, 2))]),
)


def adapted(replay: Replay | None = REPLAY, pull: float | None = None, **more) -> AdaptedHead:
    plain = features(NEW, 1, 3)
    drawn = np.stack([plain, features(NEW, 1, 4)])
    return adapt(NEW, drawn, plain, BASE, replay, weigh=weigh, pull=pull, allowed=0.02, **more)


def test_it_learns_the_new_and_keeps_the_old() -> None:
    before, kept = linear(BASE, features(NEW, 1, 3)), REPLAY.held
    found = adapted()
    gained = auroc(found.own, labels(NEW)) - auroc(before, labels(NEW))
    assert gained > 0.1
    known = auroc(found.known[kept], labels(HELD))
    assert known > auroc(REPLAY.logits[kept], labels(HELD)) - 0.02
    assert np.isnan(found.known[~kept]).all()
    assert f"beside {len(OLD)}" in found.words


def test_without_the_replay_it_forgets() -> None:
    """What the replay is for: the same fit, but for it, and nothing else to be drawn by."""
    forgot = adapted(None, pull=0.03)
    fresh = linear(forgot.head, features(HELD, 0, 2))
    kept = adapted(REPLAY, pull=0.03)
    assert auroc(fresh, labels(HELD)) < auroc(kept.known[REPLAY.held], labels(HELD)) - 0.03
    assert forgot.known.shape == (0,)


def test_no_image_is_judged_by_a_head_that_saw_it() -> None:
    """Labels that mean nothing cannot be told from features that mean nothing."""
    samples = images("noise", 60, 60)
    rows = np.random.default_rng(5).normal(size=(120, WIDTH)).astype(np.float32)
    found = adapt(samples, rows[None], rows, None, None, weigh=weigh, pull=0.01, allowed=0.02)
    assert auroc(found.own, labels(samples)) < 0.65
    assert auroc(linear(found.head, rows), labels(samples)) > 0.7


def test_near_duplicates_are_judged_together() -> None:
    """Copies under both heads would make noise look learnable."""
    samples = images("copies", 60, 60, groups=12)
    base = np.random.default_rng(6).normal(size=(24, WIDTH)).astype(np.float32)
    rows = np.stack([base[(i >= 60) * 12 + i % 12] for i in range(120)])
    found = adapt(samples, rows[None], rows, None, None, weigh=weigh, pull=0.01, allowed=0.02)
    assert auroc(found.own, labels(samples)) < 0.75


def test_the_least_change_is_taken_where_more_gains_nothing() -> None:
    """Images that the base already tells apart."""
    samples = images("easy", 30, 30)
    rows = features(samples, 0, 7)
    rows[30:, 0] += 9
    found = adapt(samples, rows[None], rows, BASE, REPLAY, weigh=weigh, pull=None, allowed=0.02)
    moved = (found.head[0] - BASE[0]).norm() / BASE[0].norm()
    assert "pull of 3 towards" in found.words and "80%" in found.words
    assert moved < 0.25


@pytest.mark.parametrize(("real", "generated"), [(2, 2), (3, 9), (50, 2)])
def test_few_images_are_enough(real, generated) -> None:
    samples = images("few", real, generated)
    rows = features(samples, 1, 8)
    told: list[tuple[int, int]] = []
    found = adapt(
        samples,
        rows[None],
        rows,
        BASE,
        REPLAY,
        weigh=weigh,
        pull=None,
        allowed=0.02,
        tell=lambda done, total: told.append((done, total)),
    )
    assert np.isfinite(found.own).all() and torch.isfinite(found.head[0]).all()
    assert told[-1][0] == told[-1][1] == len(told)


def test_one_picture_in_many_copies_is_not_enough() -> None:
    samples = images("one", 9, 9, groups=1)
    rows = features(samples, 1, 9)
    with pytest.raises(UsageError, match="only one near-duplicate group"):
        adapt(samples, rows[None], rows, BASE, None, weigh=weigh, pull=None, allowed=0.02)


def test_the_same_again_gives_the_same() -> None:
    one, two = adapted(), adapted()
    assert torch.equal(one.head[0], two.head[0]) and np.array_equal(one.own, two.own)
