"""Scans as the case file keeps them: what was asked for, and what the stored scores mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from dgsforensics.case.circumstances import Circumstances, ScanOutcome

_Told = TypeVar("_Told", str, int)


@dataclass(frozen=True, slots=True)
class StoredScale:
    """What a stored logit means, for those who read the case without the detector."""

    temperature: float
    intercept: float
    lower: float
    """Logit from which an image is inconclusive."""
    upper: float
    """Logit from which an image is flagged."""
    origin: str
    """How the two were chosen, for people."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan was asked for; None where it was left open, or an older version did not say."""

    device: str | None = None
    batch: int | None = None
    detector: str | None = None
    """As asked for, so that another scan of the same can ask alike; so are the next two."""
    fpr: float | None = None
    probability: float | None = None
    exclude: tuple[str, ...] = ()
    archives: bool = False
    """Whether archives were read as folders, which older versions did not do."""
    folders: tuple[str, ...] | None = None
    """Those that were gone through: see `case.coverage`. None: an older version did not say."""
    scale: StoredScale | None = None
    """None: an older version, which kept none."""
    versions: Mapping[str, str] | None = None
    """Of Python and of the libraries that decide a score; None: an older version did not say."""
    left_out: Mapping[str, int] | None = None
    """Files that were met and passed over, by kind; None: an older version did not say."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Limits, and what another version kept, as JSON types."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; `from_dict` is the inverse."""
        told = {name: getattr(self, name) for name in _PLAIN}
        told["exclude"] = list(self.exclude)
        told["archives"] = self.archives
        if self.folders is not None:
            told["folders"] = list(self.folders)
        told["versions"] = None if self.versions is None else dict(self.versions)
        told["left_out"] = None if self.left_out is None else dict(self.left_out)
        if (scale := self.scale) is not None:
            told["temperature"], told["intercept"] = scale.temperature, scale.intercept
            ends = {"lower": scale.lower, "upper": scale.upper, "origin": scale.origin}
            told["thresholds"] = ends
        return {name: value for name, value in told.items() if value is not None} | dict(
            self.others
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ScanOptions":
        """Read what this or an older version wrote; what makes no sense counts as not said."""
        folders = data.get("folders")
        return cls(
            **{name: data.get(name) for name in _PLAIN},
            exclude=tuple(data.get("exclude") or ()),
            archives=data.get("archives") is True,
            folders=None if folders is None else tuple(folders),
            scale=_scale(data),
            versions=_told(data.get("versions"), str),
            left_out=_told(data.get("left_out"), int),
            others={name: data[name] for name in data.keys() - _KEPT},
        )


_PLAIN = ("device", "batch", "detector", "fpr", "probability")
_KEPT = {
    *(*_PLAIN, "exclude", "archives", "folders", "temperature", "intercept", "thresholds"),
    *("versions", "left_out"),
}


def _told(data: Any, kind: type[_Told]) -> Mapping[str, _Told] | None:
    """Return names with values of one kind, if it is that."""
    if isinstance(data, dict) and all(isinstance(value, kind) for value in data.values()):
        return {str(name): value for name, value in data.items()}
    return None


def _scale(data: Mapping[str, Any]) -> StoredScale | None:
    match data:
        case {
            "temperature": float() | int(),
            "intercept": float() | int(),
            "thresholds": {"lower": float() | int(), "upper": float() | int(), "origin": str()},
        }:
            ends = data["thresholds"]
            return StoredScale(
                temperature=data["temperature"],
                intercept=data["intercept"],
                lower=ends["lower"],
                upper=ends["upper"],
                origin=ends["origin"],
            )
    return None


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """What decides the scores of a scan, and what a report must state."""

    tool_version: str
    model: str
    model_sha256: str
    preprocessing: str
    """Opaque: a score is used again only under an equal key."""
    threshold: float
    """The probability in [0, 1] from which an image is flagged."""
    options: ScanOptions = field(default_factory=ScanOptions)
    weights_sha256: str | None = None
    """Digest of what makes the logit, calibration aside; scores are kept by it. None: an older
    version, which did not say; the detector file's digest stands in."""
    circumstances: Circumstances | None = None
    """None: an older version, which did not say."""

    @property
    def weights(self) -> str:
        """By what the scores of this scan are found."""
        return self.weights_sha256 or self.model_sha256


@dataclass(frozen=True, slots=True)
class ScanInfo:
    """A scan as stored."""

    id: int
    started: datetime
    finished: datetime | None
    """None while it runs, and for good if it was interrupted."""
    settings: ScanSettings
    outcome: ScanOutcome | None = None
    """None, too, of an older version."""
