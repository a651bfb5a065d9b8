import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as theirs

from dgsforensics.detector.calibration import Thresholds
from dgsforensics.evaluation import metrics
from dgsforensics.evaluation.metrics import BINS, Metrics, ScoreSet, evaluate

scores = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=120).map(np.array)


def sample(n_real: int = 300, n_fake: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 1, n_real), rng.normal(1.5, 1, n_fake)]).round(1)
    labels = np.repeat([0, 1], [n_real, n_fake])
    order = rng.permutation(len(values))
    return values[order], labels[order]


def tpr_at_fpr(fake: np.ndarray, real: np.ndarray, rate: float) -> float:
    values = np.concatenate([fake, real])
    labels = np.repeat([1, 0], [len(fake), len(real)])
    ranked = metrics.curve(values, labels, np.ones((1, len(values))))
    return float(metrics.tpr_at_fpr(ranked, rate)[0])


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
    values, labels = sample()
    found = evaluate(values, labels, 0.7)
    expected = theirs.balanced_accuracy_score(labels, values >= 0.7)
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
    values, labels = sample(1000, 500)
    fpr, tpr, _ = theirs.roc_curve(labels, values, drop_intermediate=False)
    found = evaluate(values, labels, 0.0)
    assert found.tpr_at_1 == pytest.approx(tpr[fpr <= 0.01].max())
    assert found.tpr_at_5 == pytest.approx(tpr[fpr <= 0.05].max())


# Many figures under many weightings


def scored(seed: int = 0, n_real: int = 70, n_fake: int = 40) -> ScoreSet:
    values, labels = sample(n_real, n_fake, seed)
    return ScoreSet(values, 1 / (1 + np.exp(-values)), labels)


CUTS = {"": Thresholds(0.2, 0.9, "somehow"), "_at_0.1": Thresholds(1.1, 1.3, "otherwise")}


@given(st.integers(0, 50), st.data())
def test_weighted_figures_are_those_of_scikit_learn(seed: int, data: st.DataObject) -> None:
    given_ = scored(seed, data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60)))
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 4, size=(3, len(given_.labels))).astype(float)
    weights[:, [given_.labels.argmin(), given_.labels.argmax()]] = 1  # both classes are there
    found = metrics.figures(given_, CUTS, (0.01, 0.25), weights)
    y, s = given_.labels, given_.logits
    for row, w in enumerate(weights):
        per_class = np.where(y == 1, (w * y).sum(), (w * (1 - y)).sum())
        expected = {
            "auroc": theirs.roc_auc_score(y, s, sample_weight=w),
            "ap": theirs.average_precision_score(y, s, sample_weight=w),
            "acc": theirs.accuracy_score(y, s >= 0.9, sample_weight=w),
            "f_acc": theirs.recall_score(y, s >= 0.9, sample_weight=w),
            "r_acc": theirs.recall_score(y, s >= 0.9, sample_weight=w, pos_label=0),
            "acc_at_0.1": theirs.accuracy_score(y, s >= 1.3, sample_weight=w),
            "brier": theirs.brier_score_loss(y, given_.probabilities, sample_weight=w / per_class),
            "inconclusive": np.average((s >= 0.2) & (s < 0.9), weights=w),
            "inconclusive_at_0.1": np.average((s >= 1.1) & (s < 1.3), weights=w),
        }
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value), name
        fpr, tpr, _ = theirs.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
        assert found["tpr_at_0.25"][row] == pytest.approx(tpr[fpr <= 0.25 + 1e-9].max())


def test_a_weight_of_two_is_the_image_twice() -> None:
    once = scored()
    weights = np.where(np.arange(len(once.labels)) % 3 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(len(once.labels)), weights.astype(int))
    twice = ScoreSet(once.logits[rows], once.probabilities[rows], once.labels[rows])
    weighted = metrics.figures(once, CUTS, (0.05,), weights[None])
    repeated = metrics.figures(twice, CUTS, (0.05,), np.ones((1, len(rows))))
    assert weighted.keys() == repeated.keys()
    for name in weighted:
        assert weighted[name] == pytest.approx(repeated[name]), name


def test_calibration_error_by_hand() -> None:
    # Two bins: at 0.05 one real of one; at 0.95 one real and three generated.
    probabilities = np.array([0.05, 0.95, 0.95, 0.95, 0.95])
    labels = np.array([0, 0, 1, 1, 1])
    given_ = ScoreSet(probabilities, probabilities, labels)
    found = metrics.figures(given_, CUTS, (), np.ones((1, 5)))
    # Real images weigh 1/4 each, generated ones 1/6.
    assert found["ece"][0] == pytest.approx(0.25 * 0.05 + abs(0.75 * 0.95 - 0.5))
    assert metrics.reliability(given_) == [
        (pytest.approx(0.05), 0.0, 1),
        (pytest.approx(0.95), pytest.approx(2 / 3), 4),
    ]


@pytest.mark.parametrize(("real", "generated"), [(200, 200), (40, 2000)])
def test_by_chance_the_calibration_error_is_as_docs_say(real: int, generated: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [real, generated])
    found = []
    for _ in range(200):
        # Evenly spread over both classes together, and right where they are equally common.
        right = rng.uniform(size=(30 * len(labels)))
        is_fake = rng.uniform(size=len(right)) < right
        drawn = np.concatenate([right[~is_fake][:real], right[is_fake][:generated]])
        one = ScoreSet(drawn, drawn, labels)
        found.append(metrics.figures(one, {}, (), np.ones((1, len(labels))))["ece"][0])
    n = 4 / (1 / real + 1 / generated)
    assert np.mean(found) == pytest.approx(1.2 / np.sqrt(n), rel=0.08)


def test_the_ends_of_the_probability_have_bins() -> None:
    ends = ScoreSet(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([0, 1]))
    assert metrics.figures(ends, CUTS, (), np.ones((1, 2)))["ece"][0] == 0
    assert metrics.reliability(ends) == [(0.0, 0.0, 1), (1.0, 1.0, 1)]
    assert BINS == 15


@pytest.mark.parametrize(("label", "left"), [(0, "r_acc"), (1, "f_acc")])
def test_of_one_class_what_needs_none_other_is_left(label: int, left: str) -> None:
    one = ScoreSet(np.array([0.5, 2.0]), np.array([0.6, 0.9]), np.array([label, label]))
    found = metrics.figures(one, CUTS, (0.01,), np.ones((1, 2)))
    names = {"acc", left, "inconclusive"}
    assert found.keys() == names | {f"{name}_at_0.1" for name in names}


def test_the_roc_curve_is_thinned_and_keeps_its_ends() -> None:
    points = metrics.roc(scored(n_real=900, n_fake=900), most=20)
    assert len(points) <= 20
    assert points[0] == (0, 0)
    assert points[-1] == (1, 1)
    assert points == sorted(points)
