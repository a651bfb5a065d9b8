"""Scoring files into a case: what was asked for, prepared once, then scored row by row.

`run` shows the rows as they come, `dgsf review` lets a person judge them meanwhile.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import PIL.Image

from dgsforensics.case import location, store
from dgsforensics.detector.detector import Detector
from dgsforensics.files.walk import find_files, read_list_from
from dgsforensics.records import Failure, Prediction, ScanSettings
from dgsforensics.scan import output
from dgsforensics.scan.request import ScanRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A scan that can begin: files found, detector loaded."""

    request: ScanRequest
    found: list[Path | Failure]
    detector: Detector
    info: output.RunInfo
    case: Path | None

    @contextmanager
    def begun(self) -> Iterator[Iterator[list[Prediction | Failure]]]:
        """Open the case and score the files, in order, in lists that are already in the case."""
        with store.Case.open(self.case) if self.case is not None else nullcontext() as case:
            yield self._scores(None if case is None else case.begin_scan(self._settings()))

    def _scores(self, scan: store.Scan | None) -> Iterator[list[Prediction | Failure]]:
        request = self.request
        for rows in self.detector.scan_batches(
            self.found,
            batch=request.batch,
            workers=request.workers,
            limits=request.limits,
            known=scan.known if scan is not None and request.use_cache else None,
        ):
            if scan is not None:
                scan.record(rows)
            yield rows
        if scan is not None:
            scan.finish()

    def _settings(self) -> ScanSettings:
        info, calibration = self.info, self.detector.calibration
        return ScanSettings(
            tool_version=info.tool_version,
            model=info.model,
            model_sha256=info.model_sha256,
            preprocessing=info.preprocessing,
            threshold=info.threshold,
            options={
                "device": info.device,
                "batch": info.batch,
                "limits": asdict(self.request.limits),
                # As asked for, so that another scan of the same can ask alike.
                "detector": self.request.model,
                "fpr": self.request.fpr,
                "probability": self.request.threshold,
                # Which files of the case would have been found: see `case.coverage`.
                "exclude": self.request.exclude,
                "folders": _folders(self.request.paths),
                # What a stored logit means, for those who read the case without the detector.
                "temperature": calibration.temperature,
                "intercept": calibration.intercept,
                "thresholds": asdict(self.detector.thresholds),
            },
        )


def prepare(request: ScanRequest) -> Job | None:
    """Find the files and load the detector; None when the list of files is empty.

    Raises `DgsError` for what stops the whole scan.
    """
    paths = [path for path in request.paths if path != Path("-")]
    files_from = "-" if len(paths) < len(request.paths) else request.files_from
    if files_from is not None:
        paths += read_list_from(files_from)
    if not paths:
        return None
    started = time.monotonic()
    found = list(
        find_files(paths, exclude=request.exclude, follow_symlinks=request.follow_symlinks)
    )
    logger.info("found %d files in %.1f s", len(found), time.monotonic() - started)
    # `images` has limits of its own; Pillow's would call a large TIFF or WebP damaged.
    PIL.Image.MAX_IMAGE_PIXELS = None
    started = time.monotonic()
    detector = Detector.load(request.model, request.device, request.backbone_weights)
    logger.info("loaded %s in %.1f s", detector.config.name, time.monotonic() - started)
    detector.thresholds = detector.calibration.thresholds(
        fpr=request.fpr, probability=request.threshold
    )
    case = request.case
    # What is not there, a mistyped name, makes no case.
    if case is None and request.use_cache and any(isinstance(file, Path) for file in found):
        case = location.default_path(paths)
    return Job(request, found, detector, _run_info(request, detector, case), case)


def _folders(paths: Sequence[Path]) -> list[str]:
    """Return the absolute paths of the folders among these; a file covers none."""
    return [os.path.abspath(path) for path in paths if path != Path("-") and os.path.isdir(path)]


def _run_info(request: ScanRequest, detector: Detector, case: Path | None) -> output.RunInfo:
    probability = detector.calibration.probability
    return output.RunInfo(
        tool_version=version("dgsforensics"),
        model=detector.config.name,
        model_sha256=detector.sha256,
        preprocessing=detector.config.preprocessing,
        threshold=probability(detector.thresholds.upper),
        lower=probability(detector.thresholds.lower),
        threshold_origin=detector.thresholds.origin,
        device=str(detector.forward.device),
        batch=detector.batch_size(request.batch),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        case=None if case is None else str(case),
    )
