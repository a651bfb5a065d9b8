"""A calibration fitted to the logits of labelled images, by Platt's scaling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dgsforensics.detector.calibration import Calibration, CalibrationSource


def fit(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    measured_on: str,
    sources: Sequence[str] | None = None,
) -> Calibration:
    """Fit temperature and intercept by maximum likelihood (Platt 1999), classes weighing alike.

    `logits` (N,), `labels` (N,) with 1 for generated, `sources` (N,) where each image is from, or
    None where that is not known. Newton's method on the two parameters, with
    Platt's softened targets, so that separable data keep a finite temperature. Where the logits
    rank the classes the wrong way round no positive temperature exists: `ValueError`.
    """
    positive, negative = logits[labels == 1], logits[labels == 0]
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError("calibration needs real and generated images")
    target = np.where(labels == 1, 1 - 1 / (len(positive) + 2), 1 / (len(negative) + 2))
    weight = np.where(labels == 1, 0.5 / len(positive), 0.5 / len(negative))
    centre, spread = float(logits.mean()), float(logits.std()) or 1.0
    design = np.stack([(logits - centre) / spread, np.ones(len(logits))], axis=1)  # (N, 2)
    slope = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-design @ slope))
        gradient = design.T @ (weight * (p - target))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        slope -= step * min(1.0, 2.0 / (np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    if slope[0] <= 0:
        raise ValueError("the logits rank real images above generated ones: nothing to calibrate")
    return Calibration(
        temperature=spread / float(slope[0]),
        intercept=centre - spread * float(slope[1] / slope[0]),
        real=tuple(sorted(negative.tolist())),
        generated=tuple(sorted(positive.tolist())),
        measured_on=measured_on,
        sources=() if sources is None else by_source(logits, labels, sources),
    )


def by_source(
    logits: NDArray[np.float64], labels: NDArray[np.int64], sources: Sequence[str]
) -> tuple[CalibrationSource, ...]:
    """Return the logits of the photographs by source, in the order of the names."""
    found: dict[str, list[float]] = {}
    for logit, label, name in zip(logits.tolist(), labels.tolist(), sources, strict=True):
        if label == 0:
            found.setdefault(name, []).append(logit)
    return tuple(
        CalibrationSource(name, tuple(sorted(real))) for name, real in sorted(found.items())
    )
