"""Results for people and programs: a table, JSON, JSON Lines and CSV, written as they come.

`docs/scan-output.md` documents the fields; `SCHEMA` is raised when one changes its meaning.
"""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.text import Text

from dgsforensics.records import Failure, Prediction, ScanSummary, Status, Verdict
from dgsforensics.tables import to_json
from dgsforensics.wording import printable

SCHEMA = 1
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
    preprocessing: str
    threshold: float
    """Probability from which an image is flagged."""
    lower: float
    """Probability below which an image is not flagged; between the two it is inconclusive."""
    threshold_origin: str
    device: str
    batch: int
    started: str
    """ISO 8601, UTC."""
    case: str | None


class Writer(Protocol):
    """One output format."""

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""

    def end(self, summary: ScanSummary, interrupted: bool) -> None:
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
    }
    return {name: values[name] for name in FIELDS}


class JsonLines:
    """One object a line, one line a file."""

    def __init__(self, stream: TextIO, run: RunInfo) -> None:
        self._stream = stream

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        self._stream.write(to_json(fields_of(record)) + "\n")
        self._stream.flush()

    def end(self, summary: ScanSummary, interrupted: bool) -> None:
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

    def end(self, summary: ScanSummary, interrupted: bool) -> None:
        """Close the document."""
        tail = to_json({"summary": asdict(summary), "interrupted": interrupted})
        self._stream.write("\n], " + tail[1:] + "\n")


class Csv:
    """A header and one line a file; the same fields, empty where JSON has null."""

    def __init__(self, stream: TextIO, run: RunInfo) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(FIELDS)

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        values = fields_of(record)
        values["path"] = printable(record.path)
        if values["path"].startswith(("=", "+", "-", "@")):  # a spreadsheet would run it
            values["path"] = "./" + values["path"]
        values["reason"] = record.reason and printable(record.reason)
        self._writer.writerow("" if value is None else value for value in values.values())

    def end(self, summary: ScanSummary, interrupted: bool) -> None:
        """Write nothing: nothing follows the rows."""


class Table:
    """Verdict, probability and path, for people."""

    def __init__(self, stream: TextIO, run: RunInfo, coloured: bool | None = None) -> None:
        """`coloured` None: on a terminal, or as NO_COLOR and FORCE_COLOR say."""
        self._stream = stream
        self._console = Console(
            file=stream, soft_wrap=True, highlight=False, force_terminal=coloured
        )

    def row(self, record: Prediction | Failure) -> None:
        """Write one file's result."""
        kind = record.verdict if isinstance(record, Prediction) else record.status
        score = f"{record.probability:6.1%}" if isinstance(record, Prediction) else " " * 6
        line = Text.assemble(
            (f"{kind.replace('_', ' '):<12} ", _STYLES[kind]), f"{score}  {printable(record.path)}"
        )
        if record.reason:
            line.append(f"  ({printable(record.reason)})", "dim")
        # Through the stream, not past it: rich would skip what keeps rows above a progress bar.
        with self._console.capture() as capture:
            self._console.print(line)
        self._stream.write(capture.get())
        self._stream.flush()

    def end(self, summary: ScanSummary, interrupted: bool) -> None:
        """Write nothing: the summary goes to standard error."""


WRITERS: dict[str, Callable[[TextIO, RunInfo], Writer]] = {
    "json": Json,
    "jsonl": JsonLines,
    "csv": Csv,
    "table": Table,
}
"""By name; each takes the stream and what the scan was done with."""
