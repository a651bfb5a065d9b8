"""Checkpoints of the reference code of DGS-Net (arXiv 2511.13108), read as detectors.

Two layouts, told apart by their keys. Step 1 is a frozen CLIP and a head. Step 2 holds all of that
once more, beside a CLIP with adapters on the attention of the image tower. Its adapters may already
be merged into the weights and are still listed: applied again, they would count twice. So the
weights are always taken from the frozen copy; the merged ones tell the scale.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from dgsforensics.detector.backbone import build_clip, read_tensors
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import BackboneConfig, DetectorConfig, LoraConfig
from dgsforensics.detector.facts import ModelCard
from dgsforensics.detector.folders import sha256_of
from dgsforensics.detector.lora import PROJECTIONS
from dgsforensics.errors import CheckpointError

BACKBONE = "ViT-L-14-quickgelu"
"""What the reference code fine-tunes."""
LIMITS = (
    "Not calibrated: a probability is the plain sigmoid of the logit and the threshold one half, "
    "as in the reference code. No false-positive rate can be stated.",
    "The reference code shuffles the 49 patches anew each time, and repeats or blackens tiles of "
    "small pictures. Here their order is fixed and small pictures follow a stated rule, so logits "
    "differ a little from that code's, and more on small pictures.",
    "What it was trained on is not in the file. The published one has seen no degradation: "
    "re-compressed generated images look real to it, resized or PNG photographs generated.",
    "A score is a signal, not proof; it cannot replace a look at where the file came from.",
)
LICENCE = (
    "Unknown: the reference code comes without a licence file. Ask its authors before you pass the "
    "detector on. The tower: that of the CLIP it was made from."
)

_FROZEN, _ADAPTED = "clip_model_frozen.", "clip_model."
_SMALLEST_SCALE = 0.01
"""Of merged adapters; far below alpha / rank = 1, far above what rounding makes of none."""
_ROUNDINGS = 8
"""Of the largest weight: merging and un-merging at every epoch leaves a few."""
_COARSE = 2**-8
"""Of the largest change: graphics cards may multiply in TF32, and files may be float16."""


def read(path: Path, name: str, backbone: str = BACKBONE) -> tuple[Checkpoint, dict[str, Tensor]]:
    """Return the detector `name`, and the float32 tensors of its tower by open_clip's names.

    The tower's digest in the configuration is that of the file which `safetensors` makes of these
    tensors. `backbone` is an open_clip name. Raises `CheckpointError` when the file is not in one
    of the two layouts on that backbone, or its parts contradict each other.
    """
    clip = build_clip(backbone).state_dict()
    digest = sha256_of(path)
    state = read_tensors(path)
    if "img_fc.weight" in state:
        frozen, head, rank = _FROZEN + _FROZEN, "img_fc.", _rank(state)
        expected = second_layout(clip, rank)
    elif "img_frozen_fc.weight" in state:
        frozen, head, rank = _FROZEN, "img_frozen_fc.", 0
        expected = first_layout(clip)
    else:
        raise CheckpointError(
            f"{path.name} is not a checkpoint of the reference code: it has no head",
            "what its step 1 and step 2 save can be imported",
        )
    _check(path, backbone, state, expected)
    state = {k: v.detach() for k, v in state.items() if ".visual." in k or k.startswith(head)}
    precision = max(torch.finfo(value.dtype).eps for value in state.values())
    state = {key: value.float() for key, value in state.items()}
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{path.name}: {key} holds values that are not finite")

    tower = _under(state, f"{frozen}visual.")
    tensors = {f"head.{part}": state[head + part].clone() for part in ("weight", "bias")}
    origin: dict[str, str | float] = {
        "file": _legible(path),
        "sha256": digest,
        "layout": "step 2" if rank else "step 1",
    }
    lora = None
    if rank:
        adapted = _under(state, f"{_ADAPTED}visual.")
        scale = _merged_scale(path, adapted, tower, max(precision, torch.finfo(torch.float32).eps))
        lora = LoraConfig(rank) if scale is None else LoraConfig(rank, scale * math.sqrt(rank))
        tensors |= _our_adapters(adapted)
        how = "not merged" if scale is None else "merged into the weights"
        origin["adapters"] = f"{how}, scale {lora.scale:.4g}" + " assumed" * (scale is None)
        del adapted  # a gigabyte
    del state
    tower = {
        key: value.clone(memory_format=torch.contiguous_format) for key, value in tower.items()
    }
    weights = BackboneConfig(backbone, "file", hashlib.sha256(save(tower)).hexdigest())
    config = DetectorConfig(name, weights, lora=lora)
    return Checkpoint(config, Calibration.none(), tensors, _card(origin)), tower


def _card(origin: dict[str, str | float]) -> ModelCard:
    return ModelCard(
        summary="A detector of the reference code of DGS-Net (arXiv 2511.13108), imported from "
        f"what its {origin['layout']} saved. Nothing about it was measured by this program.",
        origin=origin,
        limits=LIMITS,
        licence=LICENCE,
    )


def _legible(path: Path) -> str:
    return path.name.encode("utf-8", "backslashreplace").decode()


# Layouts: keys and shapes, as tensors without storage


def first_layout(clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what step 1 saves, by name; only the shapes count."""
    frozen = {_FROZEN + key: value for key, value in clip.items()}
    return frozen | _head("img_frozen_fc", clip)


