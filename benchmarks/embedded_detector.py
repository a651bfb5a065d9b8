"""Make the bundled detector, and measure it: the command behind `weights/dgs-b16.*`.

    python benchmarks/embedded_detector.py --manifest FILE --images DIR --cache DIR [--compare]

The manifest is JSON Lines (`dgsforensics.datasets.read_manifest`). Features are cached, so a run
that was stopped goes on, and a second run takes minutes. --compare measures views and readouts
instead of writing the detector.

What is used for what:
  PAIRED       sources with real and generated images of the same content; never trained on
  CALIBRATION  sources for temperature, thresholds and inconclusive band; never trained on
  the others   training of the shipped head; leave-source-out and leave-generator-out run over
               these and the calibration sources, with a head of its own for each fold
"""

import argparse
import dataclasses
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from dgsforensics import calibration, checkpoint
from dgsforensics.backbone import load_backbone, locate_weights, sha256_of
from dgsforensics.checkpoint import Checkpoint
from dgsforensics.config import BackboneConfig, DetectorConfig, HeadConfig, InputConfig
from dgsforensics.datasets import Sample, read_manifest
from dgsforensics.evaluation import evaluate
from dgsforensics.model import DetectorModel
from dgsforensics.records import Label
from dgsforensics.trainer import card, splits
from dgsforensics.trainer.features import extract
from dgsforensics.trainer.teacher import balanced_weights, fit_head

PAIRED = (
    "declan-wright/Image-Dataset",
    "data4sci/gallery_twin",
    "ML72/AI-Image-Classifier-Playground",
    "haywoodsloan/ai-image-detector",
)
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
REPEATS = ("clausmichele/CBSD68-dataset",)
"""Repeats photographs of BIDS/BSDS500."""
FOLDS = 5
L2 = 0.03
TREATMENTS = ("standard", "degraded")
ALL_BLOCKS = tuple(range(12))
READOUTS = {
    "output": (),
    **{f"block {b + 1}": (b,) for b in (2, 4, 6, 8, 10, 11)},
    "blocks 3 6 9": (2, 5, 8),
    "blocks 6 9 12": (5, 8, 11),
}


LIMITS: list[str] = []


class Features:
    """Class tokens after every block, (N, 12 * 768), by treatment; read out in different ways."""

    def __init__(self, samples: list[Sample], view: str, options: argparse.Namespace) -> None:
        backbone = BackboneConfig(sha256=sha256_of(locate_weights(BackboneConfig())))
        config = DetectorConfig("probe", backbone, InputConfig(view), HeadConfig(ALL_BLOCKS))
        self.tower = load_backbone(backbone)
        model = DetectorModel(config, self.tower).eval()
        self.samples = samples
        self.labels = np.array([s.label == Label.GENERATED for s in samples], dtype=np.int64)
        self.tokens = {
            treatment: extract(
                model,
                samples,
                treatment,
                options.cache,
                precision=torch.bfloat16 if options.bfloat16 else torch.float32,
                progress=_progress(f"{view}, {treatment}"),
            )
            for treatment in TREATMENTS
        }

    def read(self, treatment: str, blocks: tuple[int, ...]) -> np.ndarray:
        """What a head with `HeadConfig(blocks)` reads, (N, D)."""
        tokens = self.tokens[treatment].reshape(len(self.samples), len(ALL_BLOCKS), -1)
        if blocks:
            return tokens[:, list(blocks)].reshape(len(tokens), -1)
        with torch.inference_mode():
            last = self.tower.ln_post(torch.from_numpy(tokens[:, -1].copy()))
            return (last @ self.tower.proj).numpy()


def _progress(what: str):
    def report(done: int, total: int, rate: float) -> None:
        if done % 320 == 0 or done == total:
            print(f"{what}: {done}/{total}, {rate:.2f}/s", file=sys.stderr, flush=True)

    return report


def fit(features: Features, blocks: tuple[int, ...], rows: np.ndarray, l2: float = L2):
    """Head on both treatments of the given samples."""
    x = np.concatenate([features.read(t, blocks)[rows] for t in TREATMENTS])
    y = np.tile(features.labels[rows], len(TREATMENTS))
    weights = np.tile(balanced_weights([features.samples[i] for i in rows]), len(TREATMENTS))
    return fit_head(x, y, weights, l2)


def logits(head, x: np.ndarray) -> np.ndarray:
    weight, bias = head
    return (torch.from_numpy(x) @ weight.T + bias).squeeze(1).double().numpy()


