"""What a scan is asked to do; apart from `job`, for one must be able to ask without torch."""

from dataclasses import dataclass, field
from pathlib import Path

from dgsforensics.files.content import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class ScanRequest:
    """What the command line asked for; the fields are its options."""

    paths: list[Path]
    files_from: str | None = None
    model: str | None = None
    backbone_weights: Path | None = None
    device: str = "auto"
    batch: int | None = None
    workers: int | None = None
    threshold: float | None = None
    fpr: float | None = None
    case: Path | None = None
    use_cache: bool = True
    makes_case: bool = True
    """Keep a case where none is named; else what is scored is in the user's store of scores
    alone."""
    exclude: list[str] = field(default_factory=list)
    follow_symlinks: bool = False
    archives: bool = True
    """Read them as folders."""
    limits: Limits = DEFAULT_LIMITS
    command: tuple[str, ...] = ()
    """As typed, to be recorded; empty: not from the command line."""
