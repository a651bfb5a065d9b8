"""CLIP image towers: the architecture from open_clip, the weights from one safe, checked file.

The tower is built without storage and takes its tensors from the file, with strict keys: a key too
many or too few is an error, never a random layer. The text tower is never kept.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip import CLIP, CustomTextCLIP
from open_clip.transformer import VisionTransformer
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dgsforensics.detector.config import BackboneConfig
from dgsforensics.detector.folders import BUNDLED, file_name, sha256_of, weights_folder
from dgsforensics.errors import CheckpointError, ConfigError

logger = logging.getLogger(__name__)


def load_backbone(config: BackboneConfig, file: Path | None = None) -> VisionTransformer:
    """Build the tower in float32 on the CPU, frozen, in evaluation mode.

    `file` stands in for the weights that the configuration names. Raises `ConfigError` when
    open_clip has no such ViT, `CheckpointError` when the weights are missing, damaged, of another
    architecture or not those the configuration was made with.
    """
    tower = build_tower(config.name)
    path = file or locate_weights(config)
    if config.sha256 is not None and (found := sha256_of(path)) != config.sha256:
        raise CheckpointError(
            f"{path.name} is not the backbone this detector was made with "
            f"(sha256 {found[:12]}…, expected {config.sha256[:12]}…)",
            "give the right file, or reinstall the package if it is the bundled one",
        )
    tensors = read_tensors(path)
    if any(key.startswith("visual.") for key in tensors):  # a whole CLIP: keep the image tower
        tensors = {k.removeprefix("visual."): v for k, v in tensors.items() if k[:7] == "visual."}
    try:
        tower.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path.name} does not hold the image tower of {config.name}: "
            + " ".join(str(error).split())[:300]
        ) from error
    return tower.float().requires_grad_(False).eval()


def build_tower(name: str) -> VisionTransformer:
    """Return the image tower of an open_clip configuration, on the meta device (no weights)."""
    tower = build_clip(name).visual
    assert isinstance(tower, VisionTransformer)
    return tower


def build_clip(name: str) -> CLIP | CustomTextCLIP:
    """Return both towers of an open_clip configuration, on the meta device (no weights).

    Raises `ConfigError` when there is none of that name or its image tower is not a ViT.
    """
    _model_config(name)
    quiet = logging.getLogger()  # open_clip warns there that no weights were loaded: ours come next
    quiet.addFilter(_not_about_missing_weights)
    try:
        model = open_clip.create_model(name, pretrained=None, device="meta")
    finally:
        quiet.removeFilter(_not_about_missing_weights)
    if not isinstance(model.visual, VisionTransformer):
        raise ConfigError(
            f"the image tower of {name} is a {type(model.visual).__name__}, not a ViT",
            "choose a model such as ViT-B-16-quickgelu or ViT-L-14-quickgelu",
        )
    return model


def _model_config(name: str) -> dict[str, Any]:
    # By name only: `hf-hub:` and `local-dir:` in a detector file would reach for what it says.
    if name not in open_clip.list_models():
        raise ConfigError(
            f"open_clip has no model {name!r}", "see open_clip.list_models() for the names"
        )
    found: dict[str, Any] = open_clip.get_model_config(name)
    return found


def locate_weights(config: BackboneConfig, folders: Sequence[Path] = ()) -> Path:
    """Return the weights file that a configuration names: bundled, from open_clip's cache or
    download, or by `file_name` in the first of `folders` that has it.

    Raises `CheckpointError` when it is neither there nor to be had, saying what to do.
    """
    if config.weights == "bundled":
        if config.name not in BUNDLED:
            raise CheckpointError(
                f"no weights for {config.name} come with the package",
                f"bundled: {', '.join(BUNDLED)}; for others give a file or an open_clip tag",
            )
        path = weights_folder() / BUNDLED[config.name]
        if not path.is_file():
            raise CheckpointError(f"{path.name} is missing from the installation", "reinstall it")
        return path
    if config.weights == "file":
        hint = "give it with --backbone-weights FILE or DGSF_BACKBONE_WEIGHTS"
        if config.sha256 is not None and folders:
            name = file_name(config.sha256)
            for path in (folder / name for folder in folders):
                if path.is_file():
                    return path
            hint += f", or put it as {name} into {' or '.join(map(str, folders))}"
        raise CheckpointError(f"this detector needs the weights of {config.name} from a file", hint)
    source = open_clip.get_pretrained_cfg(config.name, config.weights)
    if not source:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(config.name)) or "none"
        raise CheckpointError(
            f"open_clip has no weights {config.weights!r} for {config.name}", f"it has: {tags}"
        )
    if source.get("quick_gelu", False) != _model_config(config.name).get("quick_gelu", False):
        other = config.name.removesuffix("-quickgelu")
        other += "" if other != config.name else "-quickgelu"
        raise ConfigError(
            f"the {config.weights} weights were trained with another activation than {config.name}",
            f"use {other}",
        )
    try:
        return Path(open_clip.download_pretrained(source))
    except Exception as error:  # the hub client raises many unrelated types when offline
        logger.debug("download failed", exc_info=True)
        raise CheckpointError(
            f"the {config.weights} weights of {config.name} are neither in open_clip's cache "
            f"nor can they be downloaded ({type(error).__name__})",
            "connect once, or copy the file here and give it with --backbone-weights FILE "
            "or DGSF_BACKBONE_WEIGHTS",
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return tensors of a safetensors file or, with `weights_only`, of a PyTorch file.

    In a safetensors file an int8 tensor `<name>` is multiplied by `<name>.scale`, one factor a row
    (of `proj`: a column), into float32. Raises `CheckpointError`; no pickled code is ever run.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if head[8:9] == b"{":
        try:
            with safe_open(path, framework="pt") as stored:
                return dequantise({key: stored.get_tensor(key) for key in stored.keys()})  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path.name} is damaged: {error}") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip, runtime and EOF errors alike
        raise CheckpointError(
            f"{path.name} is neither safetensors nor a plain PyTorch state dict",
            "convert it with safetensors.torch.save_file(model.state_dict(), ...)",
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise CheckpointError(f"{path.name} holds something other than named tensors")
    return state


def dequantise(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return Float32 tensors from int8 ones and their `.scale`; others pass through."""
    tensors = {}
    for name, value in stored.items():
        if name.endswith(".scale"):
            continue
        if value.dtype == torch.int8:
            if (scale := stored.get(f"{name}.scale")) is None:
                raise CheckpointError(f"damaged weights: {name} is int8 without a scale")
            value = value.float() * (scale if name == "proj" else scale[:, None])
        tensors[name] = value
    return tensors


def _not_about_missing_weights(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("No pretrained weights loaded")
