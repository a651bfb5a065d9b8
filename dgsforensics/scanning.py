"""One `dgsf scan`, from the request to the exit code: paths, detector, case file, report."""

import io
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import PIL.Image

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
    settings: list[str]
    """Options that come from a settings file."""
    quiet: bool


def run(request: Request) -> ExitCode:
    """Scan, record and report; raises `DgsError` for what stops the whole scan."""
    paths = [path for path in request.paths if path != Path("-")]
    files_from = "-" if len(paths) < len(request.paths) else request.files_from
    paths += _listed(files_from)
    format_name = _format(request)
    if not paths:
        if not request.quiet:
            progress.notice("the list of files to scan is empty")
        return ExitCode.CLEAN
    started = time.monotonic()
    found = list(
        find_files(paths, exclude=request.exclude, follow_symlinks=request.follow_symlinks)
    )
    logger.info("found %d files in %.1f s", len(found), time.monotonic() - started)
    # `images` has limits of its own; Pillow's would call a large TIFF or WebP damaged.
    PIL.Image.MAX_IMAGE_PIXELS = None
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 whatever the locale
    started = time.monotonic()
    detector = Detector.load(request.model, request.device, request.backbone_weights)
    logger.info("loaded %s in %.1f s", detector.config.name, time.monotonic() - started)
    detector.thresholds = detector.calibration.thresholds(
        fpr=request.fpr, probability=request.threshold
    )
    case_path = request.case
    if case_path is None and request.use_cache:
        case_path = store.default_case_path(paths)
    info = _run_info(request, detector, case_path)

    if not request.quiet:
        progress.header(info, len(found), request.settings)
    counts: Counter[str] = Counter()
    started, interrupted = time.monotonic(), False
    with ExitStack() as stack:
        scan = None
        if case_path is not None:
            case = stack.enter_context(store.Case.open(case_path))
            scan = case.begin_scan(_scan_settings(request, info))
        stopped = stack.enter_context(_remembered_interrupt())
        # The bar first: while it is drawn, standard output is what it says it is.
        bar = stack.enter_context(progress.bar(len(found), request.quiet))
        output = stack.enter_context(_output(request.output))
        writer = _writer(format_name, output.stream, info, to_file=request.output is not None)
        batches = detector.scan_batches(
            found,
            batch=request.batch,
            workers=request.workers,
            limits=request.limits,
            known=scan.known if scan is not None and request.use_cache else None,
        )
        try:
            for rows in batches:
                if stopped.is_set():
                    raise KeyboardInterrupt
                if scan is not None:
                    scan.record(rows)  # kept before it is shown
                for row in rows:
                    _write(writer.row, row)
                    _count(counts, row)
                bar.advance(len(rows), counts[Verdict.FLAGGED])
            if scan is not None:
                scan.finish()
        except KeyboardInterrupt:
            interrupted = True
        summary = ScanSummary(**counts, seconds=time.monotonic() - started)
        _write(writer.end, summary, interrupted)
        output.whole = not interrupted
    if not request.quiet:
        progress.summary(summary, interrupted)
    return _exit_code(summary, interrupted)


@contextmanager
def _remembered_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C as ever, and an event that stays set: Python drops the exception when it happens to
    surface in a destructor or a weak reference's callback, and the scan would run on."""
    event = threading.Event()

    def interrupt(signum: int, frame: object) -> None:
        event.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _write(write: Callable[..., None], *arguments: object) -> None:
    try:
        write(*arguments)
    except BrokenPipeError:
        raise  # a reader that has seen enough
    except OSError as error:
        raise UsageError(
            f"cannot write the results: {error.strerror}", "what was scored is kept; scan again"
        ) from error


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
        if sys.stdin is None:
            raise UsageError("there is no standard input to read paths from")
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


@dataclass
class _Output:
    stream: TextIO
    whole: bool = False
    """Set when all results are written."""


@contextmanager
def _output(path: Path | None) -> Iterator[_Output]:
    """Standard output, or a file that takes its name once it is whole.

    An interrupted scan leaves `<name>.part`, and what had the name before stays. Pipes and devices
    are written to as they are, links are followed.
    """
    if path is None:
        yield _Output(sys.stdout)
        return
    target = Path(os.path.realpath(path))
    direct = target.exists() and not target.is_file()
    partial = target if direct else target.with_name(target.name + ".part")
    try:
        stream = partial.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"--output: cannot write {path}: {error.strerror}") from error
    output = _Output(stream)
    try:
        yield output
    finally:
        try:
            stream.close()
        except OSError as error:  # a full disk shows only now, or once more
            raise UsageError(f"--output: cannot write {path}: {error.strerror}") from error
        if not direct and output.whole:
            os.replace(partial, target)
        elif not direct:
            progress.notice(f"the results so far are in {report.printable(partial)}")


def _writer(name: str, stream: TextIO, info: report.RunInfo, to_file: bool) -> report.Writer:
    if name == "table" and to_file:  # FORCE_COLOR is not meant for files
        return report.Table(stream, info, coloured=False)
    return report.WRITERS[name](stream, info)


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
