"""What DGS-Net adds to a frozen probe and to plain LoRA, beside the bundled detector and sahu65.

    python benchmarks/methods.py --manifest FILE --images DIR --cache DIR --out DIR --bfloat16 \\
        --real 45 --generated 25 [OPTIONS OF comparison.py]

All three are trained by `dgsf train` from the pre-trained tower, on the same images and with the
same input and blocks as the bundled detector; thresholds are fitted on images of its calibration's
sources. `comparison.py` then scores the four and the other detector on the same images in one run.
Detectors already in `--out` are kept, and a training that was stopped goes on.
"""

import json
import subprocess
import sys
from pathlib import Path

import tomli_w
from corpus import HEAD, INPUT, Corpus, arguments

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.folders import DEFAULT
from dgsforensics.trainer import splits

METHODS = ("probe", "lora", "dgs")
VALIDATION = 12, 8
"""At most so many photographs of a source, and images of a generator in it, for thresholds."""
OPTIONS = {
    "base": "none",
    "input": {"view": INPUT.view},
    "head": {"blocks": list(HEAD.blocks)},
    "draws": 1,
    "epochs": 3,
    "batch": 16,
    "lr": 3e-4,
}
ADAPTERS = {"lora": {"blocks": [5, 6, 7, 8, 9]}}
"""The upper half of the ten blocks that the head reads through: gradients need go no further."""


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the detectors")
    options, passed_on = parser.parse_known_args()
    options.out.mkdir(parents=True, exist_ok=True)
    manifest = options.out / "images.jsonl"
    corpus = Corpus(options)
    held = splits.capped([corpus.samples[i] for i in corpus.held], *VALIDATION)
    rows = [_row(corpus.samples[i], "train") for i in corpus.training]
    rows += [_row(sample, "val") for sample in held]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    precision = "bfloat16" if options.bfloat16 else "float32"
    for method in METHODS:
        config = options.out / f"{method}.options.toml"
        choices = OPTIONS | {"precision": precision} | ({} if method == "probe" else ADAPTERS)
        config.write_text(tomli_w.dumps(choices), encoding="utf-8")
        _train(method, manifest, config, options.out / f"{method}.safetensors", options.cache)
    models = [DEFAULT, *(options.out / f"{method}.safetensors" for method in METHODS)]
    named = [word for model in models for word in ("--model", str(model))]
    where = ["--manifest", str(options.manifest), "--images", str(options.images)]
    script = Path(__file__).with_name("comparison.py")
    subprocess.run([sys.executable, str(script), *where, *named, *passed_on], check=True)


def _row(sample: Sample, split: str) -> dict[str, str | None]:
    label = "real" if sample.generator is None else "fake"
    row = {"path": str(sample.path.resolve()), "label": label, "split": split}
    row |= {"source": sample.source, "sha256": sample.sha256}
    return row if sample.generator is None else row | {"generator": sample.generator}


def _train(method: str, manifest: Path, config: Path, out: Path, cache: Path) -> None:
    if out.exists():
        return
    command = [sys.executable, "-m", "dgsforensics", "train", str(manifest), "--out", str(out)]
    if (out.with_suffix(".training") / "options.toml").exists():
        command.append("--resume")
    else:
        command += ["--method", method, "--config", str(config), "--cache", str(cache)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
