"""Checkpoints in the layout of the reference code at a small size, and the model written out.

Names and formulas are spelled from the description of the layout, so that what reads it can be held
against something that shares no line with it.
"""

import json
from functools import cache

import numpy as np
import open_clip
import torch

from dgsforensics.detector.config import IMAGENET_MEAN, IMAGENET_STD

NAME = "dgsf-reference-test"
WIDTH, HEADS, BLOCKS, PATCH, EMBED = 64, 4, 2, 32, 16
TEXT_WIDTH, TEXT_BLOCKS, VOCABULARY, CONTEXT = 16, 1, 64, 8
RANK, SCALE = 6, 6 / 6**0.5


@cache
def register(folder):
    """Make open_clip know the architecture; the file lives in `folder`."""
    file = folder / f"{NAME}.json"
    vision = {"image_size": 224, "layers": BLOCKS, "width": WIDTH, "head_width": WIDTH // HEADS}
    text = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": TEXT_WIDTH}
    architecture = {
        "embed_dim": EMBED,
        "quick_gelu": True,
        "vision_cfg": vision | {"patch_size": PATCH},
        "text_cfg": text | {"heads": 2, "layers": TEXT_BLOCKS},
    }
    file.write_text(json.dumps(architecture))
    open_clip.add_model_config(file)


# The layout, as the module definitions of the reference code give it


def block_shapes(stem, width):
    yield f"{stem}attn.in_proj_weight", (3 * width, width)
    yield f"{stem}attn.in_proj_bias", (3 * width,)
    yield f"{stem}attn.out_proj.weight", (width, width)
    yield f"{stem}attn.out_proj.bias", (width,)
    for norm in ("ln_1", "ln_2"):
        yield f"{stem}{norm}.weight", (width,)
        yield f"{stem}{norm}.bias", (width,)
    yield f"{stem}mlp.c_fc.weight", (4 * width, width)
    yield f"{stem}mlp.c_fc.bias", (4 * width,)
    yield f"{stem}mlp.c_proj.weight", (width, 4 * width)
    yield f"{stem}mlp.c_proj.bias", (width,)


def clip_shapes():
    yield "positional_embedding", (CONTEXT, TEXT_WIDTH)
    yield "text_projection", (TEXT_WIDTH, EMBED)
    yield "logit_scale", ()
    yield "token_embedding.weight", (VOCABULARY, TEXT_WIDTH)
    yield "visual.class_embedding", (WIDTH,)
    yield "visual.positional_embedding", ((224 // PATCH) ** 2 + 1, WIDTH)
    yield "visual.proj", (WIDTH, EMBED)
    yield "visual.conv1.weight", (WIDTH, 3, PATCH, PATCH)
    norms = {"ln_final": TEXT_WIDTH, "visual.ln_pre": WIDTH, "visual.ln_post": WIDTH}
    for norm, width in norms.items():
        yield f"{norm}.weight", (width,)
        yield f"{norm}.bias", (width,)
    for n in range(BLOCKS):
        yield from block_shapes(f"visual.transformer.resblocks.{n}.", WIDTH)
    for n in range(TEXT_BLOCKS):
        yield from block_shapes(f"transformer.resblocks.{n}.", TEXT_WIDTH)


def draw(shape, generator, spread=0.1):
    return torch.randn(shape, generator=generator) * spread


def head(name, generator):
    return {
        f"{name}.weight": draw((1, EMBED), generator, 1.0),
        f"{name}.bias": draw((1,), generator),
    }


def step_one(seed=0):
    generator = torch.Generator().manual_seed(seed)
    clip = {
        f"clip_model_frozen.{key}": draw(s, generator)
        + (1.0 if "ln_" in key and key.endswith("weight") else 0.0)
        for key, s in clip_shapes()
    }
    return clip | head("img_frozen_fc", generator)


def step_two(seed=0, merged=None, rank=RANK, spread=0.1):
    """`merged` is the scale at which the adapters are already in the weights."""
    generator = torch.Generator().manual_seed(1000 + seed)
    first = step_one(seed)
    state = {f"clip_model_frozen.{key}": value for key, value in first.items()}
    for key, value in first.items():
        if not key.startswith("clip_model_frozen."):
            continue
        key = key.replace("clip_model_frozen.", "clip_model.")
        if ".visual." in key and "in_proj_" in key:
            for p, part in zip("qkv", value.chunk(3), strict=True):
                state[key.replace("in_proj_", f"{p}_proj.")] = part.clone()
        elif ".visual." in key:
            state[key.replace("out_proj", "proj")] = value.clone()
        else:
            state[key] = value.clone()
    for stem in attentions():
        for p in "qkv":
            a, b = draw((rank, WIDTH), generator, spread), draw((WIDTH, rank), generator, spread)
            state[f"{stem}{p}_proj.w_lora_A"], state[f"{stem}{p}_proj.w_lora_B"] = a, b
            state[f"{stem}{p}_proj.weight"] += (b @ a) * (merged or 0.0)
    return state | head("text_fc", generator) | head("img_fc", generator)


def attentions():
    return [f"clip_model.visual.transformer.resblocks.{n}.attn." for n in range(BLOCKS)]


# The model, written out


def norm(x, weights, name):
    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def expected_logit(state, pixels, scale=None):
    """The logit of (224, 224, 3) pixels; the frozen weights plus `scale` times the adapters."""
    frozen = "clip_model_frozen." * (1 if scale is None else 2) + "visual."
    w = {k.removeprefix(frozen): v.double().numpy() for k, v in state.items() if frozen in k}
    image = (pixels / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    side = 224 // PATCH
    patches = image.reshape(side, PATCH, side, PATCH, 3).transpose(0, 2, 4, 1, 3)
    tokens = patches.reshape(side * side, -1) @ w["conv1.weight"].reshape(WIDTH, -1).T
    x = np.concatenate([w["class_embedding"][None], tokens]) + w["positional_embedding"]
    x = norm(x, w, "ln_pre")
    for n in range(BLOCKS):
        stem = f"transformer.resblocks.{n}."
        y = norm(x, w, f"{stem}ln_1")
        projected = {}
        for i, p in enumerate("qkv"):
            rows = slice(i * WIDTH, (i + 1) * WIDTH)
            weight = w[f"{stem}attn.in_proj_weight"][rows]
            if scale is not None:
                name = f"clip_model.visual.{stem}attn.{p}_proj.w_lora_"
                a, b = (state[name + letter].double().numpy() for letter in "AB")
                weight = weight + scale * (b @ a)
            projected[p] = y @ weight.T + w[f"{stem}attn.in_proj_bias"][rows]
        mixed = []
        for q, k, v in zip(*(np.split(projected[p], HEADS, axis=1) for p in "qkv"), strict=True):
            attention = np.exp(q @ k.T / np.sqrt(WIDTH // HEADS))
            mixed.append(attention / attention.sum(1, keepdims=True) @ v)
        out = w[f"{stem}attn.out_proj.weight"].T, w[f"{stem}attn.out_proj.bias"]
        x = x + np.concatenate(mixed, axis=1) @ out[0] + out[1]
        y = norm(x, w, f"{stem}ln_2")
        y = y @ w[f"{stem}mlp.c_fc.weight"].T + w[f"{stem}mlp.c_fc.bias"]
        y = y / (1 + np.exp(-1.702 * y))
        x = x + y @ w[f"{stem}mlp.c_proj.weight"].T + w[f"{stem}mlp.c_proj.bias"]
    features = norm(x[0], w, "ln_post") @ w["proj"]
    name = "img_frozen_fc" if scale is None else "img_fc"
    weight, bias = (state[f"{name}.{part}"].double().numpy() for part in ("weight", "bias"))
    return (features @ weight[0] + bias[0]).item()


def pictures(count=3):
    rng = np.random.default_rng(5)
    tiles = rng.integers(0, 200, (count, 7, 7, 3)).repeat(32, axis=1).repeat(32, axis=2)
    return (tiles + rng.integers(0, 56, tiles.shape)).astype(np.uint8)
