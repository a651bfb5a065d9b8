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
from dataclasses import dataclass
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
from dgsforensics.pictures import decoder
from dgsforensics.pictures.decoder import Picture

from . import semantics, treatments
from .treatments import Augmentation

Treatment = Literal["as_is", "web", "flip", "lowpass"]
"""Not touched; `treatments.web` and `flip`;
`semantics.lowpass` instead of the detector's own view."""
_Version = tuple[int, str, NDArray[np.uint8]]
"""Number of the draw, key, and what the tower is shown, (size, size, 3)."""
TREATMENTS: dict[Augmentation, Treatment] = {"web": "web", "flip": "flip", "none": "as_is"}
"""What an augmentation does to each training image."""
_ROWS_PER_SHARD = 256


@dataclass(frozen=True, slots=True)
class Draw:
    """One version of every image: what is done to it, and the seed of what is random in that."""

    treatment: Treatment
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.treatment.replace('_', ' ')} {self.seed}"


def draws_of(augmentation: Augmentation, count: int, first_as_is: bool, seed: int) -> list[Draw]:
    """Return the versions of the training images: one where nothing in them is random."""
    treatment = TREATMENTS[augmentation]
    if treatment == "as_is":
        return [Draw("as_is")]
    drawn = [Draw(treatment, seed + number) for number in range(count)]
    return [Draw("as_is"), *drawn[1:]] if first_as_is else drawn


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
    shown = model.config.preprocessing
    text = json.dumps([config["backbone"], shown, config["head"], str(precision)])
    return root / hashlib.sha256(text.encode()).hexdigest()[:16] / name


def _version_of(treatment: Treatment) -> str:
    match treatment:
        case "as_is":
            return "1"
        case "web" | "flip":
            return str(treatments.VERSION)
        case "lowpass":
            return str(semantics.VERSION)
        case _:
            assert_never(treatment)


def key_of(sample: Sample, treatment: Treatment, seed: int) -> str:
    """Return what a feature vector depends on, the cache folder aside."""
    return f"{sample.sha256}:{treatment}:{seed}:{_version_of(treatment)}"


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
    """Return features (N, D) of samples after one treatment, as `extract_draws` has them."""
    found = extract_draws(
        model,
        samples,
        [Draw(treatment, seed)],
        cache_root,
        batch=batch,
        precision=precision,
        progress=progress,
    )
    rows: NDArray[np.float32] = found[0]
    return rows


def extract_draws(
    model: DetectorModel,
    samples: Sequence[Sample],
    draws: Sequence[Draw],
    cache_root: Path,
    *,
    batch: int = 16,
    workers: int = 1,
    precision: torch.dtype = torch.float32,
    progress: Callable[[int, int, float], None] = lambda done, total, rate: None,
) -> NDArray[np.float32]:
    """Return features (draws, N, D) of versions of samples, from the cache where it has them.

    A file is decoded once for all its versions, in `workers` threads. What is random in a version
    comes from the draw's seed and the content, and batches are padded to one shape: a row does not
    depend on what else a run computes. `precision` bfloat16 is faster where the processor has it,
    and less exact. `progress` is told versions done, versions to do and versions a second. Raises
    `ImageError` for a file that cannot be read: a training set is checked before, not thinned
    silently. Raises `ConfigError` for a model with adapters: the cache knows a tower by its weights
    file alone.
    """
    if model.config.lora is not None:
        raise ConfigError("features are cached for frozen towers only, this one has adapters")
    caches = [
        FeatureCache(cache_folder(cache_root, model, precision, f"{draw.treatment}-{draw.seed}"))
        for draw in draws
    ]
    keys = [[key_of(sample, draw.treatment, draw.seed) for sample in samples] for draw in draws]
    absent = [
        [d for d, cache in enumerate(caches) if keys[d][i] not in cache]
        for i in range(len(samples))
    ]
    total = sum(map(len, absent))
    if precision != torch.float32 and total:
        model = copy.deepcopy(model).to(precision)  # casting back would not restore the weights
    fresh: list[dict[str, NDArray[np.float32]]] = [{} for _ in draws]
    started, done = time.monotonic(), 0

    def versions(i: int) -> list[_Version]:
        picture = decoder.load(samples[i].path)
        config, sha256 = model.config.input, samples[i].sha256
        return [(d, keys[d][i], version(config, picture, sha256, draws[d])) for d in absent[i]]

    device = model.head.weight.device
    missing = [i for i, of_image in enumerate(absent) if of_image]
    window = ahead(versions, missing, workers=workers, size=2 * batch, seconds=math.inf)
    for chunk in _chunks((row for _, rows in window for row in rows or ()), batch):
        pixels = np.zeros((batch, *chunk[0][2].shape), dtype=np.uint8)
        pixels[: len(chunk)] = np.stack([shown for _, _, shown in chunk])
        with torch.inference_mode():
            found = model.features(torch.from_numpy(pixels).to(device)).float().cpu().numpy()
        for (d, key, _), row in zip(chunk, found, strict=False):
            fresh[d][key] = row
            if len(fresh[d]) >= _ROWS_PER_SHARD:
                caches[d].add(fresh[d])
                fresh[d] = {}
        done += len(chunk)
        progress(done, total, done / (time.monotonic() - started))
    for cache, rest in zip(caches, fresh, strict=True):
        if rest:
            cache.add(rest)
    rows = [cache.take(own) for cache, own in zip(caches, keys, strict=True)]
    features: NDArray[np.float32] = np.stack(rows)
    return features


def treated(
    config: InputConfig, sample: Sample, treatment: Treatment, seed: int
) -> NDArray[np.uint8]:
    """Return the tower's input for one sample, (size, size, 3) RGB; raises `ImageError`."""
    return version(config, decoder.load(sample.path), sample.sha256, Draw(treatment, seed))


def version(config: InputConfig, picture: Picture, sha256: str, draw: Draw) -> NDArray[np.uint8]:
    """Return the tower's input for one version of a picture, (size, size, 3) RGB.

    `sha256` is that of the file; what is random is drawn from it. The treatment comes first, then
    the detector's canonical form and view, as in a scan of the treated picture.
    """
    if draw.treatment == "as_is":
        return input_pixels(config, picture)[0]
    image = Image.fromarray(picture.pixels)
    rng = random.Random(f"{draw.seed}:{sha256}")
    match draw.treatment:
        case "web":
            image = treatments.web(image, rng)
        case "flip":
            image = treatments.flip(image, rng)
        case "lowpass":
            return np.asarray(semantics.lowpass(image, config.size))
        case _:
            assert_never(draw.treatment)
    return input_pixels(config, decoder.from_pil(image))[0]


def _chunks(rows: Iterator[_Version], size: int) -> Iterator[list[_Version]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk
