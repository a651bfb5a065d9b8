import csv
import io
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from dgsforensics.records import (
    Evidence,
    Failure,
    FileFacts,
    Mark,
    Prediction,
    ScanSummary,
    Status,
    Traits,
    Verdict,
)
from dgsforensics.scan import output
from dgsforensics.scan.output import FIELDS, WRITERS, Paths, RunInfo, ScanEnd, Table, fields_of
from dgsforensics.tables import to_json
from dgsforensics.wording import printable

FACTS = FileFacts("ab" * 32, 1234, "JPEG", 640, 480, 1)
SCORED = Prediction(
    path=Path("/photos/a.jpg"),
    facts=FACTS,
    logit=1.5,
    probability=0.8176,
    verdict=Verdict.FLAGGED,
    threshold=0.7,
    model="tiny",
    model_sha256="cd" * 32,
)
CLAIMS = Traits(
    1,
    (
        Evidence(Mark.GENERATOR, "PNG text", "prompt", "=a cat"),
        Evidence(None, "PNG text", "date", "today"),
    ),
)
FAILED = Failure(Path("/photos/b.jpg"), FileFacts(size=0), Status.UNREADABLE, "empty file")
RUN = RunInfo(
    tool_version="0",
    model="tiny",
    model_sha256="cd" * 32,
    weights_sha256="ef" * 32,
    preprocessing="v1",
    threshold=0.7,
    lower=0.2,
    threshold_origin="a test",
    calibrated=True,
    started="2026-01-01T00:00:00+00:00",
    case=None,
)
NAMES = [
    b"plain.jpg",
    b'with space, comma and "quotes"\';.jpg',
    "Größe 日本語 🙂.jpg".encode(),
    b"caf\xe9.jpg",
    b"\xff\xfe\x80",
    b"\x1b[31mred\x1b[0m.jpg",
    b"\x1b]0;title\x07.jpg",
    "c1 \x9b31m.jpg".encode(),
    b"new\nline.jpg",
    b"return\rback\x08.jpg",
    b"tab\tbell\x07delete\x7f.jpg",
    "separators \u2028 \u2029 \x85.jpg".encode(),
    "right to left \u202egpj.exe".encode(),
    b"[red]x[/red].jpg",
    b"[/never-opened].jpg",
    b"\\[bold]escaped.jpg",
    b":smile: [link=x]y.jpg",
    b"\\x1b[31m \\n.jpg",
]
RECORDS = [
    record
    for name in NAMES
    for record in (
        replace(SCORED, path=Path("/photos") / os.fsdecode(name)),
        replace(FAILED, path=Path("/photos") / os.fsdecode(name)),
    )
]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLORTERM", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def written(name: str, records: list[Prediction | Failure], interrupted: bool = False) -> str:
    """What a scan writes, through a strict UTF-8 stream as standard output is."""
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="utf-8", newline="")
    writer = WRITERS[name](stream, RUN)
    for record in records:
        writer.row(record)
    writer.end(ScanEnd(ScanSummary(flagged=1, seconds=2.5), interrupted))
    stream.flush()
    return buffer.getvalue().decode()


# Fields


@pytest.mark.parametrize("record", [SCORED, FAILED])
def test_fields_stand_in_the_documented_order(record: Prediction | Failure) -> None:
    assert tuple(fields_of(record)) == FIELDS
    [line] = written("jsonl", [record]).splitlines()
    assert tuple(json.loads(line)) == FIELDS
    [result] = json.loads(written("json", [record]))["results"]
    assert tuple(result) == FIELDS
    assert tuple(written("csv", [record]).splitlines()[0].split(",")) == FIELDS


def test_the_fields_of_a_score() -> None:
    known = replace(SCORED, cached=True, reason="first of 2 frames", missing=0.25)
    assert fields_of(replace(known, traits=CLAIMS)) == {
        "schema": output.SCHEMA,
        "path": str(Path("/photos/a.jpg")),
        "status": "scored",
        "verdict": "flagged",
        "probability": 0.8176,
        "logit": 1.5,
        "threshold": 0.7,
        "model": "tiny",
        "model_sha256": "cd" * 32,
        "sha256": "ab" * 32,
        "size": 1234,
        "format": "JPEG",
        "width": 640,
        "height": 480,
        "frames": 1,
        "cached": True,
        "reason": "first of 2 frames",
        "claims": [
            {"kind": "generator", "origin": "PNG text", "name": "prompt", "value": "=a cat"}
        ],
        "missing": 0.25,
    }


def test_zero_is_not_null() -> None:
    values = fields_of(replace(SCORED, logit=0.0, probability=0.0, threshold=0.0, model=""))
    assert [values[name] for name in ("logit", "probability", "threshold", "model")] == [
        0,
        0,
        0,
        "",
    ]


def test_a_failure_has_no_score() -> None:
    values = fields_of(FAILED)
    assert (values["status"], values["reason"], values["size"]) == ("unreadable", "empty file", 0)
    empty = ("verdict", "probability", "logit", "threshold", "model", "model_sha256", "sha256")
    assert {values[name] for name in (*empty, "format", "width", "height", "frames")} == {None}
    assert values["cached"] is False


# JSON


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_json_document_is_whole(count: int, interrupted: bool) -> None:
    records = [SCORED, FAILED, SCORED][:count]
    document = json.loads(written("json", records, interrupted))
    assert document["results"] == [fields_of(record) for record in records]
    assert document["interrupted"] is interrupted
    assert document["schema"] == output.SCHEMA
    assert document["run"]["threshold_origin"] == "a test"
    assert document["summary"]["flagged"] == 1


def test_json_lines_need_nothing_but_themselves() -> None:
    text = written("jsonl", RECORDS, interrupted=True)
    assert text.endswith("\n")
    rows = [json.loads(line) for line in text.splitlines()]
    assert rows == [fields_of(record) for record in RECORDS]


