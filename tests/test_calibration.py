import json
import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dgsforensics.detector.binomial import interval, photographs_for, smallest_rate
from dgsforensics.detector.calibration import (
    DEFAULT_FPR,
    FEWEST_SOURCES,
    SOURCE_FPR,
    Calibration,
    CalibrationSource,
)
from dgsforensics.detector.platt import fit
from dgsforensics.errors import CheckpointError, UsageError
from dgsforensics.records import Verdict

logits = st.floats(-1e3, 1e3)
many = st.lists(logits, min_size=1, max_size=150).map(lambda values: tuple(sorted(values)))
rates = st.floats(0.001, 0.999)


def made(
    real: tuple[float, ...] = (-1.0,),
    generated: tuple[float, ...] = (1.0,),
    temperature: float = 1.0,
    intercept: float = 0.0,
) -> Calibration:
    return Calibration(temperature, intercept, real, generated, "a test")


def draw(n_real: int, n_fake: int, gap: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 1, n_real), rng.normal(gap, 1.5, n_fake)])
    labels = np.repeat([0, 1], [n_real, n_fake])
    order = rng.permutation(len(values))
    return values[order], labels[order]


# Probability


@given(st.floats(1e-9, 1 - 1e-9), st.floats(0.01, 100), st.floats(-50, 50))
def test_logit_and_probability_are_inverse(p: float, temperature: float, intercept: float) -> None:
    calibration = made(temperature=temperature, intercept=intercept)
    assert calibration.probability(calibration.logit(p)) == pytest.approx(p, rel=1e-9, abs=1e-12)


@given(logits, logits, st.floats(0.01, 100), st.floats(-50, 50))
def test_probability_rises_with_the_logit(a: float, b: float, temperature: float, i: float) -> None:
    calibration = made(temperature=temperature, intercept=i)
    low, high = (calibration.probability(x) for x in sorted((a, b)))
    assert 0 <= low <= high <= 1
    if abs(a - b) > 1e-6 * temperature and max(abs(a - i), abs(b - i)) < 10 * temperature:
        assert low < high


