"""What a detector is, as data: backbone, input, adapters, head. It travels in the checkpoint."""

import dataclasses
import hashlib
import json
import math
import sys
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dgsforensics.errors import ConfigError

T = TypeVar("T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

PREPROCESSING_VERSION = 3
"""Raised whenever the same file would give other input pixels or another domain, so that no old
score is reused."""


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """A CLIP image tower and its weights."""

    name: str = "ViT-B-16-quickgelu"
    """Name of an open_clip model configuration with a ViT image tower."""
    weights: str = "bundled"
    """`bundled`, a pre-trained tag of open_clip such as `openai`, or `file` for a local file."""
    sha256: str | None = None
    """Digest of the weights file; when given, another file is refused."""


@dataclass(frozen=True, slots=True)
class InputConfig:
    """From RGB pixels to the tensor the tower sees."""

    view: Literal["patches", "whole"] = "patches"
    """49 native-resolution patches (`patches.select`), or the whole picture resized."""
    size: int = 224
    """Side of the tower's input, pixels."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from RGB in [0, 1]."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Divides what is left."""
    canonical: Literal["none", "standard"] = "none"
    """What happens to the picture first: nothing, or `canonical.standard`, one size and codec for
    all."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.canonical not in ("none", "standard"):
            raise ConfigError(f"input.canonical must be none or standard, got {self.canonical!r}")
        if self.view not in ("patches", "whole"):
            raise ConfigError(f"input.view must be patches or whole, got {self.view!r}")
        if self.view == "patches" and self.size != 224:
            raise ConfigError(f"input.size must be 224 for 49 patches of 32 pixels: {self.size}")
        if self.size < 1 or min(self.std) <= 0:
            raise ConfigError("input.size and input.std must be positive")


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """A linear head and what it reads."""

    blocks: tuple[int, ...] = ()
    """Read the class tokens after these blocks (0 nearest the pixels), concatenated in this order;
    empty: read the tower's projected output, as DGS-Net does. Never L2-normalised."""

    def __post_init__(self) -> None:
        """Check the order."""
        if list(self.blocks) != sorted(set(self.blocks)) or min(self.blocks, default=0) < 0:
            raise ConfigError(f"head.blocks must ascend from 0 without repeats, got {self.blocks}")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Where the adapters sit and how strong they are."""

    rank: int = 6
    """Inner dimension of each adapter, at least 1."""
    alpha: float = 6.0
    """Numerator of the scale."""
    dropout: float = 0.8
    """Dropout on the input of the adapters while training, in [0, 1)."""
    scaling: Literal["alpha/sqrt(rank)", "alpha/rank"] = "alpha/sqrt(rank)"
    """Which scale is meant by alpha."""
    blocks: tuple[int, ...] | None = None
    """Indices of the adapted blocks, 0 nearest the pixels; None for all."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.rank <= 1024:
            raise ConfigError(f"lora.rank must lie in 1 to 1024, got {self.rank}")
        if self.alpha == 0:  # adapters that change nothing are never trained
            raise ConfigError("lora.alpha must not be 0")
        if self.blocks == ():
            raise ConfigError("lora.blocks must name a block; leave it out for all")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"lora.dropout must lie in [0, 1), got {self.dropout}")
        if self.scaling not in ("alpha/sqrt(rank)", "alpha/rank"):
            raise ConfigError(
                f"lora.scaling must be alpha/sqrt(rank) or alpha/rank: {self.scaling}"
            )

    @property
    def scale(self) -> float:
        """The factor in front of the adapters."""
        divisor = math.sqrt(self.rank) if self.scaling == "alpha/sqrt(rank)" else self.rank
        return self.alpha / divisor


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Everything that decides a logit, weights aside."""

    name: str
    """What the detector is called, e.g. in `--model`."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The frozen image tower."""
    input: InputConfig = field(default_factory=InputConfig)
    """How the picture reaches it."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """What reads its features."""
    lora: LoraConfig | None = None
    """The adapters; None for a frozen tower."""

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON types; `from_dict` is the inverse."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, data: Any) -> "DetectorConfig":
        """Read what `to_dict` wrote; raises `ConfigError` on unknown, missing or wrong fields."""
        if not isinstance(data, dict):
            raise ConfigError(f"{cls.__name__}: expected an object, got {type(data).__name__}")
        lora = data.get("lora")
        return build(
            cls,
            data
            | {
                "backbone": build(BackboneConfig, data.get("backbone", {})),
                "input": build(InputConfig, data.get("input", {})),
                "head": build(HeadConfig, data.get("head", {})),
                "lora": None if lora is None else build(LoraConfig, lora),
            },
        )

    @property
    def preprocessing(self) -> str:
        """Key of everything between the file and the tower; scores are kept by it."""
        fields = dataclasses.asdict(self.input)
        way: str = self.input.view
        if self.input.canonical == "none":  # the key of files that know of no other
            del fields["canonical"]
        else:
            way = f"{self.input.canonical}-{way}"
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]
        return f"v{PREPROCESSING_VERSION}-{way}-{digest}"


def build(cls: type[T], data: Any) -> T:
    """Construct a config class from JSON or TOML types, checked against its annotations.

    Raises `ConfigError` naming class and field.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{cls.__name__}: expected an object, got {type(data).__name__}")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
    hints = get_type_hints(cls)
    if unknown := values.keys() - hints.keys():
        known = ", ".join(hints)
        raise ConfigError(f"{cls.__name__} has no field {min(unknown)!r}", f"it has: {known}")
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ConfigError(f"{cls.__name__}.{name}: {value!r} is not {_spell(hints[name])}")
    try:
        return cls(**{name: _exact(value, hints[name]) for name, value in values.items()})
    except TypeError as error:  # a field too few
        raise ConfigError(f"{cls.__name__}: {error}") from error


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a value is of an annotated type; knows what the classes above use."""
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind is Literal:
        return value in inner
    if kind in (UnionType, Union):  # the latter with a Literal in it
        return any(_fits(value, option) for option in inner)
    if kind is tuple:
        if not isinstance(value, tuple):
            return False
        expected = (inner[0],) * len(value) if inner[-1] is ... else inner
        return len(value) == len(expected) and all(map(_fits, value, expected))
    if isinstance(value, bool):
        return annotation is bool
    if annotation is float:
        # A whole number may be too large for a float.
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(value, annotation)


def _exact(value: Any, annotation: Any) -> Any:
    """Return a value that fits, whole numbers for floats as floats: 1 and 1.0 are the same
    choice."""
    if annotation is float:
        return float(value)
    if get_origin(annotation) is tuple and set(get_args(annotation)) == {float}:
        return tuple(map(float, value))
    return value


def _spell(annotation: Any) -> str:
    """Return a type for people."""
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(repr, get_args(annotation)))
    if get_origin(annotation) in (UnionType, Union):  # None is not written, but left out
        return " or ".join(
            _spell(option) for option in get_args(annotation) if option is not NoneType
        )
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
