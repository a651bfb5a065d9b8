"""Frozen features, computed once: a cache on disk that a killed run picks up where it stopped.

A row is kept by what it depends on: the content of the image, what was done to it, and (in the
names of the cache folders) the backbone, the input, what the head reads, and the treatment.
"""

import copy
import hashlib
import itertools
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dgsforensics import atomic
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.config import InputConfig
from dgsforensics.detector.model import DetectorModel
from dgsforensics.detector.read_ahead import ahead
from dgsforensics.detector.views import input_pixels
from dgsforensics.errors import ConfigError
from dgsforensics.pictures import canonical, decoder

from . import semantics, treatments
from .treatments import Augmentation

Treatment = Literal["as_is", "standard", "degraded", "web", "flip", "lowpass"]
"""Not touched; `canonical.standard`; `treatments.degrade`, `web` and `flip`;
`semantics.lowpass` instead of the detector's own view."""
_VERSIONS: dict[Treatment, str] = {
    "as_is": "1",
    "standard": "1",
    "degraded": f"{treatments.VERSION}",
    "web": f"{treatments.VERSION}",
    "flip": f"{treatments.VERSION}",
    "lowpass": f"{semantics.VERSION}",
}
TREATMENTS: dict[Augmentation, Treatment] = {"web": "web", "flip": "flip", "none": "as_is"}
"""What an augmentation does to each training image."""
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
        """Return (N, D) in the order of `keys`, all of which are there."""
        return np.stack([self._rows[key] for key in keys])

    def add(self, rows: dict[str, NDArray[np.float32]]) -> None:
        """Keep more rows, on disk first."""
        name = hashlib.sha256("".join(rows).encode()).hexdigest()[:16]
        # By a stream: to a name of another suffix numpy adds its own.
        with (
            atomic.replacing(self._folder / f"{name}.npz") as part,
            part.open("wb") as stream,
        ):
            np.savez(stream, keys=np.array(list(rows)), rows=np.stack(list(rows.values())))
        self._rows.update(rows)


def cache_folder(root: Path, model: DetectorModel, precision: torch.dtype, name: str) -> Path:
    """Return where rows lie that differ only in the image and in the version of the treatment
    `name`.
    """
    config = model.config.to_dict()
    text = json.dumps([config["backbone"], config["input"], config["head"], str(precision)])
    return root / hashlib.sha256(text.encode()).hexdigest()[:16] / name


def key_of(sample: Sample, treatment: Treatment, seed: int) -> str:
    """Return what a feature vector depends on, the cache folder aside."""
    return f"{sample.sha256}:{treatment}:{seed}:{_VERSIONS[treatment]}"


def extract(
    model: DetectorModel,
    samples: Sequence[Sample],
    treatment: Treatment,
    cache_root: Path,
    *,
    seed: int = 0,
    batch: int = 16,
    precision: torch.dtype = torch.float32,
    progress: Callable[[int, int, float], None] = lambda done, total, rate: None,
) -> NDArray[np.float32]:
    """Return features (N, D) of samples after a treatment, from the cache where it has them.

    The treatment of an image is drawn from `seed` and its content, so it is the same in every run.
    `precision` bfloat16 is faster where the processor has it, and less exact. `progress` is told
    images done, images to do and images a second. Raises `ImageError` for a file that cannot be
    read: a training set is checked before, not thinned silently. Raises `ConfigError` for a model
    with adapters: the cache knows a tower by its weights file alone.
    """
    if model.config.lora is not None:
        raise ConfigError("features are cached for frozen towers only, this one has adapters")
    cache = FeatureCache(cache_folder(cache_root, model, precision, f"{treatment}-{seed}"))
    keys = [key_of(sample, treatment, seed) for sample in samples]
    missing = [i for i, key in enumerate(keys) if key not in cache]
    if precision != torch.float32:
        model = copy.deepcopy(model).to(precision)  # casting back would not restore the weights
    fresh: dict[str, NDArray[np.float32]] = {}
    started, done = time.monotonic(), 0

    def pixels(index: int) -> tuple[str, NDArray[np.uint8]]:
        return keys[index], treated(model.config.input, samples[index], treatment, seed)

    device = model.head.weight.device
    window = ahead(pixels, missing, workers=1, size=4 * batch, seconds=math.inf)
    for chunk in _chunks((row for _, row in window if row is not None), batch):
        with torch.inference_mode():
            stacked = torch.from_numpy(np.stack([pixels for _, pixels in chunk]))
            rows = model.features(stacked.to(device)).float().cpu().numpy()
        fresh.update(zip((key for key, _ in chunk), rows, strict=True))
        if len(fresh) >= _ROWS_PER_SHARD:
            cache.add(fresh)
            fresh = {}
        done += len(chunk)
        progress(done, len(missing), done / (time.monotonic() - started))
    if fresh:
        cache.add(fresh)
    return cache.take(keys)


def treated(
    config: InputConfig, sample: Sample, treatment: Treatment, seed: int
) -> NDArray[np.uint8]:
    """Return the tower's input for one sample, (size, size, 3) RGB; raises `ImageError`."""
    picture = decoder.load(sample.path)
    if treatment == "as_is":
        return input_pixels(config, picture)[0]
    image = Image.fromarray(picture.pixels)
    rng = random.Random(f"{seed}:{sample.sha256}")
    match treatment:
        case "standard":
            image = canonical.standard(image)
        case "degraded":
            image = treatments.degrade(image, rng)
        case "web":
            image = treatments.web(image, rng)
        case "flip":
            image = treatments.flip(image, rng)
        case "lowpass":
            return np.asarray(semantics.lowpass(image, config.size))
        case _:
            assert_never(treatment)
    return input_pixels(config, decoder.from_pil(image))[0]


def _chunks(
    rows: Iterator[tuple[str, NDArray[np.uint8]]], size: int
) -> Iterator[list[tuple[str, NDArray[np.uint8]]]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk
