"""How far two reviewers of a case agree: over the images that both have labelled, by the labels
that they had given when first both had. It is the same number for both of them.
"""

from collections import Counter
from dataclasses import dataclass

from dgsforensics.judgements import Judgement
from dgsforensics.review.history import Pair
from dgsforensics.review.session import Review


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two reviewers' first labels, compared."""

    other: str
    both: int
    """Images that both have labelled."""
    same: int
    """Of them, those with the same label."""
    kappa: float | None
    """Cohen's kappa (1960): 0 at what chance alone gives, 1 at full agreement; None where chance
    alone would give full agreement."""


def with_others(review: Review) -> list[Agreement]:
    """Return the reviewer against each other one with an image in common, by name.

    What was changed later changes nothing here, but for a label that was taken away.
    """
    found = ((other, +pairs) for other, pairs in sorted(review.pairs.items()))
    return [_compared(other, pairs) for other, pairs in found if pairs]


def _compared(other: str, pairs: Counter[Pair]) -> Agreement:
    left: Counter[Judgement] = Counter()
    right: Counter[Judgement] = Counter()
    for (mine, theirs), times in pairs.items():
        left[mine] += times
        right[theirs] += times
    count = pairs.total()
    same = sum(times for (mine, theirs), times in pairs.items() if mine == theirs)
    chance = sum(left[label] * right[label] for label in left) / count**2
    kappa = None if chance == 1 else (same / count - chance) / (1 - chance)
    return Agreement(other, count, same, kappa)
