"""What fine-tuning adds to a frozen tower, on generators that were left out: probe, LoRA, DGS-Net.

    python benchmarks/finetuning.py --manifest FILE --images DIR --cache DIR --out DIR \\
        --real 40 --generated 25 --bfloat16

Every run trains on the same images of the corpus (`corpus.py`), one fifth of the generators and of
the sources of photographs left out whole, with a seed of its own for order, augmentation, dropout
and first weights; each is a process of its own, for its time and memory. Results already in `--out`
are kept, so a stopped benchmark goes on. The report goes to standard output.

`--fold` chooses what is left out: hyper-parameters were tried on fold 4, the figures are of fold 0.
"""

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from corpus import BACKBONE, FOLDS, HEAD, INPUT, L2, Corpus, arguments

from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.config import DetectorConfig, LoraConfig
from dgsforensics.detector.model import DetectorModel
from dgsforensics.evaluation.metrics import evaluate
from dgsforensics.trainer import splits
from dgsforensics.trainer.batches import Material
from dgsforensics.trainer.config import SurgeryConfig, TrainConfig
from dgsforensics.trainer.distributed import Group
from dgsforensics.trainer.features import Treatment, extract, treated
from dgsforensics.trainer.student import Step, fit
from dgsforensics.trainer.teacher import Head, balanced_weights, fit_head

LORA = LoraConfig(blocks=tuple(range(HEAD.blocks[-1] + 1)))
DRAWS = 2
TRAIN_REAL, TRAIN_GENERATED = 20, 12
"""At most so many images of a source, or of a generator in a source, are trained on."""
BASE = TrainConfig(
    base="none", input=INPUT, head=HEAD, lora=LORA, draws=DRAWS, batch=16, epochs=1, lr=3e-4
)
METHODS = {
    "probe": dataclasses.replace(BASE, method="probe"),
    "lora": dataclasses.replace(BASE, method="lora"),
    "dgs": dataclasses.replace(BASE, semantics="lowpass"),
    "dgs, no suppression": dataclasses.replace(BASE, semantics="none"),
    "dgs, no alignment": dataclasses.replace(
        BASE, semantics="lowpass", surgery=SurgeryConfig(weight=0)
    ),
}
SEEDS = (0, 1, 2)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--lr", type=float, default=BASE.lr)
    parser.add_argument("--run", help="METHOD:SEED, this one alone, in this process")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.run:
        method, seed = options.run.split(":")
        _run(options, method, int(seed))
        return
    Experiment(options).prepare()
    for seed in SEEDS:
        for method in METHODS:
            if not _file(options, method, seed).exists():
                name = f"{method}:{seed}"
                print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
                subprocess.run([sys.executable, *sys.argv, "--run", name], check=True)
    _report(options)


