"""How long a review of many images takes to open, and each step through them; and in a terminal,
how long from a key to its picture, and how many bytes are sent for it.

    python benchmarks/review.py [--rows 50000] [--pictures FOLDER]

The case is made up: paths that do not exist, scores drawn at random. Opening is from the call that
reads the case to the first screen with the list on it, after the imports. A step is one key, from
the press until the screen is drawn again, without a terminal to send it to.

With a folder of pictures, `dgsf review` runs at the other end of a pty that answers as a terminal
does, for 120x40 in all colours and in 256; the time is from the key to the last byte that asks
whether the picture has arrived.
"""

import argparse
import asyncio
import hashlib
import os
import random
import resource
import select
import statistics
import subprocess
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


class Screen:
    """A pty that answers, with a review in it."""

    def __init__(self, case: Path, colours: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        unset = ("TMUX", "STY", "NO_COLOR", "COLORTERM", "SSH_TTY")
        variables = {k: v for k, v in os.environ.items() if k not in unset}
        command = [sys.executable, "-m", "dgsforensics", "review", str(case), "--filter", ""]
        self._process = subprocess.Popen(
            [*command, "--reviewer", f"benchmark {colours}"],
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
            env={**variables, "TERM": "xterm-256color"},
        )
        os.close(there)
        self._colours = colours

    def read(self, until: bytes, quiet: float = 0.5) -> tuple[int, float]:
        """Read until it has been said and nothing follows; the bytes, and when it was said."""
        found, when = b"", 0.0
        while True:
            ready = select.select([self._here], [], [], quiet if when else 60)[0]
            if not ready:
                if not when:
                    raise TimeoutError(f"{until!r} was not said")
                return len(found), when
            new = os.read(self._here, 1 << 16)
            found += new
            for _ in range(new.count(b"\x1b[6n")):
                os.write(self._here, b"\x1b[1;1R")
            if b"\x1b[c" in new:
                colour = b"48:2:18:52:86" if self._colours == "all" else b"48;5;24"
                os.write(self._here, b"\x1bP1$r0;" + colour + b"m\x1b\\\x1b[?62c")
            if not when and until in found:
                when = time.perf_counter()

    def press(self, key: bytes) -> tuple[int, float]:
        """The bytes sent for a key, and the seconds until its picture was sent."""
        began = time.perf_counter()
        os.write(self._here, key)
        count, when = self.read(b"\x1b[6n")
        return count, when - began

    def close(self) -> None:
        """End the review."""
        self._process.kill()
        self._process.wait()
        os.close(self._here)


def with_pictures(case: Path, folder: Path) -> int:
    """A case of the pictures of a folder; how many there are."""
    from PIL import Image

    files = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg"))
    options = ScanOptions(scale=StoredScale(2.0, 0.0, -1.0, 3.0, "made up"))
    with Case.open(case) as opened:
        scan = opened.begin_scan(ScanSettings("0", "made-up", "0" * 64, "none", 0.817, options))
        for number, path in enumerate(files):
            data = path.read_bytes()
            with Image.open(path) as image:
                kind, size = image.format or "", image.size
            facts = FileFacts(hashlib.sha256(data).hexdigest(), len(data), kind, *size, 1)
            made = (path.absolute(), facts, 5 - number / 100, 0.5, Verdict.FLAGGED, 0.8)
            scan.record([Prediction(*made, "made-up", "0" * 64, traits=Traits(number << 20, ()))])
        scan.finish()
    return len(files)


def measure_screen(case: Path, count: int) -> None:
    """Step through the pictures, and label them."""
    for colours in ("all", "256"):
        screen = Screen(case, colours)
        try:
            screen.read(b"fit", 2.0)
            for what, key in (("a step", b"j"), ("a label", b"1")):
                found = [screen.press(key) for _ in range(count - 1)]
                took = sorted(seconds for _, seconds in found)
                median, worst = took[len(took) // 2], took[int(0.99 * (len(took) - 1))]
                size = statistics.median(count for count, _ in found)
                said = f"median {median * 1000:.0f} ms, 99th percentile {worst * 1000:.0f} ms"
                print(f"{what} at 120x40, {colours} colours: {said}, {size / 1000:.1f} KB")
                screen.press(b"\x1b[H")
        finally:
            screen.close()


def main() -> None:
    """Make the case, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.sqlite3"
        made_up(path, arguments.rows)
        print(f"{arguments.rows} images, a screen of {SIZE[0]}x{SIZE[1]}")
        asyncio.run(measure(path))
        if arguments.pictures:
            pictures = Path(folder) / "pictures.sqlite3"
            measure_screen(pictures, with_pictures(pictures, arguments.pictures))


if __name__ == "__main__":
    main()
