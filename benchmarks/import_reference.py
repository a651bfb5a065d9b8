"""Import checkpoints in the reference layout at full size, and compare with a plain forward pass.

    python benchmarks/import_reference.py [--folder DIR]

Random weights in the shapes of ViT-L/14, as step 1, step 2 unmerged and step 2 merged. Each is
saved, imported, loaded and run on one input, unmerged and merged by us; beside it stands the same
formula in float64, which knows neither open_clip nor our adapters. Needs 4 GB of disk and 10 GB of
memory.
"""

import argparse
import math
import resource
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dgsforensics.detector import checkpoint, import_dgsnet
from dgsforensics.detector.config import IMAGENET_MEAN, IMAGENET_STD

WIDTH, HEADS, BLOCKS, PATCH, EMBED = 1024, 16, 24, 14, 768
TEXT_WIDTH, TEXT_BLOCKS, VOCABULARY, CONTEXT = 768, 12, 49408, 77
RANK, SCALE = 6, 6 / math.sqrt(6)
FROZEN, ADAPTED = "clip_model_frozen.", "clip_model."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="Where the files go meanwhile.")
    options = parser.parse_args()
    picture = torch.randint(0, 256, (1, 224, 224, 3), dtype=torch.uint8)
    for name, adapted, merged in (
        ("step 1", False, False),
        ("step 2, unmerged", True, False),
        ("step 2, merged", True, True),
    ):
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            compare(name, Path(scratch), picture, adapted=adapted, merged=merged)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory {peak:.1f} GiB")


def compare(name: str, folder: Path, picture: Tensor, *, adapted: bool, merged: bool) -> None:
    torch.manual_seed(1)
    state = second_step(merged) if adapted else first_step()
    file = folder / "last.pth"
    torch.save(state, file)
    tensors = len(state)
    expected = plain_logit(state, picture[0], adapted)
    twice = plain_logit(state, picture[0], adapted, 2 * SCALE)
    del state
    started = time.monotonic()
    made, tower = import_dgsnet.read(file, "mine")
    seconds = time.monotonic() - started
    file.unlink()
    weights = folder / "tower.safetensors"
    save_file(tower, weights)
    del tower
    model = checkpoint.build_model(made, weights)
    with torch.no_grad():
        found = [model(picture).item()]
        model.merge()
        found.append(model(picture).item())
    scale = made.config.lora.scale if made.config.lora else None
    print(
        f"{name}: {tensors} tensors, imported in {seconds:.1f} s, scale {scale}, logit "
        f"{expected:.6f}, largest difference {max(abs(x - expected) for x in found):.1e}"
        + (f" (with the adapters twice: {abs(twice - expected):.1e})" if adapted else ""),
        flush=True,
    )


def block_shapes(stem: str, width: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }
    norms = {f"ln_{n}.{part}": (width,) for n in (1, 2) for part in ("weight", "bias")}
    return {stem + key: shape for key, shape in (shapes | norms).items()}


