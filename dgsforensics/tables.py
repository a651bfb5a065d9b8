"""Rows for programs: CSV and JSON Lines, written so that nothing runs them and read strictly."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dgsforensics.errors import UsageError

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How text begins that a spreadsheet would run."""


def to_json(value: object) -> str:
    """Return one line of JSON. Text is left readable unless it holds what a terminal might act on;
    a name that is not UTF-8 keeps its bytes as the escapes `\\udc80` to `\\udcff`, which Python's
    `os.fsencode` turns back."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if text.isprintable() else json.dumps(value, allow_nan=False)


def csv_line(values: Iterable[object]) -> str:
    """Return one line of CSV: nothing for None, and `'` before text that a spreadsheet would run.

    A path is better named in a way that needs no such mark: see `path_cell`.
    """
    line = io.StringIO(newline="")
    # By its own end of line the writer knows what needs quotation marks: \r and \n.
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, values))
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value


def path_cell(path: str) -> str:
    """Return a path that leads to the same file, and that no spreadsheet takes for a formula."""
    return f"./{path}" if path.startswith(FORMULA) else path


def decoded(content: bytes, file: Path) -> str:
    """Return text without a byte-order mark; raises `UsageError` naming the line for other bytes
    than UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{file}, line {number}: not UTF-8", "save it as UTF-8") from error


def json_lines(text: str, file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers and objects; raises `UsageError` naming the line that is not an object.

    A byte-order mark may begin any line: files are joined as they are.
    """
    for number, marked in enumerate(text.split("\n"), 1):
        line = marked.removeprefix("\ufeff")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"{file}, line {number}: not a JSON object", "write one object a line")
        yield number, row


def csv_rows(
    text: str, file: Path, columns: Sequence[str], *, short: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and cells by the names in the first line, which have to have `columns`.

    Empty lines are passed over; `short`: rows may end before the last column. Raises `UsageError`
    naming the line that has other columns, or a quotation mark that is never closed.
    """
    # Strict, for a quote that is never closed would swallow all the rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    number = 1
    try:
        for cells in reader:
            if not cells:
                pass
            elif not header:
                header = [name.strip() for name in cells]
                if absent := [name for name in columns if name not in header]:
                    raise UsageError(
                        f"{file}, line {number}: no column {' and no column '.join(absent)}",
                        "the first line names the columns, with commas between them",
                    )
            elif len(cells) > len(header) or (len(cells) < len(header) and not short):
                raise UsageError(
                    f"{file}, line {number}: {len(cells)} cells, but {len(header)} columns",
                    "a cell with a comma in it needs quotation marks",
                )
            else:
                yield number, dict(zip(header, cells, strict=False))
            number = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{file}, line {number}: {error}") from error


def whole_lines(content: bytes) -> bytes:
    """Return all up to the end of the last line: one that a kill has torn is left out."""
    return content[: content.rfind(b"\n") + 1]
