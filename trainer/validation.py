"""How a detector does on the images held out, as a scan would see them: files as they are."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import UnreadableError
from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.files.content import DEFAULT_LIMITS
from dgsforensics.records import Failure, Label

from .contents import PATIENCE


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return (N,) 1 for generated."""
    return np.array([s.label == Label.GENERATED for s in samples], dtype=np.int64)


def score(
    detector: Detector,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float64]:
    """Return the logits (N,) by the very path of a scan; raises `UnreadableError` for a file that
    is
    gone.
    """
    logits: list[float] = []
    limits = replace(DEFAULT_LIMITS, max_seconds=PATIENCE)
    for rows in detector.scan_batches([sample.path for sample in samples], limits=limits):
        for row in rows:
            if isinstance(row, Failure):
                raise UnreadableError(f"{row.path}: {row.reason}")
            logits.append(row.logit)
        progress(len(logits), len(samples))
    return np.array(logits)


def of_model(model: DetectorModel) -> Detector:
    """Return a detector made of a copy of a model that is being trained."""
    source = Checkpoint(model.config, Calibration.none(), {})
    return Detector.of(source, copy.deepcopy(model), model.head.weight.device)


def auroc(logits: NDArray[np.float64], samples: Sequence[Sample]) -> float:
    """Return the area under the ROC curve; both classes are there in a validation set."""
    value = evaluate(logits, labels_of(samples), 0.0).auroc
    assert value is not None
    return value
