"""Scores of an image by several detectors: each for itself, and where they disagree."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dgsforensics.case.contents import KeptScore
from dgsforensics.case.scans import ScanInfo
from dgsforensics.records import ScoreOrigin, Verdict
from dgsforensics.review.item import Item
from dgsforensics.review.scale import Scale

_OPPOSITE = {Verdict.FLAGGED: Verdict.NOT_FLAGGED, Verdict.NOT_FLAGGED: Verdict.FLAGGED}


@dataclass(frozen=True, slots=True)
class OtherScore:
    """A score by other weights or preprocessing than those of the scan that saw an image last."""

    detector: str | None
    """None: no scan of this case names it."""
    origin: ScoreOrigin
    logit: float
    probability: float | None
    """None, as the next, where no scan of this case says what its logits mean."""
    verdict: Verdict | None

    def __str__(self) -> str:
        """What it is called in a sentence."""
        return f"{self.detector or 'of unknown name'} ({self.origin.model_sha256[:12]})"


class KeptScores:
    """All scores that a case has, by content."""

    def __init__(self, scores: Iterable[KeptScore], scans: Iterable[ScanInfo]) -> None:
        self._of: dict[str, list[KeptScore]] = defaultdict(list)
        for score in scores:
            self._of[score.sha256].append(score)
        self._scans = {(scan.settings.weights, scan.settings.preprocessing): scan for scan in scans}
        """The latest with these."""

    def origin(self, item: Item) -> ScoreOrigin | None:
        """Return where the score of an image comes from; None without one."""
        own = (score for score in self._of[item.sha256 or ""] if _is_own(score, item))
        return next((score.origin for score in own), None)

    def others(self, item: Item) -> tuple[OtherScore, ...]:
        """Return the scores of an image by other detectors."""
        kept = self._of[item.sha256 or ""]
        return tuple(self._other(score) for score in kept if not _is_own(score, item))

    def _other(self, score: KeptScore) -> OtherScore:
        scan = self._scans.get((score.weights_sha256, score.preprocessing))
        known = scan is not None and scan.settings.options.scale is not None
        scale = Scale.of(scan) if scan is not None and known else None
        return OtherScore(
            detector=None if scan is None else scan.settings.model,
            origin=score.origin,
            logit=score.logit,
            probability=None if scale is None else scale.calibration.probability(score.logit),
            verdict=None if scale is None else scale.thresholds.verdict(score.logit, score.domain),
        )


def _is_own(score: KeptScore, item: Item) -> bool:
    if item.scale is None:
        return False
    made = item.scale.scan.settings
    return (score.weights_sha256, score.preprocessing) == (made.weights, made.preprocessing)


def detector_conflicts(verdict: Verdict | None, others: Sequence[OtherScore]) -> Iterator[str]:
    """Yield sentences on detectors that say the opposite; inconclusive contradicts nothing."""
    if verdict is None or verdict not in _OPPOSITE:
        return
    said = "flagged it" if verdict == Verdict.FLAGGED else "did not flag it"
    for other in others:
        if other.verdict == _OPPOSITE[verdict]:
            yield f"The detector {said}; another one, {other}, says {other.verdict}."
