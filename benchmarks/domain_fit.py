"""Fit `dgsforensics.pictures.domain`: graphics, documents, gradients and noise against photographs.

    python benchmarks/domain_fit.py --manifest FILE [--manifest FILE] --images DIR --cache DIR

Writes `weights/domain.json`. Photographs and generated pictures of the corpus, without art and
without what the recipe of the bundled detector leaves out as no pictures: the half that `domain.py`
does not report on, at most `LIMIT` of a source and generator; and pictures of `graphics.py` and
`patterns.py`, `PER_KIND` of each kind. All as they are, re-compressed and reduced; photographs also
in the other versions of `PHOTOGRAPHS`.

A multinomial logistic regression tells the classes apart; every source weighs alike, and so does
every class of graphics. A class is named where its log-odds against a photograph are positive and
above those that a share `FALSE_POSITIVE_RATE` of the photographs reaches, sources weighing alike,
and of the generated pictures. After a new fit `detector.config.PREPROCESSING_VERSION` has to be
raised.

Statistics are kept in `--cache`, so a run that was stopped goes on; when a statistic, a version,
`graphics.py` or `patterns.py` has changed, it has to be a new folder.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import graphics
import numpy as np
import patterns
from domain import fitted_on, half, left_out
from PIL import Image, ImageFilter, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dgsforensics.datasets.labelled import Sample, as_sample, read
from dgsforensics.detector.folders import sha256_of
from dgsforensics.pictures import decoder, domain
from dgsforensics.pictures.canonical import encode
from dgsforensics.pictures.domain_statistics import DomainStatistics, measure
from dgsforensics.trainer import splits
from dgsforensics.trainer.features import FeatureCache

LIMIT = 30
"""Pictures of a source and generator."""
PER_KIND = 120
"""Pictures of each kind of graphics."""
LARGEST = 1600
"""Longest side of a photograph before it is treated."""
FALSE_POSITIVE_RATE = 0.003
"""Share that may lie above the threshold of a class."""
PHOTOGRAPHS_WEIGH = 3.0
"""All photographs together, against the graphics of a class: to name one costs more."""
REGULARISATION = 0.1
"""C of scikit-learn. With 10 and more, pictures unlike all of these, such as soft gradients with a
few edges and noise on them, are told with too much confidence."""
NIGHT = 28
"""Mean level of a photograph taken at night."""
SMALL = 128
"""Longest side of a thumbnail."""
ENOUGH = 60
"""Rows from which on a source weighs no more."""
GENERATED = "generated"
TOGETHER = 64
"""Pictures whose statistics are written at once."""
CLASSES = {
    domain.PHOTOGRAPH: (),
    "a single colour": patterns.BLANK,
    "a smooth gradient": patterns.GRADIENTS,
    "noise or a pattern": patterns.NOISE,
    "a document or drawing": graphics.DOCUMENTS,
    "a flat graphic": graphics.GRAPHICS,
}
"""Kinds of pictures by class."""
OUT = Path(__file__).parent.parent / "weights" / "domain.json"
Treatment = Callable[[Image.Image], Image.Image]

ANY: dict[str, Treatment] = {
    "as it is": lambda image: image,
    "JPEG 60": lambda image: encode(image, "JPEG", 60),
    "half": half,
    "half, JPEG 75": lambda image: encode(half(image), "JPEG", 75),
}


def levels(factor: float, offset: float) -> Treatment:
    return lambda image: image.point([factor * level + offset for level in range(256)] * 3)


def night(image: Image.Image) -> Image.Image:
    """Darkened to a mean of `NIGHT` levels, unless it is darker."""
    mean = float(np.asarray(image).mean())
    return levels(min(1.0, NIGHT / max(mean, 1.0)), 0)(image)


def thumbnail(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((SMALL, SMALL))
    return small


def cut_out(image: Image.Image) -> Image.Image:
    """The middle on a white ground, as in a shop."""
    width, height = image.size
    mask = Image.new("L", image.size)
    box = width // 4, height // 4, width - width // 4, height - height // 4
    mask.paste(255, box)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


PHOTOGRAPHS = ANY | {
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(image.width / 100)),
    "dark": night,
    "pale": levels(0.3, 150),
    "letterboxed": lambda image: ImageOps.expand(image, (0, image.height // 5), "black"),
    "cut out": cut_out,
    "black and white": lambda image: image.convert("L").convert("RGB"),
    "thumbnail": thumbnail,
}


@dataclasses.dataclass(frozen=True)
class Rows:
    """Statistics of pictures, a row a version."""

    group: np.ndarray
    """(N,) source of a photograph, `GENERATED`, or kind of a graphic."""
    features: np.ndarray
    """(N, 18) as `domain.features`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, action="append", required=True)
    parser.add_argument("--images", type=Path, required=True, help="root of the manifests' paths")
    parser.add_argument("--cache", type=Path, required=True, help="folder for statistics")
    options = parser.parse_args()
    cache = FeatureCache(options.cache)
    photographs = rows(cache, PHOTOGRAPHS, of_corpus(options))
    drawn = rows(cache, ANY, ((kind, f"{kind} {i}", loader(kind, i)) for kind, i in numbers()))
    weights, bias = fit(photographs, drawn)
    model = domain.DomainModel(tuple(CLASSES), weights, bias, np.zeros(len(CLASSES)))
    cuts = cut_offs(photographs, domain.log_odds(model, photographs.features))
    stored = {
        "origin": origin(options.manifest, photographs, drawn),
        "classes": list(CLASSES),
        "weights": [dict(zip(domain.names(), row.tolist(), strict=True)) for row in weights],
        "bias": bias.tolist(),
        "thresholds": dict(zip(list(CLASSES)[1:], cuts.tolist(), strict=True)),
    }
    OUT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    for part in (photographs, drawn):
        above: np.ndarray = np.any(domain.log_odds(model, part.features) > cuts, axis=1)
        for name in np.unique(part.group).tolist():
            among = above[part.group == name]
            print(f"{name}: {among.mean():.1%} of {len(among)}")


