"""Standard error, where people are told things: notices, and how far long work has come.

A bar is drawn on a terminal only. NO_COLOR and FORCE_COLOR are honoured by rich.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

LINE_SECONDS = 30.0
"""Between two lines of progress where there is no terminal."""


@cache
def console() -> Console:
    """Return the one console on standard error: what goes through it is printed above the bar."""
    # No markup: names of files and detectors are not ours.
    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def notice(text: str) -> None:
    """Say one thing that a person has to know."""
    console().print(f"dgsf: {text}")


@contextmanager
def stages(quiet: bool) -> Iterator[Callable[[str, int, int, Mapping[str, float]], None]]:
    """Yield what tells of long work in stages: a bar on a terminal, elsewhere a line now and then.

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


def shortened(text: str, width: int) -> str:
    """Return text in at most so many cells, its middle left out: the ends of a name tell most."""
    if cell_len(text) <= width:
        return text
    if width < 3:
        return _start(text, width)
    head = _start(text, (width - 1) // 2)
    return f"{head}…{_start(text[::-1], width - 1 - cell_len(head))[::-1]}"


def _start(text: str, width: int) -> str:
    """Return as many characters from the start as fit."""
    used = 0
    for place, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:place]
    return text


def abandon_stdout() -> None:
    """Give what is still unwritten, and all that follows, to nobody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
