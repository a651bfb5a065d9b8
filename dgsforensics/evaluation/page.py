"""An evaluation as one HTML file that can be sent on: no scripts, nothing is loaded from anywhere.

It is XML as well. What comes from outside (names, paths, reasons) is escaped by the template; light
and dark follow the reader's settings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dgsforensics import templates
from dgsforensics.evaluation.charts import ChartBar, ChartLine, bars, legend, square
from dgsforensics.evaluation.output import (
    NOTHING,
    Curves,
    Evaluation,
    FigureRow,
    Subject,
    figure_names,
    head_of,
    interval,
    number,
)
from dgsforensics.evaluation.protocol import SourceProtocol
from dgsforensics.evaluation.protocol_table import SOURCE_HEADS, source_cells, summary

Facts = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _TierPart:
    """What the page says of one tier."""

    name: str
    legend: str
    diagrams: Sequence[tuple[str, str]]
    """Caption and SVG."""
    detectors: Sequence["_DetectorPart"]


@dataclass(frozen=True, slots=True)
class _DetectorPart:
    """What the page says of one detector in a tier."""

    name: str
    figures: Sequence[FigureRow]
    protocols: Sequence[SourceProtocol]
    """Empty where the data name no two sources."""


def render(found: Evaluation) -> str:
    """Return the whole page."""
    names = figure_names(found)
    return templates.page(
        "evaluation/page.html",
        title=f"Evaluation of {', '.join(subject.name for subject in found.detectors)}",
        run=_run(found),
        detectors=[(subject.name, _thresholds(subject)) for subject in found.detectors],
        tiers=[_tier(found, tier) for tier in found.tiers],
        names=names,
        heads=["", "real", "generated", *map(head_of, names)],
        baseline=found.differences[0].baseline if found.differences else None,
        differences=_differences(found),
        unread=[(one.path, one.reason) for one in found.unread],
        bins=found.bins,
        nothing=NOTHING,
        number=number,
        interval=interval,
        summary=summary,
        source_heads=["", *SOURCE_HEADS],
        source_cells=source_cells,
    )


def _run(found: Evaluation) -> list[tuple[str, str]]:
    return [
        ("tool", f"dgsforensics {found.tool_version}, Pillow {found.pillow_version}"),
        ("data", found.data),
        (
            "images",
            f"{found.listed} listed, {found.used} evaluated, {found.copies} left out as "
            f"copies, {len(found.unread)} without a score or contradictory",
        ),
        ("slices by", found.by),
        ("tiers", ", ".join(found.tiers)),
        (
            "intervals",
            f"95 %, percentile bootstrap, {found.resamples} resamples by class and group "
            f"of near-duplicates, seed {found.seed}",
        ),
        *(("note", note) for note in found.notes),
    ]


def _thresholds(subject: Subject) -> Facts:
    facts = [
        ("sha256", subject.model_sha256),
        ("preprocessing", subject.preprocessing),
        ("calibrated on", subject.calibrated_on),
    ]
    for cut in subject.cuts:
        name = "threshold" if cut.fpr is None else f"threshold for {100 * cut.fpr:g} %"
        band = f", inconclusive from {cut.lower:.4f}" if cut.lower < cut.threshold else ""
        facts.append((name, f"probability {cut.threshold:.4f}{band}; {cut.origin}"))
    return facts


def _tier(found: Evaluation, tier: str) -> _TierPart:
    names = [subject.name for subject in found.detectors]
    rows = [row for row in found.rows if row.tier == tier]
    return _TierPart(
        name=tier,
        legend=legend(names),
        diagrams=list(_diagrams(found, tier)),
        detectors=[
            _DetectorPart(
                name=name,
                figures=[row for row in rows if row.detector == name],
                protocols=[p for p in found.protocols if (p.detector, p.tier) == (name, tier)],
            )
            for name in names
        ],
    )


def _diagrams(found: Evaluation, tier: str) -> Iterator[tuple[str, str]]:
    """Yield captions and SVG."""
    names = [subject.name for subject in found.detectors]
    of_name = {curves.detector: curves for curves in found.curves if curves.tier == tier}
    drawn = [of_name[name] for name in names if name in of_name]
    if drawn:
        roc = [ChartLine(curves.detector, curves.roc) for curves in drawn]
        yield (
            "ROC curve",
            square(
                f"roc-{tier}",
                f"ROC curve, {tier}",
                "false-positive rate",
                "true-positive rate",
                roc,
            ),
        )
        yield (
            "Reliability",
            square(
                f"reliability-{tier}",
                f"Reliability diagram, {tier}",
                "mean probability",
                "share generated",
                [_calibration_line(curves) for curves in drawn],
            ),
        )
    rows = {(row.slice, row.detector): row for row in found.rows if row.tier == tier}
    slices = dict.fromkeys(row.slice for row in found.rows)
    each = [
        ChartBar(part, number, name, rows[part, name].figures["auroc"])
        for part in slices
        for number, name in enumerate(names)
    ]
    yield f"AUROC by {found.by}", bars(f"bars-{tier}", f"AUROC, {tier}", "AUROC", each)


def _calibration_line(curves: Curves) -> ChartLine:
    points = [(probability, share) for probability, share, _ in curves.reliability]
    notes = [
        f"{count} images, mean probability {probability:.2f}, share generated {share:.2f}"
        for probability, share, count in curves.reliability
    ]
    return ChartLine(curves.detector, points, notes)


def _differences(found: Evaluation) -> list[tuple[str, ...]]:
    return [
        (
            one.slice,
            one.tier,
            one.detector,
            str(one.real),
            str(one.generated),
            f"{one.auroc.value:+.3f}",
            f"{one.auroc.low:+.3f} to {one.auroc.high:+.3f}",
            f"{one.p:.3f}",
        )
        for one in found.differences
    ]
