"""Results on standard output: lines and columns, with names that a terminal may be shown."""

import io
import sys
from collections.abc import Sequence

from dgsforensics.console import abandon_stdout
from dgsforensics.errors import UsageError


def start() -> None:
    """Switch standard output to UTF-8 whatever the locale; call this first."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


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