def test_each_json_line_is_out_at_once() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="utf-8", write_through=False)
    writer = WRITERS["jsonl"](stream, RUN)
    writer.row(SCORED)
    assert json.loads(buffer.getvalue()) == fields_of(SCORED)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_survives_json(name: bytes) -> None:
    record = replace(SCORED, path=Path(os.fsdecode(name)))
    [row] = json.loads(written("json", [record]))["results"]
    assert os.fsencode(row["path"]) == name
    assert os.fsencode(json.loads(written("jsonl", [record]))["path"]) == name


def test_json_leaves_text_readable() -> None:
    assert to_json({"path": "Größe 日本語 🙂"}) == '{"path": "Größe 日本語 🙂"}'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_no_json_for_what_is_not_a_number(name: str, value: float) -> None:
    stream = io.StringIO()
    writer = WRITERS[name](stream, RUN)
    before = stream.getvalue()
    with pytest.raises(ValueError):
        writer.row(replace(SCORED, logit=value))
    assert stream.getvalue() == before


# CSV


def test_csv_parses_back() -> None:
    [header, *rows] = csv.reader(io.StringIO(written("csv", RECORDS), newline=""))
    assert tuple(header) == FIELDS
    for row, record in zip(rows, RECORDS, strict=True):
        values = fields_of(record) | {"path": printable(record.path), "claims": None}
        assert row == ["" if value is None else str(value) for value in values.values()]


def test_claims_are_one_cell_that_no_spreadsheet_runs() -> None:
    [row] = csv.DictReader(io.StringIO(written("csv", [replace(SCORED, traits=CLAIMS)])))
    assert row["claims"] == "generator: =a cat"


def test_csv_is_one_line_a_file() -> None:
    text = written("csv", RECORDS)
    assert "\r" not in text and text.endswith("\n")
    assert len(text.splitlines()) == len(RECORDS) + 1


def test_csv_without_rows_is_a_header() -> None:
    assert written("csv", []) == ",".join(FIELDS) + "\n"


# Terminal


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "paths"])
@pytest.mark.parametrize("record", RECORDS)
def test_nothing_in_a_name_acts_on_a_terminal(name: str, record: Prediction | Failure) -> None:
    for line in written(name, [record]).split("\n"):
        assert line.isprintable()


def test_nothing_in_a_reason_acts_on_a_terminal() -> None:
    hostile = replace(FAILED, reason="bad \x1b[31m \n \x9b [red]x[/red] [/y] \udcff")
    for name in ("json", "jsonl", "table"):
        for line in written(name, [hostile]).split("\n"):
            assert line.isprintable()
    assert "[red]x[/red] [/y]" in written("table", [hostile])


@pytest.mark.parametrize("record", RECORDS)
def test_markup_in_a_name_is_not_interpreted(
    record: Prediction | Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = printable(record.path)
    line = written("table", [record]).splitlines()[1]
    assert expected in line
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = written("table", [record])
    assert COLOUR.search(coloured)
    assert COLOUR.sub("", coloured).splitlines()[1] == line


def test_a_plain_stream_gets_no_colour() -> None:
    assert "\x1b" not in written("table", RECORDS)


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", written("table", [SCORED]))


def test_the_table_reads_well() -> None:
    unsure = replace(SCORED, verdict=Verdict.INCONCLUSIVE, probability=0.05, reason="small picture")
    clear = replace(SCORED, verdict=Verdict.NOT_FLAGGED, probability=1e-9, traits=CLAIMS)
    other = replace(FAILED, status=Status.UNSUPPORTED, reason="not an image")
    path, bad = printable(SCORED.path), printable(FAILED.path)
    assert written("table", [SCORED, unsure, clear, FAILED, other]).splitlines() == [
        "verdict       score  claims     file",
        f"flagged       81.8%             {path}",
        f"inconclusive   5.0%             {path}  (small picture)",
        f"not flagged   <0.1%  generator  {path}",
        f"unreadable                      {bad}  (empty file)",
        f"unsupported                     {bad}  (not an image)",
    ]


LONG = replace(SCORED, path=Path("/photos") / ("very long " * 40 + ".jpg"), reason="reason " * 20)


def test_a_long_path_is_whole_where_there_is_no_terminal() -> None:
    line = written("table", [LONG]).splitlines()[1]
    assert f"{LONG.path}  (reason" in line


@pytest.mark.parametrize("record", [LONG, replace(LONG, path=Path("日本語" * 40)), SCORED])
@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_no_line_is_wider_than_that(
    record: Prediction, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    Table(stream, RUN, coloured=False).row(record)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2 and max(map(cell_len, lines)) <= columns
    assert lines[1].startswith("flagged       81.8%")


@pytest.mark.parametrize("end", ["\n", "\0"])
def test_bare_paths_are_the_bytes_of_the_names(end: str) -> None:
    buffer = io.BytesIO()
    writer = Paths(io.TextIOWrapper(buffer, encoding="utf-8"), RUN, end)
    for name in NAMES:
        writer.row(replace(SCORED, path=Path(os.fsdecode(name))))
    assert buffer.getvalue() == b"".join(name + end.encode() for name in NAMES)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain \xc3\xa9.jpg", "plain é.jpg"),
        (b"caf\xe9", r"caf\xe9"),
        (b"a\x1b[31m", r"a\x1b[31m"),
        (b"a\nb\tc", r"a\nb\tc"),
        ("a\x9b \u202e \u2028".encode(), r"a\x9b \u202e \u2028"),
    ],
)
def test_printable(raw: bytes, shown: str) -> None:
    assert printable(os.fsdecode(raw)) == shown
    assert printable(Path(os.fsdecode(raw))) == shown
