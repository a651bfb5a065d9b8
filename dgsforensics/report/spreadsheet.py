"""A case as CSV: a row for each file, guarded against formulas."""

from typing import Any

from dgsforensics.provenance.strength import strength
from dgsforensics.report.facts import CaseReport, ReportImage
from dgsforensics.review.phrases import JUDGEMENTS
from dgsforensics.tables import csv_line, path_cell
from dgsforensics.wording import printable

FIELDS = (
    *("path", "attention", "status", "verdict", "probability", "flagged_from", "logit", "reason"),
    *("conflicts", "claims", "labels", "notes", "sha256", "size", "format", "width", "height"),
    *("frames", "missing", "model", "model_sha256", "preprocessing", "scan_started"),
)
"""Of one file, in this order; empty where nothing is known."""


def render(report: CaseReport) -> bytes:
    """Return a header and a line for each file, what needs attention first, in UTF-8."""
    lines = [csv_line(FIELDS)]
    for image in report.images:
        values = _fields(image)
        for place in image.places:
            values["path"] = path_cell(printable(place))
            lines.append(csv_line(_cell(values[name]) for name in FIELDS))
    return "".join(lines).encode()


def _cell(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _fields(image: ReportImage) -> dict[str, Any]:
    facts, scan = image.row.facts, image.scale and image.scale.scan
    claims = [f"{piece.name}: {piece.value} ({strength(piece)})" for piece in image.claims or ()]
    labels = [f"{d.reviewer}: {JUDGEMENTS[d.judgement]}" for d in image.decisions if d.judgement]
    return {
        "attention": str(image.attention),
        "status": str(image.row.status),
        "verdict": image.verdict and str(image.verdict),
        "probability": image.probability,
        "flagged_from": scan and scan.settings.threshold,
        "logit": image.row.logit,
        "reason": image.row.reason,
        "conflicts": " ".join(image.conflicts) or None,
        "claims": "; ".join(claims) or None,
        "labels": "; ".join(labels) or None,
        "notes": "; ".join(f"{d.reviewer}: {d.note}" for d in image.decisions if d.note) or None,
        "sha256": facts.sha256,
        "size": facts.size,
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "frames": facts.frames,
        "missing": image.row.missing,
        "model": scan and scan.settings.model,
        "model_sha256": scan and scan.settings.model_sha256,
        "preprocessing": scan and scan.settings.preprocessing,
        "scan_started": scan and scan.started.isoformat(),
    }
