"""One training run, from a folder to a detector file; `stages` has the parts of `train`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch

from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.model import DetectorModel

from . import distributed, outcome, plan, runfolder, stages, teaching
from .candidates import TrainingChoice
from .config import TrainConfig
from .runfolder import RunFolder
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
    options: Path | None = None
    """The file that the options came from; it is never written to."""


@dataclass(frozen=True)
class TrainResult:
    """What came of it."""

    written: Path
    """The new detector; named `.rejected.safetensors` if the base is better."""
    choice: TrainingChoice
    """What it was chosen from, and how."""
    notes: list[str]
    """How the images were split, what was left out, and what was not measured."""


def train(request: TrainRequest, tell: Tell) -> TrainResult | None:
    """Run both stages, calibration and the forgetting gate, and write the file; None in all
    processes but one.

    Raises `DgsError` kinds, and `KeyboardInterrupt` once the state is saved.
    """
    planned = plan.make(request.config, request.out.stem, request.backbone_weights)
    group, device = distributed.join(request.device)
    place = RunFolder(request.out, request.options)
    try:
        config = _settled(request.config, device)
        if group.rank == 0:
            runfolder.claim(
                request.out, config, request.resume, request.force, given=request.options
            )
        cache = request.cache or platformdirs.user_cache_path("dgsforensics")
        context = Context(config, planned, place, cache, device, group, request.workers, tell)
        try:
            return _run(context, request)
        except Exception:  # not Ctrl-C, after which --resume goes on
            if group.rank == 0 and not request.resume:
                place.abandon()
            raise
    finally:
        group.leave()


def _run(context: Context, request: TrainRequest) -> TrainResult | None:
    """What `train` is, once there is a place for it."""
    planned, device = context.plan, context.device
    tower = load_backbone(planned.frozen.backbone, planned.backbone_file)
    frozen = DetectorModel(planned.frozen, tower).eval().to(device)
    dataset = stages.prepare(context, request.data, request.case, request.root)
    context = stages.settled(context, dataset)
    taught = teaching.teach(context, frozen, dataset)
    trained = [taught.teacher]
    if context.config.method != "probe":
        material = taught.material or stages.material(context, frozen, dataset.train)
        torch.manual_seed(context.config.seed)  # first weights
        model = DetectorModel(planned.student, frozen.tower).to(device)  # takes the tower over
        plan.apply(planned.start, model)
        stages.fine_tune(context, model, material, dataset)
        trained.append(outcome.student(context, model, dataset))
    if context.group.rank > 0:
        return None
    ended = outcome.finish(context, dataset, taught, trained)
    context.place.finish(ended.written)
    notes = [dataset.split_by, *dataset.notes, *ended.remarks]
    return TrainResult(ended.written, ended.choice, notes)


def _settled(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Return the options with the choices that follow from the device."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    if device.type == "cpu" and config.method == "probe":
        # With adapters on some blocks only, backward falls into a path that is slower in bfloat16.
        fast = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    precision = config.precision or ("bfloat16" if fast else "float32")
    return dataclasses.replace(config, precision=precision)
