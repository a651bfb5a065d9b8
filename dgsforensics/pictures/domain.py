"""Whether pixels may be a photograph at all: graphics, documents, gradients and noise are not.

A detector is calibrated on photographs, so its error rates hold for nothing else. What is out of
domain is told by statistics of pixels, not by content: the histogram of gradients, local contrast,
bimodality at edges, entropy of colours, how tiles differ. A multinomial logistic regression on
them was fitted by `benchmarks/domain_fit.py`; its numbers, what they were fitted on and the
log-odds that each class has to exceed lie in `weights/domain.json`. `docs/scan-output.md` has the
rates on pictures that were not fitted on.

The limits: a screenshot that is mostly a photograph, such as a video player or a page with large
pictures, cannot be told from one, and graphics with much shading or low contrast may pass for one.
A photograph of a printed page is a document here.
"""

import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from dgsforensics.pictures.domain_statistics import DomainStatistics, Floats, measure

SHORTEST = 32
"""Pixels of a side; below that, or with fewer than `FEWEST` in all, nothing can be said."""
FEWEST = 4096
PHOTOGRAPH = "photograph"
"""The class that the log-odds of the others are against."""


@dataclass(frozen=True, slots=True)
class DomainModel:
    """The fitted numbers: linear in the `features`, one row a class."""

    classes: tuple[str, ...]
    """`PHOTOGRAPH` first, then what a picture may be in its place, in the words of `recognise`."""
    weights: Floats
    """(C, F), on the features as they are."""
    bias: Floats
    """(C,)"""
    thresholds: Floats
    """(C,) log-odds against a photograph from which a class is named; the first is not used."""


def recognise(pixels: NDArray[np.uint8]) -> str | None:
    """Return what a picture (H, W, 3) is in place of a photograph, in a few words; None: it may be
    one.

    Looks at no more than 256 tiles of 16 x 16 pixels, spread evenly.
    """
    height, width, _ = pixels.shape
    if min(height, width) < SHORTEST or height * width < FEWEST:
        return "too small to judge"
    model = load()
    excess = log_odds(model, features(measure(pixels))) - model.thresholds[1:]
    best = int(excess.argmax())
    return model.classes[1 + best] if excess[best] > 0 else None


@cache
def load() -> DomainModel:
    """Return the fitted numbers of `weights/domain.json`."""
    stored = json.loads((files("dgsforensics.weights") / "domain.json").read_text("utf-8"))
    classes = tuple(stored["classes"])
    return DomainModel(
        classes,
        np.array([[row[name] for name in names()] for row in stored["weights"]]),
        np.array(stored["bias"]),
        np.array([0.0, *(stored["thresholds"][name] for name in classes[1:])]),
    )


def log_odds(model: DomainModel, values: Floats) -> Floats:
    """Return the log-odds (..., C - 1) of each class against a photograph for features (..., F)."""
    scores: Floats = values @ model.weights.T + model.bias
    return scores[..., 1:] - scores[..., :1]


def names() -> list[str]:
    """Return what the features are called, in their order."""
    return [field.name for field in fields(DomainStatistics)]


def features(found: DomainStatistics) -> Floats:
    """Return the statistics (18,) on the scales on which they are weighed: shares that matter near
    0 or 1 as logits, others as logarithms or as they are."""
    return np.array([_SCALES[name](getattr(found, name)) for name in names()])


def _logit(share: float) -> float:
    return float(np.log((share + 0.01) / (1.01 - share)))


def _log(value: float) -> float:
    return float(np.log(value + 0.01))


def _plain(value: float) -> float:
    return value


def _bounded(value: float) -> float:
    return min(1.2, value)


_SCALES = {
    "dominant_colour": _logit,
    "gradient_zero": _logit,
    "gradient_low": _log,
    "gradient_high": _log,
    "contrast_medium": _log,
    "contrast_high": _log,
    "bimodality": _plain,
    "tone_concentration": _logit,
    "colour_entropy": _plain,
    "background": _plain,
    "background_text": _plain,
    "background_clean": _plain,
    "edge_density": _logit,
    "variance_between_tiles": _logit,
    "contrast_variation": _log,
    "trend_residual": _log,
    "trend_residual_ratio": _logit,
    "structure_ratio": _bounded,
}
