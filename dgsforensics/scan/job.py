"""Scoring files into a case: what was asked for, prepared once, then scored row by row.

`run` shows the rows as they come, `dgsf review` lets a person judge them meanwhile.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from dgsforensics.case import location, relocation, scores, store
from dgsforensics.case.circumstances import LISTED, ScanOutcome
from dgsforensics.case.recording import Scan
from dgsforensics.case.scans import ScanOptions, ScanSettings, StoredScale
from dgsforensics.detector import folders, header
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.header import DetectorHeader
from dgsforensics.errors import CheckpointError, UsageError
from dgsforensics.files.archives import DEFAULT_ARCHIVE_LIMITS
from dgsforensics.files.candidates import WalkReport
from dgsforensics.files.content import is_folder, is_there
from dgsforensics.files.lists import read_list_from, refuse_addresses
from dgsforensics.files.walk import find_files
from dgsforensics.pictures import pixel_limit
from dgsforensics.records import EarlierScore, Failure, Prediction
from dgsforensics.scan import output
from dgsforensics.scan.request import ScanRequest
from dgsforensics.scan.surroundings import gather

logger = logging.getLogger(__name__)

_DECIDE_A_SCORE = ("torch", "open_clip_torch", "pillow", "numpy")
"""Distributions whose version may move the last digits of a score."""


@dataclass(frozen=True)
class Job:
    """A scan that can begin: files found, detector known but for its model."""

    request: ScanRequest
    paths: list[Path]
    """As given, those in lists too."""
    found: list[Path | Failure]
    report: WalkReport
    """What was passed over on the way."""
    detector: Detector
    info: output.RunInfo
    case: Path | None

    @property
    def left_out(self) -> dict[str, int]:
        """How many files were passed over, by kind."""
        return dict(Counter(file.kind for file in self.report.left_out))

    @contextmanager
    def begun(self) -> Iterator[Iterator[list[Prediction | Failure]]]:
        """Open the case and score the files, in order, in lists that are already in the case."""
        with ExitStack() as stack:
            scans: list[Scan] = []
            kept: Scan | None = None
            request, opened, everything = self.request, None, None
            if self.case is not None:
                opened = stack.enter_context(store.Case.open(self.case))
            if opened is not None or (request.use_cache and not request.makes_case):
                everything = stack.enter_context(scores.opened())
            for known in filter(None, (opened, everything)):
                scores.adopt(known, self._weights_of(scores.without_weights(known)))
            settings = self._settings()
            if opened is not None:
                scans.append(opened.begin_scan(settings))
            if everything is not None:
                if opened is not None:
                    scores.note_source(everything, opened.path)
                bare = replace(settings, options=ScanOptions(), circumstances=None)
                kept = everything.begin_scan(bare)
            yield self._scores(scans, kept)

    def _scores(self, scans: list[Scan], kept: Scan | None) -> Iterator[list[Prediction | Failure]]:
        request = self.request
        every = [*scans, *([] if kept is None else [kept])]
        for rows in self.detector.scan_batches(
            self.found,
            batch=request.batch,
            workers=request.workers,
            limits=request.limits,
            known=_known(every) if every and request.use_cache else None,
        ):
            for scan in scans:
                scan.record(rows)
            if kept is not None:
                kept.remember(rows)
            yield rows
        for scan in scans:
            scan.finish(self._outcome())
        if kept is not None:
            kept.finish()

    def _outcome(self) -> ScanOutcome:
        detector, met = self.detector, self.report.left_out
        return ScanOutcome(
            device=str(detector.forward.device) if detector.loaded else None,
            batch=detector.batch_size(self.request.batch) if detector.loaded else None,
            named=tuple((os.path.abspath(file.path), file.kind) for file in met[:LISTED]),
        )

    def _weights_of(self, files: set[str]) -> dict[str, str]:
        """By digest of a detector file that of its weights, for those that are at hand."""
        own = {self.info.model_sha256: self.info.weights_sha256}
        return {file: made for file, made in (_weights(files) | own).items() if file in files}

    def _settings(self) -> ScanSettings:
        info, calibration = self.info, self.detector.calibration
        return ScanSettings(
            tool_version=info.tool_version,
            model=info.model,
            model_sha256=info.model_sha256,
            weights_sha256=info.weights_sha256,
            preprocessing=info.preprocessing,
            threshold=info.threshold,
            options=ScanOptions(
                device=self.request.device,
                batch=self.request.batch,
                detector=self.request.model,
                fpr=self.request.fpr,
                probability=self.request.threshold,
                exclude=tuple(self.request.exclude),
                archives=self.request.archives,
                folders=tuple(_folders(self.paths)),
                scale=StoredScale(
                    calibration.temperature,
                    calibration.intercept,
                    **asdict(self.detector.thresholds),
                ),
                versions={"Python": python_version(), **{n: version(n) for n in _DECIDE_A_SCORE}},
                left_out=self.left_out,
                others={"limits": asdict(self.request.limits)},
            ),
            circumstances=gather(self.request.command),
        )


def prepare(request: ScanRequest) -> Job:
    """Find the files and read what the detector says of itself; the model is not loaded.

    Raises `DgsError` for what stops the whole scan, such as a path that is not there: one that was
    typed, that is; what a list names may be gone by now, and is a row.
    """
    typed = [path for path in request.paths if path != Path("-")]
    files_from = "-" if len(typed) < len(request.paths) else request.files_from
    paths = [*typed, *([] if files_from is None else read_list_from(files_from))]
    refuse_addresses(paths)
    source = header.read(folders.resolve(request.model))
    detector = Detector.waiting(source, request.device, request.backbone_weights)
    detector.thresholds = detector.calibration.thresholds(
        fpr=request.fpr, probability=request.threshold
    )
    _refuse_missing(typed)
    started, report = time.monotonic(), WalkReport()
    found = list(
        find_files(
            paths,
            exclude=request.exclude,
            follow_symlinks=request.follow_symlinks,
            report=report,
            archives=DEFAULT_ARCHIVE_LIMITS if request.archives else None,
        )
    )
    logger.info("found %d files in %.1f s", len(found), time.monotonic() - started)
    pixel_limit.lift()
    case = request.case
    # What holds no file makes no case.
    has_files = any(isinstance(file, Path) for file in found)
    if case is None and request.use_cache and request.makes_case and has_files:
        case = location.default_path(paths)
        if not case.exists() and (renamed := relocation.follow_renamed(paths, found, case)):
            logger.warning("%s was renamed: its case goes on here", renamed)
    return Job(request, paths, found, report, detector, _run_info(source, detector, case), case)


def _refuse_missing(paths: Sequence[Path]) -> None:
    missing = [str(path) for path in paths if not is_there(path)]
    if missing:
        others = "" if len(missing) == len(paths) else "; nothing was scanned"
        raise UsageError(
            f"{', '.join(missing)}: no such file or folder{others}", "check the spelling"
        )


def _known(scans: Sequence[Scan]) -> Callable[[str], EarlierScore | None]:
    """Ask one after the other."""

    def known(sha256: str) -> EarlierScore | None:
        return next((row for scan in scans if (row := scan.known(sha256))), None)

    return known


def _weights(files: set[str]) -> dict[str, str]:
    """By digest of a detector file that of its weights, for those of `files` that are at hand."""
    found = {}
    for path in folders.available().values() if files else ():
        try:
            made = header.read(path)
        except CheckpointError as error:
            logger.debug("%s: %s", path, error.message)
            continue
        if made.sha256 in files:
            found[made.sha256] = made.weights_sha256
    return found


def _folders(paths: Sequence[Path]) -> list[str]:
    """The absolute paths of the folders and archives among these; a file covers none."""
    return [os.path.abspath(path) for path in paths if is_folder(path)]


def _run_info(source: DetectorHeader, detector: Detector, case: Path | None) -> output.RunInfo:
    probability = source.calibration.probability
    return output.RunInfo(
        tool_version=version("dgsforensics"),
        model=source.config.name,
        model_sha256=source.sha256,
        weights_sha256=source.weights_sha256,
        preprocessing=source.config.preprocessing,
        threshold=probability(detector.thresholds.upper),
        lower=probability(detector.thresholds.lower),
        threshold_origin=detector.thresholds.origin,
        calibrated=source.calibration.measured,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        case=None if case is None else str(case),
    )
