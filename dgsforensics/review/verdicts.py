"""Images by what the detector said of them, for what is done with files."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dgsforensics.case.store import Case
from dgsforensics.judgements import Decision
from dgsforensics.records import Verdict
from dgsforensics.review.session import Review


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """An image with a verdict, wherever it lies."""

    sha256: str
    paths: tuple[Path, ...]
    """Absolute, sorted; at least one."""
    judgement: Verdict
    """What stands in the place of a label."""
    decisions: tuple[Decision, ...] = ()
    """None: nobody has said it."""


def by_verdict(case: Case, wanted: Collection[Verdict]) -> list[ScoredImage]:
    """Return the images with one of the verdicts, as the last scan of each has it, by path."""
    found: dict[tuple[str, Verdict], list[Path]] = {}
    for item in Review(case, "").items:
        verdict = item.verdict
        if item.sha256 is not None and verdict is not None and verdict in wanted:
            found.setdefault((item.sha256, verdict), []).append(item.path)
    images = [
        ScoredImage(sha256, tuple(sorted(paths)), verdict)
        for (sha256, verdict), paths in found.items()
    ]
    return sorted(images, key=lambda image: image.paths)
