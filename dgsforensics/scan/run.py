"""One `dgsf scan`, from the request to the exit code: what is scored is counted, shown, written."""

import io
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dgsforensics import console
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.interrupts import remembered_interrupt
from dgsforensics.records import Failure, Prediction, ScanSummary, Verdict
from dgsforensics.scan import output as formats
from dgsforensics.scan import progress
from dgsforensics.scan.job import prepare
from dgsforensics.scan.request import ScanRequest
from dgsforensics.wording import printable


@dataclass(frozen=True)
class OutputForm:
    """How the results are wanted."""

    format: str | None
    output: Path | None
    settings: list[str]
    """Options that come from a settings file."""
    quiet: bool


def run(request: ScanRequest, form: OutputForm) -> ExitCode:
    """Scan, record and report; raises `DgsError` for what stops the whole scan."""
    format_name = _format(form)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 whatever the locale
    job = prepare(request)
    if job is None:
        if not form.quiet:
            console.notice("the list of files to scan is empty")
        return ExitCode.CLEAN
    if not form.quiet:
        progress.header(job.info, len(job.found), form.settings)
    counts: Counter[str] = Counter()
    started, interrupted = time.monotonic(), False
    with ExitStack() as stack:
        batches = stack.enter_context(job.begun())
        stopped = stack.enter_context(remembered_interrupt())
        # The bar first: while it is drawn, standard output is what it says it is.
        bar = stack.enter_context(progress.bar(len(job.found), form.quiet))
        output = stack.enter_context(_output(form.output))
        writer = _writer(format_name, output.stream, job.info, to_file=form.output is not None)
        try:
            for rows in batches:
                if stopped.is_set():
                    raise KeyboardInterrupt
                for row in rows:
                    _write(writer.row, row)
                    _count(counts, row)
                bar.advance(len(rows), counts[Verdict.FLAGGED])
        except KeyboardInterrupt:
            interrupted = True
        summary = ScanSummary(**counts, seconds=time.monotonic() - started)
        _write(writer.end, summary, interrupted)
        output.whole = not interrupted
    if not form.quiet:
        progress.summary(summary, interrupted)
    return _exit_code(summary, interrupted)


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


def _format(form: OutputForm) -> str:
    if form.format is not None:
        return form.format
    if form.output is None:
        return "table"
    suffix = form.output.suffix.lower().lstrip(".")
    if suffix == "txt":
        return "table"
    if suffix not in formats.WRITERS:
        raise UsageError(
            f"--output: no format goes by the suffix of {form.output.name}",
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
    """Yield standard output, or a file that takes its name once it is whole.

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
            console.notice(f"the results so far are in {printable(partial)}")


def _writer(name: str, stream: TextIO, info: formats.RunInfo, to_file: bool) -> formats.Writer:
    if name == "table" and to_file:  # FORCE_COLOR is not meant for files
        return formats.Table(stream, info, coloured=False)
    return formats.WRITERS[name](stream, info)
