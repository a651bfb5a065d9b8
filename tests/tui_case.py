"""A case of generated pictures for the tests of the review, and a seat in front of its screen.

Hashes and fingerprints follow from the names, so that what the screen says is the same everywhere.
"""

import asyncio
import hashlib
import io
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.segment import Segment
from textual.pilot import Pilot

from conftest import encode, photo
from dgsforensics.case.decisions import Log
from dgsforensics.case.scans import ScanOptions, ScanSettings, StoredScale
from dgsforensics.case.store import Case
from dgsforensics.judgements import Decision
from dgsforensics.records import (
    Evidence,
    Failure,
    FileFacts,
    Mark,
    Prediction,
    Status,
    Traits,
    Verdict,
)
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review
from dgsforensics.tui.app import ReviewApp
from dgsforensics.tui.board import Board
from dgsforensics.tui.choice import Choice

MODEL = "m" * 64
ORIGIN = "false-positive rate 0.01, measured 0.2% to 2.1% (95 % interval) on 340 photographs"
SETTINGS = ScanSettings(
    "0.1",
    "made-up",
    MODEL,
    "v1",
    0.881,
    ScanOptions(scale=StoredScale(1.0, 0.0, 0.0, 2.0, ORIGIN)),
)
CANON, NIKON, GIMP = "Canon EOS R5", "NIKON D850", "GIMP 2.10"
DEADLINE = 60.0
"""Seconds for what comes from a thread; a test that waits so long has failed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file of the case."""

    name: str
    logit: float
    camera: str = ""
    software: str = ""
    looks_like: str = ""
    """Of the same fingerprint but for one bit."""
    same_as: str = ""
    """With the same bytes."""


SAMPLES = (
    Sample("alps/lake.png", 5.0, CANON),
    Sample("alps/lake small.png", 4.0, software=GIMP, looks_like="alps/lake.png"),
    Sample("alps/peak.png", 3.0, CANON),
    Sample("city/tower.png", 2.5, NIKON, GIMP),
    Sample("city/tram.png", 1.0, CANON, GIMP),
    Sample("city/lake again.png", -1.0, looks_like="alps/lake.png"),
    Sample("city/park.png", -4.0),
)
"""Four flagged, one inconclusive, two not flagged; in the order of their scores."""
FAILURES = (
    ("city/broken.png", FileFacts("b" * 64, 812, "PNG"), Status.UNREADABLE, "truncated"),
    ("city/locked.png", FileFacts(), Status.UNREADABLE, "permission denied"),
    ("city/raw.xyz", FileFacts(None, 4), Status.UNSUPPORTED, "not an image"),
)
"""The first was read and can be labelled, the others were not."""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def prediction(folder: Path, sample: Sample) -> Prediction:
    model = sample.looks_like or sample.name
    path = folder / sample.name
    # Of what lies there, if anything does: a file that is not what was scanned is said to be so.
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
    fingerprint = int(sha256(model)[:16], 16) ^ bool(sample.looks_like)
    claims = ((Mark.CAMERA, "camera", sample.camera), (Mark.SOFTWARE, "software", sample.software))
    evidence = tuple(Evidence(mark, "EXIF", name, value) for mark, name, value in claims if value)
    return Prediction(
        path,
        FileFacts(digest or sha256(sample.same_as or sample.name), 12_345, "PNG", 480, 320, 1),
        sample.logit,
        0.5,
        Verdict.FLAGGED,  # with the probability: neither is stored
        0.881,
        "made-up",
        MODEL,
        traits=Traits(fingerprint, evidence),
    )


def failures(folder: Path) -> list[Failure]:
    return [Failure(folder / name, *rest) for name, *rest in FAILURES]


def paint(folder: Path, samples: tuple[Sample, ...] = SAMPLES) -> None:
    """Put the pictures where the case says they are."""
    seeds = {sample.name: seed for seed, sample in enumerate(samples)}
    for sample in samples:
        path = folder / sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(photo(480, 320, seeds[sample.same_as or sample.name]), "PNG"))
    for name, *_ in FAILURES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no image")


