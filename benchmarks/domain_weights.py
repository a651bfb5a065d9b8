"""Fits `dgsforensics.pictures.domain`: documents, and flat graphics, against photographs.

    python benchmarks/domain_weights.py --manifest FILE --images DIR --cache DIR

Photographs and generated pictures of the corpus, art left out: the half that `domain.py` does not
report on, at most `LIMIT` of a source and generator; and pictures of `graphics.py`. All as they
are, re-compressed and reduced; photographs also blurred, dark, pale, letterboxed and cut out on
white. What a plain rule of the module recognises is left to it. Every source weighs alike.

A cut-off is where the worst of the sources has 1 % of its photographs, or 0.4 % of the generated
pictures, above it. Prints what stands in the module, then shares of this half that are recognised.
Statistics are kept in `--cache`, so a run that was stopped goes on; when `measure` or `graphics.py`
has changed, it has to be a new folder. From nothing it takes 5 minutes on one core of two busy
ones, from the cache 10 seconds.

The weights that stand in the module came from an earlier script, which is not kept. With those of
this one fewer photographs are called out of domain, and a window of the tests' gallery is missed
when it is halved.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import graphics
import numpy as np
from domain import fitted_on, half
from PIL import Image, ImageFilter, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dgsforensics.datasets.labelled import Sample, as_sample, read
from dgsforensics.pictures import decoder, domain
from dgsforensics.pictures.canonical import encode
from dgsforensics.trainer import splits
from dgsforensics.trainer.features import FeatureCache

LIMIT = 100
"""Pictures of a source and generator."""
PER_KIND = 160
"""Pictures of each kind of graphics."""
LARGEST = 1600
"""Longest side of a photograph before it is treated."""
PHOTOGRAPHS_WEIGH = 15.0
"""How much more it matters to leave a photograph alone than to recognise a graphic."""
OF_SOURCE, OF_GENERATED = 0.01, 0.004
ENOUGH = 60
"""Rows of a source from which on its share counts."""
GENERATED = "generated"
TOGETHER = 64
"""Pictures whose statistics are written at once."""
NAMES = (
    *("equal", "soft", "hard", "medium", "strong", "two_sided", "tones", "few_tones"),
    *("entropy", "ground", "written", "quiet", "edged", "broad", "unfitted", "near"),
)
"""Of what `domain.weighed` gives."""
Treatment = Callable[[Image.Image], Image.Image]

ANY: dict[str, Treatment] = {
    "as it is": lambda image: image,
    "JPEG 60": lambda image: encode(image, "JPEG", 60),
    "half": half,
    "half, JPEG 75": lambda image: encode(half(image), "JPEG", 75),
}


def levels(factor: float, offset: float) -> Treatment:
    return lambda image: image.point([factor * level + offset for level in range(256)] * 3)


def cut_out(image: Image.Image) -> Image.Image:
    """The middle on a white ground, as in a shop."""
    width, height = image.size
    mask = Image.new("L", image.size)
    box = width // 4, height // 4, width - width // 4, height - height // 4
    mask.paste(255, box)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


PHOTOGRAPHS = ANY | {
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(image.width / 100)),
    "dark": levels(0.25, 0),
    "pale": levels(0.3, 150),
    "letterboxed": lambda image: ImageOps.expand(image, (0, image.height // 5), "black"),
    "cut out": cut_out,
}


@dataclasses.dataclass(frozen=True)
class Rows:
    """Statistics of pictures, a row a version."""

    group: np.ndarray
    """(N,) source of a photograph, `GENERATED`, or kind of a graphic."""
    weighed: np.ndarray
    """(N, 16) what the weights are for."""
    ruled: np.ndarray
    """(N,) whether a plain rule recognises it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="root of the manifest's paths")
    parser.add_argument("--cache", type=Path, required=True, help="folder for statistics")
    options = parser.parse_args()
    cache = FeatureCache(options.cache)
    photographs = rows(cache, PHOTOGRAPHS, of_corpus(options))
    drawn = rows(cache, ANY, ((kind, f"{kind} {i}", loader(kind, i)) for kind, i in numbers()))
    weights, cuts, found = [], [], []
    for kinds in (graphics.DOCUMENTS, graphics.GRAPHICS):
        weight = fit(photographs, drawn, np.isin(drawn.group, list(kinds)))
        weights.append(weight)
        cuts.append(cut_off(photographs, photographs.weighed @ weight))
    for part in (photographs, drawn):
        found.append(part.ruled | (part.weighed @ np.stack(weights, 1) > cuts).any(axis=1))
    print("_WEIGHTS = np.array(\n    [")
    for name, document, graphic in zip(NAMES, *weights, strict=True):
        print(f"        [{document:g}, {graphic:g}],  # {name}")
    print(f"    ]\n)\n_FROM = ({cuts[0]:g}, {cuts[1]:g})\n")
    for part, hits in zip((photographs, drawn), found, strict=True):
        for name in np.unique(part.group):
            print(f"{name}: {hits[part.group == name].mean():.1%} of {sum(part.group == name)}")


