"""Make the bundled detector, and measure it: the command behind `weights/dgs-b16.*`.

    python benchmarks/embedded_detector.py --manifest FILE --images DIR --cache DIR --bfloat16

What is used for what (`corpus.py` has the lists): the paired sources are never trained on; the
calibration sources serve for temperature, thresholds and inconclusive band; the others train the
shipped head. Leave-source-out and leave-generator-out run over all but the paired ones, with a head
of its own for each fold.
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from corpus import (
    BACKBONE,
    FOLDS,
    PER_SOURCE,
    Corpus,
    Head,
    arguments,
    logits,
    mean_over_folds,
    read_out,
)
from PIL import Image

from dgsforensics import Detector, calibration, checkpoint
from dgsforensics.backbone import sha256_of
from dgsforensics.calibration import Calibration
from dgsforensics.checkpoint import Checkpoint
from dgsforensics.config import DetectorConfig, HeadConfig, InputConfig
from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.trainer import card, splits

VIEW = "whole"
BLOCKS = (7, 9)
"""Read the class tokens after blocks 8 and 10; `views.py` is the comparison."""
DRAWS = (0,)
"""Seeds of the degraded versions of each training image."""


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("weights"))
    options = parser.parse_args()
    corpus = Corpus(options)
    draws = [read_out(corpus.features(VIEW, "degraded", seed), BLOCKS) for seed in DRAWS]
    standard = read_out(corpus.features(VIEW, "standard"), BLOCKS)
    outside = np.concatenate([corpus.held, *corpus.paired.values()])
    as_is = np.full_like(standard, np.nan)
    as_is[outside] = read_out(corpus.features(VIEW, "as_is", rows=outside), BLOCKS)

    head = corpus.fit(draws, corpus.training)
    fitted = _calibrate(corpus, logits(head, as_is), logits(head, draws[0]))
    made = Checkpoint(
        DetectorConfig(checkpoint.DEFAULT, BACKBONE, InputConfig(VIEW), HeadConfig(BLOCKS)),
        fitted,
        {"head.weight": head[0], "head.bias": head[1]},
        _facts(corpus, options)
        | {
            "results": [
                *_left_out(corpus, draws, [standard, draws[0]]),
                _paired(corpus, head, fitted, {"as is": as_is, "degraded": draws[0]}),
                _photographs(corpus, fitted, logits(head, as_is)),
            ]
        },
    )
    target = options.out / f"{checkpoint.DEFAULT}.safetensors"
    checkpoint.write(made, target)
    made.card["results"].append(_not_photographs(Detector.load(target, "cpu")))
    checkpoint.write(made, target)
    target.with_suffix(".md").write_text(card.render(checkpoint.read(target)), encoding="utf-8")
    print(f"written: {target} and its card", file=sys.stderr)


def _calibrate(corpus: Corpus, as_is: np.ndarray, degraded: np.ndarray) -> Calibration:
    """Each image once, every second one degraded: two versions would not be two observations."""
    held = corpus.held
    scores = np.where(np.arange(len(held)) % 2 == 0, as_is[held], degraded[held])
    y = corpus.labels[held]
    sources = {corpus.samples[i].source for i in held if not corpus.labels[i]}
    return calibration.fit(
        scores,
        y,
        f"{sum(y == 0)} photographs of {len(sources)} sources not trained on, at most "
        f"{PER_SOURCE} of each, half of them degraded",
    )


def _left_out(corpus: Corpus, draws: list[np.ndarray], tests: list[np.ndarray]) -> list[card.Table]:
    """Results on sources and on generators that the head of the fold never saw."""
    y = corpus.labels[corpus.rows]
    generator = np.array([corpus.samples[i].generator or "" for i in corpus.rows])
    note = (
        f"{FOLDS} folds; nothing of a {{0}} in the test part was trained on. `standard`: JPEG 90, "
        "longest side at most 1536. `degraded`: a random path through the web (resize or crop, "
        "blur, noise, one or two codecs). Mean over folds, at each head's own threshold (logit 0)."
    )
    tables = []
    for what, cell in (("source", splits.by_source), ("generator", splits.by_generator)):
        scores, fold_of = corpus.out_of_fold(draws, tests, cell)
        lines = [
            card.metrics_row(f"all, {name}", mean_over_folds(score, y, fold_of))
            for name, score in zip(("standard", "degraded"), scores, strict=True)
        ]
        if what == "generator":
            names, counts = np.unique(generator[y == 1], return_counts=True)
            for name in names[counts >= 15]:
                fold = fold_of[generator == name][0]
                part = (generator == name) | ((y == 0) & (fold_of == fold))
                lines.append(card.metrics_row(name, evaluate(scores[0][part], y[part], 0.0)))
        table_note = note.format(what)
        if what == "generator":
            table_note += (
                " By generator (15 images or more): standard, against the photographs of its fold."
            )
        tables.append({"title": f"Leave-{what}-out", "note": table_note, "rows": lines})
    return tables


def _paired(
    corpus: Corpus, head: Head, fitted: Calibration, versions: dict[str, np.ndarray]
) -> card.Table:
    """Results of the shipped head on the content-matched pairs."""
    y, threshold = corpus.labels, fitted.thresholds().upper
    lines = []
    for name, members in corpus.paired.items():
        for version_name, x in versions.items():
            metrics = evaluate(logits(head, x[members]), y[members], threshold)
            lines.append(card.metrics_row(f"{name}, {version_name}", metrics))
    note = (
        "Real and generated images of the same kind of scene, so that content cannot help. The "
        "shipped detector at its default threshold. None of these sources was trained or "
        "calibrated on, but the choice of view, blocks, weights and default rate looked at them."
    )
    return {"title": "Content-matched pairs", "note": note, "rows": lines}


def _photographs(corpus: Corpus, fitted: Calibration, as_is: np.ndarray) -> card.Table:
    """Verdicts of the shipped detector on photographs as they are."""
    source = np.array([s.source for s in corpus.samples])
    real = (corpus.labels == 0) & ~np.isnan(as_is)
    names, counts = np.unique(source[real], return_counts=True)
    lines = [
        card.verdict_shares(fitted, name, as_is[real & (source == name)].tolist())
        for name in names[counts >= 15]
    ]
    note = (
        "Shares of verdicts of the shipped detector at its default thresholds, files as they are. "
        "Nothing here was trained on. The sources that are not paired chose the threshold, so the "
        "paired ones tell what to expect elsewhere: the promised rate holds for photographs like "
        "those of the calibration and not for others."
    )
    return {"title": "Photographs by source", "note": note, "rows": lines}


def _not_photographs(detector: Detector) -> card.Table:
    """Verdicts on what is no photograph at all."""
    rng = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1))
    pictures = {
        **{name: Image.new("RGB", (640, 480), name) for name in ("white", "black", "green")},
        "gradient": Image.fromarray(ramp).convert("RGB"),
        "uniform noise": Image.fromarray(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)),
        "checkerboard of 8 pixels": Image.fromarray(
            (np.indices((480, 640)).sum(0) // 8 % 2 * 255).astype(np.uint8)
        ).convert("RGB"),
        "1 pixel": Image.new("RGB", (1, 1), "red"),
    }
    lines = []
    for name, picture in pictures.items():
        row = detector.score(picture)
        lines.append({"": name, "verdict": row.verdict, "probability": f"{row.probability:.3f}"})
    note = "Nothing recognises such input as out of domain yet; a verdict on it means nothing."
    return {"title": "What is no photograph", "note": note, "rows": lines}


def _facts(corpus: Corpus, options: argparse.Namespace) -> dict[str, object]:
    counts = []
    for name, part in (("training", corpus.training), ("calibration", corpus.held)):
        samples = [corpus.samples[i] for i in part]
        real = [s for s in samples if s.generator is None]
        counts.append(
            {
                "": name,
                "real": len(real),
                "real sources": len({s.source for s in real}),
                "generated": len(samples) - len(real),
                "generators": len({s.generator for s in samples} - {None}),
            }
        )
    caps = f"--real {options.real} --generated {options.generated}"
    packages = ("dgsforensics", "torch", "open_clip_torch", "pillow", "numpy")
    return {
        "summary": "The bundled detector: stage 1 of DGS-Net, a linear head on a frozen CLIP image "
        "tower. It is a first detector and a weak one: it ranks, but it misses much and errs on "
        "photographs of kinds it has not seen. Read the figures before you rely on it.",
        "command": "benchmarks/embedded_detector.py " + caps + " --bfloat16" * options.bfloat16,
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "data": f"Public repositories named in a manifest (sha256 `{sha256_of(options.manifest)}`)"
        f": at most {options.real} photographs of a source and {options.generated} images of a "
        "generator in a source; art left out, near-duplicates once. Each training image was used "
        f"in {len(DRAWS)} degraded version(s), drawn alike for both classes. Both "
        "classes weigh alike, and inside each the sources and generators. Training and "
        "calibration share no source.",
        "counts": counts,
        "limits": [
            "On content-matched pairs it ranks from worse than chance to fairly, by source: part "
            "of what it knows is how its training sources were taken, sized and compressed.",
            "The false-positive rate depends on the kind of photograph: in the table by source, "
            "that of sources outside the calibration is a multiple of the promised one.",
            "Some generators are hardly found at all: see the table by generator.",
            "No document, screenshot, drawing or flat graphic was trained on; verdicts on them "
            "mean nothing.",
            "Generators newer than the corpus, and edited or partly generated photographs, were "
            "not measured.",
            "A score is a signal, not proof; it cannot replace a look at where the file came from.",
        ],
        "licence": "The head: MIT, as the program. The backbone: OpenAI's CLIP, MIT, see "
        "`clip-vit-b-16-image-int8.LICENSE.txt`. No image is part of this file.",
    }


if __name__ == "__main__":
    main()
