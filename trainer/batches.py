"""What the student is shown: which images in which order, and the batches made of them.

The order is a function of the seed and the epoch, so a run can go on from any step, and several
processes agree on it without a word.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.model import DetectorModel
from dgsforensics.detector.read_ahead import ahead
from dgsforensics.errors import ConfigError
from dgsforensics.records import Label

from .config import TrainConfig
from .distributed import Group
from .features import draws_of, treated
from .teacher import Head


@dataclass(frozen=True)
class Material:
    """What there is to learn from: images and what the frozen towers say of them."""

    samples: Sequence[Sample]
    weights: NDArray[np.float64]
    """(N,) how often each is drawn, relative to the others."""
    teacher_head: Head
    """Frozen head of stage 1."""
    teacher: NDArray[np.float32]
    """(draws, N, D) frozen features of each version of each image."""
    semantics: NDArray[np.float32] | None
    """(N, D) frozen features of captions or low-passed images; None: no suppression."""


@dataclass(frozen=True)
class Batch:
    """This process's rows of a batch."""

    pixels: Tensor
    """(b, size, size, 3) uint8."""
    labels: Tensor
    """(b,) 1 for generated."""
    teacher: Tensor
    """(b, D)"""
    semantics: Tensor | None
    """(b, D)"""
    size: int
    """B, rows over all processes."""


def batches(
    material: Material,
    model: DetectorModel,
    config: TrainConfig,
    first: int,
    group: Group,
    workers: int,
) -> Iterator[Batch]:
    """Yield this process's part of each batch, on the model's device, from step `first` on.

    `workers` threads decode and augment ahead of the model. Raises `ImageError` for a file that can
    no longer be read, `ConfigError` when there are more processes than rows in a batch.
    """
    count = len(material.samples)
    if (fewest := count // math.ceil(count / config.batch)) < group.size:
        raise ConfigError(
            f"{group.size} processes cannot share batches of {fewest} images",
            f"start fewer, or choose a batch of {2 * group.size} or more",
        )
    versions = draws_of(config.augmentation, config.draws, config.first_as_is, config.seed)
    rows_of_batches, ours = itertools.tee(itertools.islice(_rows(material, config), first, None))

    def load(row: NDArray[np.int64]) -> NDArray[np.uint8]:
        index, number = row.tolist()
        draw = versions[number]
        return treated(model.config.input, material.samples[index], draw.treatment, draw.seed)

    mine = (row for rows in ours for row in rows[group.rank :: group.size])
    loaded = ahead(load, mine, workers=workers, size=2 * config.batch, seconds=math.inf)
    generated = np.array([s.label == Label.GENERATED for s in material.samples])
    device = model.head.weight.device
    for rows in rows_of_batches:
        index, draw = rows[group.rank :: group.size].T
        pixels = [p for _, p in itertools.islice(loaded, len(index)) if p is not None]
        semantics = material.semantics
        yield Batch(
            pixels=torch.from_numpy(np.stack(pixels)).to(device),
            labels=torch.from_numpy(generated[index]).float().to(device),
            teacher=torch.from_numpy(material.teacher[draw, index]).to(device),
            semantics=None if semantics is None else torch.from_numpy(semantics[index]).to(device),
            size=len(rows),
        )


def _rows(material: Material, config: TrainConfig) -> Iterator[NDArray[np.int64]]:
    """Yield the rows (B, 2) of every batch of the run.

    An epoch is cut into the fewest batches of at most `config.batch` rows, which differ by at most
    one row: a step on what would be left over counts as much as any other.
    """
    for epoch in range(config.epochs):
        order = epoch_order(material.weights, len(material.teacher), config.seed, epoch)
        yield from np.array_split(order, math.ceil(len(order) / config.batch))


def epoch_order(
    weights: NDArray[np.float64], draws: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return (N, 2) rows of image and draw: as many as there are images, each as often as its
    weight says.

    Systematic sampling: an image of weight w appears floor or ceil of N w / sum(w) times, so with
    equal weights an epoch is a permutation. Depends on nothing but the arguments.
    """
    rng = np.random.default_rng([seed, epoch])
    count = len(weights)
    edges = np.cumsum(weights)
    edges /= edges[-1]
    index = np.searchsorted(edges, (np.arange(count) + rng.random()) / count, side="right")
    index = rng.permutation(np.minimum(index, count - 1))
    return np.stack([index, rng.integers(draws, size=count)], axis=1)
