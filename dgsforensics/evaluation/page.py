"""An evaluation as one HTML file that can be sent on: no scripts, nothing is loaded from anywhere.

It is XML as well. What comes from outside (names, paths, reasons) is escaped; light and dark follow
the reader's settings.
"""

from collections.abc import Iterable, Sequence

from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.evaluation.charts import ChartBar, ChartLine, bars, escaped, legend, square
from dgsforensics.evaluation.output import (
    NOTHING,
    Curves,
    Evaluation,
    FigureRow,
    figure_names,
    head_of,
    interval,
    number,
)
from dgsforensics.evaluation.protocol import Protocol
from dgsforensics.evaluation.protocol_table import SOURCE_HEADS, source_cells, summary

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1a1a1a; --faint: #6b6b6b;
  --rule: #d8d8d8; --c0: #0072b2; --c1: #b84a00; --c2: #00795a; --c3: #8e4585; }
@media (prefers-color-scheme: dark) { :root { --back: #161616; --text: #ececec; --faint: #a0a0a0;
  --rule: #3c3c3c; --c0: #56b4e9; --c1: #f0a040; --c2: #2fc79a; --c3: #dd9bd0; } }
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { border-bottom: 1px solid var(--rule); padding: 3px 8px; text-align: right;
  vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; }
table.facts td, table.facts th { text-align: left; white-space: normal; overflow-wrap: anywhere; }
small { color: var(--faint); display: block; }
figure { display: inline-block; margin: 0 1.5rem 1rem 0; vertical-align: top; max-width: 100%; }
figcaption { font-weight: 600; } svg { max-width: 100%; height: auto; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
.legend { list-style: none; padding: 0; }
.grid { stroke: var(--rule); } .chance { stroke: var(--faint); stroke-dasharray: 2 4; }
.line { fill: none; stroke: var(--c); stroke-width: 2; } .mark { fill: var(--c); }
.bar { fill: var(--c); fill-opacity: .45; stroke: var(--c); }
.whisker { fill: none; stroke: var(--text); stroke-width: 1.5; }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); } .s3 { --c: var(--c3); }
.s1 .line, .s1 .bar { stroke-dasharray: 7 4; } .s2 .line, .s2 .bar { stroke-dasharray: 2 3; }
.s3 .line, .s3 .bar { stroke-dasharray: 9 3 2 3; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(found: Evaluation) -> str:
    """Return the whole page."""
    title = f"Evaluation of {', '.join(subject.name for subject in found.detectors)}"
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>'
        '<meta name="viewport" content="width=device-width"/>'
        f"<title>{escaped(title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escaped(title)}</h1>",
        "<p>A score is a signal, not proof. The figures say how the detectors did on these images; "
        "on others they may do worse.</p>",
        _run(found),
        _detectors(found),
    ]
    for tier in found.tiers:
        parts.append(f"<h2>Tier: {escaped(tier)}</h2>")
        parts += _diagrams(found, tier)
        for subject in found.detectors:
            rows = [row for row in found.rows if (row.detector, row.tier) == (subject.name, tier)]
            parts.append(_figures(subject.name, rows, figure_names(found)))
            of_tier = [p for p in found.protocols if (p.detector, p.tier) == (subject.name, tier)]
            parts += map(_protocol, of_tier)
    parts += [
        _differences(found),
        _unread(found),
        _legend_of_figures(found),
        "</main></body></html>",
    ]
    return "".join(part + "\n" for part in parts if part)


def _run(found: Evaluation) -> str:
    facts = [
        ("tool", f"dgsforensics {found.tool_version}, Pillow {found.pillow_version}"),
        ("data", found.data),
        (
            "images",
            f"{found.listed} listed, {found.used} evaluated, {found.copies} left out as "
            f"copies, {len(found.unread)} without a score or contradictory",
        ),
        ("slices by", found.by),
        ("tiers", ", ".join(found.tiers)),
        (
            "intervals",
            f"95 %, percentile bootstrap, {found.resamples} resamples by class and group "
            f"of near-duplicates, seed {found.seed}",
        ),
        *(("note", note) for note in found.notes),
    ]
    return _facts(facts)


def _detectors(found: Evaluation) -> str:
    parts = ["<h2>Detectors</h2>"]
    for subject in found.detectors:
        facts = [
            ("sha256", subject.model_sha256),
            ("preprocessing", subject.preprocessing),
            ("calibrated on", subject.calibrated_on),
        ]
        for cut in subject.cuts:
            name = "threshold" if cut.fpr is None else f"threshold for {100 * cut.fpr:g} %"
            band = f", inconclusive from {cut.lower:.4f}" if cut.lower < cut.threshold else ""
            facts.append((name, f"probability {cut.threshold:.4f}{band}; {cut.origin}"))
        parts.append(f"<h3>{escaped(subject.name)}</h3>{_facts(facts)}")
    return "".join(parts)


def _diagrams(found: Evaluation, tier: str) -> Iterable[str]:
    names = [subject.name for subject in found.detectors]
    of_name = {curves.detector: curves for curves in found.curves if curves.tier == tier}
    drawn = [of_name[name] for name in names if name in of_name]
    yield legend(names)
    if drawn:
        roc = [ChartLine(curves.detector, curves.roc) for curves in drawn]
        calibrated = [_calibration_line(curves) for curves in drawn]
        yield _figure(
            "ROC curve",
            square(
                f"roc-{tier}",
                f"ROC curve, {tier}",
                "false-positive rate",
                "true-positive rate",
                roc,
            ),
        ) + _figure(
            "Reliability",
            square(
                f"reliability-{tier}",
                f"Reliability diagram, {tier}",
                "mean probability",
                "share generated",
                calibrated,
            ),
        )
    rows = {(row.slice, row.detector): row for row in found.rows if row.tier == tier}
    slices = dict.fromkeys(row.slice for row in found.rows)
    each = [
        ChartBar(part, number, name, rows[part, name].figures["auroc"])
        for part in slices
        for number, name in enumerate(names)
    ]
    yield _figure(f"AUROC by {found.by}", bars(f"bars-{tier}", f"AUROC, {tier}", "AUROC", each))


def _calibration_line(curves: Curves) -> ChartLine:
    points = [(probability, share) for probability, share, _ in curves.reliability]
    notes = [
        f"{count} images, mean probability {probability:.2f}, share generated {share:.2f}"
        for probability, share, count in curves.reliability
    ]
    return ChartLine(curves.detector, points, notes)


def _figures(name: str, rows: Sequence[FigureRow], names: Sequence[str]) -> str:
    heads = ["", "real", "generated", *map(head_of, names)]
    body = [
        [
            escaped(row.slice) + ("*" if row.real_of == "source" else ""),
            str(row.real),
            str(row.generated),
            *(_estimate(row.figures[figure]) for figure in names),
        ]
        for row in rows
    ]
    return f"<h3>{escaped(name)}</h3>" + _table(heads, body)


def _protocol(protocol: Protocol) -> str:
    heads = ["", *SOURCE_HEADS]
    body = [
        [escaped(figures.name), *map(escaped, source_cells(figures))]
        for figures in protocol.sources
    ]
    facts = _facts(summary(protocol))
    return f"<h3>{escaped(protocol.detector)}, sources alike</h3>{facts}{_table(heads, body)}"


def _differences(found: Evaluation) -> str:
    if not found.differences:
        return ""
    heads = ["", "tier", "detector", "real", "generated", "difference", "95 %", "p"]
    body = [
        [
            escaped(one.slice),
            escaped(one.tier),
            escaped(one.detector),
            str(one.real),
            str(one.generated),
            f"{one.auroc.value:+.3f}",
            f"{one.auroc.low:+.3f} to {one.auroc.high:+.3f}",
            f"{one.p:.3f}",
        ]
        for one in found.differences
    ]
    return (
        f"<h2>AUROC less that of {escaped(found.differences[0].baseline)}</h2>"
        "<p>Paired bootstrap on the images that both scored; p is two-sided and not corrected for "
        "the number of comparisons.</p>" + _table(heads, body)
    )


def _unread(found: Evaluation) -> str:
    if not found.unread:
        return ""
    body = [[escaped(one.path), escaped(one.reason)] for one in found.unread]
    return f"<h2>Not evaluated: {len(body)}</h2>" + _table(["file", "reason"], body, "facts")


def _legend_of_figures(found: Evaluation) -> str:
    return (
        "<h2>What the figures are</h2><p>Acc, r_acc and f_acc: share of all, of real and of "
        "generated images on the right side of the threshold; inconclusive is not flagged. AP: "
        "average precision. TPR at a rate: share of generated images found when that share of "
        "these real images is flagged; Acc, r_acc, f_acc and inconclusive at a rate: at the "
        "detector's calibrated threshold for it. ECE: expected calibration error over "
        f"{found.bins} bins of equal width, above 0 by chance even for right probabilities, and "
        "so without an interval; in it, in the Brier score and in the reliability diagram both "
        "classes weigh alike, for the probability holds at equal priors. "
        f"{NOTHING}: needs a class that is missing. *: against the real images of the generator's "
        "own sources; other generators against all real images.</p>"
    )


def _estimate(estimate: Estimate | None) -> str:
    ends = interval(estimate)
    return number(estimate) + (f"<small>{ends}</small>" if ends else "")


def _figure(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{escaped(caption)}</figcaption>{drawing}</figure>"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = (
        f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value)}</td></tr>'
        for name, value in facts
    )
    return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'


def _table(heads: Sequence[str], body: Iterable[Sequence[str]], kind: str = "figures") -> str:
    """Return `body` is HTML already."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for cells in body
    )
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
