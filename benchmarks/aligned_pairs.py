"""Do photographs that went through an autoencoder teach a head what generation leaves behind?

    python benchmarks/aligned_pairs.py --manifest FILE --images DIR --cache DIR --out DIR \\
        --real 100 --generated 60 --bfloat16 [--photographs 30] [--steps 400]

A pair is a photograph and what an autoencoder made of it: content, size and, by the same random
path through the web, format are equal. At most `--photographs` of each source that is trained on
serve, and autoencoders of three kinds in turn, trained here for `--steps` (`autoencoders.py`). The
head of the bundled detector is fitted without pairs and with them, as a share of the weight of all
other images.

The first columns are AUROC on left-out sources, mildly treated and degraded, mean over folds; no
pair of a left-out source is trained on. The others are of a head that never saw the sources for
calibration: AUROC on those and on each content-matched pair of sources, files as they are, and the
mean share of real pictures in the latter that it flags where 1 % of the photographs for calibration
are flagged. Features are kept in `--out`.
"""

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from autoencoders import CROP, KINDS, passed_through, trained
from corpus import BACKBONE, FOLDS, HEAD, INPUT, L2, Corpus, Logits, arguments, logits, read_out
from PIL import Image

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.config import DetectorConfig
from dgsforensics.detector.model import DetectorModel
from dgsforensics.detector.views import input_pixels
from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.pictures import decoder
from dgsforensics.trainer import splits
from dgsforensics.trainer.teacher import fit_head
from dgsforensics.trainer.treatments import degrade