def origin(manifests: list[Path], photographs: Rows, drawn: Rows) -> dict[str, object]:
    """What the numbers were fitted on and with."""
    generated = int((photographs.group == GENERATED).sum())
    return {
        "command": "benchmarks/domain_fit.py",
        "versions": {name: version(name) for name in ("numpy", "pillow", "scikit-learn")},
        "manifests": [sha256_of(file) for file in manifests],
        "sources_of_photographs": len(np.unique(photographs.group)) - (generated > 0),
        "rows": {
            "photographs": len(photographs.group) - generated,
            "generated": generated,
            "graphics": len(drawn.group),
        },
        "photographs_weigh": PHOTOGRAPHS_WEIGH,
        "regularisation": REGULARISATION,
        "false_positive_rate": FALSE_POSITIVE_RATE,
    }


def numbers() -> Iterator[tuple[str, int]]:
    kinds = [kind for drawn in CLASSES.values() for kind in drawn]
    return ((kind, number) for kind in kinds for number in range(PER_KIND))


def loader(kind: str, number: int) -> Callable[[], Image.Image]:
    module = patterns if kind in patterns.KINDS else graphics
    return lambda: module.draw(kind, number)


def of_corpus(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], Image.Image]]]:
    listed = [as_sample(row) for file in options.manifest for row in read(file, options.images)]
    listed = [sample for sample in listed if sample.style != "art" and not left_out(sample)]
    chosen = splits.capped(listed, LIMIT, LIMIT)
    for sample in chosen:
        if fitted_on(sample.path.relative_to(options.images)):
            yield (
                sample.source if sample.generator is None else GENERATED,
                sample.sha256,
                opener(sample),
            )