def out_of_fold(features: Features, blocks, rows: np.ndarray, cell, l2: float = L2):
    """For each treatment the logits of `rows`, each by a head that never saw its cell."""
    part = [features.samples[i] for i in rows]
    scores = {t: np.zeros(len(rows)) for t in TREATMENTS}
    fold_of = np.zeros(len(rows), dtype=int)
    for number, (train, test) in enumerate(splits.folds(part, cell, FOLDS)):
        head = fit(features, blocks, rows[train], l2)
        fold_of[test] = number
        for t in TREATMENTS:
            scores[t][test] = logits(head, features.read(t, blocks)[rows[test]])
    return scores, fold_of


def mean_over_folds(scores: np.ndarray, labels: np.ndarray, fold_of: np.ndarray, threshold=0.0):
    """Metrics averaged over folds, for logits of different heads do not compare."""
    each = [evaluate(scores[fold_of == f], labels[fold_of == f], threshold) for f in range(FOLDS)]
    values = {
        field.name: sum(getattr(m, field.name) for m in each) / len(each)
        for field in dataclasses.fields(each[0])
        if field.name not in ("real", "generated")
    }
    return dataclasses.replace(
        each[0], real=int(sum(labels == 0)), generated=int(sum(labels == 1)), **values
    )


def compare(by_view: dict[str, Features], rows: np.ndarray, paired: dict[str, np.ndarray]) -> None:
    """Leave-source-out AUROC and AUROC on the content-matched pairs, by view and readout."""
    print("| view | readout | leave-source-out | degraded | " + " | ".join(paired) + " |")
    print("| --- " * (4 + len(paired)) + "|")
    for view, features in by_view.items():
        for name, blocks in READOUTS.items():
            scores, fold_of = out_of_fold(features, blocks, rows, splits.by_source)
            y = features.labels
            cells = [mean_over_folds(scores[t], y[rows], fold_of).auroc for t in TREATMENTS]
            head = fit(features, blocks, rows)
            x = features.read("standard", blocks)
            for members in paired.values():
                cells.append(evaluate(logits(head, x[members]), y[members], 0).auroc)
            print(f"| {view} | {name} | " + " | ".join(f"{c:.3f}" for c in cells) + " |")


def make(
    features: Features, rows: np.ndarray, paired: dict[str, np.ndarray], options: argparse.Namespace
) -> None:
    """Fit, calibrate, measure, and write the detector and its card."""
    samples, y, blocks = features.samples, features.labels, tuple(options.blocks)
    calibrating = np.array([samples[i].source in CALIBRATION for i in rows])
    training, held = rows[~calibrating], rows[calibrating]
    head = fit(features, blocks, training)
    # Each image once, every second one degraded: two versions of it would not be two observations.
    both = [logits(head, features.read(t, blocks)[held]) for t in TREATMENTS]
    held_logits = np.where(np.arange(len(held)) % 2 == 0, *both)
    fitted = calibration.fit(
        held_logits,
        y[held],
        f"{sum(y[held] == 0)} photographs of {_sources(samples, held, Label.REAL)} sources "
        "not trained on, half of them degraded",
    )
    threshold = fitted.thresholds().upper
    config = DetectorConfig(
        checkpoint.DEFAULT,
        BackboneConfig(sha256=sha256_of(locate_weights(BackboneConfig()))),
        InputConfig(options.view),
        HeadConfig(blocks),
    )
    results = [
        *_left_out(features, blocks, rows),
        _paired(features, blocks, head, paired, threshold),
        _flagged_reals(features, blocks, rows, fitted),
    ]
    tensors = {"head.weight": head[0], "head.bias": head[1]}
    made = Checkpoint(config, fitted, tensors, _facts(features, training, held, results, options))
    target = options.out / f"{checkpoint.DEFAULT}.safetensors"
    checkpoint.write(made, target)
    text = card.render(checkpoint.read(target))
    target.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def _left_out(features: Features, blocks, rows: np.ndarray) -> list[card.Table]:
    """Results on sources and on generators that the head of the fold never saw."""
    y = features.labels[rows]
    generators = np.array([features.samples[i].generator or "" for i in rows])
    tables = []
    for what, cell in (("source", splits.by_source), ("generator", splits.by_generator)):
        scores, fold_of = out_of_fold(features, blocks, rows, cell)
        lines = [
            card.metrics_row(f"all, {t}", mean_over_folds(scores[t], y, fold_of))
            for t in TREATMENTS
        ]
        if what == "generator":
            names, counts = np.unique(generators[y == 1], return_counts=True)
            for name in names[counts >= 15]:
                fold = fold_of[generators == name][0]
                part = (generators == name) | ((y == 0) & (fold_of == fold))
                lines.append(
                    card.metrics_row(name, evaluate(scores["standard"][part], y[part], 0.0))
                )
        note = (
            f"{FOLDS} folds; no {what} of the test part was trained on. `standard` is JPEG 90 with "
            "a longest side of at most 1536, `degraded` a random path through the web (resize or "
            "crop, blur, noise, one or two codecs). Mean over folds; the threshold of r_acc and "
            "f_acc is the head's own (logit 0)."
        )
        if what == "generator":
            note += " By generator (15 images or more, standard): against the photographs of its"
            note += " fold."
        tables.append({"title": f"Leave-{what}-out", "note": note, "rows": lines})
    return tables


def _paired(features: Features, blocks, head, paired, threshold: float) -> card.Table:
    """Results of the shipped head on the content-matched pairs."""
    y = features.labels
    lines = [
        card.metrics_row(
            f"{name}, {t}",
            evaluate(logits(head, features.read(t, blocks)[members]), y[members], threshold),
        )
        for name, members in paired.items()
        for t in TREATMENTS
    ]
    note = (
        "Real and generated images of the same kind of scene: content cannot help here. The "
        "shipped head at its default threshold; none of these sources was trained or calibrated "
        "on, but the choice of view and readout looked at them."
    )
    return {"title": "Content-matched pairs", "note": note, "rows": lines}


def _flagged_reals(features: Features, blocks, rows, fitted) -> card.Table:
    """Verdicts on photographs by heads that never saw their source."""
    scores, _ = out_of_fold(features, blocks, rows, splits.by_source)
    sources = np.array([features.samples[i].source for i in rows])
    real = features.labels[rows] == 0
    lines = [
        card.verdict_shares(fitted, name, scores["standard"][real & (sources == name)].tolist())
        for name, count in zip(*np.unique(sources[real], return_counts=True), strict=True)
        if count >= 30
    ]
    note = (
        "Verdicts at the default thresholds on photographs (standard treatment), by "
        "leave-source-out heads. Sources with 30 photographs or more."
    )
    return {"title": "Photographs by source", "note": note, "rows": lines}


def _sources(samples: list[Sample], rows: np.ndarray, label: Label) -> int:
    return len({samples[i].source for i in rows if samples[i].label == label})


def _facts(features: Features, training, held, results, options) -> dict:
    samples = features.samples
    counts = [
        {
            "": name,
            "real": int(sum(features.labels[part] == 0)),
            "real sources": _sources(samples, part, Label.REAL),
            "generated": int(sum(features.labels[part] == 1)),
            "generators": len({samples[i].generator for i in part if samples[i].generator}),
        }
        for name, part in (("training", training), ("calibration", held))
    ]
    manifest = sha256_of(options.manifest)
    return {
        "summary": "The bundled detector: stage 1 of DGS-Net, a linear head on frozen CLIP "
        "features. It is a first detector, and weak; read the figures before you use it.",
        "command": "benchmarks/embedded_detector.py "
        + " ".join(
            [f"--view {options.view}"]
            + [f"--blocks {' '.join(map(str, options.blocks))}"] * bool(options.blocks)
            + [f"--real {options.real} --generated {options.generated}"]
            + ["--bfloat16"] * options.bfloat16
        ),
        "versions": f"dgsforensics {version('dgsforensics')}, torch {version('torch')}, "
        f"open_clip {version('open_clip_torch')}, pillow {version('pillow')}",
        "data": f"At most {options.real} photographs of a public source and {options.generated} "
        f"images of a generator in a source, from a manifest of public repositories (sha256 "
        f"`{manifest}`); art left out, near-duplicates once. Every image twice, standard and "
        "degraded, both classes alike. Training and calibration share no source.",
        "counts": counts,
        "results": results,
        "limits": LIMITS,
        "licence": "Head: MIT, as the program. Backbone: OpenAI's CLIP, MIT, see "
        "`clip-vit-b-16-image-int8.LICENSE.txt`. No image is part of it.",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--real", type=int, default=200, help="at most, of a source")
    parser.add_argument("--generated", type=int, default=100, help="at most, of a generator")
    parser.add_argument("--bfloat16", action="store_true", help="faster features to train on")
    parser.add_argument("--compare", nargs="*", metavar="VIEW", help="views to compare")
    parser.add_argument("--view", default="patches")
    parser.add_argument("--blocks", type=int, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("weights"))
    options = parser.parse_args()

    known = [s for s in read_manifest(options.manifest, options.images) if s.source not in REPEATS]
    pairs = [s for s in known if s.source in PAIRED]
    others = [s for s in known if s.source not in PAIRED and s.style != "art"]
    samples = splits.capped(others, options.real, options.generated) + pairs
    print(f"{len(samples) - len(pairs)} images, {len(pairs)} of content-matched pairs")
    sources = np.array([s.source for s in samples])
    paired = {p: np.flatnonzero(sources == p) for p in PAIRED}
    rows = np.flatnonzero(~np.isin(sources, PAIRED))
    if options.compare is not None:
        views = options.compare or ["patches", "whole"]
        compare({v: Features(samples, v, options) for v in views}, rows, paired)
        return
    features = Features(samples, options.view, options)
    make(features, rows, paired, options)


if __name__ == "__main__":
    main()
