"""Peak memory of a scan over 100 and over 2,000 images, each in a process of its own.

    python benchmarks/memory.py FOLDER [--counts 100 2000] [--no-model]

With fewer files in FOLDER they are linked repeatedly. --no-model replaces the network by a
constant, so that everything but the forward pass can be watched over 10,000 files in minutes.
"""

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from dgsforensics.files.walk import find_files


def _no_logits(self: object, pixels: NDArray[np.uint8], batch: int | None = None) -> list[float]:
    """In place of the forward pass."""
    return [0.0] * len(pixels)


def scan_and_report(folder: Path, no_model: bool) -> None:
    """In the child: scan as the command does and print the peak of the resident memory."""
    from dgsforensics import cli
    from dgsforensics.detector import detector

    if no_model:
        patch.object(detector.Detector, "logits", _no_logits).start()
    sys.argv = ["dgsf", "scan", str(folder), "-q", "--output", str(folder) + ".jsonl"]
    sys.argv += ["--case", str(folder) + ".case"]
    try:
        cli.main()
    except SystemExit as exit:
        assert exit.code in (0, 1), exit.code
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        scan_and_report(options.folder, options.no_model)
        return
    files = [path for path in find_files([options.folder]) if isinstance(path, Path)]
    for count in options.counts:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "pictures"
            target.mkdir()
            for number, path in enumerate(itertools.islice(itertools.cycle(files), count)):
                os.link(path, target / f"{number:05}{path.suffix}")
            command = [sys.executable, __file__, str(target), "--child"]
            command += ["--no-model"] * options.no_model
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{count:6} images: peak {peak.strip()} MiB", flush=True)


if __name__ == "__main__":
    main()
