"""What listed files hold: each is read once, hashed, decoded and fingerprinted, in threads."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dgsforensics.datasets.labelled import ListedImage, Sample
from dgsforensics.detector.read_ahead import ahead
from dgsforensics.errors import ImageError, UsageError
from dgsforensics.files import content
from dgsforensics.pictures import decoder
from dgsforensics.pictures.near_duplicates import fingerprint
from dgsforensics.records import FileFacts

PATIENCE = 600.0
"""Seconds for one file. Far more than a scan waits: what is trained on must not depend on how busy
the machine is."""
NAMED = 20
"""Files named in one message."""


@dataclass(frozen=True, slots=True)
class ReadableImage:
    """A readable image and what the data say of it."""

    listed: ListedImage
    sha256: str
    fingerprint: int
    """As `groups.fingerprint`."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What reading a file gave."""

    sha256: str | None = None
    fingerprint: int | None = None
    problem: str | None = None
    """Why one of them is missing."""


def examine(
    listed: Sequence[ListedImage], progress: Callable[[int, int], None]
) -> tuple[list[ReadableImage], list[str]]:
    """Return the readable images, in order, and a line for each other file that says why.

    `progress` is told files done and files to do. Raises `UsageError` naming the files whose
    SHA-256 is not the one that the data give.
    """
    rows: list[ReadableImage] = []
    foreign: list[str] = []
    unreadable: list[str] = []
    seen = _through(look, [entry.path for entry in listed])
    for done, (entry, now) in enumerate(zip(listed, seen, strict=True), 1):
        if entry.sha256 and now.sha256 and now.sha256 != entry.sha256:
            foreign.append(f"{place(entry)}: the sha256 is {now.sha256}")
        elif now.sha256 is None or now.fingerprint is None:
            unreadable.append(f"{place(entry)}: {now.problem}")
        else:
            rows.append(ReadableImage(entry, now.sha256, now.fingerprint))
        progress(done, len(listed))
    if foreign:
        raise UsageError(
            f"{len(foreign)} files are not those that the data describe: {some(foreign)}",
            "correct the files or the manifest",
        )
    return rows, unreadable


def require_unchanged(samples: Sequence[Sample]) -> None:
    """Hash all files again; raises `UsageError` naming those that changed or are gone."""
    problems = []
    seen = _through(_hash, [sample.path for sample in samples])
    for sample, now in zip(samples, seen, strict=True):
        if now.sha256 != sample.sha256:
            problems.append(f"{sample.path}: {now.problem or 'changed'}")
    if problems:
        raise UsageError(
            f"{len(problems)} images are not as they were when the run began: {some(problems)}",
            "put them back, or start over with --force instead of --resume",
        )


def place(entry: ListedImage) -> str:
    """Return a file for messages, with the line of the manifest that lists it."""
    path = str(entry.path)
    return path if entry.origin == path else f"{path} ({entry.origin})"


def some(texts: Sequence[str]) -> str:
    """Return the first `NAMED` of the texts in one line, and how many more there are."""
    more = f"; and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return "; ".join(texts[:NAMED]) + more


def _through(work: Callable[[Path], SeenFile], paths: Sequence[Path]) -> Iterator[SeenFile]:
    threads = min(4, os.cpu_count() or 1)
    for _, seen in ahead(work, paths, workers=threads, size=4 * threads, seconds=PATIENCE):
        yield seen or SeenFile(problem=f"took longer than {PATIENCE:g} s to read")


def _hash(path: Path) -> SeenFile:
    try:
        return SeenFile(hashlib.sha256(content.read(path)).hexdigest())
    except ImageError as error:
        return SeenFile(problem=error.message)


def look(path: Path) -> SeenFile:
    """Return what one file holds, or why it cannot be used."""
    facts = FileFacts()
    try:
        data = content.read(path)
        facts = decoder.facts_of(data)
        pixels = decoder.decode(data, facts=facts).pixels
    except ImageError as error:
        reason = error.sentence
        return SeenFile(facts.sha256, problem=reason)
    return SeenFile(facts.sha256, fingerprint(Image.fromarray(pixels)))
