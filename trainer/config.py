"""Every choice of a training run, as data: what `--config FILE.toml` may hold and what is written
beside the result.

    method = "dgs"
    epochs = 3
    [surgery]
    order = "paper"
"""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import tomli_w

from dgsforensics.detector.config import HeadConfig, InputConfig, LoraConfig, build
from dgsforensics.detector.folders import DEFAULT
from dgsforensics.errors import ConfigError

from .surgery import Order, Reduction
from .treatments import Augmentation

FROM_SCRATCH = "none"


@dataclass(frozen=True, slots=True)
class SurgeryConfig:
    """How the gradient at the features is operated on (`surgery.operate`)."""

    weight: float = 0.2
    """Lambda of the prior alignment, 0 or more; 0 turns it off."""
    order: Order = "reference"
    """Project the sum of task gradient and alignment, or the task gradient alone."""
    reduction: Reduction = "reference"
    """Scale of the alignment."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self.weight >= 0, "surgery.weight must be 0 or more", self.weight)


@dataclass(frozen=True, slots=True)
class SourcesConfig:
    """Which listed images are taken, and which sources serve for what (`selection.select`)."""

    exclude: tuple[str, ...] = ()
    """Sources left out altogether."""
    exclude_styles: tuple[str, ...] = ()
    """Styles left out, `art` or `mixed`; of the sources in `test` all are kept."""
    exclude_images: tuple[str, ...] = ()
    """Images left out, by their SHA-256 or its first digits (8 or more)."""
    calibration: tuple[str, ...] = ()
    """Sources held out for thresholds and the comparison with the base; none named: drawn, see
    `validation` and `split_by`."""
    test: tuple[str, ...] = ()
    """Sources looked at once, when the detector is made, for the figures of its card."""
    real: int | None = None
    """Photographs taken of a source, at most."""
    generated: int | None = None
    """Images taken of a generator in a source, at most."""
    held_out: int | None = None
    """In place of both in `calibration` and `test`."""
    cell_weight: float | None = None
    """In place of `balance`: an image counts 1, and the photographs of a source, or the images of a
    generator in a source, this much together at most."""
    source_weight: float | None = None
    """With `cell_weight`: what all images of a class in a source count together at most."""

    def __post_init__(self) -> None:
        """Check the caps, and that no source serves twice."""
        for name in ("real", "generated", "held_out"):
            cap = getattr(self, name)
            _check(cap is None or cap >= 1, f"sources.{name} must be 1 or more", cap)
        for digits in self.exclude_images:
            whole = len(digits) >= 8 and set(digits) <= set("0123456789abcdef")
            _check(whole, "sources.exclude_images: 8 or more hexadecimal digits", digits)
        for name in ("cell_weight", "source_weight"):
            most = getattr(self, name)
            _check(most is None or most > 0, f"sources.{name} must be positive", most)
        lists = [set(self.exclude), set(self.calibration), set(self.test)]
        twice = (lists[0] & lists[1]) | (lists[0] & lists[2]) | (lists[1] & lists[2])
        if twice:
            raise ConfigError(
                f"under [sources] {min(twice)!r} is in two lists",
                "a source is left out, or serves for calibration, or for the test",
            )


@dataclass(frozen=True, slots=True)
class CardConfig:
    """What a person says on the model card; all else on it is measured or counted."""

    summary: str | None = None
    """What the detector is; None: that a user trained it, and how."""
    limits: tuple[str, ...] = ()
    """Known limits, beside those that every card states."""
    licence: str | None = None
    """None: that it follows from images and backbone."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Options of `dgsf train`; None means that the choice follows from others."""

    method: Literal["auto", "dgs", "lora", "probe"] = "auto"
    """Both stages with gradient surgery; both without it; or stage 1, a linear head, alone. auto:
    with a base detector and fewer than 1,000 images stage 1 alone, else both with surgery."""
    result: Literal["best", "student"] = "best"
    """What is returned: the best of base, teacher and student; or what stage 2 made, where it is no
    worse than the base, however the teacher does: to compare methods."""
    base: str = DEFAULT
    """Detector to go on from, by name or file; `none` starts from the pre-trained tower."""
    backbone: str | None = None
    """From scratch: `ViT-L-14-quickgelu:openai`, open_clip's model and weights; None: bundled."""
    input: InputConfig | None = None
    """From scratch: what the tower is shown; None: 49 patches, as DGS-Net."""
    head: HeadConfig | None = None
    """From scratch: what the head reads; None: the projected output, as DGS-Net."""
    lora: LoraConfig | None = None
    """Adapters; None: those of the base where it has some, else DGS-Net's rank and scale on every
    block that the head reads through."""
    semantics: Literal["captions", "lowpass", "none"] | None = None
    """What suppression takes for the content; None: captions where they are named, else lowpass."""
    captions: str | None = None
    """A file or folder with captions, `sidecar`, `folder` for the names of folders, or `model`."""
    caption_model: str = "Salesforce/blip-image-captioning-base"
    """BLIP model of `captions = "model"`: a name on the model hub or a local folder."""
    sources: SourcesConfig = field(default_factory=SourcesConfig)
    """What is taken of what is listed, and the parts by source."""
    card: CardConfig = field(default_factory=CardConfig)
    """What is said on the model card."""
    surgery: SurgeryConfig = field(default_factory=SurgeryConfig)
    """Strength, order and scaling."""
    augmentation: Augmentation = "web"
    """What happens to training images of both classes."""
    draws: int = 2
    """Versions of each training image that are drawn; frozen features are kept for each."""
    first_as_is: bool = False
    """The first of the draws is the picture as it is."""
    balance: float = 0.0
    """Inside a class a source or generator of n images is drawn n to this power: 0, each alike, to
    1, each image alike. Both classes are drawn alike."""
    epochs: int = 3
    """Of stage 2; in one as many images are drawn as there are."""
    batch: int = 32
    """Images a step at most, over all processes together."""
    lr: float = 1e-4
    """Adam's learning rate in stage 2; constant."""
    l2: float | None = None
    """Penalty on the teacher's head, on standardised features; from a base: towards its head. None:
    tried out with a base, else 0.1."""
    replay: int = 40
    """At most so many images of each source of photographs and of each generator in a source are
    kept beside the result as frozen features, to be replayed when it is adapted; 0: none."""
    replay_held: int = 60
    """The same of the images held out, by which it is seen what an adaptation forgets, and from
    which its thresholds come as well."""
    validation: float = 0.2
    """Share of the images held out, in (0, 0.5], unless the data say which."""
    split_by: Literal["auto", "generator", "source", "group"] = "auto"
    """What is held out whole; auto: generators and sources where there are enough."""
    skip_unreadable: bool = False
    """Leave unreadable images out instead of refusing to start."""
    max_regression: float = 0.02
    """How much AUROC or r_acc may fall below the base's before the result is rejected."""
    precision: Literal["float32", "bfloat16"] | None = None
    """Of the tower while training; None: bfloat16 on CUDA cards that have it and, for a probe, on
    processors with AMX; else float32."""
    seed: int = 0
    """Of split, augmentation, order, dropout and first weights."""

    def __post_init__(self) -> None:
        """Check ranges and what contradicts."""
        _check(self.draws >= 1, "draws must be 1 or more", self.draws)
        _check(0 <= self.balance <= 1, "balance must lie in 0 to 1", self.balance)
        _check(self.epochs >= 1, "epochs must be 1 or more", self.epochs)
        _check(self.batch >= 1, "batch must be 1 or more", self.batch)
        _check(self.lr > 0, "lr must be positive", self.lr)
        _check(self.l2 is None or self.l2 > 0, "l2 must be positive", self.l2)
        _check(self.replay >= 0, "replay must be 0 or more", self.replay)
        _check(self.replay_held >= 0, "replay_held must be 0 or more", self.replay_held)
        _check(0 < self.validation <= 0.5, "validation must lie in (0, 0.5]", self.validation)
        _check(0 <= self.max_regression <= 1, "max_regression: 0 to 1", self.max_regression)
        _check(0 <= self.seed < 2**32, "seed must lie in 0 to 2^32 - 1", self.seed)
        if self.method == "probe" and self.result == "student":
            raise ConfigError(
                "a probe has no student to return", "choose method lora or dgs, or result best"
            )
        for name in ("base", "backbone", "captions", "caption_model"):
            text = getattr(self, name) or ""
            if not _is_unicode(text):
                raise ConfigError(
                    f"{name} cannot be kept with the options, for it is not UTF-8: {text!r}",
                    "rename the file or folder, or a folder above it",
                )
        for name in ("backbone", "input", "head"):
            if not self.from_scratch and getattr(self, name) is not None:
                raise ConfigError(
                    f"{name} comes with the base detector {self.base!r}",
                    f'to choose it, start from scratch with base = "{FROM_SCRATCH}"',
                )
        if self.captions is not None and self.semantics not in (None, "captions"):
            raise ConfigError(
                f"captions are given, but semantics is {self.semantics!r}",
                "leave one of the two out",
            )
        if self.captions is None and self.semantics == "captions":
            raise ConfigError(
                "semantics is captions, but none are named",
                "name a file or folder with captions, or sidecar, folder or model",
            )

    @property
    def from_scratch(self) -> bool:
        """Whether there is no base detector."""
        return self.base == FROM_SCRATCH

    @property
    def suppression(self) -> Literal["captions", "lowpass", "none"]:
        """What `semantics` comes to."""
        if self.method not in ("auto", "dgs"):
            return "none"
        return self.semantics or ("lowpass" if self.captions is None else "captions")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Build the options from TOML types; raises `ConfigError` on unknown or wrong fields."""
        nested: dict[str, type] = {
            "input": InputConfig,
            "head": HeadConfig,
            "lora": LoraConfig,
            "card": CardConfig,
            "sources": SourcesConfig,
            "surgery": SurgeryConfig,
        }
        inner: dict[str, Any] = {
            name: build(kind, data[name]) for name, kind in nested.items() if name in data
        }
        return build(cls, data | inner)

    def to_toml(self) -> str:
        """Return a configuration file that `read` turns into the same options."""
        return tomli_w.dumps(_without_none(dataclasses.asdict(self)))


def read(file: Path) -> dict[str, Any]:
    """Return the options in a TOML file, for `TrainConfig.from_dict`; raises `ConfigError`."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested too deeply") from error
    except ValueError as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise ConfigError(f"{file}: {error}") from error


def _without_none(options: dict[str, Any]) -> dict[str, Any]:
    """Return TOML has no null: what is left out is None."""
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in options.items()
        if value is not None
    }


def _is_unicode(text: str) -> bool:
    """Return false for names with bytes that are not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _check(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise ConfigError(f"{rule}, got {value!r}")
