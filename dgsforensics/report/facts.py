"""What a report states of a case: everything in it was recorded, or is said not to be."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dgsforensics.case import contents, verification
from dgsforensics.case.scans import ScanInfo
from dgsforensics.case.store import Case
from dgsforensics.case.verification import Verification
from dgsforensics.detector import folders, header
from dgsforensics.errors import CheckpointError
from dgsforensics.judgements import Decision
from dgsforensics.provenance.strength import leaning_to
from dgsforensics.records import CaseRow, Evidence, Label, ScoreOrigin, Status, Verdict
from dgsforensics.report.detectors import KeptScores, OtherScore, detector_conflicts
from dgsforensics.review.agreement import Agreement, with_others
from dgsforensics.review.item import Item
from dgsforensics.review.phrases import JUDGEMENTS
from dgsforensics.review.scale import Scale
from dgsforensics.review.session import Review


class Attention(StrEnum):
    """Why somebody should look at an image, the most pressing first."""

    FLAGGED = "flagged"
    CONFLICT = "conflict"
    """Claims, scores or reviewers contradict each other."""
    INCONCLUSIVE = "inconclusive"
    UNREAD = "not read"
    NONE = "not flagged"


@dataclass(frozen=True, slots=True)
class ReportImage:
    """One content, or one file that was never read."""

    row: CaseRow
    places: tuple[str, ...]
    """Where it lies, below the folder of the case, sorted; absolute without such a folder."""
    paths: tuple[Path, ...]
    """The same, absolute."""
    scale: Scale | None
    """None, as the next three, without a score."""
    probability: float | None
    verdict: Verdict | None
    origin: ScoreOrigin | None
    """None, too, where nobody kept it."""
    others: tuple[OtherScore, ...]
    """By other detectors."""
    claims: tuple[Evidence, ...] | None
    """None: nobody looked."""
    decisions: tuple[Decision, ...]
    """What stands, one a reviewer, by name."""
    conflicts: tuple[str, ...]
    """Each a sentence."""

    @property
    def kind(self) -> Verdict | Status:
        """The verdict, or why there is none."""
        return self.verdict or self.row.status

    @property
    def attention(self) -> Attention:
        """The first reason that holds."""
        if self.verdict == Verdict.FLAGGED:
            return Attention.FLAGGED
        if self.conflicts:
            return Attention.CONFLICT
        if self.verdict is None:
            return Attention.UNREAD
        inconclusive = self.verdict == Verdict.INCONCLUSIVE
        return Attention.INCONCLUSIVE if inconclusive else Attention.NONE


@dataclass(frozen=True, slots=True)
class ReviewerShare:
    """What one reviewer did."""

    name: str
    labels: Mapping[str, int]
    """Labels that stand, by judgement; of images that are in the report."""
    notes: int


@dataclass(frozen=True, slots=True)
class ReportScan:
    """A scan whose results are in the report."""

    scale: Scale | None
    """None where it scored nothing that is left."""
    info: ScanInfo
    files: int
    """In the report."""
    limits: tuple[str, ...] | None
    """Of the detector, as its card states them; None: no file with this digest is at hand."""


@dataclass(frozen=True, slots=True)
class CaseReport:
    """A case as it is reported."""

    case: Path
    root: Path | None
    """What `ReportImage.places` lie below."""
    images: tuple[ReportImage, ...]
    """What needs attention first."""
    scans: tuple[ReportScan, ...]
    earlier: int
    """Scans of which nothing is left."""
    reviewers: tuple[ReviewerShare, ...]
    agreements: tuple[tuple[str, Agreement], ...]
    """Each pair of reviewers once."""
    verified: Verification
    tool_version: str
    """Of what makes the report."""
    made: str
    """When, ISO 8601, UTC: the one thing that differs between two reports of the same case."""

    @property
    def files(self) -> int:
        """All files."""
        return sum(len(image.places) for image in self.images)

    @property
    def counts(self) -> Counter[str]:
        """Files by verdict, or by why there is none."""
        found: Counter[str] = Counter()
        for image in self.images:
            found[image.kind] += len(image.places)
        return found


def gather(case: Case, tool_version: str, made: str) -> CaseReport:
    """Return all that a report states of a case.

    Raises `CaseError` for a case that is not as it was written: nothing is to rest on that.
    """
    verified = verification.verify(case)
    review = Review(case, "")
    root = review.root if review.items and review.root != Path() else None
    scans = case.scans()
    scores = KeptScores(contents.scores(case), scans)
    groups: dict[tuple[str, int], list[Item]] = defaultdict(list)
    for item in review.items:
        groups[item.sha256 or str(item.path), item.row.scan_id].append(item)
    images = [_image(review, items, root, scores) for items in groups.values()]
    names = sorted({decision.reviewer for image in images for decision in image.decisions})
    used = Counter(item.row.scan_id for item in review.items)
    scales = {image.row.scan_id: image.scale for image in images if image.scale is not None}
    cards = card_limits()
    return CaseReport(
        case=case.path,
        root=root,
        images=tuple(sorted(images, key=_order)),
        scans=tuple(
            ReportScan(
                scales.get(scan.id), scan, used[scan.id], cards.get(scan.settings.model_sha256)
            )
            for scan in scans
            if scan.id in used
        ),
        earlier=sum(scan.id not in used for scan in scans),
        reviewers=tuple(_share(name, images) for name in names),
        agreements=tuple(_agreements(case, names)),
        verified=verified,
        tool_version=tool_version,
        made=made,
    )


def _image(
    review: Review,
    items: list[Item],
    root: Path | None,
    scores: KeptScores,
) -> ReportImage:
    items.sort(key=lambda item: os.fsencode(item.path))
    first = items[0]
    row, others = first.row, scores.others(first)
    decisions = tuple(sorted(review.decisions(first), key=lambda decision: decision.reviewer))
    return ReportImage(
        row=row,
        places=tuple(_place(item.path, root) for item in items),
        paths=tuple(item.path for item in items),
        scale=first.scale,
        probability=first.probability,
        verdict=first.verdict,
        origin=scores.origin(first),
        others=others,
        claims=None if row.traits is None else first.evidence,
        decisions=decisions,
        conflicts=(
            *claim_conflicts(first.evidence, first.verdict),
            *detector_conflicts(first.verdict, others),
            *_differing(decisions),
        ),
    )


def _place(path: Path, root: Path | None) -> str:
    return str(path) if root is None else path.relative_to(root).as_posix()


def _order(image: ReportImage) -> tuple[int, float, tuple[bytes, ...]]:
    rank = list(Attention).index(image.attention)
    return rank, -(image.probability or 0.0), tuple(map(os.fsencode, image.paths))


def claim_conflicts(claims: Iterable[Evidence], verdict: Verdict | None) -> list[str]:
    """Return sentences on claims that contradict a verdict, or each other."""
    claims = list(claims)
    generated = leaning_to(claims, Label.GENERATED)
    captured = leaning_to(claims, Label.REAL)
    found = []
    if generated and verdict == Verdict.NOT_FLAGGED:
        found.append(
            f"The file says that it was generated ({_named(generated)}), and the detector did not "
            "flag it."
        )
    if captured and verdict == Verdict.FLAGGED:
        found.append(
            f"The file says that a camera made it ({_named(captured)}), and the detector flagged "
            "it."
        )
    if generated and captured:
        found.append(
            f"The file says that a camera made it ({_named(captured)}), and that it was generated "
            f"({_named(generated)})."
        )
    return found


def _named(claims: list[Evidence]) -> str:
    """Where the strongest claim stands and what it says, shortened."""
    piece = claims[0]
    value = piece.value if len(piece.value) <= _BRIEF else f"{piece.value[: _BRIEF - 1]}…"
    return f"{piece.origin}, {piece.name}: {value}"


_BRIEF = 80
"""Characters of a claim in a sentence."""


def _differing(decisions: Iterable[Decision]) -> list[str]:
    said = {d.reviewer: d.judgement for d in decisions if d.judgement is not None}
    if len(set(said.values())) < 2:
        return []
    each = ", ".join(f"{name}: {JUDGEMENTS[judgement]}" for name, judgement in said.items())
    return [f"Reviewers say different things ({each})."]


def _share(name: str, images: Iterable[ReportImage]) -> ReviewerShare:
    labels: Counter[str] = Counter()
    notes, seen = 0, set()
    for image in images:
        for decision in image.decisions:
            # The same content may be there twice, as two scans left it.
            if decision.reviewer == name and decision.sha256 not in seen:
                seen.add(decision.sha256)
                notes += bool(decision.note)
                if decision.judgement is not None:
                    labels[JUDGEMENTS[decision.judgement]] += 1
    return ReviewerShare(name, dict(sorted(labels.items())), notes)


def _agreements(case: Case, names: list[str]) -> Iterable[tuple[str, Agreement]]:
    if len(names) < 2:
        return
    for name in names:
        yield from ((name, pair) for pair in with_others(Review(case, name)) if pair.other > name)


def card_limits() -> dict[str, tuple[str, ...]]:
    """Return what the detectors at hand say they are bad at, by the SHA-256 of their files."""
    found = {}
    for path in folders.available().values():
        try:
            made = header.read(path)
        except CheckpointError:  # one that is damaged has scored nothing here
            continue
        found[made.sha256] = made.card.limits
    return found