def clip_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (CONTEXT, TEXT_WIDTH),
        "text_projection": (TEXT_WIDTH, EMBED),
        "logit_scale": (),
        "token_embedding.weight": (VOCABULARY, TEXT_WIDTH),
        "visual.class_embedding": (WIDTH,),
        "visual.positional_embedding": ((224 // PATCH) ** 2 + 1, WIDTH),
        "visual.proj": (WIDTH, EMBED),
        "visual.conv1.weight": (WIDTH, 3, PATCH, PATCH),
    }
    norms = {"ln_final": TEXT_WIDTH, "visual.ln_pre": WIDTH, "visual.ln_post": WIDTH}
    for norm, width in norms.items():
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for n in range(BLOCKS):
        shapes |= block_shapes(f"visual.transformer.resblocks.{n}.", WIDTH)
    for n in range(TEXT_BLOCKS):
        shapes |= block_shapes(f"transformer.resblocks.{n}.", TEXT_WIDTH)
    return shapes


def head(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.randn(1, EMBED), f"{name}.bias": torch.randn(1)}


def first_step() -> dict[str, Tensor]:
    clip = {
        FROZEN + key: torch.randn(shape) * 0.03 + ("ln_" in key and key.endswith("weight"))
        for key, shape in clip_shapes().items()
    }
    return clip | head("img_frozen_fc")


def second_step(merged: bool) -> dict[str, Tensor]:
    first = first_step()
    state = {FROZEN + key: value for key, value in first.items()}
    for key in clip_shapes():
        value, name = first[FROZEN + key], ADAPTED + key
        if key.startswith("visual.") and "in_proj_" in key:
            for p, part in zip("qkv", value.chunk(3), strict=True):
                state[name.replace("in_proj_", f"{p}_proj.")] = part.clone()
        else:
            visual = key.startswith("visual.")
            state[name.replace("out_proj", "proj") if visual else name] = value.clone()
    for n in range(BLOCKS):
        for p in "qkv":
            stem = f"{ADAPTED}visual.transformer.resblocks.{n}.attn.{p}_proj."
            a, b = torch.randn(RANK, WIDTH) * 0.02, torch.randn(WIDTH, RANK) * 0.02
            state |= {f"{stem}w_lora_A": a, f"{stem}w_lora_B": b}
            state[f"{stem}weight"] += (b @ a) * (SCALE if merged else 0.0)
    return state | head("text_fc") | head("img_fc")


def plain_logit(
    state: dict[str, Tensor], pixels: Tensor, adapted: bool, scale: float = SCALE
) -> float:
    """The frozen weights plus `scale` times the adapters, in float64; (224, 224, 3) pixels."""

    def weight(key: str) -> Tensor:
        return state[f"{FROZEN * (1 + adapted)}visual.{key}"].double()

    def norm(x: Tensor, key: str) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x * weight(f"{key}.weight") + weight(f"{key}.bias")

    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (IMAGENET_MEAN, IMAGENET_STD))
    image = (pixels.double() / 255 - mean) / std
    side = 224 // PATCH
    patches = (
        image.view(side, PATCH, side, PATCH, 3).permute(0, 2, 4, 1, 3).flatten(2).flatten(0, 1)
    )
    x = torch.cat([weight("class_embedding")[None], patches @ weight("conv1.weight").flatten(1).T])
    x = norm(x + weight("positional_embedding"), "ln_pre")
    for n in range(BLOCKS):
        stem = f"transformer.resblocks.{n}."
        y = norm(x, f"{stem}ln_1")
        qkv = weight(f"{stem}attn.in_proj_weight")
        if adapted:
            lora = f"{ADAPTED}visual.{stem}attn."
            delta = [
                state[f"{lora}{p}_proj.w_lora_B"].double()
                @ state[f"{lora}{p}_proj.w_lora_A"].double()
                for p in "qkv"
            ]
            qkv = qkv + scale * torch.cat(delta)
        parts = (y @ qkv.T + weight(f"{stem}attn.in_proj_bias")).chunk(3, dim=1)
        q, k, v = (p.view(len(p), HEADS, WIDTH // HEADS).transpose(0, 1) for p in parts)
        attention = (q @ k.transpose(1, 2) / math.sqrt(WIDTH // HEADS)).exp()
        mixed = attention / attention.sum(-1, keepdim=True) @ v  # (heads, tokens, d)
        mixed = mixed.transpose(0, 1).flatten(1)
        x = (
            x
            + mixed @ weight(f"{stem}attn.out_proj.weight").T
            + weight(f"{stem}attn.out_proj.bias")
        )
        y = norm(x, f"{stem}ln_2") @ weight(f"{stem}mlp.c_fc.weight").T
        y = y + weight(f"{stem}mlp.c_fc.bias")
        y = y / (1 + (-1.702 * y).exp())
        x = x + y @ weight(f"{stem}mlp.c_proj.weight").T + weight(f"{stem}mlp.c_proj.bias")
    features = norm(x[0], "ln_post") @ weight("proj")
    name = "img_fc" if adapted else "img_frozen_fc"
    logit = features @ state[f"{name}.weight"][0].double() + state[f"{name}.bias"].double()
    return float(logit.item())


if __name__ == "__main__":
    main()
