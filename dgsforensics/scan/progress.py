"""What a person sees on standard error while a scan or a training run works: header, bar, summary.

The bar is drawn on a terminal only. NO_COLOR and FORCE_COLOR are honoured by rich.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

from rich.console import Console
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

from dgsforensics.records import ScanSummary
from dgsforensics.scan.output import RunInfo, printable
from dgsforensics.wording import counted

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""


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
        """`files` more are done; `flagged` is the count so far."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=files, flagged=flagged)


@contextmanager
def bar(total: int, quiet: bool) -> Iterator[ProgressBar]:
    """A progress bar over `total` files, on a terminal."""
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


@contextmanager
def stages(quiet: bool) -> Iterator[Callable[[str, int, int, Mapping[str, float]], None]]:
    """What tells of long work in stages: a bar on a terminal, elsewhere a line now and then.

    The function is told what is being done, how much of it is done, of how much (0 of 0: only
    figures are told), and figures.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    bar = Progress(*columns, console=console(), disable=quiet or not sys.stderr.isatty())
    current: str | None = None
    task = bar.add_task("", total=1, figures="", visible=False)
    began = said = time.monotonic()

    def tell(what: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        nonlocal current, began, said
        now = time.monotonic()
        if what != current:
            bar.reset(task, description=what, total=total, visible=True)
            current, began, said = what, now, now
        text = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
        bar.update(task, completed=done, figures=text)
        if not quiet and (done == total or (bar.disable and now - said > LINE_SECONDS)):
            said = now
            amount = f"{done} of {total} in {timedelta(seconds=round(now - began))}"
            notice(f"{what}: " + ", ".join(filter(None, [amount if total else "", text])))

    with bar:
        yield tell


@cache
def console() -> Console:
    """The one console on standard error: what goes through it is printed above the bar."""
    # No markup: names of files and detectors are not ours.
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def notice(text: str) -> None:
    """Say one thing that a person has to know."""
    console().print(f"dgsf: {text}")


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
