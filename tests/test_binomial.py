import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.detector.binomial import clean_trials, interval

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),
        (10, 10, 0.025 ** (1 / 10), 1.0),
        (1, 1, 0.025, 1.0),
        (5, 10, 0.187086, 0.812914),  # Clopper and Pearson's tables
        (0, 99, 0.0, 0.036575),
        (2, 340, 0.000713, 0.021086),
    ],
)
def test_known_intervals(hits: int, count: int, low: float, high: float) -> None:
    assert interval(hits, count) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    ("hits", "count"),
    [(0, 1), (1, 3), (4, 99), (50, 1000), (999, 1000), (3, 10**6), (5 * 10**5, 10**6)],
)
def test_ends_are_those_of_the_beta_distribution(hits: int, count: int) -> None:
    beta = pytest.importorskip("scipy.stats").beta
    low, high = interval(hits, count)
    rest = count - hits
    assert high == pytest.approx(beta.ppf(0.975, hits + 1, rest) if rest else 1, rel=1e-7)
    assert low == pytest.approx(beta.ppf(0.025, hits, rest + 1) if hits else 0, rel=1e-7)


@given(counts)
def test_both_ends_are_where_the_tail_has_its_chance(counted: tuple[int, int]) -> None:
    hits, count = counted
    low, high = interval(hits, count)
    assert 0 <= low <= hits / count <= high <= 1

    def chance(wanted: range, share: float) -> float:
        return sum(math.comb(count, i) * share**i * (1 - share) ** (count - i) for i in wanted)

    if hits < count:
        assert chance(range(hits + 1), high) == pytest.approx(0.025, rel=1e-6)
    if hits:
        assert chance(range(hits, count + 1), low) == pytest.approx(0.025, rel=1e-6)


@given(counts)
def test_what_is_missed_has_the_mirrored_interval(counted: tuple[int, int]) -> None:
    hits, count = counted
    low, high = interval(count - hits, count)
    assert interval(hits, count) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_of_nothing_nothing_is_known() -> None:
    assert interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("hits", "count"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(hits: int, count: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        interval(hits, count)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.05, 0.02, 0.01, 0.001])
def test_clean_trials_are_the_first_that_suffice(share: float) -> None:
    count = clean_trials(share)
    assert interval(0, count)[1] <= share < interval(0, count - 1)[1]


def test_clean_trials_for_one_percent() -> None:
    assert clean_trials(0.01) == 368
