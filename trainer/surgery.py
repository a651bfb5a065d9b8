"""Distillation-guided gradient surgery: the heart of DGS-Net (arXiv 2511.13108).

With u the features, the positive part of a gradient dL/du marks coordinates whose growth raises the
loss (harmful), the negative part those whose growth lowers it (beneficial).

    harm = relu(g_text) / (|relu(g_text)| + 1e-6)      row by row
    help = weight * min(g_teacher, 0)                  times 1/B in the reference's reduction
    reference order:  out = total - <total, harm> harm             with total = g_task + help
    paper order:      out = (g_task - <g_task, harm> harm) + help

The network is cut at the features: the heads run on leaves, their gradients come here, and what
comes out is sent back into the tower by `features.backward(out)`. No hooks, no retained graph.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Order = Literal["reference", "paper"]
"""Project the sum, as the released code does; or project the task gradient, then add."""
Reduction = Literal["reference", "per_sample"]
"""Whether the alignment carries a second 1/B, as the released code's batch mean does, or is of the
scale of the task gradient, as the paper reads."""
EPSILON = 1e-6
"""Beside the length of the harmful direction, which then fades where there is no harm."""


class SurgeryResult(NamedTuple):
    """What to send into the tower, and how much the surgery did."""

    gradient: Tensor
    """(B, D)"""
    removed: Tensor
    """Length of what suppression took away, relative to what it was taken from; 0 to 1."""
    added: Tensor
    """Length of the alignment relative to the task gradient; 0 or more."""


def operate(
    task: Tensor,
    teacher: Tensor | None,
    text: Tensor | None,
    *,
    weight: float = 0.2,
    order: Order = "reference",
    reduction: Reduction = "reference",
    batch: int | None = None,
) -> SurgeryResult:
    """Return operate on the gradients of batch-mean losses at the features, all (B, D), row by row.

    `task` is that of the student's loss, `teacher` that of the frozen teacher at its features
    (None: no alignment), `text` that of the text head at the text or semantic features (None: no
    suppression). `weight` is the paper's lambda. `batch` is the B in the losses' means when the
    rows are one process's part of it (None: the number of rows). Pure: changes nothing in place.
    """
    help = torch.zeros_like(task)
    if teacher is not None:
        divisor = (batch or len(task)) if reduction == "reference" else 1
        help = teacher.clamp(max=0) * (weight / divisor)
    subject = task + help if order == "reference" else task
    kept = subject if text is None else subject - _along(subject, harmful(text))
    return SurgeryResult(
        gradient=kept if order == "reference" else kept + help,
        removed=_ratio(subject - kept, subject),
        added=_ratio(help, task),
    )


def harmful(text: Tensor) -> Tensor:
    """Return directions (B, D) of unit length, or of none where no coordinate of a row is
    harmful."""
    raised = text.clamp(min=0)
    unit: Tensor = raised / (raised.norm(dim=1, keepdim=True) + EPSILON)
    return unit


def _along(gradient: Tensor, direction: Tensor) -> Tensor:
    """Return the part of each row that lies along its direction."""
    return (gradient * direction).sum(dim=1, keepdim=True) * direction


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    ratio: Tensor = part.norm() / whole.norm().clamp(min=torch.finfo(whole.dtype).tiny)
    return ratio
