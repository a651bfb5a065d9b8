"""The network: image tower, adapters, linear head. One logit an image; positive is generated."""

import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from dgsforensics.detector.config import DetectorConfig
from dgsforensics.detector.lora import add_lora, merge_lora
from dgsforensics.errors import ConfigError


class DetectorModel(nn.Module):
    """(B, size, size, 3) uint8 RGB to (B,) logits."""

    def __init__(self, config: DetectorConfig, tower: VisionTransformer) -> None:
        """Takes the tower over: it is frozen, and wrapped in adapters when `config.lora` is set."""
        super().__init__()
        if config.input.size not in tower.image_size:
            raise ConfigError(f"input.size {config.input.size} does not fit {tower.image_size}")
        if max(config.head.blocks, default=0) >= len(tower.transformer.resblocks):
            raise ConfigError(f"head.blocks {config.head.blocks}: the tower has not so many")
        self.config = config
        self.tower = tower.requires_grad_(False)
        if config.lora is not None:
            add_lora(tower, config.lora)
        self.head = nn.Linear(feature_dim(config, tower), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits (B,) of uint8 pixels (B, size, size, 3)."""
        logits: Tensor = self.head(self.features(pixels)).squeeze(1)
        return logits

    def features(self, pixels: Tensor) -> Tensor:
        """Return what the head reads, (B, D), in the precision of the tower."""
        image = self.normalise(pixels)
        blocks = self.config.head.blocks
        if not blocks:
            output: Tensor = self.tower(image)  # (B, D) after `proj`, not L2-normalised
            return output
        tokens = self.tower.forward_intermediates(
            image,
            indices=list(blocks),
            stop_early=True,
            intermediates_only=True,
            output_fmt="NLC",
            output_extra_tokens=True,
        )["image_intermediates_prefix"]  # a (B, 1, width) class token a block
        return torch.cat([token[:, 0] for token in tokens], dim=1)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Return (B, H, W, 3) uint8 to (B, 3, H, W) in the tower's precision, computed in
        float32."""
        mean = torch.tensor(self.config.input.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.config.input.std, device=pixels.device).view(3, 1, 1)
        image = pixels.permute(0, 3, 1, 2).float() / 255
        return ((image - mean) / std).to(self.head.weight.dtype)

    def merge(self) -> None:
        """Fold the adapters into the tower, for inference; harmless when there are none."""
        merge_lora(self.tower)


def feature_dim(config: DetectorConfig, tower: VisionTransformer) -> int:
    """Return how many numbers the head reads."""
    blocks = config.head.blocks
    return int(len(blocks) * tower.transformer.width if blocks else tower.output_dim)
