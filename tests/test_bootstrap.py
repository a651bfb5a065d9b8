import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.detector.calibration import Thresholds
from dgsforensics.evaluation import bootstrap
from dgsforensics.evaluation.bootstrap import RESAMPLES, auroc_difference, estimates, resamples
from dgsforensics.evaluation.metrics import ScoreSet, figures


def all_weights(labels: np.ndarray, groups: list) -> np.ndarray:
    return np.concatenate(list(resamples(labels, groups)))


def mean_of(values: np.ndarray):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def sample(n: int, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n)
    return rng.normal(0, 1, 2 * n) + gap * labels, labels


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=30))
def test_groups_are_drawn_whole_and_within_their_class(images: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in images])
    groups = [group for _, group in images]
    weights = all_weights(labels, groups)
    assert weights.shape == (RESAMPLES, len(images))
    for label in (0, 1):
        names = sorted({g for la, g in images if la == label})
        firsts = [next(i for i, one in enumerate(images) if one == (label, g)) for g in names]
        assert (weights[:, firsts].sum(axis=1) == len(names)).all()
        for i, one in enumerate(images):
            if one[0] == label:
                assert (weights[:, i] == weights[:, images.index(one)]).all()


def test_the_same_images_give_the_same_interval_in_any_chunks(monkeypatch) -> None:
    values, labels = sample(40, 1, 0)
    groups = list(range(80))
    whole = estimates(mean_of(values), labels, groups)
    assert whole == estimates(mean_of(values), labels, groups)
    drawn = all_weights(labels, groups)
    monkeypatch.setattr(bootstrap, "_CELLS", 80 * 300)
    parts = list(resamples(labels, groups))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert np.concatenate(parts).sum() == drawn.sum()


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    found = estimates(mean_of(values), np.zeros(400, dtype=int), list(range(400)))["mean"]
    assert found.value == pytest.approx(values.mean())
    error = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + error, abs=0.2 * error)


def test_ece_has_no_interval_and_other_figures_have() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 400)
    right = 1 / (1 + np.exp(-logits))
    scored = ScoreSet(logits, right, (rng.uniform(size=400) < right).astype(int))
    found = estimates(
        lambda weights: figures(scored, {"": Thresholds(-1, 1, "")}, (0.05,), weights),
        scored.labels,
        list(range(400)),
    )
    ece = found.pop("ece")
    assert (ece.low, ece.high) == (None, None)
    assert ece.value > 0
    assert len(found) == 8
    assert all(one.low <= one.value <= one.high for one in found.values())


def test_copies_make_nothing_surer() -> None:
    values = np.random.default_rng(0).normal(0, 1, 50)
    labels = np.zeros(500, dtype=int)
    copied = np.repeat(values, 10)
    grouped = estimates(mean_of(copied), labels, [i // 10 for i in range(500)])["mean"]
    apart = estimates(mean_of(copied), labels, list(range(500)))["mean"]
    alone = estimates(mean_of(values), labels[:50], list(range(50)))["mean"]
    assert (grouped.low, grouped.high) == (pytest.approx(alone.low), pytest.approx(alone.high))
    assert apart.high - apart.low < 0.5 * (grouped.high - grouped.low)


def test_a_detector_does_not_differ_from_itself() -> None:
    values, labels = sample(50, 1, 0)
    found, p = auroc_difference(values, values, labels, list(range(100)))
    assert (found.value, found.low, found.high, p) == (0, 0, 0, 1)


def test_a_better_one_is_told_and_the_other_way_round_is_its_mirror() -> None:
    weak, labels = sample(200, 0.5, 0)
    strong, _ = sample(200, 2, 1)
    groups = list(range(400))
    found, p = auroc_difference(weak, strong, labels, groups)
    metrics = pytest.importorskip("sklearn.metrics")
    assert found.value == pytest.approx(
        metrics.roc_auc_score(labels, strong) - metrics.roc_auc_score(labels, weak)
    )
    assert 0 < found.low < found.value < found.high
    assert p == pytest.approx(2 / (RESAMPLES + 1))
    back, p_back = auroc_difference(strong, weak, labels, groups)
    assert (back.value, p_back) == (pytest.approx(-found.value), p)
    assert back.low == pytest.approx(-found.high)


def test_p_is_small_by_chance_only_as_often_as_it_says() -> None:
    ps = []
    for seed in range(60):
        first, labels = sample(40, 1, 2 * seed)
        second, _ = sample(40, 1, 2 * seed + 1)
        ps.append(auroc_difference(first, second, labels, list(range(80)))[1])
    assert np.mean(np.array(ps) < 0.05) < 0.2
    assert 0.3 < np.mean(ps) < 0.7
