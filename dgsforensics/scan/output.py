"""Results for people and programs: a table, JSON, JSON Lines, CSV and bare paths.

`docs/scan-output.md` documents the fields; `SCHEMA` is raised when one changes its meaning.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dgsforensics.console import shortened
from dgsforensics.records import (
    Evidence,
    Failure,
    LeftOutFile,
    Mark,
    Prediction,
    ScanSummary,
    Status,
    Verdict,
)
from dgsforensics.scan.selection import claims_of
from dgsforensics.tables import csv_line, path_cell, to_json
from dgsforensics.wording import percent, printable

SCHEMA = 2
"""Version of the fields below."""
FIELDS = (
    "schema",
    "path",
    "status",
    "verdict",
    "probability",
    "logit",
    "threshold",
    "model",
    "model_sha256",
    "sha256",
    "size",
    "format",
    "width",
    "height",
    "frames",
    "cached",
    "reason",
    "claims",
    "missing",
)
"""Of one file, in this order, in every machine-readable format."""

_STYLES = {
    Verdict.FLAGGED: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_FLAGGED: "green",
    Status.UNREADABLE: "bold magenta",
    Status.UNSUPPORTED: "magenta",
}


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a scan was done with: what a report must state."""

    tool_version: str
    model: str
    model_sha256: str
    """Of the detector file."""
    weights_sha256: str
    """Of what makes a logit, calibration aside."""
    preprocessing: str
    threshold: float
    """Probability from which an image is flagged."""
    lower: float
    """Probability below which an image is not flagged; between the two it is inconclusive."""
    threshold_origin: str
    calibrated: bool
    """Whether error rates were measured at all."""
    started: str
    """ISO 8601, UTC."""
    case: str | None


@dataclass(frozen=True, slots=True)
class ScanEnd:
    """What is known when a scan is over."""

    summary: ScanSummary
    interrupted: bool
    left_out: Sequence[LeftOutFile] | None = None
    """Each file passed over, where somebody asked for that."""


class Writer(Protocol):
    """One output format."""

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""

    def end(self, end: ScanEnd) -> None:
        """Write what comes last."""


def fields_of(record: Prediction | Failure) -> dict[str, Any]:
    """Return the documented fields of one result, as JSON types."""
    scored = record if isinstance(record, Prediction) else None
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "path": str(record.path),
        "status": str(record.status),
        "verdict": scored and str(scored.verdict),
        "probability": scored and scored.probability,
        "logit": scored and scored.logit,
        "threshold": scored and scored.threshold,
        "model": scored and scored.model,
        "model_sha256": scored and scored.model_sha256,
        **asdict(record.facts),
        "cached": scored.cached if scored else False,
        "reason": record.reason,
        "claims": [_claim(piece) for piece in _marked(record)],
        "missing": scored and scored.missing,
    }
    return {name: values[name] for name in FIELDS}


def _marked(record: Prediction | Failure) -> list[Evidence]:
    """What a file claims, as far as its kind has a name."""
    traits = record.traits if isinstance(record, Prediction) else None
    return [] if traits is None else [piece for piece in traits.evidence if piece.mark is not None]


def _claim(piece: Evidence) -> dict[str, str]:
    return {
        "kind": str(piece.mark),
        "origin": piece.origin,
        "name": piece.name,
        "value": piece.value,
    }


class JsonLines:
    """One object a line, one line a file."""

    def __init__(self, stream: TextIO, run: RunInfo) -> None:
        self._stream = stream

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        self._stream.write(to_json(fields_of(record)) + "\n")
        self._stream.flush()

    def end(self, end: ScanEnd) -> None:
        """Write nothing: nothing follows the rows."""


class Json:
    """One document: what the scan was done with, the results, the counts."""

    def __init__(self, stream: TextIO, run: RunInfo) -> None:
        self._stream, self._separator = stream, ""
        head = to_json({"schema": SCHEMA, "run": asdict(run)})
        stream.write(head[:-1] + ', "results": [')

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        self._stream.write(f"{self._separator}\n{to_json(fields_of(record))}")
        self._separator = ","

    def end(self, end: ScanEnd) -> None:
        """Close the document."""
        told = {"summary": asdict(end.summary), "interrupted": end.interrupted}
        if end.left_out is not None:
            files = [{"path": str(file.path), "kind": file.kind} for file in end.left_out]
            told["left_out"] = files
        tail = to_json(told)
        self._stream.write("\n], " + tail[1:] + "\n")


