"""A CLIP of width 32 with 2 blocks, registered with open_clip, and a detector on top of it."""

import dataclasses
import json
from functools import cache
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from dgsforensics.detector import checkpoint
from dgsforensics.detector.backbone import build_clip, build_tower, load_backbone
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import (
    BackboneConfig,
    DetectorConfig,
    HeadConfig,
    InputConfig,
    LoraConfig,
)
from dgsforensics.detector.facts import ModelCard
from dgsforensics.detector.folders import sha256_of
from dgsforensics.detector.model import DetectorModel

NAME = "dgsf-tiny-test"
ARCHITECTURE = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 224,
        "layers": 2,
        "width": 32,
        "head_width": 8,
        "patch_size": 32,
    },
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@cache
def register(folder: Path) -> None:
    """Make open_clip know the tiny architecture; the file lives in `folder`."""
    file = folder / f"{NAME}.json"
    file.write_text(json.dumps(ARCHITECTURE))
    open_clip.add_model_config(file)


def write_backbone(folder: Path, seed: int = 0) -> Path:
    """Random weights for the tiny image tower."""
    register(folder)
    generator = torch.Generator().manual_seed(seed)
    file = folder / f"tiny-{seed}.safetensors"
    tensors = {
        name: torch.randn(value.shape, generator=generator) * 0.2
        for name, value in build_tower(NAME).state_dict().items()
    }
    save_file(tensors, file)
    return file


def write_clip(folder: Path, seed: int = 0) -> Path:
    """Random weights for both tiny towers; the vocabulary is that of CLIP's tokenizer."""
    register(folder)
    generator = torch.Generator().manual_seed(seed)
    file = folder / f"tiny-clip-{seed}.safetensors"
    tensors = {
        name: torch.randn(value.shape, generator=generator) * 0.2
        for name, value in build_clip(NAME).state_dict().items()
    }
    save_file(tensors, file)
    return file


def config(
    lora: LoraConfig | None = None, blocks: tuple[int, ...] = (), view: str = "patches"
) -> DetectorConfig:
    """A detector on the tiny tower, whose weights come from a file."""
    return DetectorConfig(
        name="tiny",
        backbone=BackboneConfig(name=NAME, weights="file"),
        input=InputConfig(view=view),  # type: ignore[arg-type]
        head=HeadConfig(blocks),
        lora=lora,
    )


def calibration() -> Calibration:
    """Real photographs at -3 to 0, generated images at 0 to 3."""
    ramp = [i / 100 for i in range(300)]
    return Calibration(1.0, 0.0, tuple(x - 3 for x in ramp), tuple(ramp), "a made-up ramp")


def write_detector(folder: Path, backbone: Path, config: DetectorConfig, seed: int = 0) -> Path:
    """A detector file with a random head and random, non-zero adapters."""
    torch.manual_seed(seed)
    config = dataclasses.replace(
        config, backbone=dataclasses.replace(config.backbone, sha256=sha256_of(backbone))
    )
    model = DetectorModel(config, load_backbone(config.backbone, backbone))
    tensors = {
        name: torch.randn_like(value) * 0.3
        for name, value in checkpoint.trained_state(model).items()
    }
    file = folder / "tiny.safetensors"
    checkpoint.write(
        Checkpoint(config, calibration(), tensors, ModelCard(limits=("a test",))), file
    )
    return file
