"""What crosses from one room to another: frozen records, no behaviour beyond derived values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    NOT_FLAGGED = "not flagged"

    @classmethod
    def _missing_(cls, value: object) -> "Verdict | None":
        """As logs of decisions spell it that were begun with an older version."""
        return cls.NOT_FLAGGED if value == "not_flagged" else None


class Mark(StrEnum):
    """Kinds of claims that a file makes about itself and that a list has room for."""

    C2PA = "c2pa"
    SOURCE_TYPE = "source type"
    GENERATOR = "generator"
    CAMERA = "camera"
    SOFTWARE = "software"


MADE = (Mark.C2PA, Mark.SOURCE_TYPE, Mark.GENERATOR)
"""The kinds of claims that bear on how an image was made; most photographs have the others."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that a file claims about itself; a claim, never part of a score."""

    mark: Mark | None
    origin: str
    """Where in the file: EXIF, XMP, PNG text, C2PA, ..."""
    name: str
    value: str


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
class Traits:
    """What a reviewer sorts images by, beside the score."""

    fingerprint: int
    """`groups.fingerprint` of the picture."""
    evidence: tuple[Evidence, ...]
    """What the file claims about itself."""


@dataclass(frozen=True, slots=True)
class ScoreOrigin:
    """When and with what a score was made; it never changes, however often the score is used."""

    time: str
    """ISO 8601, UTC."""
    tool_version: str
    model_sha256: str
    """Of the detector file; another one with the same weights may use the score."""
    computed_with: str | None = None
    """As `Prediction.computed_with`; None: an older version, which did not say."""


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
    """True when the score comes from an earlier scan, of whatever folder."""
    reason: str | None = None
    """What limits the score, e.g. that only the first of several frames was read."""
    traits: Traits | None = None
    """None where nobody looked."""
    domain: str | None = None
    """What the picture is in place of a photograph, as `domain.recognise` says; `reason` has it,
    too. None: it may be a photograph."""
    missing: float | None = None
    """The share of the picture, above 0 to 1, that could not be decoded; None: nothing, or the
    decoder cannot tell."""
    origin: ScoreOrigin | None = None
    """Where the score comes from; None: it was made just now."""
    computed_with: str | None = None
    """What a score that was made just now ran on, for people: libraries, device, precision."""

    @property
    def status(self) -> Status:
        """Always `scored`."""
        return Status.SCORED


@dataclass(frozen=True, slots=True)
class EarlierScore:
    """A score that an earlier scan left for the same bytes, model and preprocessing."""

    facts: FileFacts
    logit: float
    note: str | None
    """The `Prediction.reason` of then."""
    domain: str | None = None
    """The `Prediction.domain` of then."""
    missing: float | None = None
    """The `Prediction.missing` of then."""
    traits: Traits | None = None
    """What the file tells beside its pixels; None where nobody looked."""
    origin: ScoreOrigin | None = None
    """When and with what the score was made; None where that is not kept."""


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """What a scan met and passed over: it gets no row, but is counted."""

    path: Path
    kind: str
    """For people, fit behind a number: text, PDF, video, link, excluded, ..."""


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
    claims: int = 0
    """Of the scored, how many claim something of how they were made: see `MADE`."""
    seconds: float = 0.0
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Files that were met and passed over, by kind."""
    device: str | None = None
    """Where the model ran; None where nothing had to be scored."""
    batch: int | None = None
    """Images in a forward pass; None where there was none."""

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


@dataclass(frozen=True, slots=True)
class StoredTraits:
    """A `Traits` whose evidence is read when asked for: most of 50,000 rows are never looked at."""

    fingerprint: int
    claims: str
    """The evidence as stored."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """As `Traits.evidence`."""
        return tuple(
            Evidence(mark and Mark(mark), origin, name, value)
            for mark, origin, name, value in json.loads(self.claims)
        )


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One file of a scan as stored."""

    path: Path
    """Absolute."""
    facts: FileFacts
    status: Status
    reason: str | None
    logit: float | None
    """None unless `status` is `scored`."""
    cached: bool
    scan_id: int
    position: int
    """In its scan, from 0."""
    traits: StoredTraits | None
    """None where nobody looked."""
    domain: str | None = None
    """As `Prediction.domain`."""
    missing: float | None = None
    """As `Prediction.missing`."""


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file without a score, and why."""

    path: str
    reason: str
