"""Which rows of a scan are shown, and in which order."""

from collections.abc import Collection
from enum import StrEnum

from dgsforensics.choices import Pick
from dgsforensics.records import MADE, Evidence, Failure, Prediction, Verdict


class RowOrder(StrEnum):
    """What rows are sorted by."""

    SCORE = "score"
    """What is flagged, then inconclusive, then without a score, then the rest; highest first."""
    PATH = "path"
    """As the files are found: in the order given, folders by name."""


_RANKS = {Verdict.FLAGGED: 0, Verdict.INCONCLUSIVE: 1, Verdict.NOT_FLAGGED: 3}
_RANK_OF_FAILURES = 2


def is_picked(row: Prediction | Failure, picks: Collection[Pick]) -> bool:
    """Tell whether a row is of one of the kinds; without any, every row is."""
    verdict = row.verdict if isinstance(row, Prediction) else None
    return not picks or any(pick.takes(verdict, claims_of(row)) for pick in picks)


def by_score(row: Prediction | Failure) -> tuple[int, float]:
    """Return the key to sort by: what a person has to act on comes first."""
    if isinstance(row, Failure):
        return _RANK_OF_FAILURES, 0.0
    return _RANKS[row.verdict], -row.probability


def claims_of(row: Prediction | Failure) -> list[Evidence]:
    """Return what a file claims of how it was made: C2PA, its source type, a generator."""
    traits = row.traits if isinstance(row, Prediction) else None
    return [] if traits is None else [piece for piece in traits.evidence if piece.mark in MADE]
