"""LoRA on the query, key and value projections of a ViT's attention (arXiv 2106.09685).

    q = x Wq^T + bq + s * dropout(x) Aq^T Bq^T        (k and v alike)

`A` is (rank, width) and drawn from a Kaiming uniform distribution, `B` is (width, rank) and starts
at zero, so adding LoRA changes nothing until the first step. The scale `s` is alpha / sqrt(rank) in
the code DGS-Net builds on (CLIP-LoRA), alpha / rank in the LoRA paper; both can be had.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgsforensics.detector.config import LoraConfig
from dgsforensics.errors import ConfigError

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

PROJECTIONS = ("q", "k", "v")


class LoraAttention(nn.Module):
    """Self-attention with adapted q, k and v around a frozen `nn.MultiheadAttention`."""

    def __init__(self, attention: nn.MultiheadAttention, config: LoraConfig) -> None:
        super().__init__()
        if not attention._qkv_same_embed_dim or not attention.batch_first:
            raise ConfigError("LoRA needs a batch-first self-attention with one width")
        self.attention = attention.requires_grad_(False)
        self.scale = config.scale
        self.dropout = nn.Dropout(config.dropout)
        width, weight = attention.embed_dim, attention.in_proj_weight
        self.down = nn.ParameterDict(
            {p: torch.empty(config.rank, width, dtype=weight.dtype) for p in PROJECTIONS}
        )
        self.up = nn.ParameterDict(
            {p: torch.zeros(width, config.rank, dtype=weight.dtype) for p in PROJECTIONS}
        )
        for p in PROJECTIONS:
            nn.init.kaiming_uniform_(self.down[p], a=math.sqrt(5))
        self.to(weight.device)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Attend (B, N, D) to itself; called by an open_clip block as `nn.MultiheadAttention` is.

        `key` and `value` are taken to be `query`: image towers have self-attention only.
        """
        batch, tokens, width = query.shape
        heads = self.attention.num_heads
        qkv = F.linear(query, self.attention.in_proj_weight, self.attention.in_proj_bias)
        dropped = self.dropout(query)
        deltas = [F.linear(F.linear(dropped, self.down[p]), self.up[p]) for p in PROJECTIONS]
        qkv = qkv + self.scale * torch.cat(deltas, dim=-1)  # (B, N, 3 D)
        q, k, v = (
            part.view(batch, tokens, heads, width // heads).transpose(1, 2)  # (B, heads, N, d)
            for part in qkv.chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        mixed = mixed.transpose(1, 2).reshape(batch, tokens, width)
        return self.attention.out_proj(mixed), None

    def merged(self) -> nn.MultiheadAttention:
        """Return the plain attention with the adapters folded into its weights: W + s B A."""
        with torch.no_grad():
            delta = torch.cat([self.up[p] @ self.down[p] for p in PROJECTIONS])  # (3 D, D)
            self.attention.in_proj_weight.add_(delta, alpha=self.scale)
        return self.attention


def add_lora(tower: "VisionTransformer", config: LoraConfig) -> None:
    """Freeze an open_clip image tower and wrap the attention of the chosen blocks, in place.

    Raises `ConfigError` when a block does not exist or is adapted already.
    """
    blocks = list(tower.transformer.resblocks)
    tower.requires_grad_(False)
    for index in range(len(blocks)) if config.blocks is None else config.blocks:
        if not 0 <= index < len(blocks):
            raise ConfigError(f"lora.blocks: {index} is not one of {len(blocks)} blocks")
        if isinstance(blocks[index].attn, LoraAttention):
            raise ConfigError(f"lora.blocks: block {index} is adapted already")
        blocks[index].attn = LoraAttention(blocks[index].attn, config)


def merge_lora(tower: "VisionTransformer") -> None:
    """Fold all adapters into the weights, in place; a second call finds nothing to fold."""
    for block in tower.transformer.resblocks:
        if isinstance(block.attn, LoraAttention):
            block.attn = block.attn.merged()


def lora_state(tower: "VisionTransformer") -> dict[str, Tensor]:
    """Return the adapters alone, by their names in the tower's state dict."""
    return {
        name: value
        for name, value in tower.state_dict().items()
        if ".attn.down." in name or ".attn.up." in name
    }
