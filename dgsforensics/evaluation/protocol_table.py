"""The figures by source as tables for people: a line for each source, and what they come to."""

from typing import Any

from rich.table import Table

from dgsforensics.evaluation.output import NOTHING, Evaluation
from dgsforensics.evaluation.protocol import SourceFigures, SourceProtocol
from dgsforensics.wording import printable

SOURCE_HEADS = ("real", "flagged", "95 %", "gen.", "found", "95 %", "AUROC", "pair")
"""Over the figures of a source."""


def tables(found: Evaluation) -> list[Table]:
    """Return two tables for each detector and tier; none where the data name no two sources."""
    return [table for protocol in found.protocols for table in _tables(protocol)]


def summary(protocol: SourceProtocol) -> list[tuple[str, str]]:
    """Return what a protocol comes to, as names and values for people."""
    sources, generators = protocol.counted_sources, protocol.counted_generators
    return [
        ("AUROC, mean over sources and generators", _decimals(protocol.auroc)),
        (f"AUROC, mean over {sources} sources of photographs", _decimals(protocol.auroc_sources)),
        ("AUROC, worst quarter of them", _decimals(protocol.auroc_worst)),
        (f"AUROC, mean over {generators} generators", _decimals(protocol.auroc_generators)),
        (f"AUROC, mean over {protocol.counted_pairs} same-source pairs", _decimals(protocol.pairs)),
        ("found where 5 % of photographs are flagged", _percent(protocol.tpr_at_5)),
        ("found where 1 % of photographs are flagged", _percent(protocol.tpr_at_1)),
        ("at the threshold: found, mean over generators", _percent(protocol.found)),
        ("at the threshold: photographs flagged, mean over sources", _percent(protocol.flagged)),
        ("at the threshold: flagged in the worst quarter", _percent(protocol.flagged_worst)),
    ]


def source_cells(figures: SourceFigures) -> list[str]:
    """Return the cells of a source after its name, as `SOURCE_HEADS` has them."""
    cells = []
    for share in (figures.real, figures.generated):
        if share is None:
            cells += [NOTHING] * 3
        else:
            ends = f"{100 * share.low:.0f}-{100 * share.high:.0f}"
            cells += [str(share.count), _percent(share.flagged / share.count), ends]
    return [*cells, _decimals(figures.auroc), _decimals(figures.pair)]


def _tables(protocol: SourceProtocol) -> list[Table]:
    title = f"{printable(protocol.detector)}, {protocol.tier}"
    style: dict[str, Any] = {"box": None, "header_style": "bold", "pad_edge": False}
    by_source = Table(title=f"{title}: by source", title_justify="left", **style)
    by_source.add_column("", overflow="fold", min_width=14)
    for head in SOURCE_HEADS:
        by_source.add_column(head, justify="right", no_wrap=True)
    for figures in protocol.sources:
        by_source.add_row(printable(figures.name), *source_cells(figures))
    whole = Table(title=f"{title}: sources alike", title_justify="left", **style, show_header=False)
    whole.add_column()
    whole.add_column(justify="right", no_wrap=True)
    for name, value in summary(protocol):
        whole.add_row(name, value)
    for table in (by_source, whole):
        table.padding = (0, 1, 0, 0)
    return [by_source, whole]


def _decimals(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"
