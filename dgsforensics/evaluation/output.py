"""What an evaluation found, and as a table for people, one JSON document, or CSV.

`docs/eval.md` documents the figures; `SCHEMA` is raised when one changes its meaning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.evaluation.protocol import SourceProtocol
from dgsforensics.records import UnreadFile
from dgsforensics.tables import csv_line, to_json
from dgsforensics.wording import printable

SCHEMA = 1
NOTHING = "\N{EN DASH}"
"""Stands for a figure that needs a class which is missing."""
RATES = (0.01, 0.05)
"""False-positive rates of the TPR that is always given."""
_OF_VERDICTS = ("acc", "r_acc", "f_acc", "inconclusive")
_NAME = 14
"""Columns that a name has at least."""
HEADS = {
    "acc": "Acc",
    "r_acc": "r_acc",
    "f_acc": "f_acc",
    "ap": "AP",
    "auroc": "AUROC",
    "tpr": "TPR",
    "ece": "ECE",
    "brier": "Brier",
    "inconclusive": "inconcl.",
}
"""Of figures, for people, without the rate that may follow."""


@dataclass(frozen=True, slots=True)
class DetectorThreshold:
    """A threshold of a detector."""

    fpr: float | None
    """The calibrated false-positive rate that was asked for; None: the detector's default."""
    threshold: float
    """Probability from which an image is flagged."""
    lower: float
    """Probability below which it is not flagged; between the two it is inconclusive."""
    origin: str
    """How it was chosen and on what it was measured."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A detector that was evaluated."""

    name: str
    """Unique within the evaluation."""
    model_sha256: str
    preprocessing: str
    calibrated_on: str
    cuts: tuple[DetectorThreshold, ...]
    """The default first."""


