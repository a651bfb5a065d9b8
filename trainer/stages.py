"""The parts of a training run, in the order in which `run.train` goes through them."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import text_tower
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.folders import sha256_of
from dgsforensics.detector.model import DetectorModel
from dgsforensics.wording import printable

from . import data, selection, student
from .batches import Material
from .captions import blip, given
from .config import TrainConfig
from .data import Dataset
from .distributed import Group
from .features import Draw, draws_of, extract_draws
from .journal import Journal
from .plan import TrainPlan
from .runfolder import RunFolder
from .student import Step
from .teacher import balanced_weights, capped_weights, fit_head
from .validation import auroc, labels_of, of_model, score

Result = TypeVar("Result")
ENOUGH_FOR_A_STUDENT = 1000
"""Images for training from which on a student is trained unasked: it was behind the teacher on 120
to 900 of them."""
L2 = 0.1
"""Penalty on the teacher's head where none is asked for."""
Tell = Callable[[str, int, int, Mapping[str, float]], None]
"""Told what is being done, how much of it is done and of how much, and figures for people."""


@dataclass(frozen=True)
class Context:
    """What all parts need to know."""

    config: TrainConfig
    plan: TrainPlan
    place: RunFolder
    cache: Path
    """Folder of frozen features and captions."""
    device: torch.device
    group: Group
    workers: int
    tell: Tell

    def first(self, work: Callable[[], Result]) -> Result:
        """Return the result of `work`, which leaves files that make it short: one process goes
        first.
        """
        if self.group.rank > 0:
            self.group.wait()
            return work()
        result = work()
        self.group.wait()
        return result


def prepare(
    context: Context, sources: Sequence[Path], case: Path | None, root: Path | None = None
) -> Dataset:
    """Return images checked and split; a run that goes on takes the split that was recorded."""
    config, file = context.config, context.place.split

    def work() -> Dataset:
        if file.exists():
            dataset = data.read_split(file)
            data.still_there(dataset)
            return dataset
        notes: list[str] = []
        listed = data.gather(sources, case, notes.append, root)
        for manifest in filter(Path.is_file, sources):
            notes.append(f"Listed in {printable(manifest.name)} (sha256 `{sha256_of(manifest)}`).")
        chosen, remarks = selection.select(listed, config.sources)
        notes += remarks
        dataset = data.prepare(
            chosen,
            share=config.validation,
            by=config.split_by,
            seed=config.seed,
            skip_unreadable=config.skip_unreadable,
            progress=lambda done, total: context.tell("checking images", done, total, {}),
            notes=notes,
        )
        data.write_split(dataset, file)
        return dataset

    return context.first(work)


def settled(context: Context, dataset: Dataset) -> Context:
    """Return the context with the method that follows from the number of images."""
    config, base = context.config, context.plan.base
    if config.method != "auto":
        return context
    few = len(dataset.train) < ENOUGH_FOR_A_STUDENT
    head_alone = base is not None and base.config.lora is None and few
    head_alone = head_alone and config.result == "best"
    chosen: Literal["probe", "dgs"] = "probe" if head_alone else "dgs"
    return dataclasses.replace(context, config=dataclasses.replace(config, method=chosen))


def material(context: Context, frozen: DetectorModel, samples: Sequence[Sample]) -> Material:
    """Return frozen features of the training images, and the teacher's head on them (stage 1)."""
    config = context.config
    features = drawn_features(context, frozen, samples)
    found = weights(samples, config)
    head = fit_head(
        features.reshape(-1, features.shape[-1]),
        np.tile(labels_of(samples), len(features)),
        np.tile(found, len(features)),
        config.l2 or L2,
        context.plan.prior,
    )
    semantics = None
    match config.suppression:
        case "lowpass":
            [semantics] = _frozen(context, frozen, samples, [Draw("lowpass")])
        case "captions":
            semantics = _captioned(context, samples)
    return Material(samples, found, head, features, semantics)


