"""What a person sees on standard error while a scan runs: header, bar, summary."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dgsforensics.console import console
from dgsforensics.records import LeftOutFile, ScanSummary
from dgsforensics.scan.output import RunInfo
from dgsforensics.wording import chance, counted, listed, printable


class _Rate(ProgressColumn):
    """Files a second, of late."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class ProgressBar:
    """Counts files as they are done; does nothing where there is no terminal."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("scanning", total=total, flagged=0) if progress else None

    def advance(self, files: int, flagged: int) -> None:
        """Count `files` more as done; `flagged` is the count so far."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=files, flagged=flagged)


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[ProgressBar]:
    """Yield a progress bar over `total` files, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield ProgressBar(None, total)
        return
    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[flagged]} flagged"),
    )
    # Rows printed to the same terminal meanwhile are moved above the bar; a pipe is left alone.
    with Progress(
        *columns,
        console=console(),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    ) as progress:
        yield ProgressBar(progress, total)


def header(run: RunInfo, files: int, settings: Sequence[str] = (), *, verbose: bool) -> None:
    """Say what the scan is about to do, and with what.

    `settings` are those that no flag asked for, each with where it comes from.
    """
    band = f", inconclusive from {chance(run.lower)}" if run.lower < run.threshold else ""
    measured = "" if run.calibrated else ", not calibrated"
    console().print(
        f"{counted(files, 'file')} · {printable(run.model)} · "
        f"flagged from {chance(run.threshold)}{band}{measured}"
    )
    if settings:
        console().print(f"settings: {', '.join(settings)}")
    if verbose:
        console().print(f"threshold: {printable(run.threshold_origin)}")
        console().print(f"detector: sha256 {run.model_sha256}, weights {run.weights_sha256}")
        if run.case:
            console().print(f"case file: {printable(run.case)}")


def summary(counts: ScanSummary, interrupted: bool) -> None:
    """Say what came out."""
    kinds = {
        "flagged": counts.flagged,
        "inconclusive": counts.inconclusive,
        "not flagged": counts.not_flagged,
        "unreadable": counts.unreadable,
        "unsupported": counts.unsupported,
    }
    found = [f"{count} {kind}" for kind, count in kinds.items() if count or kind == "flagged"]
    time = str(timedelta(seconds=round(counts.seconds)))
    begun = "interrupted after " if interrupted else ""
    known = f" ({counts.cached} scored before)" if counts.cached else ""
    console().print(f"{begun}{counted(counts.total, 'file')} in {time}{known}: {', '.join(found)}")
    if counts.claims:
        says = "file says" if counts.claims == 1 else "files say"
        console().print(f"{counts.claims} {says} something of how it was made (claims)")
    skipped(counts.left_out)


def skipped(left_out: Mapping[str, int]) -> None:
    """Say what was passed over, by kind."""
    if left_out:
        console().print(f"{sum(left_out.values())} left out: {listed(left_out)}")


def skipped_files(files: Sequence[LeftOutFile]) -> None:
    """Name each file that was passed over."""
    for file in files:
        console().print(f"left out: {file.kind:<14} {printable(file.path)}")


def next_steps(counts: ScanSummary, target: str | None) -> None:
    """Say what to do now; `target` is what the commands are about, None where no case was kept."""
    lines = []
    if target is not None and counts.flagged + counts.inconclusive:
        where = f" {target}" if target else ""
        lines.append((f"dgsf review{where}", "look at each, and label it"))
        if target:
            lines.append((f"dgsf scan{where} --only flagged -o flagged.csv", "a list to hand on"))
    if counts.failed and target:
        lines.append((f"dgsf scan {target} --only failed", "what could not be read, and why"))
    if counts.claims and target:
        lines.append((f"dgsf scan {target} --only claims", "what says how it was made"))
    for begin, (command, meaning) in zip(["next:", *[""] * 9], lines, strict=False):
        console().print(f"{begin:<6}{command}  ({meaning})")
    if counts.inconclusive:
        console().print(
            "inconclusive: the score decides neither way; judge by the picture and its source"
        )
    if counts.flagged or counts.inconclusive:
        console().print("A score is a signal, not proof.", style="dim")
