"""The end of a run: the best of base, teacher and student, its thresholds, and its files."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import platt
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import trained_state
from dgsforensics.detector.facts import CardTable, ModelCard
from dgsforensics.detector.model import DetectorModel
from dgsforensics.records import Label
from dgsforensics.wording import printable

from . import candidates, export, replay, stages, trial
from .candidates import Candidate, TrainingChoice
from .data import Dataset
from .replay import Replay
from .stages import Context
from .teaching import Taught
from .validation import labels_of, of_model


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    written: Path
    """The new detector; named `.rejected.safetensors` if the base is better."""
    choice: TrainingChoice
    remarks: list[str]
    """What could not be measured, in sentences for people."""


def student(context: Context, model: DetectorModel, dataset: Dataset) -> Candidate:
    """Return the model that was fine-tuned, with its logits of the images held out."""
    logits = stages.score_held_out(context, of_model(model), dataset.validation)
    name = {"dgs": "gradient surgery", "lora": "LoRA"}[context.config.method]
    return Candidate(
        "student",
        f"the student, trained by {name}",
        {s.sha256: x for s, x in zip(dataset.validation, logits.tolist(), strict=True)},
        context.plan.called("student", context.plan.student),
        trained_state(model),
        "Fine-tuned on the images for training.",
    )


def finish(
    context: Context, dataset: Dataset, taught: Taught, trained: Sequence[Candidate]
) -> Outcome:
    """Choose, calibrate, and write what was trained: under its name, or as rejected."""
    held = taught.held
    judged = [*taught.samples, *(held.samples if held else [])]
    known = {sample.sha256 for sample in held.samples} if held else set()
    if context.config.result == "student":
        trained = [candidate for candidate in trained if candidate.kind == "student"]
    choice = candidates.choose(taught.base, trained, judged, known, context.config.max_regression)
    remarks = list(taught.remarks)
    if choice.new.kind == "student" and known:
        remarks.append(
            "The student changes the tower, and the pictures that the base knew are not at hand: "
            "what it forgot of them was not measured."
        )
    accepted = choice.best is choice.new
    out = context.place.out if accepted else context.place.rejected
    fitted = _calibrated(choice.new, judged, known)
    facts = export.facts(context, dataset, taught, choice, remarks)
    if dataset.test:
        tested = _tested(context, dataset, choice.new, fitted, facts)
        facts = dataclasses.replace(facts, results=(*tested, *facts.results))
    export.write(out, choice.new, fitted, facts, context)
    if context.config.replay or context.config.replay_held:
        remembered = _remembered(context, dataset, taught, choice.new)
        replay.write(remembered, context.plan.frozen, replay.beside(out))
    return Outcome(out, choice, remarks)


def _tested(
    context: Context, dataset: Dataset, new: Candidate, fitted: Calibration, facts: ModelCard
) -> list[CardTable]:
    """Return what the detector does on the sources of the test, by a file that scans."""
    folder = context.place.folder
    unmeasured = export.write(folder / context.place.out.name, new, fitted, facts, context)
    device, backbone = str(context.device), context.plan.backbone_file
    return trial.tables(unmeasured, dataset.test, folder, device, backbone, context.tell)


def _calibrated(new: Candidate, judged: Sequence[Sample], known: set[str]) -> Calibration:
    """Return temperature and the logits that thresholds are read from: all that it never saw."""
    seen = [sample for sample in judged if sample.sha256 in new.logits]
    logits = np.array([new.logits[sample.sha256] for sample in seen])
    real = [sample for sample in seen if sample.label == Label.REAL]
    words = f"{len(real)} photographs that it was not fitted to"
    if beside := sum(sample.sha256 in known for sample in real):
        words += f", {beside} of them kept from the base's training"
    try:
        sources = [printable(sample.source) for sample in seen]
        return platt.fit(logits, labels_of(seen), words, sources)
    except ValueError:  # it ranks photographs above generated images; the gate has rejected it
        return Calibration.none()


def _remembered(context: Context, dataset: Dataset, taught: Taught, new: Candidate) -> Replay:
    """Return what the new detector knows, to be replayed when it is adapted in its turn."""
    before = taught.known
    if before is not None:
        logits = [new.logits.get(sample.sha256, np.nan) for sample in before.samples]
        before = before.with_logits(np.array(logits, dtype=np.float64))
    held = [new.logits[sample.sha256] for sample in dataset.validation]
    own = replay.sample(
        [*dataset.train, *dataset.validation],
        np.concatenate([taught.drawn, taught.plain]),
        np.concatenate([np.full(len(dataset.train), np.nan), held]),
        context.config.replay,
        context.config.replay_held,
    )
    return replay.joined(before, own)
