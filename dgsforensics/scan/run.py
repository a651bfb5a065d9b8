"""One `dgsf scan`, from the request to the exit code: what is scored is counted, shown, written."""

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dgsforensics import console
from dgsforensics.choices import Pick
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.files.content import is_folder
from dgsforensics.interrupts import remembered_interrupt
from dgsforensics.records import Failure, Prediction, ScanSummary, Status, Verdict
from dgsforensics.scan import output as formats
from dgsforensics.scan import progress
from dgsforensics.scan.job import Job, prepare
from dgsforensics.scan.output import ScanEnd
from dgsforensics.scan.request import ScanRequest
from dgsforensics.scan.selection import RowOrder, by_score, claims_of, is_picked
from dgsforensics.wording import listed, printable


@dataclass(frozen=True)
class OutputForm:
    """How the results are wanted."""

    format: str | None = None
    output: Path | None = None
    force: bool = False
    """Overwrite the output file."""
    only: tuple[Pick, ...] = ()
    """Which rows; all of them where none is named."""
    order: RowOrder | None = None
    """None: by score in a table, by path for programs."""
    null: bool = False
    """A NUL behind each path in place of a newline."""
    list_skipped: bool = False
    """Name each file that was passed over."""
    tell_unused: bool = False
    """Say which globs to exclude by have matched nothing."""
    settings: tuple[str, ...] = ()
    """Options that come from a settings file or a variable, and from where."""
    quiet: bool = False
    verbose: bool = False


def run(request: ScanRequest, form: OutputForm) -> ExitCode:
    """Scan, record and report; raises `DgsError` for what stops the whole scan."""
    format_name = _format(form)
    _refuse_existing(form)
    job = prepare(request)
    brief = _is_one_file(job) and format_name == "table" and not form.verbose
    tally = _Tally()
    interrupted = False
    with ExitStack() as stack:
        batches = stack.enter_context(job.begun())
        if not form.quiet and not brief:
            progress.header(job.info, len(job.found), form.settings, verbose=form.verbose)
        stopped = stack.enter_context(remembered_interrupt())
        # The bar first: while it is drawn, standard output is what it says it is.
        bar = stack.enter_context(progress.bar(len(job.found), form.quiet))
        output = stack.enter_context(_output(form.output))
        rows_out = _Rows(_writer(format_name, output.stream, job.info, form, brief), form)
        try:
            for rows in batches:
                if stopped.is_set():
                    raise KeyboardInterrupt
                for row in rows:
                    tally.count(row)
                    rows_out.take(row)
                bar.advance(len(rows), tally.counts[Verdict.FLAGGED])
        except KeyboardInterrupt:
            interrupted = True
        summary = tally.summary(job)
        rows_out.finish(
            ScanEnd(summary, interrupted, job.report.left_out if form.list_skipped else None)
        )
        output.whole = not interrupted
    _tell(job, form, summary, interrupted=interrupted, brief=brief)
    return _exit_code(summary, interrupted)


def _tell(
    job: Job, form: OutputForm, summary: ScanSummary, *, interrupted: bool, brief: bool
) -> None:
    """What a person is told when all rows are out."""
    if form.list_skipped:
        progress.skipped_files(job.report.left_out)
    for glob in job.report.unused if form.tell_unused else ():
        console.notice(f"--exclude {printable(glob)} matched nothing")
    if not job.found and not interrupted:
        said = listed(summary.left_out)
        where = ", ".join(map(str, job.paths[:3])) or "the list of files"
        console.notice(
            printable(f"nothing to scan: no pictures in {where}")
            + (f" ({sum(summary.left_out.values())} left out: {said})" if said else "")
        )
    elif not form.quiet and not brief:
        progress.summary(summary, interrupted)
        if not interrupted:
            progress.next_steps(summary, _target(job))


