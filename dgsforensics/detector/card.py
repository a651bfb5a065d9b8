"""The model card: facts as JSON in the detector file, and the same facts as Markdown beside it."""

from dgsforensics import templates
from dgsforensics.detector.calibration import DEFAULT_FNR, Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import LoraConfig


def render(checkpoint: Checkpoint) -> str:
    """Return the card as Markdown."""
    return _ended(templates.markdown("detector/card.md", **_facts(checkpoint)))


def plain(checkpoint: Checkpoint) -> str:
    """Return the card to be read as it is, for a terminal: `<` is not `&lt;`."""
    return _ended(templates.text("detector/card.md", **_facts(checkpoint)))


def _ended(text: str) -> str:
    return text.rstrip("\n") + "\n"


def _facts(checkpoint: Checkpoint) -> dict[str, object]:
    config = checkpoint.config
    return {
        "name": config.name,
        "card": checkpoint.card,
        "backbone": config.backbone,
        "features": checkpoint.tensors["head.weight"].shape[1],
        "input": _describe_input(checkpoint),
        "head": _describe_head(checkpoint),
        "adapters": _describe_adapters(config.lora),
        "thresholds": _describe_thresholds(checkpoint.calibration),
    }


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
