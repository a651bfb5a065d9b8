"""Cases for a review, written row by row: nothing of them lies on the disk but the case file."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dgsforensics.case.scans import ScanOptions, ScanSettings, StoredScale
from dgsforensics.case.store import Case, Scan
from dgsforensics.records import Evidence, Failure, FileFacts, Prediction, Status, Traits, Verdict

PHOTOS = Path("/photos")
MODEL = "m" * 64
SETTINGS = ScanSettings(
    "0.1",
    "tiny",
    MODEL,
    "clip224/1",
    0.75,
    ScanOptions(scale=StoredScale(2.0, 0.5, -1.0, 1.0, "false-positive rate 0.01")),
)


def scaled(**changes: object) -> ScanSettings:
    """Settings whose scores mean something else."""
    scale = replace(SETTINGS.options.scale, **changes)  # type: ignore[type-var, arg-type]
    return replace(SETTINGS, options=ScanOptions(scale=scale))


OLD = replace(SETTINGS, options=ScanOptions(device="cpu"))
"""As a version left them that kept no calibration."""


def sha(content: str) -> str:
    """The digest of made-up content."""
    return hashlib.sha256(content.encode()).hexdigest()


def scored(
    name: str,
    content: str | None = None,
    logit: float = 0.0,
    *claims: Evidence,
    fingerprint: int | None = None,
    **changes: object,
) -> Prediction:
    """A scored file below `PHOTOS`; its content is its name unless given. Without fingerprint and
    claims nobody looked."""
    facts = FileFacts(sha(content or name), 1234, "JPEG", 640, 480, 1)
    looked = fingerprint is not None or claims
    traits = Traits(fingerprint or 0, claims) if looked else None
    made = Prediction(
        PHOTOS / name, facts, logit, 0.5, Verdict.FLAGGED, 0.75, "tiny", MODEL, traits=traits
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def failed(name: str, reason: str = "damaged", **facts: object) -> Failure:
    """A file without a score; without `sha256` it was never read."""
    return Failure(PHOTOS / name, FileFacts(**facts), Status.UNREADABLE, reason)  # type: ignore[arg-type]


def scan(
    case: Case,
    rows: Iterable[Prediction | Failure],
    settings: ScanSettings = SETTINGS,
    *,
    finish: bool = True,
) -> Scan:
    """One scan with these rows."""
    begun = case.begin_scan(settings)
    begun.record(rows)
    if finish:
        begun.finish()
    return begun