def test_probability_by_hand() -> None:
    calibration = made(temperature=2.0, intercept=3.0)
    assert calibration.probability(3.0) == 0.5
    assert calibration.probability(5.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert calibration.logit(0.5) == 3.0
    assert calibration.logit(0.9) == pytest.approx(3 + 2 * math.log(9))


@pytest.mark.parametrize("temperature", [1e-300, 1e-3, 1.0, 1e300])
def test_extreme_logits_do_not_overflow(temperature: float) -> None:
    calibration = made(temperature=temperature)
    for logit in (1e4, 1e308, math.inf):
        assert calibration.probability(logit) + calibration.probability(-logit) == 1
    assert made().probability(-1e4) == 0 and made().probability(1e4) == 1


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.1, math.nan, math.inf])
def test_no_logit_for_certainty(p: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        made().logit(p)


# Fit


def test_fit_is_class_balanced_logistic_regression() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    values, labels = draw(6000, 1500, 2.5)
    calibration = fit(values, labels, "x")
    reference = linear_model.LogisticRegression(
        C=1e12, class_weight="balanced", tol=1e-12, max_iter=1000
    )
    reference.fit(values[:, None], labels)
    slope, offset = reference.coef_[0, 0], reference.intercept_[0]
    assert calibration.temperature == pytest.approx(1 / slope, rel=0.01)
    assert calibration.intercept == pytest.approx(-offset / slope, abs=0.01)


@pytest.mark.parametrize(
    ("n_real", "n_fake", "gap", "scale"),
    [
        (50, 50, 1, 1),
        (3, 400, 2, 1),
        (400, 3, 2, 1),
        (1, 1, 9, 1),
        (80, 60, 30, 1e-3),
        (9, 9, 3, 1e4),
    ],
)
def test_fit_is_a_minimum_at_softened_targets(
    n_real: int, n_fake: int, gap: float, scale: float
) -> None:
    values, labels = draw(n_real, n_fake, gap)
    values = 7.0 + scale * values
    calibration = fit(values, labels, "x")
    p = np.array([calibration.probability(float(x)) for x in values])
    target = np.where(labels == 1, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    weight = np.where(labels == 1, 1 / n_fake, 1 / n_real)
    spread = max(float(values.std()), 1e-12)
    assert abs((weight * (p - target)).sum()) < 1e-6
    assert abs((weight * (p - target) * (values - values.mean()) / spread).sum()) < 1e-6


def test_separable_logits_keep_a_finite_temperature() -> None:
    values = np.concatenate([np.linspace(-5, -4, 100), np.linspace(4, 5, 100)])
    calibration = fit(values, np.repeat([0, 1], 100), "x")
    assert 0.05 < calibration.temperature < 5
    assert calibration.intercept == pytest.approx(0, abs=1e-6)
    assert 0.95 < calibration.probability(4.5) < 1


def test_the_share_of_a_class_does_not_move_the_fit() -> None:
    values, labels = draw(500, 500, 2)
    fake = values[labels == 1]
    more = np.concatenate([values, np.tile(fake, 9)])
    balanced = fit(values, labels, "x")
    skewed = fit(more, np.concatenate([labels, np.ones(9 * len(fake), dtype=int)]), "x")
    assert skewed.intercept == pytest.approx(balanced.intercept, abs=0.01)
    assert skewed.temperature == pytest.approx(balanced.temperature, rel=0.01)


def test_logits_that_rank_the_wrong_way_are_refused() -> None:
    values, labels = draw(200, 200, 3)
    with pytest.raises(ValueError, match="nothing to calibrate"):
        fit(-values, labels, "x")
    with pytest.raises(ValueError, match="nothing to calibrate"):
        fit(np.ones(400), labels, "x")


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match="real and generated"):
        fit(np.arange(5.0), np.full(5, label), "x")


def test_fit_keeps_the_logits_it_saw() -> None:
    calibration = fit(np.array([3.0, -2.0, 1.0, -5.0, 4.0]), np.array([1, 0, 1, 0, 0]), "some")
    assert calibration.real == (-5, -2, 4) and calibration.generated == (1, 3)
    assert calibration.measured_on == "some"


# Thresholds


def test_at_fpr_flags_exactly_what_it_may() -> None:
    calibration = made(real=tuple(float(x) for x in range(99)))
    for rate, flagged in ((0.01, 0), (0.02, 1), (0.05, 4), (0.055, 4), (0.1, 9), (0.5, 49)):
        threshold = calibration.at_fpr(rate)
        assert sum(x >= threshold for x in calibration.real) == flagged


@given(many, rates)
def test_at_fpr_is_the_lowest_that_keeps_its_word(real: tuple[float, ...], rate: float) -> None:
    allowed = math.floor(rate * (len(real) + 1) + 1e-9) - 1
    assume(allowed >= 0)
    threshold = made(real=real).at_fpr(rate)
    assert sum(x >= threshold for x in real) <= allowed
    assert sum(x >= threshold - 1e-4 * 1.001 for x in real) > allowed


def test_a_new_photograph_is_flagged_at_the_promised_rate() -> None:
    rng = np.random.default_rng(0)
    count, rate, chances = 59, 0.1, []
    for real in np.sort(rng.normal(size=(3000, count)), axis=1):
        threshold = made(real=tuple(real.tolist())).at_fpr(rate)
        chances.append(math.erfc(threshold / math.sqrt(2)) / 2)
    assert np.mean(chances) == pytest.approx(rate, abs=0.003)  # 0.083 or 0.117 if off by one


@pytest.mark.parametrize("count", [1, 7, 8, 18, 299, 1700, 30_000])
def test_a_rate_too_small_is_refused_and_the_smallest_named(count: int) -> None:
    calibration = made(real=tuple(float(x) for x in range(count)))
    with pytest.raises(UsageError, match=f"{count} real photographs") as caught:
        calibration.at_fpr(0.9 / (count + 1))
    named = re.search(r"supports is (\d+(?:\.\d+)?)%", caught.value.hint or "")
    assert named is not None
    smallest = float(named[1]) / 100
    assert smallest == pytest.approx(1 / (count + 1), rel=0.01, abs=1.1e-4)
    assert calibration.at_fpr(smallest) > calibration.real[-1] - 10


def test_nineteen_photographs_support_five_percent() -> None:
    assert made(real=tuple(map(float, range(19)))).at_fpr(0.05) > 18
    with pytest.raises(UsageError):
        made(real=tuple(map(float, range(18)))).at_fpr(0.05)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 2, math.nan, math.inf])
