from pathlib import Path

import numpy as np
import pytest
import torch

from dgsforensics.datasets.labelled import Sample
from dgsforensics.records import Label
from dgsforensics.trainer.teacher import balanced_weights, fit_head

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def data(n: int = 120, d: int = 8, seed: int = 0) -> Data:
    """Raw features far from standardised, noisy labels, weights that move mean and deviation."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d))
    labels = (z[:, 0] - z[:, 1] + rng.normal(size=n) > 0.3).astype(np.int64)
    features = (z * np.logspace(-2, 2, d) + rng.normal(size=d) * 20).astype(np.float32)
    return features, labels, rng.uniform(0.2, 3, n) * np.exp(0.7 * z[:, 0])


def logits(features: np.ndarray, *arguments: object) -> np.ndarray:
    weight, bias = fit_head(features, *arguments)
    return (torch.from_numpy(features).double() @ weight[0].double() + bias.double()).numpy()


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_the_head_is_that_of_logistic_regression(l2: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels, weights = data()
    share = weights / weights.sum()
    mean = share @ features.astype(np.float64)
    std = np.sqrt(share @ (features - mean) ** 2)
    reference = linear_model.LogisticRegression(C=1 / l2, tol=1e-10, max_iter=5000)
    reference.fit((features - mean) / std, labels, sample_weight=share)
    weight, bias = fit_head(features, labels, weights, l2)
    assert weight.shape == (1, 8) and bias.shape == (1,)
    assert weight.dtype == bias.dtype == torch.float32
    assert not weight.requires_grad and not bias.requires_grad
    assert np.allclose(weight[0].numpy() * std, reference.coef_[0], atol=2e-3)
    expected = reference.decision_function((features - mean) / std)
    assert np.allclose(logits(features, labels, weights, l2), expected, atol=1e-2)


def test_the_penalty_is_as_stated() -> None:
    # One feature, +1 and -1, all labels as its sign: minimise log(1 + exp(-w)) + l2/2 w^2.
    features = np.array([[1.0], [-1.0]], dtype=np.float32)
    weight, bias = fit_head(features, np.array([1, 0]), np.ones(2), 0.1)
    w = float(weight[0, 0])
    assert 1 / (1 + np.exp(w)) == pytest.approx(0.1 * w, abs=1e-4)
    assert float(bias[0]) == pytest.approx(0, abs=1e-4)


def test_more_features_than_images() -> None:
    features, labels, weights = data(40, 100)
    weight, bias = fit_head(features, labels, weights, 1e-2)
    assert torch.isfinite(weight).all() and torch.isfinite(bias).all()
    assert np.mean((logits(features, labels, weights, 1e-2) > 0) == labels) > 0.95


def test_same_data_same_head() -> None:
    features, labels, weights = data()
    torch.manual_seed(1)
    first = fit_head(features, labels, weights, 1e-2)
    torch.manual_seed(2)
    second = fit_head(features.copy(), labels.copy(), weights.copy(), 1e-2)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_the_data_are_left_as_they_were() -> None:
    arrays = data()
    copies = [array.copy() for array in arrays]
    fit_head(*arrays, 1e-2)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, copies, strict=True))


def test_a_doubled_weight_is_a_repeated_row() -> None:
    features, labels, weights = data()
    twice = np.arange(len(labels)) % 3 == 0
    doubled = logits(features, labels, np.where(twice, 2, 1) * weights, 1e-2)
    rows = np.concatenate([np.arange(len(labels)), np.flatnonzero(twice)])
    repeated = logits(features[rows], labels[rows], weights[rows], 1e-2)
    assert np.allclose(doubled, repeated[: len(labels)], atol=2e-3)
    plain = logits(features, labels, weights, 1e-2)
    assert np.abs(plain - doubled).max() > 0.05  # or the test would say nothing


def test_only_the_proportions_of_the_weights_count() -> None:
    features, labels, weights = data()
    assert np.allclose(
        logits(features, labels, weights, 1e-2),
        logits(features, labels, weights * 1e-6, 1e-2),
        atol=2e-3,
    )


def test_scale_and_offset_of_a_feature_do_not_count() -> None:
    features, labels, weights = data()
    other = (features * 7 - 3).astype(np.float32)
    assert np.allclose(
        logits(features, labels, weights, 1e-2), logits(other, labels, weights, 1e-2), atol=5e-3
    )


def test_features_that_never_change_are_ignored() -> None:
    features, labels, weights = data()
    without = logits(features, labels, weights, 1e-2)
    values = np.float32([0, 0.1, -1234.567, *np.random.default_rng(0).normal(0, 1000, 30)])
    constant = np.concatenate([features, np.tile(values, (len(labels), 1))], axis=1)
    weight, bias = fit_head(constant, labels, weights, 1e-2)
    assert torch.isfinite(weight).all() and torch.isfinite(bias).all()
    assert not weight[0, 8:].any()
    assert np.allclose(logits(constant, labels, weights, 1e-2), without, atol=5e-3)


def test_separable_classes_keep_a_finite_head() -> None:
    features = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    labels = (features[:, 0] > 0).astype(np.int64)
    weight, bias = fit_head(features, labels, np.ones(40), 1e-4)
    assert torch.isfinite(weight).all() and 0 < float(weight[0, 0]) < 1e3
    assert abs(float(bias[0])) < 1e-2


# Weights


def sample(label: Label, source: str, generator: str | None = None) -> Sample:
    return Sample(Path("x"), label, generator, source, "g", "sha", "photo")


SAMPLES = [
    *[sample(Label.REAL, "camera")] * 8,
    *[sample(Label.REAL, "web")] * 2,
    *[sample(Label.GENERATED, "web", "SD")] * 9,
    *[sample(Label.GENERATED, "lab", "SD")] * 7,
    *[sample(Label.GENERATED, "web", "GAN")] * 4,
    sample(Label.GENERATED, "unknown"),
]
CELLS = {"camera": slice(0, 8), "web": slice(8, 10), "SD": slice(10, 26), "GAN": slice(26, 30)}


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_both_classes_weigh_one(power: float) -> None:
    weights = balanced_weights(SAMPLES, power)
    generated = np.array([s.label == Label.GENERATED for s in SAMPLES])
    assert weights.shape == (len(SAMPLES),) and (weights > 0).all()
    assert weights[generated].sum() == pytest.approx(1)
    assert weights[~generated].sum() == pytest.approx(1)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_source_of_n_images_weighs_n_to_the_power(power: float) -> None:
    weights = balanced_weights(SAMPLES, power)
    of = {name: weights[rows].sum() for name, rows in CELLS.items()}
    assert of["camera"] / of["web"] == pytest.approx(4**power)
    assert of["SD"] / of["GAN"] == pytest.approx(4**power)
    assert of["GAN"] / weights[30] == pytest.approx(4**power)
    assert np.allclose(weights[10:26], weights[10])  # a generator is one cell, whatever the source


def test_one_class_alone() -> None:
    weights = balanced_weights(SAMPLES[:10])
    assert weights.sum() == pytest.approx(1) and np.isfinite(weights).all()


def test_without_data_to_speak_of_the_head_stays_at_its_prior() -> None:
    features, labels, weights = data()
    prior = (torch.randn(1, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.7]))
    weight, _ = fit_head(features, labels, weights, 1e9, prior)
    assert torch.allclose(weight, prior[0], atol=1e-5)


def test_without_a_penalty_the_prior_does_not_matter() -> None:
    features, labels, weights = data()
    prior = (torch.full((1, 8), 0.01), torch.tensor([3.0]))
    assert logits(features, labels, weights, 1e-9, prior) == pytest.approx(
        logits(features, labels, weights, 1e-9), abs=1e-3
    )


def test_between_them_the_penalty_pulls_to_the_prior() -> None:
    features, labels, weights = data()
    prior = fit_head(features, 1 - labels, weights, 1e-2)  # a head that knows the opposite
    away = [
        np.corrcoef(logits(features, labels, weights, l2, prior), labels)[0, 1]
        for l2 in (1e-3, 1e-1, 1e1)
    ]
    assert away[0] > away[1] > away[2] < 0


def test_a_feature_that_never_changes_keeps_the_weight_of_the_prior() -> None:
    features, labels, weights = data()
    features[:, 3] = 5
    prior = (torch.ones(1, 8), torch.zeros(1))
    weight, _ = fit_head(features, labels, weights, 1e-2, prior)
    assert weight[0, 3] == 1
