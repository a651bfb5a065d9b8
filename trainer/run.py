"""One training run, from a folder to a detector file; `stages` has the parts of `train`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch

from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.model import DetectorModel

from . import distributed, plan, runfolder, stages
from .config import TrainConfig
from .gate import Comparison
from .stages import Context, Tell


@dataclass(frozen=True)
class TrainRequest:
    """What a person asked for."""

    data: tuple[Path, ...]
    """Labelled folders or manifests; none: the case alone."""
    out: Path
    """The detector file to write."""
    config: TrainConfig
    case: Path | None = None
    """Case file whose labels are trained on too."""
    root: Path | None = None
    """Folder that the paths in manifests are relative to; None: that of each manifest."""
    backbone_weights: Path | None = None
    cache: Path | None = None
    """Folder of frozen features and captions; None: the user's cache."""
    device: str = "auto"
    workers: int = 2
    """Threads that decode and augment."""
    resume: bool = False
    """Go on with the run that was stopped."""
    force: bool = False
    """Start over, and replace what is there."""


@dataclass(frozen=True)
class TrainResult:
    """What came of it."""

    written: Path
    """The detector; named `.rejected.safetensors` if it is worse than the one before."""
    comparison: Comparison
    notes: list[str]
    """How the images were split, and what was left out."""


def train(request: TrainRequest, tell: Tell) -> TrainResult | None:
    """Run both stages, calibration and the forgetting gate, and write the file; None in all
    processes but one.

    Raises `DgsError` kinds, and `KeyboardInterrupt` once the state is saved.
    """
    planned = plan.make(request.config, request.out.stem, request.backbone_weights)
    group, device = distributed.join(request.device)
    try:
        config = _settled(request.config, device)
        if group.rank == 0:
            runfolder.claim(request.out, config, request.resume, request.force)
        context = Context(
            config,
            planned,
            runfolder.RunFolder(request.out),
            request.cache or platformdirs.user_cache_path("dgsforensics"),
            device,
            group,
            request.workers,
            tell,
        )
        tower = load_backbone(planned.frozen.backbone, planned.backbone_file)
        frozen = DetectorModel(planned.frozen, tower).eval().to(device)
        dataset = stages.prepare(context, request.data, request.case, request.root)
        material = stages.material(context, frozen, dataset.train)
        before = stages.before(context, frozen, dataset.validation, material.teacher_head)
        torch.manual_seed(config.seed)  # first weights
        model = DetectorModel(planned.student, frozen.tower).to(device)  # takes the tower over
        plan.apply(planned.start, model)
        if config.method == "probe":
            weight, bias = material.teacher_head
            plan.apply({"head.weight": weight, "head.bias": bias}, model)
        else:
            stages.fine_tune(context, model, material, dataset)
        if group.rank > 0:
            return None
        written, comparison = stages.finish(context, model, dataset, before)
        context.place.finish(written)
        return TrainResult(written, comparison, [dataset.split_by, *dataset.notes])
    finally:
        group.leave()


def _settled(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Return the options with the choices that follow from the device."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if device.type == "cpu" and config.method == "probe":
        # With adapters on some blocks only, backward falls into a path that is slower in bfloat16.
        fast = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    precision = config.precision or ("bfloat16" if fast else "float32")
    return dataclasses.replace(config, precision=precision)
