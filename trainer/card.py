"""The model card: facts as JSON in the detector file, and the same facts as Markdown beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dgsforensics.calibration import DEFAULT_FNR, Calibration
from dgsforensics.checkpoint import Checkpoint
from dgsforensics.evaluation import Metrics
from dgsforensics.records import Verdict

Table = dict[str, Any]
"""`title`, `note`, and `rows`: mappings with the same keys."""


def metrics_row(name: str, metrics: Metrics) -> dict[str, Any]:
    """One row of a table of results, figures to three decimals."""
    values = {
        key: round(value, 3) if isinstance(value, float) else value
        for key, value in asdict(metrics).items()
    }
    return {"": name} | values


def verdict_shares(calibration: Calibration, name: str, logits: Sequence[float]) -> dict[str, Any]:
    """One row of a table of verdicts at the default thresholds, in shares."""
    thresholds = calibration.thresholds()
    verdicts = [thresholds.verdict(logit) for logit in logits]
    shares = {v.value: round(verdicts.count(v) / len(verdicts), 3) for v in Verdict}
    return {"": name, "n": len(logits)} | shares


def render(checkpoint: Checkpoint) -> str:
    """The card as Markdown."""
    card, calibration = checkpoint.card, checkpoint.calibration
    thresholds = calibration.thresholds()
    config = checkpoint.config
    lines = [
        f"# {config.name}",
        "",
        card["summary"],
        "",
        "## What it is",
        "",
        f"- Backbone: {config.backbone.name}, frozen (sha256 `{config.backbone.sha256}`).",
        f"- Input: {_describe_input(checkpoint)}",
        f"- Head: linear, {checkpoint.tensors['head.weight'].shape[1]} features; "
        + _describe_head(checkpoint),
        f"- Adapters: {'none' if config.lora is None else config.lora}.",
        f"- Made by: `{card['command']}` with {card['versions']}.",
        "",
        "## What it was trained on",
        "",
        card["data"],
        "",
        *_table(card["counts"]),
        "## Thresholds",
        "",
        f"An image is flagged from a probability of {calibration.probability(thresholds.upper):.3f}"
        f" (logit {thresholds.upper:.3f}): {thresholds.origin}.",
        f"It is not flagged below {calibration.probability(thresholds.lower):.3f} (logit "
        f"{thresholds.lower:.3f}), where {DEFAULT_FNR:.0%} of the {len(calibration.generated)} "
        f"generated calibration images lie; between the two the verdict is inconclusive. "
        f"`--fpr` moves the upper end, down to a rate of {1 / (len(calibration.real) + 1):.4f}, "
        f"which is what {len(calibration.real)} photographs support.",
        "",
    ]
    for table in card["results"]:
        lines += [f"## {table['title']}", "", table["note"], "", *_table(table["rows"])]
    lines += ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]
    lines += ["## Licence", "", card["licence"], ""]
    return "\n".join(lines)


def _describe_input(checkpoint: Checkpoint) -> str:
    view = checkpoint.config.input.view
    if view == "patches":
        return (
            "49 patches of 32 pixels by spectral entropy, stitched to 224 (`dgsforensics.patches`)."
        )
    return f"the whole picture, resized to {checkpoint.config.input.size}."


def _describe_head(checkpoint: Checkpoint) -> str:
    blocks = checkpoint.config.head.blocks
    if not blocks:
        return "reads the projected output, not normalised."
    return f"reads the class token after blocks {', '.join(str(b + 1) for b in blocks)}."


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for row in rows:
        cells = ("-" if row[key] is None else str(row[key]) for key in head)
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]
