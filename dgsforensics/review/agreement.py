"""How far two reviewers of a case agree, over the images that both have labelled."""

from collections import Counter
from dataclasses import dataclass

from dgsforensics.review.session import Review


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two reviewers' labels, compared."""

    other: str
    both: int
    """Images that both have labelled."""
    same: int
    """Of them, those with the same label."""
    kappa: float | None
    """Cohen's kappa (1960): 0 at what chance alone gives, 1 at full agreement; None where chance
    alone would give full agreement."""


def with_others(review: Review) -> list[Agreement]:
    """The reviewer against each other one with an image in common, by name."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for sha256, mine in review.labels.items():
        for item in review.copies(sha256)[:1]:
            for decision in review.decisions(item):
                if decision.reviewer != review.reviewer and decision.judgement is not None:
                    pairs.setdefault(decision.reviewer, []).append((mine, decision.judgement))
    return [_compared(other, pairs[other]) for other in sorted(pairs)]


def _compared(other: str, pairs: list[tuple[str, str]]) -> Agreement:
    count, same = len(pairs), sum(mine == theirs for mine, theirs in pairs)
    left, right = Counter(mine for mine, _ in pairs), Counter(theirs for _, theirs in pairs)
    chance = sum(left[label] * right[label] for label in left) / count**2
    kappa = None if chance == 1 else (same / count - chance) / (1 - chance)
    return Agreement(other, count, same, kappa)