class Experiment:
    """The images of the experiment and their frozen features."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.corpus = Corpus(options)
        part = [self.corpus.samples[i] for i in self.corpus.rows]
        train, test = list(splits.folds(part, splits.by_generator, FOLDS))[options.fold]
        self.train = splits.capped([part[i] for i in train], TRAIN_REAL, TRAIN_GENERATED)
        self.test = [part[i] for i in test]
        self.precision = torch.bfloat16 if options.bfloat16 else torch.float32

    def features(self, treatment: Treatment, seed: int = 0) -> np.ndarray:
        """Frozen features (N, D) of the training images."""
        config = DetectorConfig("frozen", BACKBONE, INPUT, HEAD)
        model = DetectorModel(config, load_backbone(BACKBONE)).eval()
        return extract(
            model, self.train, treatment, self.options.cache, seed=seed, precision=self.precision
        )

    def material(self, seed: int) -> tuple[Material, Head]:
        """What a run trains on, and the head of stage 1."""
        labels = np.array([s.generator is not None for s in self.train], dtype=np.int64)
        weights = balanced_weights(self.train, power=0)
        draws = [self.features("web", seed + draw) for draw in range(DRAWS)]
        head = fit_head(np.concatenate(draws), np.tile(labels, DRAWS), np.tile(weights, DRAWS), L2)
        semantics = self.features("lowpass")
        return Material(self.train, weights, head, np.stack(draws), semantics), head

    def pixels(self) -> np.ndarray:
        """(N, 224, 224, 3) of the test images, made once."""
        file = self.options.cache / f"pixels-{self.options.fold}-test-{len(self.test)}.npy"
        if not file.exists():
            np.save(file, np.stack([treated(INPUT, s, "standard", 0) for s in self.test]))
        return np.load(file, mmap_mode="r")

    def prepare(self) -> None:
        """Everything that runs share, so that their times are those of training alone."""
        for seed in sorted({seed + draw for seed in SEEDS for draw in range(DRAWS)}):
            self.features("web", seed)
        self.features("lowpass")
        self.pixels()


def _run(options: argparse.Namespace, method: str, seed: int) -> None:
    experiment = Experiment(options)
    config = dataclasses.replace(
        METHODS[method],
        seed=seed,
        lr=options.lr,
        precision="bfloat16" if options.bfloat16 else "float32",
    )
    started = time.monotonic()
    material, head = experiment.material(seed)
    if config.suppression == "none":
        material = dataclasses.replace(material, semantics=None)
    lora = None if method == "probe" else LORA
    torch.manual_seed(seed)
    model = DetectorModel(
        DetectorConfig("run", BACKBONE, INPUT, HEAD, lora), load_backbone(BACKBONE)
    )
    steps: list[Step] = []
    if lora is None:
        model.head.load_state_dict({"weight": head[0], "bias": head[1]})
    else:
        state = _file(options, method, seed).with_suffix(".state")
        fit(
            model,
            material,
            config,
            save_to=state,
            fingerprint=f"{method}:{seed}:{options.lr}",
            group=Group(),
            workers=1,
            tell=steps.append,
        )
        state.unlink()
    trained = time.monotonic() - started
    model.merge()
    result = {
        "seconds": trained,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "images": len(experiment.train),
        "loss": [step.loss for step in steps],
        "removed": [step.removed for step in steps],
        "added": [step.added for step in steps],
        "logits": _logits(model.eval(), experiment.pixels()),
    }
    _file(options, method, seed).write_text(json.dumps(result))


def _logits(model: DetectorModel, pixels: np.ndarray) -> list[float]:
    found: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 16):
            found += model(torch.from_numpy(pixels[start : start + 16].copy())).tolist()
    return found


def _file(options: argparse.Namespace, method: str, seed: int) -> Path:
    name = method.replace(", ", "-").replace(" ", "-")
    return options.out / f"{name}-{seed}-fold{options.fold}-lr{options.lr:g}.json"


def _report(options: argparse.Namespace) -> None:
    """Mean and spread over seeds of AUROC, and what each run took."""
    experiment = Experiment(options)
    generators = sorted({s.generator for s in experiment.test if s.generator})
    names = [g for g in generators if sum(s.generator == g for s in experiment.test) >= 15]
    columns = ["left out", "TPR at 5 %", *names]
    print(f"{len(experiment.train)} training images; left out: {', '.join(generators)}\n")
    print("| method | " + " | ".join([*columns, "removed", "added", "minutes", "GiB"]) + " |")
    print("| --- " + "| ---: " * (len(columns) + 4) + "|")
    for method in METHODS:
        files = [_file(options, method, seed) for seed in SEEDS]
        runs = [json.loads(file.read_text()) for file in files if file.exists()]
        if not runs:
            continue
        rows = np.array([_figures(experiment, run, names) for run in runs])
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(rows.mean(0), rows.std(0), strict=True)]
        for name in ("removed", "added"):
            values = [np.mean(run[name]) for run in runs if run[name]]
            cells.append(f"{np.mean(values):.2f}" if values else "-")
        cells.append(f"{np.mean([run['seconds'] for run in runs]) / 60:.1f}")
        cells.append(f"{np.mean([run['peak_mib'] for run in runs]) / 1024:.1f}")
        print(f"| {method} | " + " | ".join(cells) + " |")


def _figures(experiment: Experiment, run: dict, names: list[str]) -> list[float]:
    """One row of the table, for one run: figures of all, then AUROC by generator."""
    scores = np.array(run["logits"])
    generator = np.array([s.generator or "" for s in experiment.test])
    labels = (generator != "").astype(np.int64)
    parts = [(generator == "") | (generator == name) for name in names]
    everything = evaluate(scores, labels, 0.0)
    return [
        everything.auroc or 0.0,
        everything.tpr_at_5 or 0.0,
        *(evaluate(scores[part], labels[part], 0.0).auroc or 0.0 for part in parts),
    ]


if __name__ == "__main__":
    main()
