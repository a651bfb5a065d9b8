"""How good a detector is: the field's figures, by scikit-learn where it has them.

Scores are logits or probabilities, labels 1 for generated. `r_acc` and `f_acc` are the shares of
real and of generated images on the right side of the threshold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures over one set of images; None where a class is missing."""

    real: int
    generated: int
    auroc: float | None
    ap: float | None
    r_acc: float | None
    f_acc: float | None
    tpr_at_1: float | None
    """Share of generated images found when 1 % of the real ones are flagged."""
    tpr_at_5: float | None
    """The same at 5 %."""


def evaluate(scores: NDArray[np.float64], labels: NDArray[np.int64], threshold: float) -> Metrics:
    """Figures of scores (N,) against labels (N,), flagged from `threshold` on."""
    fake, real = scores[labels == 1], scores[labels == 0]
    both = len(fake) > 0 and len(real) > 0
    return Metrics(
        real=len(real),
        generated=len(fake),
        auroc=float(roc_auc_score(labels, scores)) if both else None,
        ap=float(average_precision_score(labels, scores)) if both else None,
        r_acc=float(np.mean(real < threshold)) if len(real) else None,
        f_acc=float(np.mean(fake >= threshold)) if len(fake) else None,
        tpr_at_1=tpr_at_fpr(fake, real, 0.01) if both else None,
        tpr_at_5=tpr_at_fpr(fake, real, 0.05) if both else None,
    )


def tpr_at_fpr(fake: NDArray[np.float64], real: NDArray[np.float64], rate: float) -> float:
    """Share of `fake` above the strictest threshold that flags at most a share `rate` of `real`."""
    allowed = int(np.floor(rate * len(real) + 1e-9))
    threshold = np.sort(real)[len(real) - 1 - allowed] if allowed < len(real) else -np.inf
    return float(np.mean(fake > threshold))
