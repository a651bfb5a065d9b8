"""From options to what will be built: refuses what cannot work before anything large is loaded."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dgsforensics.detector import checkpoint, folders
from dgsforensics.detector.backbone import build_tower, locate_weights
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import (
    BackboneConfig,
    DetectorConfig,
    HeadConfig,
    InputConfig,
    LoraConfig,
)
from dgsforensics.detector.folders import sha256_of
from dgsforensics.detector.model import DetectorModel
from dgsforensics.detector.text_tower import refuse_without_text
from dgsforensics.errors import CheckpointError, ConfigError

from .config import FROM_SCRATCH, TrainConfig
from .teacher import Head


@dataclass(frozen=True)
class TrainPlan:
    """What a run starts from and where it leads."""

    frozen: DetectorConfig
    """The pre-trained tower without adapters: the teacher's."""
    student: DetectorConfig
    """What is trained and written."""
    base: Checkpoint | None
    """The detector gone on from; None from scratch."""
    backbone_file: Path
    """The tower's weights."""

    @property
    def prior(self) -> Head | None:
        """Where the teacher's head is drawn to: the base's, when it reads the frozen tower too."""
        if self.base is None or self.base.config.lora is not None:
            return None
        return self.base.tensors["head.weight"], self.base.tensors["head.bias"]

    @property
    def start(self) -> dict[str, Tensor]:
        """Tensors that the student starts with: the base's head, and adapters if it has some.

        From scratch there are none, as in the released code: a head that already fits the training
        images, as the teacher's does, would leave fine-tuning nothing to learn.
        """
        return {} if self.base is None else self.base.tensors

    def called(self, kind: str, config: DetectorConfig) -> DetectorConfig:
        """Return a configuration whose name says which of the candidates it is.

        From scratch it is what was asked for; with a base a person has to see what came of it.
        """
        if self.base is None:
            return config
        return dataclasses.replace(config, name=f"{config.name} ({kind})")


def make(config: TrainConfig, name: str, backbone_weights: Path | None) -> TrainPlan:
    """Find base and backbone and settle what is open; `name` is that of the result.

    Raises `ConfigError` and `CheckpointError`. Of weights no more is read than their digest.
    """
    base = None if config.from_scratch else checkpoint.read(folders.resolve(config.base))
    if base is None:
        known = DetectorConfig(
            name,
            _backbone(config.backbone),
            config.input or InputConfig(),
            config.head or HeadConfig(),
        )
    else:
        known = base.config
    _refuse(config, known)
    file = backbone_weights or (
        locate_weights(known.backbone) if base is None else checkpoint.locate_backbone(base)
    )
    if config.suppression == "captions":
        refuse_without_text(known.backbone, file)
    digest = known.backbone.sha256
    if digest is None or backbone_weights is not None:
        found = sha256_of(file)
        if digest not in (None, found):
            raise CheckpointError(
                f"{file.name} is not the backbone that {config.base!r} was made with",
                "give the right file, or none if the detector's own is at hand",
            )
        digest = found
    backbone = dataclasses.replace(known.backbone, sha256=digest)
    frozen = dataclasses.replace(known, name=name, backbone=backbone, lora=None)
    lora = None if config.method == "probe" else known.lora or config.lora or _lora(known.head)
    student = dataclasses.replace(frozen, lora=lora)
    _refuse_misfits(student, base)
    return TrainPlan(frozen, student, base, file)


def _refuse(config: TrainConfig, known: DetectorConfig) -> None:
    """Refuse what contradicts the base, or cannot be computed."""
    if config.method == "probe" and known.lora is not None:
        raise ConfigError(
            f"a probe reads the frozen tower, and {config.base!r} has adapters",
            f"use method lora or dgs, or base {FROM_SCRATCH}",
        )
    if known.lora is not None and config.lora not in (None, known.lora):
        raise ConfigError(
            f"the adapters of {config.base!r} are {known.lora}, not those of the options",
            f"leave [lora] out, or start from base {FROM_SCRATCH}",
        )
    if config.suppression == "captions" and known.head.blocks:
        raise ConfigError(
            "captions live in the space of the projected output, and this head reads blocks "
            + ", ".join(map(str, known.head.blocks)),
            "leave the captions out: the content is then read from the picture itself",
        )


def _refuse_misfits(student: DetectorConfig, base: Checkpoint | None) -> None:
    """Refuse what the tower has not or what does not fit it, tried on one without weights."""
    model = DetectorModel(student, build_tower(student.backbone.name))
    if base is None:
        return
    trained = checkpoint.trained_state(model)
    if base.config.lora is None:
        trained = {name: value for name, value in trained.items() if name.startswith("head.")}
    if odd := sorted(trained.keys() ^ base.tensors.keys()):
        raise CheckpointError(f"the tensors of {base.config.name} do not fit it: {odd[:4]}")
    for name, value in base.tensors.items():
        if value.shape != trained[name].shape or not torch.isfinite(value).all():
            raise CheckpointError(f"the tensor {name} of {base.config.name} is damaged")


def _backbone(text: str | None) -> BackboneConfig:
    """Return `NAME`, `NAME:TAG` or None."""
    if text is None:
        return BackboneConfig()
    name, _, weights = text.partition(":")
    return BackboneConfig(name, weights or "openai")


def _lora(head: HeadConfig) -> LoraConfig:
    """Return DGS-Net's adapters, on the blocks that the head's features pass through."""
    return LoraConfig(blocks=tuple(range(head.blocks[-1] + 1)) if head.blocks else None)


def apply(tensors: dict[str, Tensor], model: torch.nn.Module) -> None:
    """Load some of a model's tensors; raises `ConfigError` for those that it has not."""
    if unknown := model.load_state_dict(tensors, strict=False).unexpected_keys:
        raise ConfigError(f"the base detector does not fit its configuration: {unknown[:3]}")
