"""Frozen features, computed once: a cache on disk that a killed run picks up where it stopped.

A row is kept by what it depends on: the content of the image, what was done to it, and (in the name
of the cache folder) the backbone, the input and what the head reads.
"""

import copy
import hashlib
import itertools
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dgsforensics import images
from dgsforensics.datasets import Sample
from dgsforensics.detector import input_pixels
from dgsforensics.model import DetectorModel
from dgsforensics.window import ahead

from . import degrade

Treatment = Literal["as_is", "standard", "degraded"]
"""Not touched; `degrade.standard`; `degrade.degrade`."""
_ROWS_PER_SHARD = 256


class FeatureCache:
    """Feature vectors by key, appended in shards; a shard is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._rows: dict[str, NDArray[np.float32]] = {}
        for shard in sorted(folder.glob("*.npz")):
            with np.load(shard) as stored:
                self._rows.update(zip(stored["keys"].tolist(), stored["rows"], strict=True))

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def take(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) in the order of `keys`, all of which are there."""
        return np.stack([self._rows[key] for key in keys])

    def add(self, rows: dict[str, NDArray[np.float32]]) -> None:
        """Keep more rows, on disk first."""
        name = hashlib.sha256("".join(rows).encode()).hexdigest()[:16]
        partial = self._folder / f"{name}.part"
        with partial.open("wb") as stream:
            np.savez(stream, keys=np.array(list(rows)), rows=np.stack(list(rows.values())))
        os.replace(partial, self._folder / f"{name}.npz")
        self._rows.update(rows)


def cache_name(model: DetectorModel, precision: torch.dtype) -> str:
    """Folder name that stands for everything but the image and its treatment."""
    config = model.config.to_dict()
    text = json.dumps([config["backbone"], config["input"], config["head"], str(precision)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def key_of(sample: Sample, treatment: Treatment, seed: int) -> str:
    """What a feature vector depends on, the cache folder aside."""
    return f"{sample.sha256}:{treatment}:{seed}:{degrade.VERSION}"


def extract(
    model: DetectorModel,
    samples: Sequence[Sample],
    treatment: Treatment,
    cache_folder: Path,
    *,
    seed: int = 0,
    batch: int = 16,
    precision: torch.dtype = torch.float32,
    progress: Callable[[int, int, float], None] = lambda done, total, rate: None,
) -> NDArray[np.float32]:
    """Features (N, D) of samples after a treatment, from the cache where it has them.

    The treatment of an image is drawn from `seed` and its content, so it is the same in every run.
    `precision` bfloat16 is faster where the processor has it, and less exact. `progress` is told
    images done, images to do and images a second. Raises `ImageError` for a file that cannot be
    read: a training set is checked before, not thinned silently.
    """
    cache = FeatureCache(cache_folder / cache_name(model, precision))
    keys = [key_of(sample, treatment, seed) for sample in samples]
    missing = [i for i, key in enumerate(keys) if key not in cache]
    if precision != torch.float32:
        model = copy.deepcopy(model).to(precision)  # casting back would not restore the weights
    fresh: dict[str, NDArray[np.float32]] = {}
    started, done = time.monotonic(), 0

    def pixels(index: int) -> tuple[str, NDArray[np.uint8]]:
        return keys[index], _treated(model, samples[index], treatment, seed)

    treated = ahead(pixels, missing, workers=1, size=4 * batch, seconds=math.inf)
    for chunk in _chunks((row for _, row in treated if row is not None), batch):
        with torch.inference_mode():
            stacked = torch.from_numpy(np.stack([pixels for _, pixels in chunk]))
            rows = model.features(stacked).float().numpy()
        fresh.update(zip((key for key, _ in chunk), rows, strict=True))
        if len(fresh) >= _ROWS_PER_SHARD:
            cache.add(fresh)
            fresh = {}
        done += len(chunk)
        progress(done, len(missing), done / (time.monotonic() - started))
    if fresh:
        cache.add(fresh)
    return cache.take(keys)


def _treated(
    model: DetectorModel, sample: Sample, treatment: Treatment, seed: int
) -> NDArray[np.uint8]:
    """The tower's input for one sample."""
    picture = images.load(sample.path)
    if treatment == "as_is":
        return input_pixels(model.config.input, picture)[0]
    image = Image.fromarray(picture.pixels)
    if treatment == "standard":
        image = degrade.standard(image)
    else:
        image = degrade.degrade(image, random.Random(f"{seed}:{sample.sha256}"))
    return input_pixels(model.config.input, images.from_pil(image))[0]


def _chunks(
    rows: Iterator[tuple[str, NDArray[np.uint8]]], size: int
) -> Iterator[list[tuple[str, NDArray[np.uint8]]]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk
