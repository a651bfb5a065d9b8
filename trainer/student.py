"""Stage 2 of DGS-Net (arXiv 2511.13108): LoRA on the image tower, under gradient surgery.

The network is cut at the features. The heads of student, frozen teacher and text run on leaves;
their gradients go through `surgery.operate`, and the result goes back into the tower. The alignment
loss is linear in the features, so it is never computed: `operate` adds its gradient.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import DgsError
from dgsforensics.interrupts import deferred_interrupt

from . import snapshot
from .batches import Batch, Material, batches
from .config import TrainConfig
from .distributed import Group
from .snapshot import TrainState
from .surgery import operate
from .teacher import Head

ROWS_AT_ONCE = 8
"""Images that go through the tower together on a CPU."""
SAVE_SECONDS = 120.0
"""At most so much work is lost to a power cut."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    step: int
    """Counted from 1."""
    steps: int
    epoch: int
    """Counted from 1."""
    loss: float
    """Student's, mean over the batch."""
    text_loss: float | None
    """Text head's; None without suppression."""
    removed: float
    """Share of the gradient that suppression took away (`surgery.Operated`)."""
    added: float
    """Alignment relative to the task gradient."""
    images_per_second: float
    """Since this process began."""


def fit(
    model: DetectorModel,
    material: Material,
    config: TrainConfig,
    *,
    save_to: Path,
    fingerprint: str,
    group: Group,
    workers: int,
    tell: Callable[[Step], None],
    epoch_done: Callable[[int, int], None] = lambda epoch, step: None,
) -> None:
    """Train adapters and head of the model in place, from where `save_to` says, if it is there.

    `fingerprint` stands for data and options: a state with another one is refused. `tell` is called
    after each step, `epoch_done` with epoch and step after each epoch. On the CPU a run that was
    stopped and goes on ends with the same numbers, bit for bit, as one that never stopped. Ctrl-C
    ends it between two steps, with the state saved. Raises `DgsError` when the loss is no longer
    finite.
    """
    device = model.head.weight.device
    state = begin(model, config, device)
    snapshot.restore(state, save_to, fingerprint)
    steps_per_epoch = math.ceil(len(material.samples) / config.batch)
    total = steps_per_epoch * config.epochs
    teacher_head = frozen(material.teacher_head, device)
    suppressed = config.method == "dgs" and material.semantics is not None
    model.train()
    began, seen, saved = time.monotonic(), 0, time.monotonic()

    def save() -> None:
        nonlocal saved
        if group.rank == 0:
            snapshot.save(state, save_to, fingerprint)
        saved = time.monotonic()

    with deferred_interrupt() as interrupted:
        for batch in batches(material, model, config, state.step, group, workers):
            torch.manual_seed(_seed(config.seed, state.step, group.rank))  # dropout
            figures = [torch.zeros((), device=device) for _ in range(4)]
            for part, share in _parts(batch):
                done = backward(model, state.text_head, teacher_head, part, config)
                for figure, found, weight in zip(figures, done, (1, 1, share, share), strict=True):
                    figure += found * weight
            group.sum(figures)
            loss, text_loss, removed, added = (float(x) for x in figures)
            if not math.isfinite(loss + text_loss):
                raise DgsError(
                    f"step {state.step + 1}: the loss is not finite ({loss:g}, text {text_loss:g})",
                    _where_to_go_on(save_to),
                )
            group.sum(p.grad for p in state.trained if p.grad is not None)
            state.optimiser.step()
            state.optimiser.zero_grad()
            state.step += 1
            seen += batch.size
            tell(
                Step(
                    step=state.step,
                    steps=total,
                    epoch=(state.step - 1) // steps_per_epoch + 1,
                    loss=loss,
                    text_loss=text_loss if suppressed else None,
                    removed=removed / group.size,
                    added=added / group.size,
                    images_per_second=seen / (time.monotonic() - began),
                )
            )
            if state.step % steps_per_epoch == 0:
                save()
                model.eval()
                epoch_done(state.step // steps_per_epoch, state.step)
                model.train()
            elif time.monotonic() - saved > SAVE_SECONDS:
                save()
            if interrupted.is_set():
                save()
                raise KeyboardInterrupt
    model.eval()


def _parts(batch: Batch) -> Iterator[tuple[Batch, float]]:
    """Yield this process's rows of a batch in parts, and the share of them that a part has.

    What a tower keeps for the way back is most of the memory of a run. All that is done with a row
    is done by itself, so the gradients of the parts add up to that of the whole; on a CPU a part of
    8 rows is as fast as one of 32.
    """
    rows = len(batch.labels)
    step = ROWS_AT_ONCE if batch.pixels.device.type == "cpu" else rows
    for first in range(0, rows, step):
        chosen = slice(first, first + step)
        semantics = None if batch.semantics is None else batch.semantics[chosen]
        part = dataclasses.replace(
            batch,
            pixels=batch.pixels[chosen],
            labels=batch.labels[chosen],
            teacher=batch.teacher[chosen],
            semantics=semantics,
        )
        yield part, len(part.labels) / rows


def backward(
    model: DetectorModel,
    text_head: nn.Linear,
    teacher_head: nn.Linear,
    batch: Batch,
    config: TrainConfig,
) -> list[Tensor]:
    """Return gradients into all that is trained; loss, text loss and what the surgery did."""
    low = config.precision == "bfloat16"
    with torch.autocast(batch.pixels.device.type, torch.bfloat16, enabled=low):
        features = model.features(batch.pixels)  # (b, D)
    student = features.detach().float().requires_grad_()
    loss = _loss(model.head, student, batch)
    zero = torch.zeros_like(loss)
    text_loss, text, teacher = zero, None, None
    if config.method == "dgs":
        if batch.semantics is not None:
            text = batch.semantics.requires_grad_()
            text_loss = _loss(text_head, text, batch)
        if config.surgery.weight > 0:
            teacher = batch.teacher.requires_grad_()
    teacher_loss = zero if teacher is None else _loss(teacher_head, teacher, batch)
    (loss + text_loss + teacher_loss).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    operated = operate(
        student.grad,
        None if teacher is None else teacher.grad,
        None if text is None else text.grad,
        weight=config.surgery.weight,
        order=config.surgery.order,
        reduction=config.surgery.reduction,
        batch=batch.size,
    )
    features.backward(operated.gradient.to(features.dtype))  # type: ignore[no-untyped-call]
    return [x.detach() for x in (loss, text_loss, operated.removed, operated.added)]


def _loss(head: nn.Linear, features: Tensor, batch: Batch) -> Tensor:
    """Return this process's part of the mean BCE over the joint batch."""
    logits = head(features).squeeze(1)
    return F.binary_cross_entropy_with_logits(logits, batch.labels, reduction="sum") / batch.size


def begin(model: DetectorModel, config: TrainConfig, device: torch.device) -> TrainState:
    """Return the state before the first step: a new text head, an optimiser without memory."""
    torch.manual_seed(_seed(config.seed, 0, -1))  # the same in every process
    text_head = nn.Linear(model.head.in_features, 1).to(device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam([*trained, *text_head.parameters()], lr=config.lr)
    return TrainState(0, model, text_head, optimiser)


def frozen(head: Head, device: torch.device) -> nn.Linear:
    """Return a head as a layer that does not learn."""
    linear = nn.Linear(head[0].shape[1], 1)
    linear.load_state_dict({"weight": head[0], "bias": head[1]})
    return linear.requires_grad_(False).to(device)


def _seed(*parts: int) -> int:
    """Return a seed for torch from several numbers."""
    entropy = np.random.SeedSequence([part % 2**32 for part in parts])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _where_to_go_on(save_to: Path) -> str:
    advice = "start over with --force, and a lower lr or precision float32"
    if save_to.is_file():
        return f"the last good state is in {save_to}; {advice}"
    return f"nothing was saved yet; {advice}"