LONGEST = 512
"""Pixels of the longer side before a photograph goes through."""
Fit = Callable[[np.ndarray], Logits]
"""A head for the images of some rows."""
SHARES = (0.0, 0.1, 0.3, 1.0)
"""Weight of all pairs relative to all other images."""
COLUMNS = ("weight of pairs", "source, standard", "source, degraded", "pairs told apart")
COLUMNS += ("calibration", "declan-wright", "data4sci", "ML72", "haywoodsloan", "flagged")


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for features of pairs")
    parser.add_argument("--photographs", type=int, default=30, help="at most, of a source")
    parser.add_argument("--steps", type=int, default=400, help="of training an autoencoder")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(options)
    real = [corpus.samples[i] for i in corpus.training if not corpus.labels[i]]
    chosen = splits.capped(real, options.photographs, options.photographs)
    pairs = features_of_pairs(chosen, options)
    print(f"{len(chosen)} pairs beside {len(corpus.training)} images\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "| ---: " * len(COLUMNS) + "|")
    read = {
        name: read_out(corpus.features(INPUT.view, name), HEAD.blocks)
        for name in ("degraded", "standard")
    }
    outside = np.concatenate([corpus.held, *corpus.paired.values()])
    as_is = read_out(corpus.features(INPUT.view, "as_is", rows=outside), HEAD.blocks)
    for share in SHARES:
        fit = partial(fitted, corpus, read["degraded"], chosen, pairs, share)
        figures = [*left_out(corpus, read, chosen, pairs, fit), *elsewhere(corpus, as_is, fit)]
        print(f"| {share:g} | " + " | ".join(f"{x:.3f}" for x in figures) + " |", flush=True)


def features_of_pairs(chosen: Sequence[Sample], options: argparse.Namespace) -> np.ndarray:
    """(2, N, D): the photographs, and what the autoencoders made of them, both degraded alike."""
    file = options.out / f"pairs-{len(chosen)}-{options.steps}.npy"
    if file.exists():
        return np.load(file)
    photographs = [photograph(sample) for sample in chosen]
    crops = np.stack([crop(*each) for each in zip(photographs, chosen, strict=True)])
    nets = [trained(kind, crops, options.steps) for kind in KINDS]
    model = DetectorModel(DetectorConfig("pairs", BACKBONE, INPUT, HEAD), load_backbone(BACKBONE))
    model = model.eval().to(torch.bfloat16 if options.bfloat16 else torch.float32)
    rows = []
    for number, (before, sample) in enumerate(zip(photographs, chosen, strict=True)):
        after = passed_through(nets[number % len(nets)], before)
        both = []
        for image in (before, after):
            rng = random.Random(f"pair:{sample.sha256}")  # the same path for both
            picture = decoder.from_pil(degrade(image, rng))
            both.append(input_pixels(INPUT, picture)[0])
        with torch.inference_mode():
            rows.append(model.features(torch.from_numpy(np.stack(both))).float().numpy())
        if number % 50 == 49:
            print(f"{number + 1} of {len(chosen)} pairs", file=sys.stderr, flush=True)
    found = np.stack(rows, axis=1)
    np.save(file, found)
    return found


def photograph(sample: Sample) -> Image.Image:
    """With sides that are multiples of 8."""
    image = Image.fromarray(decoder.load(sample.path).pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    width, height = (max(8, side // 8 * 8) for side in image.size)
    return image.crop((0, 0, width, height))


def crop(image: Image.Image, sample: Sample) -> np.ndarray:
    """(CROP, CROP, 3) of a photograph, somewhere."""
    if min(image.size) < CROP:
        factor = CROP / min(image.size)
        image = image.resize([max(CROP, round(side * factor)) for side in image.size])
    rng = random.Random(sample.sha256)
    left, top = (rng.randint(0, side - CROP) for side in image.size)
    return np.asarray(image.crop((left, top, left + CROP, top + CROP)))


def fitted(
    corpus: Corpus,
    degraded: np.ndarray,
    chosen: Sequence[Sample],
    pairs: np.ndarray,
    share: float,
    rows: np.ndarray,
) -> Logits:
    """A head for the images of some rows, and the pairs of their sources."""
    x, y, weights = corpus.material([degraded], rows)
    sources = {corpus.samples[i].source for i in rows}
    kept = np.flatnonzero([sample.source in sources for sample in chosen])
    if share:
        x = np.concatenate([x, *pairs[:, kept]])
        y = np.concatenate([y, np.repeat((0, 1), len(kept))])
        each = share * weights.sum() / (2 * len(kept))
        weights = np.concatenate([weights, np.full(2 * len(kept), each)])
    return partial(logits, fit_head(x, y, weights, L2))


def left_out(
    corpus: Corpus,
    read: dict[str, np.ndarray],
    chosen: Sequence[Sample],
    pairs: np.ndarray,
    fit: Fit,
) -> list[float]:
    """AUROC on left-out sources in both treatments, and of left-out pairs."""
    part = [corpus.samples[i] for i in corpus.rows]
    found = []
    for train, test in splits.folds(part, splits.by_source, FOLDS):
        head, rows = fit(corpus.rows[train]), corpus.rows[test]
        treatments = read["standard"], read["degraded"]
        line = [auroc(head(x[rows]), corpus.labels[rows]) for x in treatments]
        sources = {corpus.samples[i].source for i in rows}
        away = np.flatnonzero([sample.source in sources for sample in chosen])
        scores = [head(side[away]) for side in pairs]
        line.append(auroc(np.concatenate(scores), np.repeat((0, 1), len(away))))
        found.append(line)
    return np.nanmean(np.array(found), axis=0).tolist()


def elsewhere(corpus: Corpus, as_is: np.ndarray, fit: Fit) -> list[float]:
    """AUROC on the sources for calibration and on the paired ones; share of the latter flagged."""
    head, y = fit(corpus.training), corpus.labels
    held = head(as_is[corpus.held])
    cut = float(np.quantile(held[y[corpus.held] == 0], 0.99))
    figures, flagged = [auroc(held, y[corpus.held])], []
    for rows in corpus.paired.values():
        scores = head(as_is[rows])
        figures.append(auroc(scores, y[rows]))
        flagged.append(float((scores[y[rows] == 0] > cut).mean()))
    return [*figures, float(np.mean(flagged))]


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Not a number where there is but one class."""
    found = evaluate(scores, labels, 0.0).auroc if len(labels) else None
    return float("nan") if found is None else found


if __name__ == "__main__":
    main()
