"""The corpus of the bundled detector: which images serve for what, and their features.

Made for `embedded_detector.py`, `heads.py` and `views.py`. The manifest (see
`dgsforensics.datasets.labelled`) has a SHA-256 in every row; features are cached, so a run that was
stopped goes on.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dgsforensics.datasets.labelled import as_sample, read
from dgsforensics.detector.backbone import load_backbone, locate_weights
from dgsforensics.detector.config import BackboneConfig, DetectorConfig, HeadConfig, InputConfig
from dgsforensics.detector.folders import sha256_of
from dgsforensics.detector.model import DetectorModel
from dgsforensics.evaluation.metrics import Metrics, evaluate
from dgsforensics.records import Label
from dgsforensics.trainer import splits
from dgsforensics.trainer.features import Treatment, extract
from dgsforensics.trainer.teacher import Head, balanced_weights, fit_head

PAIRED = (
    "declan-wright/Image-Dataset",
    "data4sci/gallery_twin",
    "ML72/AI-Image-Classifier-Playground",
    "haywoodsloan/ai-image-detector",
)
"""Sources with real and generated images of the same kind of scene; never trained on."""
CALIBRATION = (
    "codewithminer/ImageCaptioning",
    "edkoster/ckoster",
    "immich-app/test-assets",
    "lightly-ai/coco128_yolo",
    "quantumnaan/sic_translator",
    "serengil/deepface",
    "EvoLinkAI/awesome-gpt-image-2-prompts",
    "bento170502/stable-diffusion",
    "comfyanonymous/ComfyUI_examples",
)
"""Sources for temperature, thresholds and inconclusive band; the shipped head never saw them."""
PER_SOURCE = 64
"""At most, of a source or generator, for calibration."""
REPEATS = ("clausmichele/CBSD68-dataset",)
"""Repeats photographs of BIDS/BSDS500."""

FOLDS = 5
L2 = 0.1
"""Penalty on a head, on standardised features."""
ALL_BLOCKS = tuple(range(12))
INPUT, HEAD = InputConfig("whole"), HeadConfig((7, 9))
"""What the bundled detector sees, and the blocks (from 0) whose class tokens its head reads; the
comparisons are `views.py` and `heads.py`."""
Logits = Callable[[np.ndarray], np.ndarray]
"""(N, D) to (N,)."""
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Logits]
"""A head from features (N, D), labels (N,) and weights (N,)."""
BACKBONE = BackboneConfig(sha256=sha256_of(locate_weights(BackboneConfig())))


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="root of the manifest's paths")
    parser.add_argument("--cache", type=Path, required=True, help="folder for features")
    parser.add_argument("--real", type=int, default=100, help="at most, of a source")
    parser.add_argument("--generated", type=int, default=60, help="at most, of a generator")
    parser.add_argument("--bfloat16", action="store_true", help="faster features to train on")
    return parser


class Corpus:
    """The chosen samples, and rows of them by purpose."""

    def __init__(self, options: argparse.Namespace) -> None:
        known = [as_sample(row) for row in read(options.manifest, options.images)]
        known = [s for s in known if s.source not in REPEATS]
        pairs = [s for s in known if s.source in PAIRED]
        others = [s for s in known if s.source not in PAIRED and s.style != "art"]
        self.samples = pairs + splits.capped(others, options.real, options.generated)
        self.labels = np.array([s.label == Label.GENERATED for s in self.samples], dtype=np.int64)
        source = np.array([s.source for s in self.samples])
        self.paired = {name: np.flatnonzero(source == name) for name in PAIRED}
        self.rows = np.flatnonzero(~np.isin(source, PAIRED))
        """All that is not paired."""
        held = [i for i in self.rows if source[i] in CALIBRATION]
        self.training = np.setdiff1d(self.rows, held)
        few = splits.capped([self.samples[i] for i in held], PER_SOURCE, PER_SOURCE)
        self.held = np.array([i for i in held if self.samples[i] in few])
        """For calibration: no source or generator prevails."""
        self._options = options

    def features(
        self, view: str, treatment: Treatment, seed: int = 0, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Class tokens after every block, (N, 12, 768); `as_is` always in float32. With `rows` of
        these alone: all others are not numbers."""
        exact = treatment == "as_is" or not self._options.bfloat16
        config = DetectorConfig("probe", BACKBONE, InputConfig(view), HeadConfig(ALL_BLOCKS))
        chosen = np.arange(len(self.samples)) if rows is None else rows
        flat = extract(
            DetectorModel(config, load_backbone(BACKBONE)).eval(),
            [self.samples[i] for i in chosen],
            treatment,
            self._options.cache,
            seed=seed,
            precision=torch.float32 if exact else torch.bfloat16,
            progress=_progress(f"{view}, {treatment} {seed}"),
        )
        tokens = flat.reshape(len(flat), len(ALL_BLOCKS), -1)
        found = np.full((len(self.samples), *tokens.shape[1:]), np.nan, np.float32)
        found[chosen] = tokens
        return found

    def material(
        self, draws: list[np.ndarray], rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a head is fitted to: features (N, D) of rows in each of the draws, labels, and
        weights by which every source counts alike."""
        weights = balanced_weights([self.samples[i] for i in rows], power=0)
        return (
            np.concatenate([x[rows] for x in draws]),
            np.tile(self.labels[rows], len(draws)),
            np.tile(weights, len(draws)),
        )

    def out_of_fold(
        self, fit: Fit, draws: list[np.ndarray], tests: list[np.ndarray], cell: splits.Cell
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Logits of `self.rows` in each of `tests`, each by a head that never saw its cell; and
        the fold of each row."""
        part = [self.samples[i] for i in self.rows]
        scores = [np.zeros(len(part)) for _ in tests]
        fold_of = np.zeros(len(part), dtype=int)
        for number, (train, test) in enumerate(splits.folds(part, cell, FOLDS)):
            head = fit(*self.material(draws, self.rows[train]))
            fold_of[test] = number
            for score, x in zip(scores, tests, strict=True):
                score[test] = head(x[self.rows[test]])
        return scores, fold_of


def read_out(tokens: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """What a head with `HeadConfig(blocks)` reads, (N, D), from (N, 12, 768)."""
    if blocks:
        return tokens[:, list(blocks)].reshape(len(tokens), -1)
    tower = load_backbone(BACKBONE)
    with torch.inference_mode():
        return (tower.ln_post(torch.from_numpy(tokens[:, -1].copy())) @ tower.proj).numpy()


def linear(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, l2: float = L2) -> Logits:
    """A linear head, as stage 1 of DGS-Net has it."""
    return partial(logits, fit_head(features, labels, weights, l2))


def logits(head: Head, x: np.ndarray) -> np.ndarray:
    weight, bias = head
    return (torch.from_numpy(x) @ weight.T + bias).squeeze(1).double().numpy()


def mean_over_folds(scores: np.ndarray, labels: np.ndarray, fold_of: np.ndarray) -> Metrics:
    """Metrics averaged over folds, for logits of different heads do not compare."""
    each = [evaluate(scores[fold_of == f], labels[fold_of == f], 0.0) for f in range(FOLDS)]
    names = [f.name for f in dataclasses.fields(Metrics) if f.name not in ("real", "generated")]
    values = {name: sum(getattr(m, name) for m in each) / FOLDS for name in names}
    return Metrics(real=int(sum(labels == 0)), generated=int(sum(labels == 1)), **values)


def _progress(what: str):
    def report(done: int, total: int, rate: float) -> None:
        if done % 320 == 0 or done == total:
            print(f"{what}: {done}/{total}, {rate:.2f}/s", file=sys.stderr, flush=True)

    return report
