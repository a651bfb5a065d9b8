"""Stage 1 and what the student will be weighed against: the teacher, and the base detector.

From scratch the teacher is a head on the frozen tower, fitted to the images for training. With a
base detector it is the base's head, adapted (`adapt`), which is quick and often all that is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import folders
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.model import DetectorModel
from dgsforensics.wording import counted

from . import replay, stages
from .adapt import adapt, linear
from .batches import Material
from .candidates import Candidate
from .data import Dataset
from .replay import Replay
from .stages import Context
from .teacher import Head
from .validation import score


@dataclass(frozen=True)
class Taught:
    """What stage 1 gives."""

    teacher: Candidate
    base: Candidate | None
    """None from scratch."""
    samples: list[Sample]
    """Images of a person's own that the teacher and the base are judged on."""
    known: Replay | None
    """What the base knew."""
    drawn: NDArray[np.float32]
    """(N, D) features of the images for training, in their first version."""
    plain: NDArray[np.float32]
    """(M, D) features of the images held out, as they are."""
    remarks: list[str]
    """What could not be measured, in sentences for people."""
    material: Material | None = None
    """What the teacher was fitted to; None with a base, whose teacher is fitted to more."""

    @property
    def held(self) -> Replay | None:
        """What the base knew and never saw, and by which forgetting is seen."""
        return None if self.known is None else self.known.part(self.known.held)


def teach(context: Context, frozen: DetectorModel, dataset: Dataset) -> Taught:
    """Return the teacher, and the base detector beside it."""
    base = context.plan.base
    if base is None:
        return _from_scratch(context, frozen, dataset)
    own = [*dataset.train, *dataset.validation]
    drawn = stages.drawn_features(context, frozen, own)
    plain = stages.plain_features(context, frozen, own)
    prior = context.plan.prior
    known, remarks = _known(context, base, prior, own)
    fitted = adapt(
        own,
        drawn,
        plain,
        prior,
        known,
        weigh=lambda samples: stages.weights(samples, context.config),
        pull=context.config.l2,
        allowed=context.config.max_regression,
        tell=lambda done, total: context.tell("fitting heads", done, total, {}),
    )
    teacher = _candidate(
        context,
        "the teacher, a head on the frozen tower",
        fitted.head,
        _by_content(own, fitted.own) | _by_content(known.samples if known else [], fitted.known),
        fitted.words,
    )
    logits = linear(prior, plain) if prior is not None else _scan(context, own)
    before = Candidate(
        "base",
        f"the base detector {base.config.name}",
        _by_content(own, logits) | (_by_content(known.samples, known.logits) if known else {}),
        base.config,
        base.tensors,
    )
    count = len(dataset.train)
    return Taught(teacher, before, own, known, drawn[0][:count], plain[count:], remarks)


def _from_scratch(context: Context, frozen: DetectorModel, dataset: Dataset) -> Taught:
    material = stages.material(context, frozen, dataset.train)
    plain = stages.plain_features(context, frozen, dataset.validation)
    teacher = _candidate(
        context,
        "the teacher, a head on the frozen tower",
        material.teacher_head,
        _by_content(dataset.validation, linear(material.teacher_head, plain)),
        "Fitted to the images for training.",
    )
    return Taught(teacher, None, dataset.validation, None, material.teacher[0], plain, [], material)


def _known(
    context: Context, base: Checkpoint, prior: Head | None, own: Sequence[Sample]
) -> tuple[Replay | None, list[str]]:
    """What the base knew, less what is among the own images, with the base's logits."""
    file = folders.resolve(context.config.base)
    found = replay.find(file, context.plan.frozen, adapted=prior is None)
    contents = {sample.sha256 for sample in own}
    if found is not None:
        found = found.part(np.array([s.sha256 not in contents for s in found.samples], dtype=bool))
    if found is not None and not found.samples:
        return None, [
            f"All that is kept of what {base.config.name} was trained on is among these images, so "
            "what was forgotten of it was not measured apart."
        ]
    if found is None:
        return None, [
            f"What {base.config.name} was trained on is not at hand, so it was not replayed, and "
            "what was forgotten of it was not measured."
        ]
    if prior is not None:
        found = found.with_logits(np.where(found.held, linear(prior, found.features), np.nan))
    if not found.held.any():
        return found, [
            f"Nothing that {base.config.name} never saw is kept with it, so what was forgotten was "
            "not measured."
        ]
    return found, []


def _candidate(
    context: Context, name: str, head: Head, logits: dict[str, float], words: str
) -> Candidate:
    tensors = {"head.weight": head[0], "head.bias": head[1]}
    config = context.plan.called("teacher", context.plan.frozen)
    return Candidate("teacher", name, logits, config, tensors, words)


def _scan(context: Context, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Logits of a base with adapters."""
    detector = Detector.load(context.config.base, str(context.device), context.plan.backbone_file)
    what = f"scoring {counted(len(samples), 'image')} with the base"
    return score(detector, samples, lambda i, n: context.tell(what, i, n, {}))


def _by_content(samples: Sequence[Sample], logits: NDArray[np.float64]) -> dict[str, float]:
    """Logits by content; those that are none are left out."""
    pairs = zip(samples, logits.tolist(), strict=True)
    return {sample.sha256: logit for sample, logit in pairs if np.isfinite(logit)}
