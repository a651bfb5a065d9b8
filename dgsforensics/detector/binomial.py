"""Exact intervals for a share that was counted: `hits` of `count` (Clopper and Pearson 1934).

The interval holds every share under which a count this extreme is not too rare. It keeps its level
or more, also where the count is small or nothing was hit.
"""

import math

LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2


def interval(hits: int, count: int) -> tuple[float, float]:
    """Return the shares, from and to in [0, 1], that `hits` of `count` leave open at `LEVEL`.

    Raises `ValueError` unless 0 <= hits <= count; of a count of 0 nothing is known.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} of {count} is no share")
    low = 0.0 if hits == 0 else 1 - _upper(count - hits, count)
    high = 1.0 if hits == count else _upper(hits, count)
    return low, high


def clean_trials(share: float) -> int:
    """Return the least `count` for which 0 hits put the whole interval at or below a share in (0,
    1).
    """
    return math.ceil(math.log(_TAIL) / math.log1p(-share) - 1e-9)


def _upper(hits: int, count: int) -> float:
    """Return the share at which so few hits, or fewer, have the chance `_TAIL`; for hits <
    count."""
    low, high = hits / count, 1.0
    while low < (middle := (low + high) / 2) < high:
        if _log_at_most(hits, count, middle) > math.log(_TAIL):
            low = middle
        else:
            high = middle
    return high


def _log_at_most(hits: int, count: int, share: float) -> float:
    """Return logarithm of the chance of at most `hits`, where `share` lies above hits / count.

    The terms of the sum then fall from the last one down, so few of them matter.
    """
    odds = (1 - share) / share
    term = total = 1.0  # in units of the last term
    for i in range(hits, 0, -1):
        term *= i / (count - i + 1) * odds
        total += term
        if term < 1e-17 * total:
            break
    ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    last = hits * math.log(share) + (count - hits) * math.log1p(-share)
    return ways + last + math.log(total)


def photographs_for(rate: float) -> int:
    """Return how many photographs `Calibration.at_fpr` needs to promise a rate in (0, 1): 1/rate -
    1.
    """
    whole = max(rate, 1e-300)  # the reciprocal of what is smaller may be infinite
    return max(1, math.ceil((1 - 1e-9) / whole - 1))


def smallest_rate(count: int) -> float:
    """Return the smallest rate that `count` photographs support, rounded up to four decimals."""
    return math.ceil(1e4 / (count + 1)) / 1e4