@dataclass(frozen=True, slots=True)
class FigureRow:
    """Figures of one detector on one slice in one tier."""

    detector: str
    tier: str
    slice: str
    real_of: str
    """Where the real images are from: `slice`, the generator's `source`, or the whole `set`."""
    real: int
    generated: int
    figures: dict[str, Estimate | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """AUROC of a detector less that of the first one, on images that both scored."""

    detector: str
    baseline: str
    tier: str
    slice: str
    real: int
    generated: int
    auroc: Estimate
    p: float
    """Two-sided, by paired bootstrap; not corrected for how many are compared."""


@dataclass(frozen=True, slots=True)
class Curves:
    """What the diagrams show of one detector in one tier, over the whole set."""

    detector: str
    tier: str
    roc: list[tuple[float, float]]
    """False- and true-positive rate."""
    reliability: list[tuple[float, float, int]]
    """Mean probability, share generated, images, by bin."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything an evaluation has to state."""

    tool_version: str
    pillow_version: str
    data: str
    by: str
    tiers: tuple[str, ...]
    seed: int
    resamples: int
    bins: int
    listed: int
    """Images that the data name."""
    used: int
    """Distinct ones that were scored in at least one tier."""
    copies: int
    """Left out as copies of another one of the same source and generator."""
    notes: tuple[str, ...]
    unread: tuple[UnreadFile, ...]
    detectors: tuple[Subject, ...]
    rows: tuple[FigureRow, ...]
    differences: tuple[Difference, ...]
    curves: tuple[Curves, ...]
    protocols: tuple[SourceProtocol, ...] = ()
    """By detector and tier; none where the data name fewer than two sources."""


def as_json(found: Evaluation) -> str:
    """Return one document, on one line for each part of it."""
    parts = asdict(found)
    split = ("rows", "differences", "curves", "protocols", "unread")
    lists = {name: parts.pop(name) for name in split}
    head = to_json({"schema": SCHEMA} | parts)[:-1]
    for name, values in lists.items():
        lines = ",\n".join(to_json(value) for value in values)
        head += f',\n"{name}": [' + (f"\n{lines}\n" if values else "") + "]"
    return head + "}\n"


def as_csv(found: Evaluation) -> str:
    """Return a header, and a line for each detector, tier and slice; empty where JSON has null."""
    names = figure_names(found)
    head = ["schema", "detector", "tier", "slice", "real_of", "real", "generated"]
    told = ["model_sha256", "preprocessing", "threshold", "threshold_origin"]
    run = ["tool_version", "data", "seed", "resamples"]
    figures = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    lines = [csv_line([*head, *figures, *told, *run])]
    subjects = {subject.name: subject for subject in found.detectors}
    for row in found.rows:
        subject = subjects[row.detector]
        cells: list[Any] = [SCHEMA, printable(row.detector), row.tier, printable(row.slice)]
        cells += [row.real_of, row.real, row.generated]
        for name in names:
            estimate = row.figures.get(name)
            cells += [estimate.value, estimate.low, estimate.high] if estimate else [""] * 3
        cut = subject.cuts[0]
        cells += [subject.model_sha256, subject.preprocessing, cut.threshold, printable(cut.origin)]
        cells += [found.tool_version, printable(found.data), found.seed, found.resamples]
        lines.append(csv_line(cells))
    return "".join(lines)


def figure_names(found: Evaluation) -> list[str]:
    """Return names of all figures, in order; every row has all of them."""
    return list(found.rows[0].figures)


def head_of(name: str) -> str:
    """Return the name of a figure for people: `tpr_at_0.01` is `TPR 1%`."""
    base, _, rate = name.partition("_at_")
    return f"{HEADS[base]} {100 * float(rate):g}%" if rate else HEADS[base]


def number(estimate: Estimate | None) -> str:
    """Return three decimals, or a dash."""
    return NOTHING if estimate is None else f"{estimate.value:.3f}"


def interval(estimate: Estimate | None) -> str:
    """Return both ends with two decimals, or nothing."""
    if estimate is None or estimate.low is None:
        return ""
    return f"{estimate.low:.2f}-{estimate.high:.2f}"


def tables(found: Evaluation) -> list[Table]:
    """Return tables for a terminal of 80 columns or more: by detector and tier, and differences
    where there are any.

    Scores have a table, and the verdicts at each threshold.
    """
    rates = [name for name in figure_names(found) if name.startswith("tpr_at_")]
    of_scores = {head_of(name): name for name in ("ap", "auroc", *rates, "ece", "brier")}
    made = []
    for subject in found.detectors:
        for tier in found.tiers:
            rows = [r for r in found.rows if (r.detector, r.tier) == (subject.name, tier)]
            title = f"{printable(subject.name)}, {tier}"
            made.append(_table(f"{title}: scores", rows, of_scores))
            for cut in subject.cuts:
                end = "" if cut.fpr is None else f"_at_{cut.fpr:g}"
                at = "" if cut.fpr is None else f" at the threshold for {100 * cut.fpr:g} %"
                names = {HEADS[name]: name + end for name in _OF_VERDICTS}
                made.append(_table(f"{title}: verdicts{at}", rows, names))
    if found.differences:
        title = f"AUROC less that of {printable(found.differences[0].baseline)}, paired bootstrap"
        made.append(_differences(title, found.differences))
    return made


def _table(title: str, rows: Sequence[FigureRow], names: Mapping[str, str]) -> Table:
    """Return `names` are figures by what stands over them."""
    table = _empty(title)
    for head, name in names.items():
        table.add_column(head, justify="right", no_wrap=True)
        if name == "auroc":
            table.add_column("95 %", justify="right", no_wrap=True)
    for row in rows:
        cells = [_named(row), str(row.real), str(row.generated)]
        for name in names.values():
            cells.append(number(row.figures[name]))
            if name == "auroc":
                cells.append(interval(row.figures[name]))
        table.add_row(*cells)
    if any(row.real_of == "source" for row in rows):
        table.caption = "* against the real images of its own sources; others against all"
        table.caption_justify = "left"
    return table


def _differences(title: str, differences: Sequence[Difference]) -> Table:
    table = _empty(title)
    for name in ("detector", "tier", "difference", "95 %", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for found in differences:
        estimate = found.auroc
        table.add_row(
            printable(found.slice),
            str(found.real),
            str(found.generated),
            printable(found.detector),
            found.tier,
            f"{estimate.value:+.3f}",
            f"{estimate.low:+.3f} to {estimate.high:+.3f}",
            f"{found.p:.3f}",
        )
    return table


def _empty(title: str) -> Table:
    table = Table(box=None, header_style="bold", title=title, title_justify="left", pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.add_column("", overflow="fold", min_width=_NAME)
    table.add_column("real", justify="right", no_wrap=True)
    table.add_column("gen.", justify="right", no_wrap=True)
    return table


def _named(row: FigureRow) -> str:
    # Against its own sources: marked, for the count of real images does not say it.
    return printable(row.slice) + ("*" if row.real_of == "source" else "")
