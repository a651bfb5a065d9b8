"""The parts of a training run, in the order in which `run.train` goes through them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import calibration, card, text_tower
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import trained_state
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.folders import sha256_of
from dgsforensics.detector.model import DetectorModel
from dgsforensics.wording import printable

from . import data, export, gate, selection, student, trial
from .batches import Material
from .captions import blip, given
from .config import TrainConfig
from .data import Dataset
from .distributed import Group
from .features import Draw, draws_of, extract_draws
from .gate import Comparison, GateCandidate
from .journal import Journal
from .plan import TrainPlan
from .runfolder import RunFolder
from .student import Step
from .teacher import Head, balanced_weights, capped_weights, fit_head
from .validation import auroc, labels_of, of_model, score

Result = TypeVar("Result")
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


def material(context: Context, frozen: DetectorModel, samples: Sequence[Sample]) -> Material:
    """Return frozen features of the training images, and the teacher's head on them (stage 1)."""
    config = context.config
    versions = draws_of(config.augmentation, config.draws, config.first_as_is, config.seed)
    features = _frozen(context, frozen, samples, versions)
    weights = _weights(samples, config)
    head = fit_head(
        features.reshape(-1, features.shape[-1]),
        np.tile(labels_of(samples), len(versions)),
        np.tile(weights, len(versions)),
        config.l2,
        context.plan.prior,
    )
    semantics = None
    match config.suppression:
        case "lowpass":
            [semantics] = _frozen(context, frozen, samples, [Draw("lowpass")])
        case "captions":
            semantics = _captioned(context, samples)
    return Material(samples, weights, head, features, semantics)


def _weights(samples: Sequence[Sample], config: TrainConfig) -> NDArray[np.float64]:
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


def before(
    context: Context, frozen: DetectorModel, samples: Sequence[Sample], teacher: Head
) -> GateCandidate:
    """Return what the new detector will be compared with: its base, or from scratch the teacher."""
    base = context.plan.base
    if base is not None and base.config.lora is not None:
        detector = Detector.load(
            context.config.base, str(context.device), context.plan.backbone_file
        )
        return GateCandidate(
            _name(base.config.name), _score(context, detector, samples), detector.thresholds.upper
        )
    [features] = _frozen(context, frozen, samples, [Draw("as_is")], exact=True)
    if base is None:
        return GateCandidate(
            "the teacher, a head on the frozen tower", _linear(teacher, features), None
        )
    head = base.tensors["head.weight"], base.tensors["head.bias"]
    return GateCandidate(
        _name(base.config.name),
        _linear(head, features),
        base.calibration.thresholds().upper,
    )


def _name(base: str) -> str:
    return f"the base detector {base}"


def _linear(head: Head, features: NDArray[np.float32]) -> NDArray[np.float64]:
    logits: NDArray[np.float64] = features @ head[0][0].double().numpy() + float(head[1])
    return logits


def _score(context: Context, detector: Detector, samples: Sequence[Sample]) -> NDArray[np.float64]:
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
            value = auroc(_score(context, of_model(model), dataset.validation), dataset.validation)
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


def finish(
    context: Context, model: DetectorModel, dataset: Dataset, earlier: GateCandidate
) -> tuple[Path, Comparison]:
    """Return calibration, forgetting gate, and the file: under its name, or as rejected."""
    name = context.plan.student.name
    logits = _score(context, of_model(model), dataset.validation)
    later = GateCandidate(f"the new detector {name}", logits, None)
    comparison = gate.compare(earlier, later, dataset.validation, context.config.max_regression)
    fitted = _calibration(logits, dataset)
    out = context.place.rejected if comparison.losses else context.place.out
    facts = export.facts(context.config, context.plan, dataset, comparison, out)

    def write(to: Path, results: Sequence[card.Table]) -> None:
        made = facts | {"results": [*results, *facts["results"]]}
        export.write(to, context.plan, trained_state(model), fitted, made, context.config)

    tested: list[card.Table] = []
    if dataset.test:
        unmeasured = context.place.folder / context.place.out.name
        write(unmeasured, [])
        place, device = context.place.folder, str(context.device)
        backbone = context.plan.backbone_file
        tested = trial.tables(unmeasured, dataset.test, place, device, backbone, context.tell)
    write(out, tested)
    return out, comparison


def _calibration(logits: NDArray[np.float64], dataset: Dataset) -> Calibration:
    """Return temperature, and the logits that thresholds are read from."""
    labels = labels_of(dataset.validation)
    real = int((labels == 0).sum())
    try:
        sources = [printable(sample.source) for sample in dataset.validation]
        measured_on = f"{real} photographs held out of training"
        return calibration.fit(logits, labels, measured_on, sources)
    except ValueError:  # it ranks photographs above generated images; the gate has rejected it
        return Calibration.none()
