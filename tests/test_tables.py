"""Rows for programs: nothing in them is run, and what is not as it should be is not guessed."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.errors import UsageError
from dgsforensics.tables import (
    FORMULA,
    csv_line,
    csv_rows,
    decoded,
    json_lines,
    path_cell,
    whole_lines,
)

FILE = Path("table")
cells = st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(cells, min_size=1))
def test_no_cell_begins_like_a_formula(values: list[object]) -> None:
    [row] = csv.reader(io.StringIO(csv_line(values), newline=""))
    assert len(row) == len(values)
    for cell, value in zip(row, values, strict=True):
        if isinstance(value, str):
            assert not cell.startswith(FORMULA) and cell.removeprefix("'") == value.removeprefix(
                "'"
            )
        else:
            assert cell == ("" if value is None else str(value))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx"])
def test_names_and_paths_that_a_spreadsheet_would_run(name: str) -> None:
    [row] = csv.reader(io.StringIO(csv_line([name]), newline=""))
    assert row == [f"'{name}"]
    assert path_cell(name) == f"./{name}" and path_cell(f"/{name}") == f"/{name}"


def test_csv_is_read_by_the_names_of_its_columns() -> None:
    text = 'path, label\n\na.jpg,real\n"b, c.jpg",fake\n'
    assert list(csv_rows(text, FILE, ("path", "label"))) == [
        (3, {"path": "a.jpg", "label": "real"}),
        (4, {"path": "b, c.jpg", "label": "fake"}),
    ]
    assert list(csv_rows("path,label\na\n", FILE, ("path",), short=True)) == [(2, {"path": "a"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\n", "line 1: no column path and no column label"),
        ("path,label\na\n", "line 2: 1 cells, but 2 columns"),
        ("path,label\na,b,c\n", "line 2: 3 cells, but 2 columns"),
        ('path,label\n"a,b\nc,d\n', "line 2: unexpected end of data"),
    ],
)
def test_csv_is_not_guessed(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(csv_rows(text, FILE, ("path", "label")))


def test_json_lines_are_objects() -> None:
    assert list(json_lines('{"a": 1}\n\n{"a": 2}', FILE)) == [(1, {"a": 1}), (3, {"a": 2})]
    for text, message in (("{}\n{", "line 2: not JSON"), ("[1]", "line 1: not a JSON object")):
        with pytest.raises(UsageError, match=message):
            list(json_lines(text, FILE))
    with pytest.raises(UsageError, match="not JSON"):
        list(json_lines("[" * 100_000, FILE))


def test_text_is_utf8() -> None:
    assert decoded("\ufeffé".encode(), FILE) == "é"
    with pytest.raises(UsageError, match="line 2: not UTF-8"):
        decoded(b"a\n\xff", FILE)


def test_a_torn_last_line_is_left_out() -> None:
    assert whole_lines(b'{"a": 1}\n{"a"') == b'{"a": 1}\n'
    assert whole_lines(b"a\nb\n") == b"a\nb\n" and whole_lines(b"torn") == b""
