"""One `.safetensors` file a detector: head and adapters as tensors, all else as JSON metadata.

The backbone is not in it: the configuration names it and gives its sha256, so the digest of the
detector file stands for every number that goes into a score.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dgsforensics import atomic
from dgsforensics.detector import header
from dgsforensics.detector.backbone import load_backbone, locate_weights
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.config import DetectorConfig
from dgsforensics.detector.facts import NO_FACTS, ModelCard
from dgsforensics.detector.folders import user_folder
from dgsforensics.detector.header import FORMAT, METADATA_KEY
from dgsforensics.detector.lora import lora_state
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import CheckpointError

_HEAD_KEYS = ("head.weight", "head.bias")


@dataclass(frozen=True)
class Checkpoint:
    """What a detector file holds."""

    config: DetectorConfig
    calibration: Calibration
    tensors: dict[str, Tensor]
    """`head.weight` (1, D), `head.bias` (1,), and the adapters as `tower.<name>`."""
    card: ModelCard = NO_FACTS
    sha256: str = ""
    """Digest of the file it was read from."""
    folder: Path | None = None
    """Folder of that file, where its backbone may lie too."""


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file at once or not at all."""
    meta = {
        "format": FORMAT,
        "config": checkpoint.config.to_dict(),
        "calibration": checkpoint.calibration.to_dict(),
        "card": checkpoint.card.to_dict(),
    }
    tensors = {k: v.detach().float().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    save(tensors, path, {METADATA_KEY: json.dumps(meta)})


def save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file at once or not at all, readable by whom the umask says."""
    with atomic.replacing(path) as part:
        part.touch()
        mode = part.stat().st_mode  # safetensors makes files that only their owner can read
        save_file(tensors, part, metadata=metadata)
        part.chmod(mode)


def read(path: Path) -> Checkpoint:
    """Read a detector file; raises `CheckpointError` when it is missing, foreign or damaged."""
    found = header.read(path)
    try:
        with safe_open(path, framework="pt") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is damaged ({error})") from error
    return Checkpoint(
        found.config,
        found.calibration,
        tensors,
        found.card,
        found.sha256,
        path.parent,
    )


def locate_backbone(checkpoint: Checkpoint) -> Path:
    """Return the weights of a detector's tower. Those that came in a file are looked for by their
    digest, beside the detector and in the user's folder; raises `CheckpointError` saying where.
    """
    beside = [] if checkpoint.folder is None else [checkpoint.folder]
    return locate_weights(checkpoint.config.backbone, [*beside, user_folder()])


def build_model(checkpoint: Checkpoint, backbone_weights: Path | None = None) -> DetectorModel:
    """Return the network in evaluation mode on the CPU, adapters not yet merged; strict about
    keys."""
    file = backbone_weights or locate_backbone(checkpoint)
    tower = load_backbone(checkpoint.config.backbone, file)
    model = DetectorModel(checkpoint.config, tower)
    expected = trained_state(model)
    if expected.keys() != checkpoint.tensors.keys():
        odd = sorted(expected.keys() ^ checkpoint.tensors.keys())
        raise CheckpointError(f"the detector's tensors do not fit its configuration: {odd[:4]}")
    for name, value in checkpoint.tensors.items():
        if value.shape != expected[name].shape or not torch.isfinite(value).all():
            raise CheckpointError(
                f"the detector's tensor {name} is damaged or of the wrong shape "
                f"{tuple(value.shape)}, expected {tuple(expected[name].shape)}"
            )
    model.load_state_dict(checkpoint.tensors, strict=False)
    return model.eval()


def trained_state(model: DetectorModel) -> dict[str, Tensor]:
    """Return what a detector file stores of a model: its head and adapters."""
    adapters = {f"tower.{name}": value for name, value in lora_state(model.tower).items()}
    head = {name: value for name, value in model.state_dict().items() if name in _HEAD_KEYS}
    return head | adapters
