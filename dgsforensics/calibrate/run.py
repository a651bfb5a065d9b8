"""One `dgsf calibrate`: a person's photographs scored as in a scan, and a detector cut to them.

Scores are kept in a case file of their own in the user's cache, one for each folder of photographs:
an interrupted calibration goes on, and the cases under review stay as they are.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from safetensors import SafetensorError

from dgsforensics import atomic
from dgsforensics.calibrate import photographs
from dgsforensics.calibrate.photographs import FolderCount, Rate
from dgsforensics.case import contents, location, store
from dgsforensics.detector import catalogue, checkpoint, folders
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.facts import Recalibration
from dgsforensics.detector.folders import file_name, sha256_of
from dgsforensics.errors import UsageError
from dgsforensics.interrupts import remembered_interrupt
from dgsforensics.records import Failure, Prediction, UnreadFile
from dgsforensics.scan.job import Job, prepare
from dgsforensics.scan.request import ScanRequest as Scan
from dgsforensics.wording import printable

SUFFIX = ".safetensors"
_BOTH = "the same content is among the photographs and among the generated images"

Tell = Callable[[str, int, int, Mapping[str, float]], None]
Rows = list[Prediction | Failure]


@dataclass(frozen=True)
class CalibrationRequest:
    """What the command line asked for; the fields are its options."""

    reals: Path
    fakes: Path | None
    model: str | None
    rates: tuple[float, ...]
    """False-positive rates that have to be kept, beside those always told."""
    out: Path | None
    name: str | None
    force: bool
    backbone_weights: Path | None
    device: str
    batch: int | None
    workers: int | None


@dataclass(frozen=True)
class CalibrationResult:
    """A calibrated detector that is not written yet, and what to say of it."""

    base: Checkpoint
    made: Checkpoint
    path: Path
    """Where it goes."""
    photographs: FolderCount
    generated: FolderCount | None
    rates: tuple[Rate, ...]
    unread: tuple[UnreadFile, ...]
    """Files without a score, and those that are in both folders."""


def scores_path(reals: Path) -> Path:
    """Return where the scores of a folder of photographs, and of what it was paired with, are
    kept."""
    place = platformdirs.user_cache_path("dgsforensics") / "calibration"
    return place / location.default_path([reals]).name


def run(request: CalibrationRequest, tell: Tell) -> CalibrationResult:
    """Score what has no score yet, and calibrate; writes no detector.

    `tell` is told what is being done, how much of it is done, of how much. Raises `DgsError`,
    before anything is scored where that can be known then; on an interruption all scores are kept.
    """
    _refuse_odd_folders(request)
    base_path = folders.resolve(request.model)
    base = checkpoint.read(base_path)
    path = _target(request, base)
    job = prepare(
        Scan(
            paths=[request.reals, *([request.fakes] if request.fakes else [])],
            model=str(base_path),
            backbone_weights=request.backbone_weights,
            device=request.device,
            batch=request.batch,
            workers=request.workers,
            case=scores_path(request.reals),
        )
    )
    assert job is not None and job.case is not None
    files = [found.path if isinstance(found, Failure) else found for found in job.found]
    photographs.refuse_rates(request.rates, sum(not _is_fake(p, request) for p in files))
    rows, fingerprints = _score(job, job.case, tell)
    real_rows = [row for row in rows if not _is_fake(row.path, request)]
    fake_rows = [row for row in rows if _is_fake(row.path, request)]
    both = _contents(real_rows) & _contents(fake_rows)
    real = photographs.count(_name(request.reals), real_rows, fingerprints, both)
    fake = None
    if request.fakes is not None:
        fake = photographs.count(_name(request.fakes), fake_rows, fingerprints, both)
        photographs.refuse_too_few(fake, "generated images")
    photographs.refuse_too_few(real, "photographs")
    photographs.refuse_rates(request.rates, len(real.logits))
    today = datetime.now(UTC).date().isoformat()
    measured_on = f"{len(real.logits)} photographs in the folder '{real.folder}' ({today})"
    fitted = photographs.fit(base.calibration, real, fake, measured_on)
    made = replace(
        base,
        config=replace(base.config, name=path.name.removesuffix(SUFFIX)),
        calibration=fitted,
        card=replace(base.card, calibrated=_recalibration(base, real, fake, today)),
    )
    return CalibrationResult(
        base=base,
        made=made,
        path=path,
        photographs=real,
        generated=fake,
        rates=photographs.rates(fitted, fake, request.rates),
        unread=tuple(_unread(rows, both)),
    )


def write(outcome: CalibrationResult, card: str, *, force: bool) -> str:
    """Write the card and, last, the detector; returns the detector's SHA-256.

    A backbone that lies beside the original goes along where it would not be found otherwise.
    Raises `UsageError` when a file exists and `force` does not say otherwise.
    """
    path, digest = outcome.path, outcome.base.config.backbone.sha256
    catalogue.refuse_existing(_files(path), force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if outcome.base.folder is not None and digest is not None:
            _bring(outcome.base.folder / file_name(digest), path.parent)
        atomic.write_text(card, path.with_suffix(".md"))
        checkpoint.write(outcome.made, path)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot write {path}: {reason}") from error
    return sha256_of(path)


def _bring(backbone: Path, folder: Path) -> None:
    near = (folder, folders.user_folder())
    if not backbone.is_file() or any((place / backbone.name).is_file() for place in near):
        return
    with atomic.replacing(folder / backbone.name) as part:
        shutil.copyfile(backbone, part)


def _refuse_odd_folders(request: CalibrationRequest) -> None:
    folders = [folder for folder in (request.reals, request.fakes) if folder is not None]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", "give a folder of images")
    real = [Path(os.path.realpath(folder)) for folder in folders]
    if len(real) > 1 and any(a.is_relative_to(b) for a, b in (real, real[::-1])):
        raise UsageError(
            "one folder is inside the other",
            "photographs and generated images need folders of their own, side by side",
        )


def _target(request: CalibrationRequest, base: Checkpoint) -> Path:
    """Return where the detector goes; raises `UsageError` where it cannot, before hours of work."""
    if request.out is not None and request.name is not None:
        raise UsageError("give --out or --name, not both")
    if request.out is not None:
        name, folder = request.out.name.removesuffix(SUFFIX), request.out.parent
        if request.out.suffix != SUFFIX:
            raise UsageError(f"--out: {request.out.name} does not end in {SUFFIX}")
        if not folder.is_dir():
            raise UsageError(f"--out: {folder} is not a folder")
    else:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", _name(request.reals)).strip("-.")
        name = f"{_original(base)[0]}-{slug or 'photographs'}"[:100]
        name = name if request.name is None else request.name
        folder = folders.user_folder()
    catalogue.check_name(name)
    path = folder / (name + SUFFIX)
    catalogue.refuse_existing(_files(path), force=request.force)
    return path


def _files(path: Path) -> list[Path]:
    return [path, path.with_suffix(".md")]


def _name(folder: Path) -> str:
    return printable(os.path.basename(os.path.abspath(folder)))


def _is_fake(path: Path, request: CalibrationRequest) -> bool:
    """Return whether a file was found in the folder of generated images."""
    if request.fakes is None:
        return False
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(request.fakes))


def _score(job: Job, case: Path, tell: Tell) -> tuple[Rows, dict[str, int]]:
    """Return a row for each file found, in order; and fingerprints by SHA-256."""
    rows: Rows = []
    with job.begun() as batches, remembered_interrupt() as stopped:
        for batch in batches:
            if stopped.is_set():
                raise KeyboardInterrupt
            rows += batch
            tell("scores", len(rows), len(job.found), {})
    with store.Case.open(case) as opened:
        return rows, contents.fingerprints(opened)


def _contents(rows: Rows) -> set[str | None]:
    return {row.facts.sha256 for row in rows if isinstance(row, Prediction)}


def _unread(rows: Rows, both: set[str | None]) -> list[UnreadFile]:
    found = []
    for row in rows:
        if isinstance(row, Failure):
            found.append(UnreadFile(str(row.path), row.reason))
        elif row.facts.sha256 in both:
            found.append(UnreadFile(str(row.path), _BOTH))
    return found


def _original(base: Checkpoint) -> tuple[str, str]:
    """Name and SHA-256 of the detector that was never calibrated by a person: its own, or, where
    it is one that this module made, those in its card."""
    if (before := base.card.calibrated) is not None:
        return before.base, before.sha256
    return base.config.name, base.sha256


def _recalibration(
    base: Checkpoint, real: FolderCount, fake: FolderCount | None, today: str
) -> Recalibration:
    """Return what the card says of it: one step from the original, however often that was
    calibrated."""
    name, digest = _original(base)
    return Recalibration(
        base=name,
        sha256=digest,
        photographs=_words(real, today),
        generated=_origin_of_generated(base, fake, today),
    )


def _origin_of_generated(base: Checkpoint, fake: FolderCount | None, today: str) -> str:
    if fake is not None:
        return (
            f"{_words(fake, today)}; temperature and intercept of the probability were fitted on "
            "these and on the photographs of that day"
        )
    if (before := base.card.calibrated) is not None:  # kept from the calibration before this one
        return before.generated
    if base.calibration.generated:
        return (
            f"the {len(base.calibration.generated)} that {base.config.name} came with, as did "
            "temperature and intercept of the probability"
        )
    return "none: there is no inconclusive band, and the probability is the plain sigmoid"


def _words(images: FolderCount, today: str) -> str:
    return (
        f"{len(images.logits)} in the folder '{images.folder}' ({today}): {images.files} files, "
        f"less {images.unread} without a score, {images.outside} out of domain, "
        f"{images.copies} copies and "
        f"{images.near_duplicates} near-duplicates"
    )