def write(
    case: Path, rows: list[Prediction | Failure], *, finished: bool = True, pages: int = 1000
) -> Path:
    """One scan of these."""
    with Case.open(case) as opened:
        scan = opened.begin_scan(SETTINGS)
        for start in range(0, len(rows), pages):
            scan.record(rows[start : start + pages])
        if finished:
            scan.finish()
    return case


def build(folder: Path, samples: tuple[Sample, ...] = SAMPLES) -> Path:
    """Pictures below a folder, and the case file beside them."""
    pictures = folder / "pictures"
    paint(pictures, samples)
    rows = [prediction(pictures, sample) for sample in samples]
    return write(folder / "case.sqlite3", [*rows, *failures(pictures)])


def log(case: Path) -> list[Decision]:
    """What the case file itself says was decided, through a connection of its own."""
    with Case.open(case) as opened:
        return Log(opened).after()


@dataclass(frozen=True, slots=True)
class Seat:
    """In front of a running review."""

    app: ReviewApp
    pilot: Pilot[None]

    @property
    def board(self) -> Board:
        return self.app.board

    @property
    def review(self) -> Review:
        return self.app.review

    @property
    def current(self) -> str:
        """The name of the image under the cursor."""
        item = self.board.rows.current
        assert item is not None
        return item.path.name

    @property
    def listed(self) -> list[str]:
        return [item.path.name for item in self.board.rows.items]

    @property
    def labels(self) -> dict[str, str]:
        """What the reviewer has labelled, by name."""
        found = {item.path.name: self.review.judgement(item) for item in self.review.items}
        return {name: label.value for name, label in found.items() if label}

    def item(self, name: str) -> Item:
        return next(item for item in self.review.items if item.path.name == name)

    async def press(self, *keys: str) -> None:
        """Press keys, each when what it is meant for is on the screen."""
        for key in keys:
            await self.settled()
            await self.pilot.press(key)
        await self.pilot.pause()

    async def settled(self) -> None:
        """Wait for the picture, where there is to be one."""
        viewer = self.board.viewer

        def is_there() -> bool:
            picture = viewer.picture
            covered = self.app.screen is not self.board or not picture.has_room
            return covered or viewer.item is None or picture.since is not None

        await self.until(is_there)

    async def go(self, name: str) -> None:
        self.board.rows.move(self.listed.index(name))
        await self.pilot.pause()

    async def write(self, text: str) -> None:
        """Type into the line of a dialog."""
        await self.press(*("space" if character == " " else character for character in text))

    async def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, self.text
            await self.pilot.pause(0.01)

    async def says(self, text: str) -> None:
        """Wait until the screen does."""
        await self.until(lambda: text in self.text)

    @property
    def text(self) -> str:
        return "\n".join(lines(self.app))

    @property
    def top(self) -> str:
        return lines(self.app)[0]

    @property
    def status(self) -> str:
        return lines(self.app)[-2]


def lines(app: ReviewApp) -> list[str]:
    """The lines of the screen as text; as `App.export_screenshot` draws them."""
    width, height = app.size
    console = Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        record=True,
        legacy_windows=False,
    )
    compositor = app.screen._compositor
    console.print(compositor.render_update(full=True, screen_stack=app._background_screens))
    return [line.rstrip() for line in console.export_text().splitlines()][:height]


def segments(app: ReviewApp) -> list[Segment]:
    """All that is on the screen, with its colours as they are sent."""
    compositor = app.screen._compositor
    update = compositor.render_update(full=True, screen_stack=app._background_screens)
    return [segment for line in update.strips for strip in line for segment in strip]


def sit(
    case: Path,
    steps: Callable[[Seat], Awaitable[None]],
    *,
    size: tuple[int, int] = (120, 30),
    query: str = "",
    reviewer: str = "ann",
    blind: bool = False,
    **options: Any,
) -> None:
    """Run the application on a case file and take some steps."""

    async def run() -> None:
        with Case.open(case) as opened:
            app = ReviewApp(Review(opened, reviewer, blind=blind), Choice(query), **options)
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await steps(Seat(app, pilot))

    asyncio.run(run())
