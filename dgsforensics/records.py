"""What crosses from one room to another: frozen records, no behaviour beyond derived values."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Label(StrEnum):
    """What an image is known or judged to be; a generated image is the positive class."""

    REAL = "real"
    GENERATED = "generated"


class Status(StrEnum):
    """Whether a file gave a score."""

    SCORED = "scored"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"


class Verdict(StrEnum):
    """What a score means at the thresholds in force."""

    FLAGGED = "flagged"
    INCONCLUSIVE = "inconclusive"
    NOT_FLAGGED = "not_flagged"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file's bytes; None where it was not reached."""

    sha256: str | None = None
    """Lower-case hexadecimal digest of the whole file."""
    size: int | None = None
    """Bytes."""
    format: str | None = None
    """As found in the bytes, never from the suffix: JPEG, PNG, WEBP, ..."""
    width: int | None = None
    """Pixels, after the EXIF rotation."""
    height: int | None = None
    """Pixels, after the EXIF rotation."""
    frames: int | None = None
    """Pictures in the file; the first one is scored. At most `images.MAX_FRAMES` are counted."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The score of one image."""

    path: Path
    facts: FileFacts
    logit: float
    """Raw output of the head; positive leans to generated."""
    probability: float
    """Calibrated probability of "generated" in [0, 1], at equal priors."""
    verdict: Verdict
    threshold: float
    """The probability from which an image is flagged."""
    model: str
    model_sha256: str
    cached: bool = False
    """True when the score comes from an earlier scan in the case file."""
    reason: str | None = None
    """What limits the score, e.g. that only the first of several frames was read."""

    @property
    def status(self) -> Status:
        """Always `scored`."""
        return Status.SCORED


@dataclass(frozen=True, slots=True)
class Known:
    """A score that an earlier scan left for the same bytes, model and preprocessing."""

    facts: FileFacts
    logit: float
    note: str | None
    """The `Prediction.reason` of then."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that gave no score, and why."""

    path: Path
    facts: FileFacts
    status: Status
    """`unreadable` or `unsupported`."""
    reason: str


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """Counts over one scan."""

    flagged: int = 0
    inconclusive: int = 0
    not_flagged: int = 0
    unreadable: int = 0
    unsupported: int = 0
    cached: int = 0
    """Of the scored, how many were not run through the model again."""
    seconds: float = 0.0

    @property
    def scored(self) -> int:
        """Files with a score."""
        return self.flagged + self.inconclusive + self.not_flagged

    @property
    def failed(self) -> int:
        """Files without one."""
        return self.unreadable + self.unsupported

    @property
    def total(self) -> int:
        """All files."""
        return self.scored + self.failed