def weights(samples: Sequence[Sample], config: TrainConfig) -> NDArray[np.float64]:
    """Return how often each image is drawn, and how much it counts for the teacher's head, (N,)."""
    cell, source = config.sources.cell_weight, config.sources.source_weight
    if cell is None and source is None:
        return balanced_weights(list(samples), config.balance)
    return capped_weights(samples, cell, source)


def _frozen(
    context: Context,
    frozen: DetectorModel,
    samples: Sequence[Sample],
    draws: Sequence[Draw],
    *,
    exact: bool = False,
) -> NDArray[np.float32]:
    """Return features (draws, N, D); `exact`: as a scan computes them, whatever the precision."""
    low = context.config.precision == "bfloat16" and not exact
    what = "frozen features (" + ", ".join(map(str, draws)) + ")"
    return context.first(
        lambda: extract_draws(
            frozen,
            samples,
            draws,
            context.cache / "features",
            workers=context.workers,
            precision=torch.bfloat16 if low else torch.float32,
            progress=lambda done, total, rate: context.tell(what, done, total, {"images/s": rate}),
        )
    )


def _captioned(context: Context, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Return text features (N, D) of the captions."""
    config = context.config
    assert config.captions is not None
    if config.captions == "model":
        found = context.first(
            lambda: blip.caption(
                samples,
                config.caption_model,
                context.cache / "captions",
                context.device,
                progress=lambda done, total: context.tell("captions", done, total, {}),
            )
        )
    else:
        found = given.read(config.captions, samples)
    tower = text_tower.load_text(
        context.plan.frozen.backbone, context.plan.backbone_file, context.device
    )
    return tower.encode(found)


def drawn_features(
    context: Context, frozen: DetectorModel, samples: Sequence[Sample]
) -> NDArray[np.float32]:
    """Return frozen features (draws, N, D) of the images in the versions of training."""
    config = context.config
    versions = draws_of(config.augmentation, config.draws, config.first_as_is, config.seed)
    return _frozen(context, frozen, samples, versions)


def plain_features(
    context: Context, frozen: DetectorModel, samples: Sequence[Sample]
) -> NDArray[np.float32]:
    """Return frozen features (N, D) of the images as they are, as a scan computes them."""
    [features] = _frozen(context, frozen, samples, [Draw("as_is")], exact=True)
    rows: NDArray[np.float32] = features
    return rows


def score_held_out(
    context: Context, detector: Detector, samples: Sequence[Sample]
) -> NDArray[np.float64]:
    """Return logits (N,) of the images held out."""
    return score(detector, samples, lambda i, n: context.tell("scoring held-out images", i, n, {}))


def fine_tune(context: Context, model: DetectorModel, material: Material, dataset: Dataset) -> None:
    """Run stage 2 and record it; every epoch ends with a look at the held-out images."""
    base, backbone = context.plan.base, context.plan.student.backbone
    key = "\n".join(
        [
            context.config.to_toml(),
            dataset.digest,
            str(backbone.sha256),
            base.sha256 if base else "",
        ]
    )
    journal = Journal(context.place.folder) if context.group.rank == 0 else None

    def step_done(step: Step) -> None:
        figures = {"loss": step.loss, "removed": step.removed, "added": step.added}
        if journal is not None:
            journal.write("step", step.step, asdict(step))
            context.tell(f"epoch {step.epoch}", step.step, step.steps, figures)

    def epoch_done(epoch: int, step: int) -> None:
        if journal is not None:
            held_out = dataset.validation
            value = auroc(score_held_out(context, of_model(model), held_out), held_out)
            journal.write("epoch", step, {"epoch": epoch, "auroc": value})
            context.tell(f"epoch {epoch} done", 0, 0, {"held-out AUROC": value})
        context.group.wait()

    try:
        student.fit(
            model,
            material,
            context.config,
            save_to=context.place.state,
            fingerprint=hashlib.sha256(key.encode()).hexdigest(),
            group=context.group,
            workers=context.workers,
            tell=step_done,
            epoch_done=epoch_done,
        )
    finally:
        if journal is not None:
            journal.close()
