"""A case as one HTML file that can be sent on: no scripts, nothing is loaded from anywhere.

Filters are buttons and rules of the style sheet; they hide on the screen and never on paper.
"""

from collections import Counter
from dataclasses import dataclass

from dgsforensics import templates
from dgsforensics.records import Status, Verdict
from dgsforensics.report import statements
from dgsforensics.report.facts import Attention, CaseReport, ReportImage
from dgsforensics.report.thumbnails import MAX_THUMBNAILS, TOO_MANY, Thumbnail, thumbnail
from dgsforensics.wording import chance, listed


@dataclass(frozen=True, slots=True)
class PageFilter:
    """One button over the images."""

    name: str
    """Of its class: letters and hyphens."""
    said: str
    count: int


@dataclass(frozen=True, slots=True)
class _Section:
    """One image on the page."""

    image: ReportImage
    picture: Thumbnail
    classes: str
    """Which filters show it."""
    scale: "_ScoreScale | None"


@dataclass(frozen=True, slots=True)
class _ScoreScale:
    """Where the score stands between 0 and 100 percent, and the two thresholds."""

    score: str
    lower: str
    upper: str
    band: str
    """How wide the inconclusive range is."""
    said: str


def render(report: CaseReport) -> bytes:
    """Return the whole page in UTF-8, with pictures of what lies on the disk now."""
    sections = [_section(image, number) for number, image in enumerate(report.images)]
    made = templates.page(
        "report/page.html",
        report=report,
        title=f"Report on {report.root.name if report.root else report.case.name}",
        facts_of_case=list(statements.of_case(report)),
        reviewers=[
            (share.name, listed(share.labels) or "none", str(share.notes))
            for share in report.reviewers
        ],
        detector_limits=_limits(report),
        scans=[(scan, list(statements.of_scan(scan))) for scan in report.scans],
        sections=sections,
        filters=_filters(sections),
        verdicts=[
            (str(kind), report.counts[kind])
            for kind in (*Verdict, *Status)
            if kind in report.counts
        ],
        conflicts=sum(bool(image.conflicts) for image in report.images),
        claims=statements.claims,
        decisions=lambda image: [statements.decision(made) for made in image.decisions],
        agreement=statements.agreement(report),
        of_image=statements.of_image,
        always=statements.ALWAYS,
        not_checked=statements.NOT_CHECKED,
        not_recorded=statements.NOT_RECORDED,
    )
    return f"{made}\n".encode()


def _limits(report: CaseReport) -> list[tuple[str, tuple[str, ...] | None]]:
    """Return name and limits of each detector, once."""
    found: dict[str, tuple[str, tuple[str, ...] | None]] = {}
    for scan in report.scans:
        made = scan.info.settings
        found[made.model_sha256] = f"{made.model} ({made.model_sha256[:12]})", scan.limits
    return list(found.values())


def _section(image: ReportImage, number: int) -> _Section:
    picture = thumbnail(image) if number < MAX_THUMBNAILS else TOO_MANY
    return _Section(image, picture, " ".join(_classes(image)), _scale(image))


def _classes(image: ReportImage) -> list[str]:
    """Return the names of the filters that show an image."""
    labelled = any(decision.judgement for decision in image.decisions)
    unread = image.verdict is None
    kind = Attention.UNREAD if unread else Attention(str(image.verdict))
    found = [kind.replace(" ", "-"), "labelled" if labelled else "unlabelled"]
    return [*found, *(["conflict"] if image.conflicts else [])]


_SAID = {
    "flagged": "flagged",
    "conflict": "with a conflict",
    "inconclusive": "inconclusive",
    "not-read": "not read",
    "not-flagged": "not flagged",
    "labelled": "labelled",
    "unlabelled": "not labelled",
}


def _filters(sections: list[_Section]) -> list[PageFilter]:
    counts = Counter(name for section in sections for name in section.classes.split())
    every = PageFilter("all", "all", len(sections))
    return [every, *(PageFilter(name, said, counts[name]) for name, said in _SAID.items())]


def _scale(image: ReportImage) -> _ScoreScale | None:
    if image.scale is None or image.probability is None:
        return None
    probability, thresholds = image.scale.calibration.probability, image.scale.thresholds
    lower, upper = probability(thresholds.lower), probability(thresholds.upper)
    said = statements.limits_of(image.scale.calibration, thresholds)
    return _ScoreScale(
        score=f"{100 * image.probability:.2f}",
        lower=f"{100 * lower:.2f}",
        upper=f"{100 * upper:.2f}",
        band=f"{100 * (upper - lower):.2f}",
        said=f"score {chance(image.probability)}; {said}",
    )
