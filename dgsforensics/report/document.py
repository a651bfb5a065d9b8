"""A case as one JSON document; `docs/report.md` says what the fields mean."""

from dataclasses import asdict
from typing import Any

from dgsforensics.judgements import Decision
from dgsforensics.provenance.strength import strength
from dgsforensics.records import Evidence
from dgsforensics.report.facts import CaseReport, ReportImage, ReportScan
from dgsforensics.report.statements import ALWAYS, NOT_CHECKED
from dgsforensics.tables import to_json

SCHEMA = 1
"""Raised when a field changes its meaning."""


def render(report: CaseReport) -> bytes:
    """Return the document in UTF-8; what is not recorded is null."""
    sound = report.verified
    told = {
        "schema": SCHEMA,
        "made": report.made,
        "tool_version": report.tool_version,
        "case": str(report.case),
        "root": None if report.root is None else str(report.root),
        "verified": {"scores": sound.scores, "images": sound.images, **asdict(sound.log)},
        "counts": {str(kind): count for kind, count in sorted(report.counts.items())},
        "scans": [_scan(scan) for scan in report.scans],
        "earlier_scans": report.earlier,
        "reviewers": [asdict(share) for share in report.reviewers],
        "agreement": [{"reviewer": name, **asdict(pair)} for name, pair in report.agreements],
        "limits": list(ALWAYS),
        "not_checked": [what for what, _ in NOT_CHECKED],
        "images": [image_fields(image) for image in report.images],
    }
    return (to_json(told) + "\n").encode()


def _scan(scan: ReportScan) -> dict[str, Any]:
    info, made = scan.info, scan.info.settings
    return {
        "id": info.id,
        "started": info.started.isoformat(),
        "finished": None if info.finished is None else info.finished.isoformat(),
        "files": scan.files,
        "tool_version": made.tool_version,
        "model": made.model,
        "model_sha256": made.model_sha256,
        "weights_sha256": made.weights_sha256,
        "preprocessing": made.preprocessing,
        "threshold": made.threshold,
        "options": made.options.to_dict(),
        "circumstances": None if made.circumstances is None else asdict(made.circumstances),
        "outcome": None if info.outcome is None else asdict(info.outcome),
        "detector_limits": None if scan.limits is None else list(scan.limits),
    }


def image_fields(image: ReportImage) -> dict[str, Any]:
    """Return all that is known of an image, as JSON types."""
    row, thresholds = image.row, image.scale and image.scale.thresholds
    return {
        "paths": list(map(str, image.paths)),
        "attention": str(image.attention),
        "status": str(row.status),
        "verdict": image.verdict and str(image.verdict),
        "probability": image.probability,
        "logit": row.logit,
        "logit_flagged": thresholds and thresholds.upper,
        "logit_inconclusive": thresholds and thresholds.lower,
        "thresholds": thresholds and thresholds.origin,
        "scan": row.scan_id,
        "scored": None if image.origin is None else asdict(image.origin),
        "other_scores": [asdict(other) for other in image.others],
        "reason": row.reason,
        "domain": row.domain,
        "missing": row.missing,
        **asdict(row.facts),
        "claims": None if image.claims is None else [claim_fields(one) for one in image.claims],
        "conflicts": list(image.conflicts),
        "decisions": [_decision(decision) for decision in image.decisions],
    }


def claim_fields(piece: Evidence) -> dict[str, Any]:
    """Return a claim, where it stands and how strong it is."""
    return {
        "kind": piece.mark and str(piece.mark),
        "origin": piece.origin,
        "name": piece.name,
        "value": piece.value,
        "strength": str(strength(piece)),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return asdict(decision) | {"path": str(decision.path)}
