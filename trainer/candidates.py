"""Which is returned: the base detector, the teacher, or the student.

All are weighed on images that none of them was fitted to: a person's own, and those of the replay,
which the base knew. A head that was adapted is judged on every own image, by cross-fitting; a
student on those held out, for training it once is dear enough. A student's adapters change the
tower, and no pictures come with the replay: what it forgot cannot be seen. So with a base detector
it has to be clearly better than the teacher, not just ahead.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.config import DetectorConfig
from dgsforensics.evaluation.bootstrap import auroc_difference

from . import gate
from .gate import Comparison, GateCandidate
from .validation import auroc, labels_of

Kind = Literal["base", "teacher", "student"]
TIE = 0.25
"""Share of the loss allowed by which the base has to be ahead to be kept: the new one's thresholds
are measured on a person's own photographs, too, and the base's are not."""


@dataclass(frozen=True)
class Candidate:
    """A detector that may be returned."""

    kind: Kind
    name: str
    """For people."""
    logits: Mapping[str, float]
    """Of images as they are that it was not fitted to, by content."""
    config: DetectorConfig
    tensors: dict[str, Tensor]
    words: str = ""
    """How it was made, for people."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one candidate did; None: cannot be measured."""

    kind: Kind
    name: str
    own: float | None
    """AUROC over a person's own images."""
    known: float | None
    """AUROC over what the base knew."""
    images: int
    """Own images that it was weighed on."""


@dataclass(frozen=True)
class TrainingChoice:
    """What came of it."""

    best: Candidate
    """What to use from now on."""
    new: Candidate
    """The better of those that were trained; `best`, unless that is the base."""
    comparison: Comparison
    """The base, or the runner-up from scratch, and `new`."""
    standings: list[Standing]


def choose(
    base: Candidate | None,
    trained: Sequence[Candidate],
    samples: Sequence[Sample],
    known: AbstractSet[str],
    allowed: float,
) -> TrainingChoice:
    """Return the best of all; `trained` has the teacher and perhaps, second, a student.

    Of `samples`, those whose content is in `known` are of the replay. Each two candidates are
    compared on the images that both have logits for, which have to be of both classes. `allowed` is
    the loss that the gate puts up with; 1 takes what was trained whatever it lost.
    """
    new, *others = trained
    runner_up = new
    for other in others:
        if _ahead(new, other, samples, known, certain=base is not None):
            new, runner_up = other, new
        else:
            runner_up = other
    before = base or runner_up
    common = _common(before, new, samples)
    comparison = gate.compare(
        GateCandidate(before.name, _logits(before, common)),
        GateCandidate(new.name, _logits(new, common)),
        common,
        allowed if base is not None else 1.0,
        np.array([s.sha256 in known for s in common], dtype=bool),
    )
    entrants = [*([] if base is None else [base]), *trained]
    standings = [_standing(entrant, samples, known) for entrant in entrants]
    best = new
    if base is not None and (comparison.losses or comparison.gain < -TIE * allowed):
        best = base
    return TrainingChoice(best, new, comparison, standings)


def _ahead(
    first: Candidate,
    second: Candidate,
    samples: Sequence[Sample],
    known: AbstractSet[str],
    certain: bool,
) -> bool:
    """Whether the second is better on own images, beyond chance if it has to be `certain`."""
    common = [s for s in _common(first, second, samples) if s.sha256 not in known]
    found, _ = auroc_difference(
        _logits(first, common),
        _logits(second, common),
        labels_of(common),
        [s.group for s in common],
    )
    least = found.low if certain else found.value
    return least is not None and least > 0


def _common(one: Candidate, two: Candidate, samples: Sequence[Sample]) -> list[Sample]:
    return [s for s in samples if s.sha256 in one.logits and s.sha256 in two.logits]


def _logits(candidate: Candidate, samples: Sequence[Sample]) -> NDArray[np.float64]:
    return np.array([candidate.logits[s.sha256] for s in samples], dtype=np.float64)


def _standing(candidate: Candidate, samples: Sequence[Sample], known: AbstractSet[str]) -> Standing:
    there = [s for s in samples if s.sha256 in candidate.logits]
    parts = [[s for s in there if (s.sha256 in known) == wanted] for wanted in (False, True)]
    own, replayed = (
        auroc(_logits(candidate, part), part) if len(set(labels_of(part).tolist())) == 2 else None
        for part in parts
    )
    return Standing(candidate.kind, candidate.name, own, replayed, len(parts[0]))
