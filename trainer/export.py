"""What a run leaves behind: the detector file with its card, and the options that made it."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from dgsforensics import atomic
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import card, checkpoint
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.records import Label
from dgsforensics.wording import printable

from .config import TrainConfig
from .data import Dataset
from .gate import Comparison
from .plan import TrainPlan

_PACKAGES = ("dgsforensics", "torch", "open_clip_torch", "pillow", "numpy")
_METHODS = {
    "dgs": "a LoRA fine-tuned image tower, trained under the gradient surgery of DGS-Net",
    "lora": "a LoRA fine-tuned image tower, trained without gradient surgery",
    "probe": "a linear head on a frozen image tower",
}


def write(
    out: Path,
    plan: TrainPlan,
    tensors: dict[str, Tensor],
    fitted: Calibration,
    facts: dict[str, Any],
    config: TrainConfig,
) -> Path:
    """Write `out`, its card as `.md` and the options as `.toml` beside it; returns `out`."""
    checkpoint.write(Checkpoint(plan.student, fitted, tensors, facts), out)
    atomic.write_text(card.render(checkpoint.read(out)), out.with_suffix(".md"))
    atomic.write_text(config.to_toml(), out.with_suffix(".toml"))
    return out


def facts(
    config: TrainConfig,
    plan: TrainPlan,
    data: Dataset,
    comparison: Comparison,
    out: Path,
) -> dict[str, Any]:
    """Return the card of a trained detector, as plain JSON types."""
    origin = "the pre-trained tower"
    if plan.base is not None:
        origin = f"detector {config.base!r} (sha256 `{plan.base.sha256}`)"
    return {
        "summary": f"Trained by a user, starting from {origin}: {_METHODS[config.method]}.",
        "command": f"dgsf train DATA --config {out.with_suffix('.toml').name}",
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "options": config.to_toml(),
        "data": f"{len(data.train)} images for training, {len(data.validation)} held out for "
        f"calibration and the comparison below; contents, labels and split have the digest "
        f"`{data.digest}`. {data.split_by} " + " ".join(data.notes),
        "counts": [_counts("training", data.train), _counts("held out", data.validation)],
        "results": [_table(comparison)],
        "limits": [
            *(f"REJECTED: {loss}." for loss in comparison.losses),
            *([comparison.remark] if comparison.remark else []),
            "It was measured on images held out of its own training data and on nothing else; on "
            "other sources, generators and degradations it may do worse.",
            "Temperature and thresholds were fitted on the images held out, the same that are "
            "compared above: there r_acc and f_acc of the new detector are those of each half at "
            "the threshold of the other.",
            "A score is a signal, not proof; it cannot replace a look at where the file came from.",
        ],
        "licence": "Follows from that of the training images and of the backbone.",
    }


def _counts(name: str, samples: Sequence[Sample]) -> dict[str, Any]:
    real = [s for s in samples if s.label == Label.REAL]
    generated = [s for s in samples if s.label == Label.GENERATED]
    return {
        "": name,
        "real": len(real),
        "real sources": len({s.source for s in real}),
        "generated": len(generated),
        "generators": len({s.generator for s in generated}),
    }


def _table(comparison: Comparison) -> card.Table:
    rows = []
    for row in comparison.rows:
        line: dict[str, Any] = {
            "": printable(row.name),
            "real": row.after.real,
            "generated": row.after.generated,
        }
        for name in ("auroc", "r_acc", "f_acc"):
            for when, metrics in (("before", row.before), ("after", row.after)):
                value = getattr(metrics, name)
                line[f"{name} {when}"] = None if value is None else round(value, 3)
        rows.append(line)
    note = (
        f"Before: {printable(comparison.before)}. After: {printable(comparison.after)}. The images "
        "held out, files as they are; each generator against all photographs held out."
    )
    return {"title": "Before and after", "note": note, "rows": rows}
