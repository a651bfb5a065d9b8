"""Images a second of a scan, against the forward pass alone and against one process an image.

    python benchmarks/throughput.py FOLDER [--images 200] [--batch N] [--processes 3] [--repeat 3]

The pictures of FOLDER are brought to 0.3, 1 and 12 megapixels (JPEG 90) in a temporary folder, so
that all sizes show the same content. Forward pass alone and scan alternate, so that a machine whose
speed drifts does not favour one; the ratio is the median over the pairs. Before that the detector's
forward pass against that of the plain tower to its projected output, in the same way.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dgsforensics import Detector
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.files.walk import find_files
from dgsforensics.pictures import decoder

MEGAPIXELS = (0.3, 1.0, 12.0)


def resized_copies(folder: Path, target: Path, count: int, megapixels: float) -> list[Path]:
    target.mkdir()
    sources = [path for path in find_files([folder]) if isinstance(path, Path)][:count]
    for number, path in enumerate(sources):
        picture = Image.fromarray(decoder.load(path).pixels)
        factor = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = (round(picture.width * factor), round(picture.height * factor))
        picture.resize(size, Image.Resampling.BICUBIC).save(target / f"{number:04}.jpg", quality=90)
    return sorted(target.iterdir())


def forward_rate(forward: Callable[[np.ndarray], object], count: int, batch: int) -> float:
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8)
    rounds = -(-count // batch)
    started = time.perf_counter()
    for _ in range(rounds):
        forward(pixels)
    return rounds * batch / (time.perf_counter() - started)


def scan_rate(detector: Detector, paths: list[Path], batch: int) -> float:
    started = time.perf_counter()
    rows = list(detector.scan(paths, batch=batch))
    assert len(rows) == len(paths) and all(row.status == "scored" for row in rows)
    return len(paths) / (time.perf_counter() - started)


def plain_tower(detector: Detector) -> Callable[[np.ndarray], object]:
    """The detector's tower as it comes, on the same input."""
    tower = load_backbone(detector.config.backbone).eval()

    def forward(pixels: np.ndarray) -> object:
        with torch.inference_mode():
            return tower(detector.forward.model.normalise(torch.from_numpy(pixels)))

    return forward


def process_rate(paths: list[Path]) -> float:
    started = time.perf_counter()
    for path in paths:
        command = [sys.executable, "-m", "dgsforensics", "scan", str(path)]
        subprocess.run(
            [*command, "--no-cache", "--exit-zero", "-q"], check=True, stdout=subprocess.DEVNULL
        )
    return len(paths) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--processes", type=int, default=3, help="images for one process each")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    detector = Detector.load(None, "cpu")
    batch = detector.batch_size(options.batch)
    detector.logits(np.zeros((batch, 224, 224, 3), dtype=np.uint8))  # first call allocates
    plain = plain_tower(detector)
    ratios = [
        forward_rate(plain, options.images, batch)
        / forward_rate(detector.logits, options.images, batch)
        for _ in range(options.repeat)
    ]
    print(f"the detector takes {statistics.median(ratios):.2f} times the plain tower's time")
    with tempfile.TemporaryDirectory() as scratch:
        for megapixels in MEGAPIXELS:
            target = Path(scratch) / f"{megapixels}"
            paths = resized_copies(options.folder, target, options.images, megapixels)
            pairs = [
                (
                    forward_rate(detector.logits, len(paths), batch),
                    scan_rate(detector, paths, batch),
                )
                for _ in range(options.repeat)
            ]
            forward, scan = (statistics.median(side) for side in zip(*pairs, strict=True))
            share = statistics.median(b / a for a, b in pairs)
            alone = process_rate(paths[: options.processes])
            print(
                f"{megapixels:4} MP, {len(paths)} images, batch {batch}: scan {scan:.2f}/s, "
                f"forward alone {forward:.2f}/s ({share:.0%} of it), one process an image "
                f"{alone:.3f}/s (a scan is {scan / alone:.0f} times as fast)",
                flush=True,
            )


if __name__ == "__main__":
    main()