def test_rates_outside_0_to_1_are_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        made(real=tuple(map(float, range(100)))).at_fpr(rate)


def test_at_fnr_misses_no_more_than_it_may() -> None:
    calibration = made(generated=tuple(float(x) for x in range(99)))
    for rate, missed in ((0.2, 19), (0.05, 4), (0.001, 0)):
        assert sum(x < calibration.at_fnr(rate) for x in calibration.generated) == missed


@given(many, many, rates, st.booleans())
@settings(max_examples=200)
def test_the_band_is_never_upside_down(
    real: tuple[float, ...], generated: tuple[float, ...], rate: float, by_rate: bool
) -> None:
    assume(not by_rate or math.floor(rate * (len(real) + 1) + 1e-9) >= 1)
    calibration = made(real=real, generated=generated)
    found = calibration.thresholds(**{"fpr" if by_rate else "probability": rate})
    assert found.lower <= found.upper
    assert found.verdict(found.upper) is Verdict.FLAGGED
    below = found.verdict(math.nextafter(found.upper, -math.inf))
    assert below is (Verdict.INCONCLUSIVE if found.lower < found.upper else Verdict.NOT_FLAGGED)
    assert found.verdict(math.nextafter(found.lower, -math.inf)) is Verdict.NOT_FLAGGED
    # Out of domain, nothing is flagged and all else stays.
    for logit in (found.upper, math.inf):
        assert found.verdict(logit, "noise") is Verdict.INCONCLUSIVE
    for logit in (math.nextafter(found.upper, -math.inf), -math.inf):
        assert found.verdict(logit, "noise") is found.verdict(logit)


def test_thresholds_come_from_what_was_asked_for() -> None:
    real = tuple(float(x) for x in range(-99, 0))
    calibration = made(real, generated=tuple(float(x) for x in range(-9, 90)), temperature=2.0)
    default = calibration.thresholds()
    assert default == calibration.thresholds(fpr=DEFAULT_FPR)
    assert default.upper == calibration.at_fpr(DEFAULT_FPR)
    assert calibration.thresholds(fpr=0.2).upper < default.upper
    five = calibration.thresholds(fpr=0.05)
    assert calibration.thresholds(probability=0.9).upper == pytest.approx(2 * math.log(9))
    assert "false-positive rate 5%" in five.origin and "a test" in five.origin
    assert "0.9" in calibration.thresholds(probability=0.9).origin
    assert "1.11% to 10% (95% interval)" in five.origin  # 4 of 99


def test_a_rate_and_a_probability_are_too_much() -> None:
    with pytest.raises(UsageError, match="not both"):
        made().thresholds(fpr=0.1, probability=0.5)


def test_the_origin_has_the_exact_interval() -> None:
    calibration = made(real=tuple(map(float, range(340))), generated=(500.0,))
    origin = calibration.thresholds(fpr=0.01).origin
    assert origin == "false-positive rate 1%, measured 0.0713% to 2.11% (95% interval) on a test"


@pytest.mark.parametrize(("count", "rate"), [(30, 0.05), (99, 0.05), (200, 0.02)])
def test_the_interval_holds_the_rate_that_a_calibration_then_has(count: int, rate: float) -> None:
    rng = np.random.default_rng(1)
    inside = below = 0
    for real in np.sort(rng.normal(size=(4000, count)), axis=1):
        threshold = made(real=tuple(real.tolist())).at_fpr(rate)
        truth = math.erfc(threshold / math.sqrt(2)) / 2
        low, high = interval(sum(x >= threshold for x in real), count)
        inside += low <= truth <= high
        below += truth <= high
    assert below / 4000 == pytest.approx(0.975, abs=0.008)
    assert inside / 4000 >= 0.945


