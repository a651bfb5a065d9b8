"""The test: what a detector does on sources that had no part in making it, for its card.

The figures are those of `dgsf eval` on the same images, files as they are and in the other tiers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dgsforensics.choices import SliceBy
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.facts import CardTable, Row
from dgsforensics.errors import UsageError
from dgsforensics.evaluation import protocol, protocol_table, run, tiers
from dgsforensics.evaluation.output import Evaluation, head_of, interval, number
from dgsforensics.evaluation.protocol import SourceProtocol
from dgsforensics.wording import printable

_TIERS = (
    "`clean`: files as they are. `web`: longest side 1024, JPEG 75. `hard`: two JPEG of 50 to 70, "
    "half the size and back, blur, WebP 60."
)
_FIGURES = ("auroc", "tpr_at_0.05", "tpr_at_0.01", "f_acc")
_FEW = protocol.ENOUGH


def tables(
    detector: Path,
    samples: Sequence[Sample],
    folder: Path,
    device: str,
    backbone_weights: Path,
    tell: Callable[[str, int, int, Mapping[str, float]], None],
) -> list[CardTable]:
    """Return the tables of a card: all sources alike by tier, by source, and by generator.

    The images are listed in `folder`, where scores are kept, so that a run goes on. Raises
    `DgsError` as `dgsf eval` does.
    """
    manifest = folder / "test.jsonl"
    with manifest.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(json.dumps(_row(sample)) + "\n" for sample in samples)
    found = run.run(
        run.EvaluationRequest(
            data=manifest,
            models=[str(detector)],
            tiers=tuple(tiers.NAMES),
            by=SliceBy.GENERATOR,
            rates=(),
            scores=folder / "test-scores.jsonl",
            backbone_weights=backbone_weights,
            device=device,
            batch=None,
            workers=None,
        ),
        tell,
    )
    if found.unread:  # figures over fewer images would be figures of another test
        first = found.unread[0]
        raise UsageError(
            f"{len(found.unread)} images of the test gave no score: {first.path}: {first.reason}",
            "go on with --resume when they can be read; what is scored is kept",
        )
    made = [_by_generator(found)]
    if found.protocols:
        made = [_whole(found.protocols), _by_source(found.protocols[0]), *made]
    return made


def _row(sample: Sample) -> dict[str, Any]:
    row = {
        "path": str(sample.path),
        "label": sample.label,
        "source": sample.source,
        "generator": sample.generator,
        "sha256": sample.sha256,
        "group": sample.group,
    }
    return {name: value for name, value in row.items() if value is not None}


def _whole(protocols: Sequence[SourceProtocol]) -> CardTable:
    columns = [protocol_table.summary(found) for found in protocols]
    rows = [
        {"": line[0][0]} | {p.tier: value for p, (_, value) in zip(protocols, line, strict=True)}
        for line in zip(*columns, strict=True)
    ]
    note = (
        "Sources that nothing was trained, chosen or calibrated on; in the means every source of "
        f"photographs counts alike, and every generator in every source. {_TIERS}"
    )
    return CardTable("Sources never seen", note, tuple(rows))


def _by_source(found: SourceProtocol) -> CardTable:
    heads = ["real", "flagged", "95 % ", "generated", "found", "95 %", "AUROC", "pair"]
    rows = [
        {"": printable(figures.name)}
        | dict(zip(heads, protocol_table.source_cells(figures), strict=True))
        for figures in found.sources
    ]
    note = (
        "Files as they are, at the default threshold, with exact binomial intervals. AUROC: its "
        "photographs against all generated images. Pair: its generated images against its own "
        "photographs."
    )
    return CardTable("Sources never seen, one by one", note, tuple(rows))


def _by_generator(found: Evaluation) -> CardTable:
    rows: list[Row] = []
    for row in found.rows:
        if row.slice != "all" and row.tier == found.tiers[0] and row.generated >= _FEW:
            line: dict[str, str | float | None] = {"": printable(row.slice)}
            line |= {"real": row.real, "generated": row.generated}
            for name in _FIGURES:
                line[head_of(name)] = number(row.figures[name])
                if name == "auroc":
                    line["95 %"] = interval(row.figures[name])
            rows.append(line)
    note = (
        f"Generators with {_FEW} images or more, files as they are, against the photographs of the "
        "same sources where all of these have some, else against all. The generator may have been "
        "trained on in other sources. Intervals by bootstrap over groups of near-duplicates."
    )
    return CardTable("Generators in sources never seen", note, tuple(rows))
