"""How long a review of many images takes to open, and each step through them.

    python benchmarks/review.py [--rows 50000]

The case is made up: paths that do not exist, scores drawn at random. Opening is from the call that
reads the case to the first screen with the list on it, after the imports. A step is one key, from
the press until the screen is drawn again, without a terminal to send it to.
"""

import argparse
import asyncio
import hashlib
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from dgsforensics.case.scans import ScanOptions, ScanSettings, StoredScale
from dgsforensics.case.store import Case
from dgsforensics.records import Evidence, FileFacts, Mark, Prediction, Traits, Verdict
from dgsforensics.review.session import Review
from dgsforensics.tui.app import ReviewApp
from dgsforensics.tui.choice import Choice

SIZE = (200, 60)
KEYS = {
    "a key that does nothing": ("f12", 50),
    "one down": ("down", 100),
    "a page down": ("pagedown", 100),
    "to the end and back": ("end,home", 20),
    "label and go on": ("1", 50),
    "undo": ("z", 50),
    "next unlabelled": ("n", 50),
    "sort": ("s", 12),
    "next verdict": ("v", 10),
    "label a folder": ("A,y", 5),
}


def made_up(path: Path, rows: int) -> None:
    """A case file with so many images."""
    rng = random.Random(0)
    options = ScanOptions(scale=StoredScale(2.0, 0.0, -1.0, 3.0, "made up"))
    settings = ScanSettings("0", "made-up", "0" * 64, "none", 0.817, options)
    camera = Evidence(Mark.CAMERA, "EXIF", "camera", "Made Up 1")
    with Case.open(path) as case:
        scan = case.begin_scan(settings)
        for start in range(0, rows, 1000):
            batch = []
            for number in range(start, min(start + 1000, rows)):
                sha256 = hashlib.sha256(str(number).encode()).hexdigest()
                size = rng.randrange(300, 6000), rng.randrange(300, 4000)
                facts = FileFacts(sha256, rng.randrange(10**7), "JPEG", *size, 1)
                traits = Traits(rng.getrandbits(64), (camera,) if rng.random() < 0.5 else ())
                where = Path(f"/archive/{number // 500:04d}/IMG_{number:06d}.jpg")
                made = (where, facts, rng.gauss(-1, 2), 0.5, Verdict.FLAGGED, 0.8)
                batch.append(Prediction(*made, "made-up", "0" * 64, traits=traits))
            scan.record(batch)
        scan.finish()


async def measure(path: Path) -> None:
    """Open, and press each key."""
    started = time.perf_counter()
    with Case.open(path) as case:
        review = Review(case, "benchmark")
        loaded = time.perf_counter()
        app = ReviewApp(review, Choice(), looks=False)  # there are no pictures
        async with app.run_test(size=SIZE) as pilot:
            await pilot.pause()
            opened = time.perf_counter()
            print(f"opened in {opened - started:.2f} s, of it {loaded - started:.2f} s reading")
            for name, (keys, times) in KEYS.items():
                if name == "label a folder":
                    await pilot.press("g")  # from near-duplicates to folders
                took = []
                for _ in range(times):
                    began = time.perf_counter()
                    await pilot.press(*keys.split(","))
                    took.append((time.perf_counter() - began) / len(keys.split(",")))
                took.sort()
                median, worst = took[len(took) // 2], took[-1]
                print(f"{name:<24} median {median * 1000:6.1f} ms, longest {worst * 1000:6.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / (1 << 20 if sys.platform == 'darwin' else 1 << 10):.0f} MiB")


def main() -> None:
    """Make the case, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.sqlite3"
        made_up(path, arguments.rows)
        print(f"{arguments.rows} images, a screen of {SIZE[0]}x{SIZE[1]}")
        asyncio.run(measure(path))


if __name__ == "__main__":
    main()