class Csv:
    """A header and one line a file; the same fields, empty where JSON has null."""

    def __init__(self, stream: TextIO, run: RunInfo) -> None:
        self._stream = stream
        stream.write(csv_line(FIELDS))

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        values = fields_of(record)
        values["path"] = path_cell(printable(record.path))
        values["reason"] = record.reason and printable(record.reason)
        told = [f"{piece.mark}: {piece.value}" for piece in _marked(record)]
        values["claims"] = printable("; ".join(told)) or None
        self._stream.write(csv_line(values.values()))

    def end(self, end: ScanEnd) -> None:
        """Write nothing: nothing follows the rows."""


class Table:
    """Verdict, probability, claims and path, for people; on a terminal no wider than that."""

    def __init__(
        self, stream: TextIO, run: RunInfo, coloured: bool | None = None, *, heading: bool = True
    ) -> None:
        """`coloured` None: on a terminal, or as NO_COLOR and FORCE_COLOR say."""
        self._stream = stream
        self._console = Console(
            file=stream, soft_wrap=True, highlight=False, force_terminal=coloured
        )
        self._width = self._console.width if stream.isatty() else None
        self._heading = heading

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        if self._heading:
            self._heading = False
            self._print(Text(f"{'verdict':<12} {'score':>6}  {'claims':<9}  file", "dim"))
        kind = record.verdict if isinstance(record, Prediction) else record.status
        score = percent(record.probability) if isinstance(record, Prediction) else " " * 6
        claims = _brief(claims_of(record))
        line = Text.assemble((f"{kind:<12} ", _STYLES[kind]), f"{score}  {claims:<9}  ")
        path, reason = printable(record.path), record.reason and printable(record.reason)
        room = None if self._width is None else max(20, self._width - line.cell_len)
        self._print(line.append_text(_fitted(path, reason, room)))

    def end(self, end: ScanEnd) -> None:
        """The summary goes to standard error, not here."""

    def _print(self, line: Text) -> None:
        # Through the stream, not past it: rich would skip what keeps rows above a progress bar.
        with self._console.capture() as capture:
            self._console.print(line)
        self._stream.write(capture.get())
        self._stream.flush()


class Paths:
    """The paths alone, byte for byte, each with a newline or, for `xargs -0`, a NUL behind it."""

    def __init__(self, stream: TextIO, run: RunInfo, end: str = "\n") -> None:
        self._stream, self._end = stream, end

    def row(self, record: Prediction | Failure) -> None:
        """Write one path."""
        data = os.fsencode(f"{record.path}{self._end}")
        raw = getattr(self._stream, "buffer", None)
        if raw is None:  # a stream of text, such as one in memory
            self._stream.write(os.fsdecode(data))
        else:
            self._stream.flush()
            raw.write(data)
            raw.flush()

    def end(self, end: ScanEnd) -> None:
        """Nothing follows the paths."""


_BRIEF = {Mark.GENERATOR: "generator", Mark.SOURCE_TYPE: "source", Mark.C2PA: "C2PA"}
"""The strongest first."""


def _brief(claims: Sequence[Evidence]) -> str:
    """The strongest claim in a word of nine characters or fewer; the formats for programs have
    all."""
    kinds = {piece.mark for piece in claims}
    return next((word for mark, word in _BRIEF.items() if mark in kinds), "")


def _fitted(path: str, reason: str | None, room: int | None) -> Text:
    """A path and a remark in so many cells: both lose, and the path keeps its ends."""
    remark = f"  ({reason})" if reason else ""
    if room is not None and cell_len(path) + cell_len(remark) > room:
        path = shortened(path, max(room // 2, room - cell_len(remark)))
        left = room - cell_len(path)
        remark = f"  ({shortened(reason, left - 4)})" if reason and left > 12 else ""
    return Text.assemble(path, (remark, "dim"))


WRITERS: dict[str, Callable[[TextIO, RunInfo], Writer]] = {
    "json": Json,
    "jsonl": JsonLines,
    "csv": Csv,
    "table": Table,
    "paths": Paths,
}
"""By name; each takes the stream and what the scan was done with."""