@given(rates)
def test_photographs_for_is_the_least_that_promise_a_rate(rate: float) -> None:
    count = photographs_for(rate)
    made(real=tuple(map(float, range(count)))).at_fpr(rate)
    if count > 1:
        with pytest.raises(UsageError, match="cannot be promised"):
            made(real=tuple(map(float, range(count - 1)))).at_fpr(rate)


@pytest.mark.parametrize(
    ("rate", "count"), [(0.001, 999), (0.01, 99), (0.02, 49), (0.05, 19), (0.1, 9), (0.9, 1)]
)
def test_photographs_for_the_usual_rates(rate: float, count: int) -> None:
    assert photographs_for(rate) == count


def test_of_the_smallest_float_too() -> None:
    assert photographs_for(5e-324) > 10**299
    with pytest.raises(UsageError, match="cannot be promised"):
        made(real=tuple(map(float, range(99)))).at_fpr(5e-324)


@given(st.integers(1, 20_000))
def test_the_smallest_rate_is_supported(count: int) -> None:
    assert photographs_for(smallest_rate(count)) <= count
    assert smallest_rate(count) - 1 / (count + 1) < 1e-4


def test_photographs_alone_give_thresholds_without_a_band() -> None:
    calibration = made(real=tuple(map(float, range(99))), generated=())
    assert calibration.measured
    found = calibration.thresholds(fpr=0.05)
    assert found.lower == found.upper == calibration.at_fpr(0.05)
    assert found.verdict(found.upper) is Verdict.FLAGGED
    assert found.verdict(math.nextafter(found.upper, -math.inf)) is Verdict.NOT_FLAGGED
    assert calibration.thresholds(probability=0.9).lower == pytest.approx(math.log(9))
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


# Not calibrated


def test_without_measurements_the_probability_is_the_plain_sigmoid() -> None:
    none = Calibration.none()
    assert not none.measured and made().measured
    assert none.probability(2.0) == pytest.approx(1 / (1 + math.exp(-2)))
    default = none.thresholds()
    assert default.lower == default.upper == 0
    assert default.origin == (
        "probability 0.5; not calibrated, so its false-positive rate is unknown"
    )
    assert default.verdict(0.0) is Verdict.FLAGGED
    assert default.verdict(math.nextafter(0, -1)) is Verdict.NOT_FLAGGED


def test_without_measurements_a_probability_can_be_asked_for_and_a_rate_cannot() -> None:
    none = Calibration.none()
    asked = none.thresholds(probability=0.9)
    assert asked.lower == asked.upper == pytest.approx(math.log(9))
    assert asked.origin.startswith("probability 0.9; not calibrated")
    with pytest.raises(UsageError, match="not calibrated") as caught:
        none.thresholds(fpr=0.5)
    assert "--threshold" in str(caught.value.hint)
    with pytest.raises(UsageError, match="between 0 and 1"):
        none.thresholds(probability=0.0)
    with pytest.raises(UsageError, match="not both"):
        none.thresholds(fpr=0.1, probability=0.5)


def test_without_measurements_there_and_back() -> None:
    none = Calibration.none()
    assert Calibration.from_dict(json.loads(json.dumps(none.to_dict()))) == none


# On disk


