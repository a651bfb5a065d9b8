"""Results on standard output: lines and columns, with names that a terminal may be shown."""

import io
import sys
from collections.abc import Sequence

from dgsforensics.console import abandon_stdout
from dgsforensics.errors import UsageError


def start() -> None:
    """Make standard output take every character, before anything is written to it.

    Files and pipes get UTF-8, whatever the locale. A terminal keeps its encoding, for it would show
    nothing else, and gets escapes for what that lacks.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def show(*lines: str) -> None:
    """Print results, what a terminal would act on as escapes."""
    from dgsforensics.wording import printable

    try:
        for line in lines:
            print(printable(line))
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that has seen enough: what is being done goes on
        abandon_stdout()
    except OSError as error:
        raise UsageError(f"cannot write the results: {error.strerror}") from error


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need to be; a row may end early, with a remark."""
    from dgsforensics.wording import printable

    shown = [[printable(cell) for cell in row] for row in rows]
    whole = [row for row in shown if len(row) == len(shown[0])]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        show("  ".join([*cells, row[-1]]).rstrip())
