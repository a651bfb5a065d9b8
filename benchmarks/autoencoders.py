"""Small autoencoders that leave what decoders leave behind, trained on photographs.

Made for `aligned_pairs.py`. Three ways to make a picture larger again, as decoders of generators
have them; they differ in how much they compress, too.
"""

import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (32, 48, 64, 64)
"""Channels at full size, half, a quarter and an eighth."""
KINDS = {"nearest": (2, 4), "transposed": (2, 8), "shuffle": (3, 16)}
"""Halvings, and channels of the latent picture, by how it is made larger."""
CROP, BATCH, RATE = 96, 8, 3e-3


class Residual(nn.Module):
    """Adds to a picture what two convolutions make of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        return x + self.second(functional.silu(self.first(functional.silu(self.norm(x)))))


def larger(kind: str, before: int, after: int) -> nn.Module:
    if kind == "transposed":
        return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
    if kind == "shuffle":
        return nn.Sequential(nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2))
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1))


def network(kind: str) -> nn.Sequential:
    """(B, 3, H, W) in [-1, 1] to the same; sides are multiples of 8."""
    levels, latent = KINDS[kind]
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTHS[0], 3, padding=1)]
    for level in range(levels):
        layers += [nn.Conv2d(WIDTHS[level], WIDTHS[level + 1], 4, stride=2, padding=1)]
        layers += [Residual(WIDTHS[level + 1])]
    layers += [nn.Conv2d(WIDTHS[levels], latent, 1), nn.Conv2d(latent, WIDTHS[levels], 1)]
    layers += [Residual(WIDTHS[levels])]
    for level in reversed(range(levels)):
        layers += [larger(kind, WIDTHS[level + 1], WIDTHS[level]), Residual(WIDTHS[level])]
    return nn.Sequential(*layers, nn.Conv2d(WIDTHS[0], 3, 3, padding=1))


def trained(kind: str, crops: np.ndarray, steps: int) -> nn.Sequential:
    """A network that learned to give crops (N, CROP, CROP, 3) uint8 back: colours and their steps
    from pixel to pixel."""
    torch.manual_seed(0)
    net = network(kind).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    began = time.monotonic()
    for step, batch in enumerate(_batches(crops, steps)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = net(batch)
        off = made.float() - batch
        steepness = off.diff(dim=3).abs().mean() + off.diff(dim=2).abs().mean()
        loss = off.abs().mean() + steepness
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            seconds = time.monotonic() - began
            error = 127.5 * off.abs().mean().item()
            print(
                f"{kind}: {step + 1} of {steps} in {seconds:.0f} s, off by {error:.1f} levels",
                file=sys.stderr,
                flush=True,
            )
    return net.eval()


def _batches(crops: np.ndarray, steps: int) -> Iterator[Tensor]:
    rng = np.random.default_rng(0)
    for _ in range(steps):
        chosen = torch.from_numpy(crops[rng.integers(0, len(crops), BATCH)])
        yield _scaled(chosen)


def _scaled(pixels: Tensor) -> Tensor:
    scaled = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    return scaled.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def passed_through(net: nn.Sequential, image: Image.Image) -> Image.Image:
    """What a network makes of a picture; sides must be multiples of 8."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = net(_scaled(torch.from_numpy(np.array(image))[None]))
    levels = ((made[0].float().permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255)
    return Image.fromarray(levels.byte().numpy())