def _target(job: Job) -> str | None:
    """What the next commands are to be about, as one would type it; None without a case."""
    if job.case is None:
        return None
    if job.request.case is not None:
        return ""
    return shlex.quote(printable(job.paths[0])) if len(job.request.paths) == 1 else ""


def _is_one_file(job: Job) -> bool:
    """Whether one file was asked for, and nothing else."""
    named = len(job.request.paths) == 1 and job.request.files_from is None
    return named and job.request.paths == job.paths and not is_folder(job.paths[0])


class _Tally:
    """Counts over the rows of a scan."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._started = time.monotonic()

    def count(self, row: Prediction | Failure) -> None:
        if isinstance(row, Failure):
            self.counts[row.status] += 1
        else:
            self.counts[row.verdict] += 1
            self.counts["cached"] += row.cached
            self.counts["claims"] += bool(claims_of(row))

    def summary(self, job: Job) -> ScanSummary:
        detector, counts = job.detector, self.counts
        return ScanSummary(
            flagged=counts[Verdict.FLAGGED],
            inconclusive=counts[Verdict.INCONCLUSIVE],
            not_flagged=counts[Verdict.NOT_FLAGGED],
            unreadable=counts[Status.UNREADABLE],
            unsupported=counts[Status.UNSUPPORTED],
            cached=counts["cached"],
            claims=counts["claims"],
            seconds=time.monotonic() - self._started,
            left_out=job.left_out,
            device=str(detector.forward.device) if detector.loaded else None,
            batch=detector.batch_size(job.request.batch) if detector.loaded else None,
        )


class _Rows:
    """Rows on their way to a writer: picked, sorted, and no longer written once nobody reads."""

    def __init__(self, writer: formats.Writer, form: OutputForm) -> None:
        self._writer: formats.Writer | None = writer
        self._form = form
        table = isinstance(writer, formats.Table)
        order = form.order or (RowOrder.SCORE if table else RowOrder.PATH)
        self._waiting: list[Prediction | Failure] | None = [] if order == RowOrder.SCORE else None

    def take(self, row: Prediction | Failure) -> None:
        """Write a row, or keep it until all are there."""
        if not is_picked(row, self._form.only):
            return
        if self._waiting is None:
            self._row(row)
        else:
            self._waiting.append(row)

    def _row(self, row: Prediction | Failure) -> None:
        self._write(lambda writer: writer.row(row))

    def finish(self, end: ScanEnd) -> None:
        """Write what is left."""
        for row in sorted(self._waiting or (), key=by_score):
            self._row(row)
        self._write(lambda writer: writer.end(end))

    def _write(self, write: Callable[[formats.Writer], None]) -> None:
        if self._writer is None:
            return
        try:
            write(self._writer)
        except BrokenPipeError:
            # A reader that has seen enough. The scan goes on into the case, and its exit code says
            # what it found.
            self._writer = None
            console.abandon_stdout()
        except OSError as error:
            raise UsageError(
                f"cannot write the results: {error.strerror}",
                "what was scored is kept; scan again",
            ) from error


def _refuse_existing(form: OutputForm) -> None:
    if form.output is not None and form.output.is_file() and not form.force:
        raise UsageError(f"--output: {form.output} is there already", "--force overwrites it")


def _exit_code(summary: ScanSummary, interrupted: bool) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    if summary.flagged:
        return ExitCode.FLAGGED
    return ExitCode.ERROR if summary.failed or not summary.total else ExitCode.CLEAN


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
            "use .json, .jsonl, .csv or .txt, or say --json, --jsonl, --csv or --paths",
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


def _writer(
    name: str, stream: TextIO, info: formats.RunInfo, form: OutputForm, brief: bool
) -> formats.Writer:
    if name == "table":  # FORCE_COLOR is not meant for files
        coloured = None if form.output is None else False
        return formats.Table(stream, info, coloured, heading=not brief)
    if name == "paths":
        return formats.Paths(stream, info, "\0" if form.null else "\n")
    return formats.WRITERS[name](stream, info)
