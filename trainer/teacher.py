"""Stage 1 of DGS-Net (arXiv 2511.13108): a linear head on frozen CLIP image features.

BCE with logits, label 1 for generated. The loss is convex in a linear head, so instead of epochs of
Adam it is minimised to the end with L-BFGS, with an L2 penalty because D is of the order of N.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dgsforensics.datasets.labelled import Sample
from dgsforensics.records import Label

Head = tuple[Tensor, Tensor]
"""Weight (1, D) and bias (1,) of a linear head."""


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    l2: float,
    prior: Head | None = None,
) -> Head:
    """Return weight (1, D) and bias (1,) of the head, for raw features.

    `features` (N, D), `labels` (N,) with 1 for generated, `weights` (N,) positive. Inside, features
    are standardised, and the penalty is `l2 / 2 * ||w - w0||^2` beside the weighted mean loss,
    where `w0` is that of the `prior` head, or zero; the standardisation is then folded into the
    head. So with a prior the head moves as far as the data call for. Deterministic.
    """
    x = torch.from_numpy(features).double()  # (N, D)
    y = torch.from_numpy(labels).double()
    w = torch.from_numpy(weights / weights.sum())
    mean = (w[:, None] * x).sum(0)
    std = (w[:, None] * (x - mean) ** 2).sum(0).sqrt()
    # A feature that never changes keeps its weight, not its rounding error times a million.
    varies = std > 1e-6 * (1 + mean.abs())
    std = torch.where(varies, std, torch.inf)
    x = (x - mean) / std
    start = torch.zeros_like(mean) if prior is None else prior[0][0].double()
    origin = torch.where(varies, start * std, 0)
    weight = origin.clone().requires_grad_()
    bias = torch.zeros(1, dtype=torch.float64)
    if prior is not None:
        bias = prior[1].double() + start @ mean
    bias.requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=500,
        tolerance_grad=1e-7,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        losses = F.binary_cross_entropy_with_logits(x @ weight + bias, y, reduction="none")
        loss = (w * losses).sum() + l2 / 2 * (weight - origin).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    folded = torch.where(varies, weight / std, start).detach()
    return folded[None].float(), (bias.detach() - folded @ mean).float()


def capped_weights(
    samples: Sequence[Sample], cell_weight: float | None, source_weight: float | None
) -> NDArray[np.float64]:
    """Return weights (N,): both classes count alike; inside a class an image counts 1, the
    photographs of a source or the images of a generator in a source at most `cell_weight` together,
    and after that a source at most `source_weight`. None: no limit.

    So a source of few images counts by their number, for they say little of it, and a large one as
    much as any other.
    """
    raw = np.ones(len(samples))
    cells = [(s.label, s.source, s.generator) for s in samples]
    sources = [(s.label, s.source) for s in samples]
    for names, most in ((cells, cell_weight), (sources, source_weight)):
        if most is not None:
            total: dict[object, float] = defaultdict(float)
            for name, weight in zip(names, raw.tolist(), strict=True):
                total[name] += weight
            raw *= [min(1.0, most / total[name]) for name in names]
    return _classes_alike(raw, samples)


def _classes_alike(raw: NDArray[np.float64], samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Return the weights scaled so that those of each class sum to 1, in place."""
    generated = np.array([s.label == Label.GENERATED for s in samples])
    for side in (generated, ~generated):
        if side.any():
            raw[side] /= raw[side].sum()
    return raw


def balanced_weights(samples: list[Sample], power: float = 0.5) -> NDArray[np.float64]:
    """Return weights (N,): both classes count alike; inside a class a source or generator of n
    images counts as n to the `power` (1: every image alike, 0: every source alike).
    """
    cells = [(s.label, s.generator or s.source) for s in samples]
    count = Counter(cells)
    raw = np.array([count[cell] ** (power - 1) for cell in cells], dtype=np.float64)
    return _classes_alike(raw, samples)