def second_layout(clip: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Return what step 2 saves with adapters of a rank, by name; only the shapes count."""
    frozen = {_FROZEN + key: value for key, value in first_layout(clip).items()}
    adapted = _split_attention(clip, "visual.")
    for stem in _attentions(adapted):
        for p in PROJECTIONS:
            width = len(adapted[f"{stem}{p}_proj.weight"])
            adapted[f"{stem}{p}_proj.w_lora_A"] = torch.empty(rank, width, device="meta")
            adapted[f"{stem}{p}_proj.w_lora_B"] = torch.empty(width, rank, device="meta")
    adapted = {_ADAPTED + key: value for key, value in adapted.items()}
    return frozen | adapted | _head("text_fc", clip) | _head("img_fc", clip)


def _head(name: str, clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
    width = clip["visual.proj"].shape[1]
    weight, bias = torch.empty(1, width, device="meta"), torch.empty(1, device="meta")
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def _split_attention(tensors: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Return open_clip's names to those of step 2 where they begin with `prefix`: q, k and v
    apart."""
    split = {}
    for key, value in tensors.items():
        if key.startswith(prefix) and ".attn.in_proj_" in key:
            stem, kind = key.split("in_proj_")
            for p, part in zip(PROJECTIONS, value.chunk(3), strict=True):
                split[f"{stem}{p}_proj.{kind}"] = part
        elif key.startswith(prefix):
            split[key.replace(".attn.out_proj.", ".attn.proj.")] = value
        else:
            split[key] = value
    return split


def _attentions(keys: Iterable[str]) -> list[str]:
    """Return what the names of each adapted attention begin with, in the layout of step 2."""
    end = "q_proj.weight"
    return [key.removesuffix(end) for key in keys if key.endswith(end)]


def _rank(state: Mapping[str, Tensor]) -> int:
    sizes = (v.shape[0] for k, v in state.items() if k.endswith(".w_lora_A") and v.ndim == 2)
    return max(1, next(sizes, 1))


def _check(
    path: Path, backbone: str, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Check keys and shapes strictly, and that all are plain tensors of floats."""
    hint = f"it has to be on {backbone}; --backbone names another architecture"
    for what, keys in (
        ("lacks", expected.keys() - state.keys()),
        ("has surplus", state.keys() - expected.keys()),
    ):
        if keys:
            some = ", ".join(sorted(map(str, keys))[:4])
            raise CheckpointError(f"{path.name} {what} tensors ({len(keys)}): {some}", hint)
    for key, value in state.items():
        if value.shape != expected[key].shape:
            found, wanted = tuple(value.shape), tuple(expected[key].shape)
            raise CheckpointError(f"{path.name}: {key} is {found}, expected {wanted}", hint)
        plain = value.layout is torch.strided and value.device.type == "cpu"
        if not plain or not value.is_floating_point():
            raise CheckpointError(f"{path.name}: {key} is not a plain tensor of floats")


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


# Adapters


def _our_adapters(adapted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the adapters by the names of a detector file: `A` is `down`, `B` is `up`."""
    names = {
        f"tower.{stem}{ours}.{p}": f"{stem}{p}_proj.w_lora_{theirs}"
        for stem in _attentions(adapted)
        for p in PROJECTIONS
        for ours, theirs in (("down", "A"), ("up", "B"))
    }
    return {ours: adapted[theirs].clone() for ours, theirs in names.items()}


def _merged_scale(
    path: Path, adapted: Mapping[str, Tensor], tower: Mapping[str, Tensor], precision: float
) -> float | None:
    """Return the scale at which the adapters were merged into the weights; None when they were not.

    By least squares over all projections, W - W0 = s B A. Raises `CheckpointError` when no one
    scale explains them all, or anything else differs from the frozen tower.
    """
    frozen = _split_attention(tower)
    weights = {f"{stem}{p}_proj.weight" for stem in _attentions(frozen) for p in PROJECTIONS}
    for key, value in frozen.items():
        if key not in weights and not torch.equal(adapted[key], value):
            raise CheckpointError(
                f"{path.name}: the image tower differs from the frozen one in {key}",
                "only the adapters of q, k and v may have been trained",
            )
    inner = square = 0.0
    for _, change, product in _changes(adapted, frozen, weights):
        inner += (change * product).sum(dtype=torch.float64).item()
        square += product.square().sum(dtype=torch.float64).item()
    scale = inner / square if square else 0.0
    if abs(scale) < _SMALLEST_SCALE:
        scale = 0.0
    for key, change, product in _changes(adapted, frozen, weights):
        rounding = _ROUNDINGS * precision * frozen[key].abs().max()
        rounding += _COARSE * abs(scale) * product.abs().max()
        if scale < 0 or (change - scale * product).abs().max() > rounding:
            raise CheckpointError(
                f"{path.name}: the adapters are neither merged into the weights nor unmerged "
                f"({key}, best scale {scale:.4g})",
                "the file was changed after training, or comes from other code",
            )
    return scale or None


def _changes(
    adapted: Mapping[str, Tensor], frozen: Mapping[str, Tensor], weights: Iterable[str]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield key, W - W0 and B A of each adapted weight, (width, width)."""
    for key in sorted(weights):
        name = key.removesuffix("weight") + "w_lora_"
        yield key, adapted[key] - frozen[key], adapted[f"{name}B"] @ adapted[f"{name}A"]
