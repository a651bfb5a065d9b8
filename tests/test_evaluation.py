import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from dgsforensics.evaluation import (
    Metrics,
    evaluate,
    tpr_at_fpr,
)

scores = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=120).map(np.array)


def sample(n_real: int = 300, n_fake: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 1, n_real), rng.normal(1.5, 1, n_fake)]).round(1)
    labels = np.repeat([0, 1], [n_real, n_fake])
    order = rng.permutation(len(values))
    return values[order], labels[order]


def test_figures_by_hand() -> None:
    values = np.array([0.1, 0.4, 0.35, 0.8])
    found = evaluate(values, np.array([0, 0, 1, 1]), 0.4)
    assert found == Metrics(
        real=2,
        generated=2,
        auroc=0.75,
        ap=pytest.approx((1 + 2 / 3) / 2),
        r_acc=0.5,  # 0.4 is flagged: the threshold itself counts
        f_acc=0.5,
        tpr_at_1=0.5,
        tpr_at_5=0.5,
    )


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    values, labels = sample()
    fake, real = values[labels == 1], values[labels == 0]
    pairs = fake[:, None] - real[None]
    expected = np.mean(pairs > 0) + np.mean(pairs == 0) / 2
    assert evaluate(values, labels, 0.0).auroc == pytest.approx(expected)


def test_ap_is_the_mean_precision_where_recall_grows() -> None:
    values, labels = sample()
    expected = before = 0.0
    for threshold in sorted(set(values), reverse=True):
        flagged = values >= threshold
        recall, precision = labels[flagged].sum() / labels.sum(), labels[flagged].mean()
        expected += (recall - before) * precision
        before = recall
    assert evaluate(values, labels, 0.0).ap == pytest.approx(expected)


def test_accuracies_add_up_to_balanced_accuracy() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    values, labels = sample()
    found = evaluate(values, labels, 0.7)
    expected = metrics.balanced_accuracy_score(labels, values >= 0.7)
    assert (found.r_acc + found.f_acc) / 2 == pytest.approx(expected)
    assert (found.real, found.generated) == (300, 200)


@pytest.mark.parametrize("label", [0, 1])
def test_where_a_class_is_missing_there_is_no_figure(label: int) -> None:
    found = evaluate(np.array([0.2, 0.9]), np.array([label, label]), 0.5)
    assert (found.auroc, found.ap, found.tpr_at_1, found.tpr_at_5) == (None,) * 4
    assert (found.r_acc, found.f_acc) == ((0.5, None) if label == 0 else (None, 0.5))


def test_tpr_at_fpr_by_hand() -> None:
    real = np.arange(100.0)
    fake = np.array([97.5, 98.0, 98.5, 99.0, 99.5, 0.0])
    assert tpr_at_fpr(fake, real, 0.0) == 1 / 6  # above 99
    assert tpr_at_fpr(fake, real, 0.01) == 3 / 6  # above 98
    assert tpr_at_fpr(fake, real, 0.019) == 3 / 6
    assert tpr_at_fpr(fake, real, 0.02) == 5 / 6  # above 97
    assert tpr_at_fpr(fake, np.zeros(100), 0.05) == 5 / 6  # ties are not flagged


@given(scores, scores, st.floats(0, 0.99))
def test_tpr_at_fpr_is_the_best_that_the_rate_allows(
    fake: np.ndarray, real: np.ndarray, rate: float
) -> None:
    candidates = [-np.inf, *real, *fake]
    allowed = [t for t in candidates if np.mean(real > t) <= rate + 1e-9 / len(real)]
    assert tpr_at_fpr(fake, real, rate) == max(np.mean(fake > t) for t in allowed)


def test_tpr_at_fpr_is_a_point_of_the_roc_curve() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    values, labels = sample(1000, 500)
    fpr, tpr, _ = metrics.roc_curve(labels, values, drop_intermediate=False)
    found = evaluate(values, labels, 0.0)
    assert found.tpr_at_1 == pytest.approx(tpr[fpr <= 0.01].max())
    assert found.tpr_at_5 == pytest.approx(tpr[fpr <= 0.05].max())