def numbers() -> Iterator[tuple[str, int]]:
    return ((kind, number) for kind in graphics.KINDS for number in range(PER_KIND))


def loader(kind: str, number: int) -> Callable[[], Image.Image]:
    return lambda: graphics.draw(kind, number)


def of_corpus(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], Image.Image]]]:
    listed = [as_sample(row) for row in read(options.manifest, options.images)]
    chosen = splits.capped([s for s in listed if s.style != "art"], LIMIT, LIMIT)
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
        stored += [domain.Statistics(*row.tolist()) for row in values]
    return Rows(
        np.array(groups),
        np.stack([domain.weighed(found) for found in stored]),
        np.array([domain.by_rule(found) is not None or domain.flat(found) for found in stored]),
    )


def statistics(pixels: np.ndarray) -> np.ndarray:
    """Those of `domain.measure`; not numbers for what is too small."""
    height, width, _ = pixels.shape
    if min(height, width) < domain.SHORTEST or height * width < domain.FEWEST:
        return np.full(len(dataclasses.fields(domain.Statistics)), np.nan)
    return np.array(dataclasses.astuple(domain.measure(pixels)))


def fit(photographs: Rows, drawn: Rows, kinds: np.ndarray) -> np.ndarray:
    """Weights (16,) of what tells graphics of some kinds from photographs, to two decimals."""
    graphic, photograph = (
        drawn.weighed[kinds & ~drawn.ruled],
        photographs.weighed[~photographs.ruled],
    )
    _, inverse, counts = np.unique(
        photographs.group[~photographs.ruled], return_inverse=True, return_counts=True
    )
    alike = 1 / np.maximum(counts, ENOUGH)[inverse]
    weights = np.r_[np.ones(len(graphic)), alike / alike.mean() * PHOTOGRAPHS_WEIGH]
    scaler = StandardScaler().fit(np.r_[graphic, photograph])
    features = scaler.transform(np.r_[graphic, photograph])
    labels = np.r_[np.ones(len(graphic)), np.zeros(len(photograph))]
    model = LogisticRegression(max_iter=2000).fit(features, labels, sample_weight=weights)
    weights_of: np.ndarray = (model.coef_[0] / scaler.scale_).round(2)
    return weights_of


def cut_off(photographs: Rows, sums: np.ndarray) -> float:
    """The highest of the levels that the sources ask for."""

    def above(group: str) -> float:
        share = OF_GENERATED if group == GENERATED else OF_SOURCE
        return float(np.quantile(sums[photographs.group == group], 1 - share))

    names, counts = np.unique(photographs.group, return_counts=True)
    return round(max(above(name) for name in names[counts >= ENOUGH]), 2)


if __name__ == "__main__":
    main()
