"""What a run leaves behind: the detector file with its card, and the options that made it."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from dgsforensics import atomic
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import card, checkpoint
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.facts import CardTable, ModelCard, Row
from dgsforensics.records import Label
from dgsforensics.wording import printable

from .candidates import Candidate, TrainingChoice
from .data import Dataset
from .gate import Comparison
from .stages import Context
from .teaching import Taught

_PACKAGES = ("dgsforensics", "torch", "open_clip_torch", "pillow", "numpy")
_UNTESTED = (
    "It was measured on images of its own data, and if adapted on what the base knew, and on "
    "nothing else; on other sources, generators and degradations it may do worse."
)
_KINDS = {
    "base": "the base detector",
    "teacher": "the teacher, a linear head on the frozen image tower",
    "student": "the student, a LoRA fine-tuned image tower",
}


def write(
    out: Path, new: Candidate, fitted: Calibration, facts: ModelCard, context: Context
) -> Path:
    """Write `out`, its card as `.md` and the options as `.toml` beside it; return `out`.

    A file with options that the run was given is a person's own and stays as it is.
    """
    checkpoint.write(Checkpoint(new.config, fitted, new.tensors, facts), out)
    atomic.write_text(card.render(checkpoint.read(out)), out.with_suffix(".md"))
    options = out.with_suffix(".toml")
    if not context.place.is_given(options):
        atomic.write_text(context.config.to_toml(), options)
    return out


def facts(
    context: Context,
    dataset: Dataset,
    taught: Taught,
    choice: TrainingChoice,
    remarks: Sequence[str],
) -> ModelCard:
    """Return the card of a trained detector."""
    config, base, new = context.config, context.plan.base, choice.new
    out = context.place.out if choice.best is new else context.place.rejected
    origin = "the pre-trained tower"
    if base is not None:
        origin = f"detector {config.base!r} (sha256 `{base.sha256}`)"
    kind = _KINDS[new.kind]
    if new.kind == "student":
        kind += {
            "dgs": ", trained under the gradient surgery of DGS-Net",
            "lora": ", trained without gradient surgery",
        }[config.method]
    result = f"It is {kind}, the best of {_listed(choice)}."
    if choice.best is not new:
        result = f"REJECTED: the base detector is better. This is {kind}."
    known = [] if taught.known is None else [("known to the base", taught.known.samples)]
    limits = [f"REJECTED: {loss}." for loss in choice.comparison.losses]
    if choice.best is not new and not limits:
        limits = [f"REJECTED: AUROC {-choice.comparison.gain:.3f} below the base's."]
    return ModelCard(
        summary=config.card.summary or f"Trained by a user, starting from {origin}. {result}",
        command=f"dgsf train DATA --config {out.with_suffix('.toml').name}",
        versions=", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        options=config.to_toml(),
        data=f"{len(dataset.train)} images for training, {len(dataset.validation)} held out, "
        f"{len(dataset.test)} for the test; contents, labels and split have the digest "
        f"`{dataset.digest}`. {dataset.split_by} {' '.join(dataset.notes)} {new.words}",
        counts=(
            _counts("training", dataset.train),
            _counts("held out", dataset.validation),
            *([_counts("test", dataset.test)] if dataset.test else []),
            *(_counts(name, samples) for name, samples in known),
        ),
        results=(_standings(choice), _table(choice.comparison)),
        limits=(
            *limits,
            *([choice.comparison.remark] if choice.comparison.remark else []),
            *remarks,
            *config.card.limits,
            *([] if dataset.test else [_UNTESTED]),
            "Temperature and thresholds were fitted on the images that are compared above: there "
            "r_acc and f_acc are those of each half at the threshold of the other.",
            "A score is a signal, not proof; it cannot replace a look at where the file came from.",
        ),
        licence=config.card.licence
        or "Follows from that of the training images and of the backbone.",
    )


def _listed(choice: TrainingChoice) -> str:
    kinds = [standing.kind for standing in choice.standings]
    return " and ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]]))


def _counts(name: str, samples: Sequence[Sample]) -> Row:
    real = [s for s in samples if s.label == Label.REAL]
    generated = [s for s in samples if s.label == Label.GENERATED]
    return {
        "": name,
        "real": len(real),
        "real sources": len({s.source for s in real}),
        "generated": len(generated),
        "generators": len({s.generator for s in generated}),
    }


def _standings(choice: TrainingChoice) -> CardTable:
    rows: list[Row] = [
        {
            "": printable(standing.name),
            "own images": standing.images,
            "AUROC on them": _rounded(standing.own),
            "AUROC on what the base knew": _rounded(standing.known),
        }
        for standing in choice.standings
    ]
    note = (
        "Files as they are, none of which the detector was fitted to. The teacher is judged on all "
        "own images by cross-fitting, a student on those held out; what cannot be measured is left "
        "open."
    )
    return CardTable("What it was chosen from", note, tuple(rows))


def _table(comparison: Comparison) -> CardTable:
    rows: list[Row] = []
    for row in comparison.rows:
        line: dict[str, str | float | None] = {
            "": printable(f"known {row.name}" if row.known and row.kind != "part" else row.name),
            "real": row.after.real,
            "generated": row.after.generated,
        }
        for name in ("auroc", "r_acc", "f_acc"):
            for when, metrics in (("before", row.before), ("after", row.after)):
                line[f"{name} {when}"] = _rounded(getattr(metrics, name))
        rows.append(line)
    note = (
        f"Before: {printable(comparison.before)}. After: {printable(comparison.after)}. Images "
        "that neither was fitted to, files as they are; each generator against all photographs. "
        "Both are judged at thresholds that are set alike, on the other half of the images."
    )
    return CardTable("Before and after", note, tuple(rows))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
