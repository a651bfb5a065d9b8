"""Patch selection against the plain per-patch loop and a batched FFT: speed and agreement.

    python benchmarks/patch_selection.py [--images FOLDER] [--repeat N]
    python benchmarks/patch_selection.py --busy

--busy shows instead what threads of numpy's BLAS cost beside a process that uses all cores, which
is why `dgsforensics.detector.read_ahead` keeps them at one.

Without --images the pictures are synthetic; with it, photographs of the folder are resized (and so
lose native noise, which is harmless for timing) to each size.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from dgsforensics.pictures import decoder, patches

T = TypeVar("T")

SIZES = {"0.3 MP": (640, 480), "2 MP": (1920, 1080), "12 MP": (4000, 3000)}


def loop_entropies(pixels: np.ndarray) -> np.ndarray:
    """The rule as written down: one FFT a patch, float64."""
    rows, columns = pixels.shape[0] // 32, pixels.shape[1] // 32
    entropies = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            patch = pixels[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] / 255
            luma = 0.299 * patch[..., 0] + 0.587 * patch[..., 1] + 0.114 * patch[..., 2]
            power = np.abs(np.fft.fft2(luma)) ** 2
            p = power / (power.sum() + 1e-12)
            entropies[row, column] = -(p * np.log2(p + 1e-12)).sum()
    return entropies


def fft_entropies(pixels: np.ndarray) -> np.ndarray:
    """All patches of a row of patches in one `rfft2`, float32."""
    rows, columns = pixels.shape[0] // 32, pixels.shape[1] // 32
    weights = np.where(np.arange(17) % 16 == 0, 1, 2).astype(np.float32)
    entropies = np.empty((rows, columns), dtype=np.float32)
    for row in range(rows):
        strip = pixels[row * 32 : row * 32 + 32, : columns * 32].astype(np.float32) / 255
        luma = strip @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        spectrum = np.fft.rfft2(luma.reshape(32, columns, 32).transpose(1, 0, 2))
        power = np.square(spectrum.real) + np.square(spectrum.imag)  # (N, 32, 17)
        p = power / (np.einsum("nyx,x->n", power, weights) + 1e-12)[:, None, None]
        entropies[row] = -np.einsum("nyx,x->n", p * np.log2(p + 1e-12), weights)
    return entropies


def beside_a_busy_process(repeat: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    code = "import torch\nx = torch.randn(1024, 1024)\nwhile True: torch.mm(x, x)"
    busy = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(5)  # importing torch
        free = [timed(patches.select, pixels)[0] for _ in range(repeat)]
        with threadpool_limits(1, "blas"):
            single = [timed(patches.select, pixels)[0] for _ in range(repeat)]
    finally:
        busy.kill()
    a, b = statistics.median(free), statistics.median(single)
    print(f"12 MP beside a busy process: BLAS with its own threads {a:.2f} s, with one {b:.2f} s")


def chosen(entropies: np.ndarray) -> tuple[set[int], set[int]]:
    order = np.argsort(entropies.ravel(), kind="stable")
    return set(order[:24].tolist()), set(order[-25:].tolist())


def timed(function: Callable[..., T], *arguments: object) -> tuple[float, T]:
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def pictures(folder: Path | None) -> list[Image.Image]:
    if folder is None:
        rng = np.random.default_rng(0)
        small = rng.normal(128, 50, (60, 80, 3)).clip(0, 255).astype(np.uint8)
        return [Image.fromarray(small)]
    files = sorted(p for p in folder.rglob("*") if p.is_file())[:20]
    return [Image.fromarray(decoder.load(file).pixels) for file in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    if options.busy:
        beside_a_busy_process(options.repeat)
        return
    sources = pictures(options.images)
    print(f"{len(sources)} pictures, median of {options.repeat} pairs, one thread")
    threadpool_limits(1, "blas")  # as in a scan, where the decoding threads are the parallelism
    for name, size in SIZES.items():
        ratios, loops, ffts, ours, same, error = [], [], [], [], 0, 0.0
        for picture in sources:
            noise = np.random.default_rng(1).normal(0, 3, (size[1], size[0], 3))
            large = np.asarray(picture.resize(size, Image.Resampling.BICUBIC)) + noise
            pixels = large.clip(0, 255).astype(np.uint8)
            for _ in range(options.repeat):
                slow, reference = timed(loop_entropies, pixels)
                ffts.append(timed(fft_entropies, pixels)[0])
                fast, _ = timed(patches.select, pixels)
                ratios.append(slow / fast)
                loops.append(slow)
                ours.append(fast)
            found = patches.entropy_map(pixels)
            error = max(error, float(np.abs(found - reference).max()))
            same += chosen(found) == chosen(reference)
        print(
            f"{name:>7}: loop {statistics.median(loops) * 1e3:7.1f} ms, "
            f"FFT {statistics.median(ffts) * 1e3:6.1f} ms, "
            f"select {statistics.median(ours) * 1e3:6.1f} ms, "
            f"{statistics.median(ratios):4.1f} times as fast, "
            f"same patches in {same} of {len(sources)}, entropies within {error:.1e} bits"
        )


if __name__ == "__main__":
    main()
