"""CLIP text towers: captions to features in the space of the projected image features.

Model, weights file and tokenizer belong to the image tower of the same configuration. The tokenizer
cuts a caption off at the model's context length: 77 tokens, start and end included, for most.

The forward pass always runs on a full batch of one fixed shape: on one machine and for one batch
size the same caption then gives the same features, bit for bit, whatever stands beside it. Other
batch sizes and other machines differ by rounding.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dgsforensics.detector.backbone import build_clip, locate_weights, read_tensors
from dgsforensics.detector.config import BackboneConfig
from dgsforensics.detector.folders import sha256_of
from dgsforensics.errors import CheckpointError, ConfigError

logger = logging.getLogger(__name__)

_NOT_OF_THE_TOWER = ("logit_scale", "input_resolution", "context_length", "vocab_size")
"""Of the contrastive loss, and what OpenAI's archives carry along."""
_LEAVE_OUT = "leave the captions out: the content is then read from the picture itself"
_WITHOUT = f"{_LEAVE_OUT}; or give a backbone whose weights file is the whole CLIP"


class TextTower:
    """A frozen text tower with its tokenizer."""

    def __init__(
        self,
        model: open_clip.CLIP,
        tokenise: Callable[[list[str]], Tensor],
        dim: int,
        device: torch.device,
    ) -> None:
        self.model = model
        self.tokenise = tokenise
        self._device = device
        self.dim = dim

    def encode(self, captions: Sequence[str], batch: int = 64) -> NDArray[np.float32]:
        """Return features (N, D) after the projection, not L2-normalised; equal captions run
        once."""
        row_of = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
        distinct = list(row_of)
        features = np.empty((len(distinct), self.dim), dtype=np.float32)
        for start in range(0, len(distinct), batch):
            part = distinct[start : start + batch]
            padding = [""] * (batch - len(part))
            tokens = self.tokenise(part + padding).to(self._device)  # (batch, context)
            with torch.inference_mode():
                rows = self.model.encode_text(tokens).cpu()  # (batch, D)
            features[start : start + len(part)] = rows[: len(part)].numpy()
        return features[[row_of[caption] for caption in captions]]


def load_text(
    config: BackboneConfig, file: Path | None = None, device: torch.device | None = None
) -> TextTower:
    """Return the text tower in float32, in evaluation mode, on the CPU or the given device.

    `file` stands in for the weights that the configuration names. Raises `ConfigError` as
    `refuse_without_text`, and `CheckpointError` when the weights are missing, damaged, of another
    architecture or not those that the configuration was made with.
    """
    architecture = _architecture(config.name)
    tokenise = _tokeniser(config.name)
    path = file or locate_weights(config)
    if config.sha256 is not None and (found := sha256_of(path)) != config.sha256:
        raise CheckpointError(
            f"{path.name} is not the backbone that the image tower is from "
            f"(sha256 {found[:12]}…, expected {config.sha256[:12]}…)",
            "give the file that the image tower is from",
        )
    tensors = read_tensors(path)
    _require_text(tensors, path)
    model = _without_weights(config.name)
    try:
        model.load_state_dict(
            {
                name: value
                for name, value in tensors.items()
                if not name.startswith("visual.") and name not in _NOT_OF_THE_TOWER
            },
            strict=True,
            assign=True,
        )
    except RuntimeError as error:
        raise CheckpointError(
            f"{path.name} does not hold the text tower of {config.name}: "
            + " ".join(str(error).split())[:300]
        ) from error
    model = model.float().requires_grad_(False).eval().to(device or torch.device("cpu"))
    return TextTower(model, tokenise, architecture["embed_dim"], device or torch.device("cpu"))


def refuse_without_text(config: BackboneConfig, file: Path | None = None) -> None:
    """Raise `ConfigError`, before anything heavy is loaded, when captions are out of reach.

    That is: no text tower of a kind that is read, none in the weights, or no tokenizer. Of a
    safetensors file the header is read, a PyTorch file has to be read whole; `CheckpointError` when
    the weights are missing or damaged.
    """
    _architecture(config.name)
    _tokeniser(config.name)
    path = file or locate_weights(config)
    try:
        with safe_open(path, framework="pt") as stored:
            names = list(stored.keys())
    except (SafetensorError, OSError):  # a PyTorch file, or damaged: the reader of both tells
        names = list(read_tensors(path))
    _require_text(names, path)


def _architecture(name: str) -> dict[str, Any]:
    """Return what open_clip says of a model whose text tower is CLIP's own."""
    found: dict[str, Any] | None = open_clip.get_model_config(name)
    if found is None:
        raise ConfigError(
            f"open_clip has no model {name!r}", "see open_clip.list_models() for the names"
        )
    if found.get("custom_text", False) or "hf_model_name" in found["text_cfg"]:
        raise ConfigError(f"the text tower of {name} is not CLIP's own", _LEAVE_OUT)
    return found


def _require_text(names: Iterable[str], path: Path) -> None:
    # The image tower alone has a `positional_embedding` and a `transformer` too.
    if "token_embedding.weight" not in names:
        raise ConfigError(f"{path.name} holds no text tower, which captions need", _WITHOUT)


def _tokeniser(name: str) -> Callable[[list[str]], Tensor]:
    try:
        found: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(name)
    except Exception as error:  # transformers and the hub client raise many unrelated types
        logger.debug("no tokenizer", exc_info=True)
        raise ConfigError(
            f"the tokenizer of {name} comes from the model hub and cannot be had "
            f"({type(error).__name__})",
            f"connect once, with the extra 'captions' installed; or {_LEAVE_OUT}",
        ) from error
    return found


def _without_weights(name: str) -> open_clip.CLIP:
    """Return the model on the meta device, without what is not of the text tower."""
    model = build_clip(name)
    if model.attn_mask is not None:  # in no weights file, so it needs its values here
        mask = torch.full(model.attn_mask.shape, -math.inf)
        model.attn_mask = mask.triu_(1)
    model.visual = None
    model.logit_scale = None
    return model
