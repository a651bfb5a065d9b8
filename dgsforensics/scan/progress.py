"""What a person sees on standard error while a scan runs: header, bar, summary."""

import sys
from collections.abc import Iterator, Sequence
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
from dgsforensics.records import ScanSummary
from dgsforensics.scan.output import RunInfo
from dgsforensics.wording import counted, printable


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


def header(run: RunInfo, files: int, settings: Sequence[str] = ()) -> None:
    """Say what the scan is about to do, and with what; `settings` come from a settings file."""
    console().print(
        f"{counted(files, 'file')} · {printable(run.model)} ({run.model_sha256[:12]}) "
        f"on {run.device}, batches of {run.batch}"
    )
    band = f", inconclusive from {run.lower:.1%}" if run.lower < run.threshold else ""
    console().print(f"flagged from {run.threshold:.1%}{band} · {printable(run.threshold_origin)}")
    if settings:
        console().print(f"from settings files: {', '.join(settings)}")
    if run.case:
        console().print(f"case file: {printable(run.case)}")


def summary(counts: ScanSummary, interrupted: bool) -> None:
    """Say what came out."""
    parts = [
        f"{counts.flagged} flagged",
        f"{counts.inconclusive} inconclusive",
        f"{counts.not_flagged} not flagged",
        f"{counts.unreadable} unreadable",
        f"{counts.unsupported} unsupported",
    ]
    time = str(timedelta(seconds=round(counts.seconds)))
    begun = "interrupted after" if interrupted else "done:"
    console().print(
        f"{begun} {counted(counts.total, 'file')} in {time} · "
        + ", ".join(parts)
        + (f" · {counts.cached} from the case file" if counts.cached else "")
    )
    if counts.flagged or counts.inconclusive:
        console().print("A score is a signal, not proof.", style="dim")