def opener(sample: Sample) -> Callable[[], Image.Image]:
    def opened() -> Image.Image:
        image = Image.fromarray(decoder.load(sample.path).pixels)
        image.thumbnail((LARGEST, LARGEST))
        return image

    return opened


def rows(
    cache: FeatureCache,
    treatments: dict[str, Treatment],
    pictures: Iterator[tuple[str, str, Callable[[], Image.Image]]],
) -> Rows:
    """Every picture (group, name, how to get it) in every version that is large enough."""
    listed = list(pictures)
    fresh: dict[str, np.ndarray] = {}
    for number, (_, name, opened) in enumerate(listed, 1):
        if name not in cache:
            image = opened()
            versions = (np.asarray(treatment(image)) for treatment in treatments.values())
            fresh[name] = np.stack([statistics(version) for version in versions])
        if len(fresh) == TOGETHER or (fresh and number == len(listed)):
            cache.add(fresh)
            fresh = {}
            print(f"{number} of {len(listed)} pictures", file=sys.stderr, flush=True)
    groups, stored = [], []
    for group, name, _ in listed:
        [values] = cache.take([name])
        values = values[np.isfinite(values).all(axis=1)]
        groups += [group] * len(values)
        stored += [domain.features(DomainStatistics(*row.tolist())) for row in values]
    return Rows(np.array(groups), np.stack(stored))


def statistics(pixels: np.ndarray) -> np.ndarray:
    """Those of `measure`; not numbers for what is too small."""
    height, width, _ = pixels.shape
    if min(height, width) < domain.SHORTEST or height * width < domain.FEWEST:
        return np.full(len(domain.names()), np.nan)
    return np.array(dataclasses.astuple(measure(pixels)))


def fit(photographs: Rows, drawn: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, F) and bias (C,) on the features as they are, to six digits."""
    source = alike(photographs)
    classes = {kind: number for number, kinds in enumerate(CLASSES.values()) for kind in kinds}
    drawn_as = np.array([classes[kind] for kind in drawn.group.tolist()])
    labels = np.r_[np.zeros(len(source), int), drawn_as]
    weighs = np.r_[source / source.sum() * PHOTOGRAPHS_WEIGH, 1 / np.bincount(drawn_as)[drawn_as]]
    values = np.r_[photographs.features, drawn.features]
    scaler = StandardScaler().fit(values)
    model = LogisticRegression(C=REGULARISATION, max_iter=5000)
    model.fit(scaler.transform(values), labels, sample_weight=weighs / weighs.mean())
    weights = model.coef_ / scaler.scale_
    return rounded(weights), rounded(model.intercept_ - weights @ scaler.mean_)


def rounded(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.6g}") for value in values.ravel()]).reshape(values.shape)


def alike(photographs: Rows) -> np.ndarray:
    """Weights (N,) that make every source count the same, small ones less."""
    _, inverse, counts = np.unique(photographs.group, return_inverse=True, return_counts=True)
    weights: np.ndarray = (1 / np.maximum(counts, ENOUGH))[inverse]
    return weights


def cut_offs(photographs: Rows, odds: np.ndarray) -> np.ndarray:
    """Thresholds (C - 1,) of the log-odds (N, C - 1)."""
    generated = photographs.group == GENERATED
    weights = alike(photographs)
    real, made = (
        [reached(values[part], weights[part]) for values in odds.T]
        for part in (~generated, generated)
    )
    return np.maximum(0.0, np.maximum(real, made)).round(3)


def reached(values: np.ndarray, weights: np.ndarray) -> float:
    """What a share `FALSE_POSITIVE_RATE` of the values, by weight, lies above."""
    order = np.argsort(-values)
    above = np.cumsum(weights[order]) / weights.sum()
    return float(values[order[np.searchsorted(above, FALSE_POSITIVE_RATE)]])


if __name__ == "__main__":
    main()
