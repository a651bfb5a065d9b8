"""One `dgsf scan`, from the request to the exit code: paths, detector, case file, report."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from dgsforensics import progress, report, store
from dgsforensics.detector import Detector
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.files import Limits
from dgsforensics.folders import find_files, read_list
from dgsforensics.records import Failure, Prediction, ScanSummary, Verdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the command line asked for; the fields are its options."""

    paths: list[Path]
    files_from: str | None
    model: str | None
    backbone_weights: Path | None
    device: str
    batch: int | None
    workers: int | None
    threshold: float | None
    fpr: float | None
    format: str | None
    output: Path | None
    case: Path | None
    use_cache: bool
    exclude: list[str]
    follow_symlinks: bool
    limits: Limits
    quiet: bool


def run(request: Request) -> ExitCode:
    """Scan, record and report; raises `DgsError` for what stops the whole scan."""
    paths = [*request.paths, *_listed(request.files_from)]
    found = list(
        find_files(paths, exclude=request.exclude, follow_symlinks=request.follow_symlinks)
    )
    format_name = _format(request)
    detector = Detector.load(request.model, request.device, request.backbone_weights)
    detector.thresholds = detector.calibration.thresholds(
        fpr=request.fpr, probability=request.threshold
    )
    case_path = request.case
    if case_path is None and request.use_cache:
        case_path = store.default_case_path(paths)
    info = _run_info(request, detector, case_path)

    with ExitStack() as stack:
        scan = None
        if case_path is not None:
            case = stack.enter_context(store.Case.open(case_path))
            scan = case.begin_scan(_scan_settings(request, info))
        stream = stack.enter_context(_output(request.output))
        writer = report.WRITERS[format_name](stream, info)
        if not request.quiet:
            progress.header(info, len(found))
        counts: Counter[str] = Counter()
        started, interrupted = time.monotonic(), False
        batches = detector.scan_batches(
            found,
            batch=request.batch,
            workers=request.workers,
            limits=request.limits,
            known=scan.known if scan is not None and request.use_cache else None,
        )
        try:
            with progress.bar(len(found), request.quiet) as bar:
                for rows in batches:
                    if scan is not None:
                        scan.record(rows)  # kept before it is shown
                    for row in rows:
                        writer.row(row)
                        _count(counts, row)
                    bar.advance(len(rows), counts[Verdict.FLAGGED])
            if scan is not None:
                scan.finish()
        except KeyboardInterrupt:
            interrupted = True
        summary = ScanSummary(**counts, seconds=time.monotonic() - started)
        writer.end(summary, interrupted)
    if not request.quiet:
        progress.summary(summary, interrupted)
    return _exit_code(summary, interrupted)


def _exit_code(summary: ScanSummary, interrupted: bool) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    if summary.flagged:
        return ExitCode.FLAGGED
    return ExitCode.ERROR if summary.failed else ExitCode.CLEAN


def _count(counts: Counter[str], row: Prediction | Failure) -> None:
    if isinstance(row, Failure):
        counts[row.status] += 1
    else:
        counts[row.verdict] += 1
        counts["cached"] += row.cached


def _listed(files_from: str | None) -> list[Path]:
    if files_from is None:
        return []
    if files_from == "-":
        return list(read_list(sys.stdin.buffer))
    try:
        with open(files_from, "rb") as stream:
            return list(read_list(stream))
    except OSError as error:
        raise UsageError(f"--files-from: cannot read {files_from}: {error.strerror}") from error


def _format(request: Request) -> str:
    if request.format is not None:
        return request.format
    if request.output is None:
        return "table"
    suffix = request.output.suffix.lower().lstrip(".")
    if suffix == "txt":
        return "table"
    if suffix not in report.WRITERS:
        raise UsageError(
            f"--output: no format goes by the suffix of {request.output.name}",
            "use .json, .jsonl, .csv or .txt, or say --json, --jsonl or --csv",
        )
    return suffix


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name once it is whole."""
    if path is None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 whatever the locale
        yield sys.stdout
        return
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"--output: cannot write {path}: {error.strerror}") from error


def _run_info(request: Request, detector: Detector, case: Path | None) -> report.RunInfo:
    probability = detector.calibration.probability
    return report.RunInfo(
        tool_version=version("dgsforensics"),
        model=detector.config.name,
        model_sha256=detector.checkpoint.sha256,
        preprocessing=detector.config.preprocessing,
        threshold=probability(detector.thresholds.upper),
        lower=probability(detector.thresholds.lower),
        threshold_origin=detector.thresholds.origin,
        device=str(detector.device),
        batch=detector.batch_size(request.batch),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        case=None if case is None else str(case),
    )


def _scan_settings(request: Request, info: report.RunInfo) -> store.ScanSettings:
    return store.ScanSettings(
        tool_version=info.tool_version,
        model=info.model,
        model_sha256=info.model_sha256,
        preprocessing=info.preprocessing,
        threshold=info.threshold,
        options={
            "device": info.device,
            "batch": info.batch,
            "threshold_origin": info.threshold_origin,
            "limits": asdict(request.limits),
            "exclude": request.exclude,
        },
    )
