"""Make the bundled detector, and measure it: the command behind `weights/dgs-b16.*`.

    python benchmarks/embedded_detector.py --manifest FILE --images DIR --cache DIR --bfloat16

What is used for what (`corpus.py` has the lists): the paired sources are never trained on; the
calibration sources serve for temperature, thresholds and inconclusive band; the others train the
shipped head. Leave-source-out and leave-generator-out run over all but the paired ones, with a head
of its own for each fold. What the shipped detector does on sources it was not trained on is the
evaluation of `dgsf eval`, in all its tiers (`model_card.py`). Features and scores are kept in
`--cache`, so a run that was stopped goes on.
"""

import argparse
import dataclasses
import sys
from importlib.metadata import version
from pathlib import Path

import model_card
import numpy as np
from corpus import BACKBONE, HEAD, INPUT, L2, PER_SOURCE, Corpus, arguments, logits, read_out

from dgsforensics import Detector
from dgsforensics.detector import calibration, card, checkpoint, folders
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import DetectorConfig
from dgsforensics.detector.folders import sha256_of
from dgsforensics.trainer.teacher import fit_head


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("weights"))
    options = parser.parse_args()
    corpus = Corpus(options)
    degraded, standard, as_is = (
        read_out(corpus.features(INPUT.view, name, rows=rows), HEAD.blocks)
        for name, rows in (("degraded", None), ("standard", None), ("as_is", corpus.held))
    )
    head = fit_head(*corpus.material([degraded], corpus.training), L2)
    made = Checkpoint(
        DetectorConfig(folders.DEFAULT, BACKBONE, INPUT, HEAD),
        _calibrate(corpus, logits(head, as_is), logits(head, degraded)),
        {"head.weight": head[0], "head.bias": head[1]},
        _facts(corpus, options),
    )
    unmeasured = options.cache / f"{folders.DEFAULT}.safetensors"
    checkpoint.write(made, unmeasured)
    results = [
        *model_card.left_out(corpus, degraded, {"standard": standard, "degraded": degraded}),
        *model_card.evaluated(unmeasured, options),
        model_card.not_photographs(Detector.load(unmeasured, "cpu")),
    ]
    target = options.out / f"{folders.DEFAULT}.safetensors"
    told = dataclasses.replace(made.card, results=tuple(results))
    checkpoint.write(dataclasses.replace(made, card=told), target)
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


def _facts(corpus: Corpus, options: argparse.Namespace) -> dict[str, object]:
    counts, sources = [], {}
    for name, part in (("training", corpus.training), ("calibration", corpus.held)):
        samples = [corpus.samples[i] for i in part]
        real = [s for s in samples if s.generator is None]
        sources[name] = ", ".join(sorted({s.source for s in samples}))
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
        "tower. It ranks well where content helps and fairly to poorly where real and generated "
        "images show the same; at low false-positive rates it misses much. Read the figures before "
        "you rely on it.",
        "command": "benchmarks/embedded_detector.py " + caps + " --bfloat16" * options.bfloat16,
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "data": f"Public repositories named in a manifest (sha256 `{sha256_of(options.manifest)}`)"
        f": at most {options.real} photographs of a source and {options.generated} images of a "
        "generator in a source; art left out, near-duplicates once. Each training image was used "
        "in one degraded version, drawn alike for both classes. Both classes weigh alike, and "
        "inside each the sources and generators. Training and calibration share no source. "
        f"Trained on: {sources['training']}. Calibrated on: {sources['calibration']}.",
        "counts": counts,
        "limits": [
            "On content-matched pairs it ranks from worse than chance to fairly, by source: part "
            "of what it knows is how its training sources were taken, sized and compressed.",
            "The false-positive rate depends on the kind of photograph: in the table by source, "
            "that of sources outside the calibration is a multiple of the promised one.",
            "Some generators are hardly found at all: see the table by generator.",
            "No document, screenshot, drawing or flat graphic was trained on. Most are recognised "
            "as out of domain and never flagged (`docs/scan-output.md` has the rates); a verdict "
            "on one that is not recognised means nothing.",
            "Generators newer than the corpus, and edited or partly generated photographs, were "
            "not measured.",
            "A score is a signal, not proof; it cannot replace a look at where the file came from.",
        ],
        "licence": "The head: MIT, as the program. The backbone: OpenAI's CLIP, MIT, see "
        "`clip-vit-b-16-image-int8.LICENSE.txt`. No image is part of this file.",
    }


if __name__ == "__main__":
    main()
