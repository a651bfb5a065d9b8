"""The model card: facts as JSON in the detector file, and the same facts as Markdown beside it.

A card from elsewhere may lack any fact: what is missing is left out, never an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dgsforensics.detector.calibration import DEFAULT_FNR, Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import LoraConfig
from dgsforensics.errors import CheckpointError

Table = dict[str, Any]
"""`title`, `note`, and `rows`: mappings with the same keys."""


def render(checkpoint: Checkpoint) -> str:
    """Return the card as Markdown; raises `CheckpointError` when a fact is of the wrong kind."""
    try:
        return "\n".join(_lines(checkpoint))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the model card of {checkpoint.config.name} is damaged ({error!r})"
        ) from error


def _lines(checkpoint: Checkpoint) -> list[str]:
    card, config = checkpoint.card, checkpoint.config
    lines = [f"# {config.name}", ""]
    if "summary" in card:
        lines += [card["summary"], ""]
    lines += [
        "## What it is",
        "",
        f"- Backbone: {config.backbone.name}, frozen (sha256 `{config.backbone.sha256}`).",
        f"- Input: {_describe_input(checkpoint)}",
        f"- Head: linear, {checkpoint.tensors['head.weight'].shape[1]} features; "
        + _describe_head(checkpoint),
        f"- Adapters: {_describe_adapters(config.lora)}",
    ]
    if "command" in card:
        lines.append(f"- Made by: `{card['command']}` with {card.get('versions', 'unknown')}.")
    lines.append("")
    if "origin" in card:
        facts = (f"- {name}: {fact}" for name, fact in card["origin"].items())
        lines += ["## Where it came from", "", *facts, ""]
    if "data" in card:
        lines += ["## What it was trained on", "", card["data"], "", *_table(card.get("counts"))]
    if "calibrated" in card:
        lines += ["## What it was calibrated on", "", *_describe_images(card["calibrated"]), ""]
    lines += ["## Thresholds", "", *_describe_thresholds(checkpoint.calibration), ""]
    for table in card.get("results", ()):
        lines += [f"## {table['title']}", "", table["note"], "", *_table(table["rows"])]
    if "limits" in card:
        lines += ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]
    if "licence" in card:
        lines += ["## Licence", "", card["licence"], ""]
    return lines


def _describe_thresholds(calibration: Calibration) -> list[str]:
    thresholds = calibration.thresholds()
    lines = [
        f"An image is flagged from a probability of {calibration.probability(thresholds.upper):.3f}"
        f" (logit {thresholds.upper:.3f}): {thresholds.origin}."
    ]
    if not calibration.measured:
        return lines
    band = "It is not flagged below: without generated images there is no inconclusive band. "
    if calibration.generated:
        band = (
            f"It is not flagged below {calibration.probability(thresholds.lower):.3f} (logit "
            f"{thresholds.lower:.3f}), where {DEFAULT_FNR:.0%} of the {len(calibration.generated)} "
            f"generated calibration images lie; between the two the verdict is inconclusive. "
        )
    return [
        *lines,
        f"{band}`--fpr` moves the upper end, down to a rate of "
        f"{1 / (len(calibration.real) + 1):.4f}, which is what {len(calibration.real)} "
        "photographs support.",
    ]


def _describe_images(calibrated: Mapping[str, str]) -> list[str]:
    """Describe the images of a detector that `dgsf calibrate` made."""
    return [
        f"- It is {calibrated['from']} (sha256 `{calibrated['sha256']}`) with thresholds measured "
        "by a user. All else on this card was said of the original; shares of verdicts in the "
        "tables are those of its thresholds.",
        f"- Photographs: {calibrated['photographs']}.",
        f"- Generated images: {calibrated['generated']}.",
    ]


def _describe_input(checkpoint: Checkpoint) -> str:
    shown = checkpoint.config.input
    way = "49 patches of 32 pixels by spectral entropy, stitched to 224 (`pictures.patches`)"
    if shown.view == "whole":
        way = f"the whole picture, resized to {shown.size}"
    if shown.canonical == "standard":
        way += ", of a copy with its longest side at most 1536, as a JPEG of quality 90"
    return f"{way}."


def _describe_head(checkpoint: Checkpoint) -> str:
    blocks = checkpoint.config.head.blocks
    if not blocks:
        return "reads the projected output, not normalised."
    return f"reads the class token after blocks {', '.join(str(b + 1) for b in blocks)}."


def _describe_adapters(lora: LoraConfig | None) -> str:
    if lora is None:
        return "none."
    blocks = "all blocks"
    if lora.blocks is not None:
        blocks = f"blocks {', '.join(str(b + 1) for b in lora.blocks)}"
    return (
        f"LoRA of rank {lora.rank} on q, k and v of {blocks}, alpha {lora.alpha:g} "
        f"(scale {lora.scaling}), trained with dropout {lora.dropout:g}."
    )


def _table(rows: Sequence[Mapping[str, Any]] | None) -> list[str]:
    if not rows:
        return []
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for row in rows:
        cells = ("-" if row[key] is None else str(row[key]).replace("|", "\\|") for key in head)
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]
