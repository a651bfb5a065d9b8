"""What the recipe of the bundled detector gives, and the same with one choice made otherwise.

    python benchmarks/recipes.py RUN --config weights/dgs-b16.toml [--folds 5] [--seeds 3]

RUN is the folder that `dgsf train` leaves beside its result (`NAME.training`): its split is taken,
and its features lie in the user's cache, so that this takes minutes. A row is a head fitted to the
frozen features of the images for training.

- `left out`: folds of sources. In each, the mean of AUROC over the sources of photographs and over
  the generators in each source, files as they are; then the mean over the folds. `worst`: the
  quarter of all sources of photographs that is ranked worst. `web`: `left out`, with the images
  after a path through the web.
- `pairs`: a head on all of them, and the mean AUROC over the sources in `PAIRS`, which show the
  same in both classes and are in no training set; as they are, and after the web.

`share of sources` takes that part of the sources for training, the mean over so many seeds. Of what
the card's headline is made of, nothing is looked at here but the pairs, three of its sources.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import platformdirs
import torch

from dgsforensics.datasets.labelled import ListedImage, Sample
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.model import DetectorModel
from dgsforensics.evaluation import protocol
from dgsforensics.evaluation.slices import SliceImage
from dgsforensics.records import FileFacts
from dgsforensics.trainer import config as options_of
from dgsforensics.trainer import data, plan
from dgsforensics.trainer.config import TrainConfig
from dgsforensics.trainer.features import draws_of, extract_draws
from dgsforensics.trainer.splits import by_source, folds
from dgsforensics.trainer.teacher import capped_weights, fit_head
from dgsforensics.trainer.validation import labels_of

PAIRS = (
    "data4sci/gallery_twin",
    "ML72/AI-Image-Classifier-Playground",
    "haywoodsloan/ai-image-detector",
)
SHARES = (0.125, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Recipe:
    """One choice of what a head is fitted to, and how."""

    name: str
    blocks: tuple[int, ...]
    draws: tuple[int, ...]
    l2: float
    cell_weight: float | None
    source_weight: float | None
    share: float = 1.0
    seeds: int = 1


@dataclass(frozen=True)
class Set:
    """Images with their features in the versions of training, (draws, N, D)."""

    samples: list[Sample]
    features: np.ndarray

    def part(self, rows: np.ndarray) -> "Set":
        """Return some of the images, by their positions."""
        return Set([self.samples[i] for i in rows.tolist()], self.features[:, rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    config = TrainConfig.from_dict(options_of.read(options.config))
    assert config.head is not None
    assert config.l2 is not None
    blocks = config.head.blocks
    everything = data.read_split(options.run / "split.jsonl")
    paired = [s for s in everything.test if s.source in PAIRS]
    if missing := set(PAIRS) - {s.source for s in paired}:
        raise SystemExit(f"not in the test of this run: {', '.join(sorted(missing))}")
    train, pairs = (features(config, part) for part in (everything.train, paired))
    every = tuple(range(len(train.features)))
    shipped = Recipe(
        "as shipped",
        blocks,
        every,
        config.l2,
        config.sources.cell_weight,
        config.sources.source_weight,
    )
    print(f"{len(train.samples)} images, {len({s.source for s in train.samples})} sources\n")
    print("| recipe | left out | worst | web | pairs | pairs, web |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for recipe in recipes(shipped, options.seeds):
        found = np.mean(
            [
                figures(recipe, seed, blocks, train, pairs, options.folds)
                for seed in range(recipe.seeds)
            ],
            axis=0,
        )
        print(
            f"| {recipe.name} | " + " | ".join(f"{value:.3f}" for value in found) + " |", flush=True
        )


def recipes(shipped: Recipe, seeds: int) -> Iterator[Recipe]:
    yield shipped
    for share in SHARES:
        yield replace(shipped, name=f"share of sources {share:g}", share=share, seeds=seeds)
    blocks = shipped.blocks
    for chosen in [(block,) for block in blocks] + [
        blocks[:2],
        blocks[1:],
        (blocks[0], blocks[-1]),
    ]:
        yield replace(shipped, name=f"blocks {' '.join(map(str, chosen))}", blocks=chosen)
    yield replace(shipped, name="as they are, once", draws=(0,))
    yield replace(shipped, name="through the web, twice", draws=(1, 2))
    yield replace(shipped, name="as they are and through the web, once each", draws=(0, 1))
    for l2 in (0.003, 0.01, 0.1, 0.3):
        yield replace(shipped, name=f"l2 {l2:g}", l2=l2)
    yield replace(shipped, name="every image counts alike", cell_weight=None, source_weight=None)


def features(config: TrainConfig, samples: list[Sample]) -> Set:
    """The versions of training, from the cache where the run has left them there."""
    planned = plan.make(config, "recipes", None)
    tower = load_backbone(planned.frozen.backbone, planned.backbone_file)
    fast = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    found = extract_draws(
        DetectorModel(planned.frozen, tower).eval(),
        samples,
        draws_of(config.augmentation, config.draws, config.first_as_is, config.seed),
        platformdirs.user_cache_path("dgsforensics") / "features",
        workers=2,
        precision=torch.bfloat16 if fast else torch.float32,
        progress=lambda done, of, _: print(f"features {done} of {of}", file=sys.stderr),
    )
    return Set(samples, found)


def figures(
    recipe: Recipe, seed: int, blocks: tuple[int, ...], train: Set, pairs: Set, count: int
) -> tuple[float, ...]:
    """Left out, worst quarter, web; pairs as they are and after the web."""
    width = train.features.shape[-1] // len(blocks)
    columns = np.concatenate(
        [np.arange(width) + blocks.index(block) * width for block in recipe.blocks]
    )
    left_out, web, ranked = [], [], []
    for fitted, held in folds(train.samples, by_source, count):
        head = fit(recipe, seed, train.part(fitted), columns)
        plain, treated = (measured(head, train.part(held), draw, columns) for draw in (0, 1))
        left_out.append(known(plain.auroc))
        web.append(known(treated.auroc))
        counted = [s for s in plain.sources if s.real and s.real.count >= protocol.ENOUGH]
        ranked += [known(s.auroc) for s in counted]
    worst = sorted(ranked)[: max(1, round(len(ranked) / 4))]
    head = fit(recipe, seed, train, columns)
    in_pairs = [known(measured(head, pairs, draw, columns).pairs) for draw in (0, 1)]
    return (*(float(np.mean(values)) for values in (left_out, worst, web)), *in_pairs)


def known(value: float | None) -> float:
    assert value is not None
    return value


def fit(recipe: Recipe, seed: int, train: Set, columns: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (D,) and bias of a head."""
    names = sorted({(s.label, s.source) for s in train.samples})
    order = np.random.default_rng(seed).permutation(len(names))
    kept: set[tuple[str, str]] = set()
    for label in {label for label, _ in names}:  # that part of the sources of each class
        mine = [names[i] for i in order.tolist() if names[i][0] == label]
        kept |= set(mine[: max(1, round(recipe.share * len(mine)))])
    rows = [i for i, s in enumerate(train.samples) if (s.label, s.source) in kept]
    part = train.part(np.array(rows))
    weights = capped_weights(part.samples, recipe.cell_weight, recipe.source_weight)
    shown = part.features[list(recipe.draws)][..., columns]
    weight, bias = fit_head(
        shown.reshape(-1, shown.shape[-1]),
        np.tile(labels_of(part.samples), len(shown)),
        np.tile(weights, len(shown)),
        recipe.l2,
    )
    return weight[0].numpy(), float(bias)


def measured(
    head: tuple[np.ndarray, float], held: Set, draw: int, columns: np.ndarray
) -> protocol.SourceProtocol:
    logits = held.features[draw][:, columns].astype(np.float64) @ head[0] + head[1]
    entries = [SliceImage(listed(s), FileFacts(), s.group) for s in held.samples]
    outside = np.zeros(len(entries), dtype=bool)
    found = protocol.measure("head", "clean", entries, logits, outside, 0.0)
    assert found is not None
    return found


def listed(s: Sample) -> ListedImage:
    rest = (None, None, s.sha256, s.group, s.style, "")
    return ListedImage(s.path, s.label, s.generator, s.source, *rest)


if __name__ == "__main__":
    main()