@given(many, many, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_there_and_back(
    real: tuple[float, ...], generated: tuple[float, ...], temperature: float, intercept: float
) -> None:
    calibration = made(real, generated, temperature, intercept)
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


SOUND = made().to_dict()
NEEDED = sorted(SOUND.keys() - {"sources"})


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        "calibration",
        3,
        {},
        *({key: value for key, value in SOUND.items() if key != gone} for gone in NEEDED),
        SOUND | {"temperature": "hot"},
        SOUND | {"temperature": None},
        SOUND | {"temperature": 0},
        SOUND | {"temperature": -1.0},
        SOUND | {"temperature": math.nan},
        SOUND | {"temperature": math.inf},
        SOUND | {"temperature": 10**400},
        SOUND | {"intercept": -math.inf},
        SOUND | {"intercept": [1]},
        SOUND | {"real": None},
        SOUND | {"real": 3},
        SOUND | {"real": []},
        SOUND | {"real": [[1.0]]},
        SOUND | {"real": [1.0, None]},
        SOUND | {"real": [2.0, 1.0]},
        SOUND | {"real": [1.0, math.nan]},
        SOUND | {"generated": [10**400]},
        SOUND | {"generated": [3.0, 1.0, 2.0]},
    ],
)
def test_damage_is_named(damaged: object) -> None:
    with pytest.raises(CheckpointError, match="damaged calibration"):
        Calibration.from_dict(damaged)


# By source


def of_sources(sources: dict[str, list[float]]) -> Calibration:
    everything = tuple(sorted(x for logits in sources.values() for x in logits))
    kept = tuple(CalibrationSource(name, tuple(sorted(x))) for name, x in sources.items())
    return Calibration(1.0, 0.0, everything, (50.0,), "a test", kept)


def sources_of(count: int, photographs: int, seed: int = 0) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {
        f"s{i}": (rng.normal(0, 1) + rng.normal(0, 1, photographs)).tolist() for i in range(count)
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(FEWEST_SOURCES, 15), st.integers(19, 120), st.integers(0, 10**6))
def test_the_default_keeps_the_rate_of_every_source_and_of_all_together(count, size, seed) -> None:
    sources = sources_of(count, size, seed)
    calibration = of_sources(sources)
    upper = calibration.thresholds().upper
    for logits in sources.values():
        assert sum(x >= upper for x in logits) <= SOURCE_FPR * size
    assert upper >= calibration.at_fpr(max(DEFAULT_FPR, 1 / (count * size + 1)))
    worst, names = calibration.at_source_fpr(SOURCE_FPR)
    assert len(names) == count and upper >= worst
    assert sum(x >= worst - 0.001 for x in sources[names[0]]) >= math.floor(SOURCE_FPR * size)


def test_the_header_says_how_many_sources_and_how_many_others_may_exceed_it() -> None:
    calibration = of_sources(sources_of(10, 40))
    origin = calibration.thresholds().origin
    assert "each of 10 sources" in origin and "up to 30.8% of other sources" in origin
    assert "\n" not in origin
    assert "false-positive rate 5%" in calibration.thresholds(fpr=0.05).origin


def test_small_sources_have_no_say_and_few_sources_promise_nothing() -> None:
    sources = sources_of(6, 30) | {"tiny": [40.0] * 5}
    worst, names = of_sources(sources).at_source_fpr(SOURCE_FPR)
    assert worst < 40 and "tiny" not in names and len(names) == 6
    few = of_sources(sources_of(FEWEST_SOURCES - 1, 30))
    assert few.thresholds().upper == few.at_fpr(DEFAULT_FPR)


def test_sources_survive_the_round_trip_and_older_files_have_none() -> None:
    calibration = of_sources(sources_of(5, 20))
    data = json.loads(json.dumps(calibration.to_dict()))
    assert Calibration.from_dict(data) == calibration
    del data["sources"]
    old = Calibration.from_dict(data)
    assert old.sources == ()
    assert old.thresholds().upper == old.at_fpr(1 / (len(old.real) + 1))


def test_sources_that_are_not_what_was_measured_are_damage() -> None:
    data = of_sources(sources_of(5, 20)).to_dict()
    for broken in ({"a": [1.0]}, ["a"], {"a": "x"}):
        with pytest.raises(CheckpointError, match="damaged calibration"):
            Calibration.from_dict(data | {"sources": broken})


def test_a_fit_keeps_the_sources_of_the_photographs() -> None:
    values, labels = draw(60, 40, 3.0)
    names = [f"s{i % 3}" for i in range(100)]
    found = fit(values, labels, "a test", names)
    assert [source.name for source in found.sources] == ["s0", "s1", "s2"]
    assert sorted(x for source in found.sources for x in source.real) == list(found.real)
