"""What the card of the bundled detector says about it: tables of results, none by hand.

Made for `embedded_detector.py`. On sources that were not trained on, the figures and intervals are
those that `dgsf eval` works out; `held_out` writes the manifest for it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from comparison import held_out
from corpus import CALIBRATION, FOLDS, PAIRED, Corpus, linear, mean_over_folds
from PIL import Image

from dgsforensics import Detector
from dgsforensics.choices import SliceBy
from dgsforensics.detector.binomial import interval
from dgsforensics.detector.facts import CardTable
from dgsforensics.evaluation import tiers
from dgsforensics.evaluation.metrics import evaluate, metrics_row
from dgsforensics.evaluation.output import Evaluation, FigureRow
from dgsforensics.evaluation.run import EvaluationRequest, run
from dgsforensics.trainer import splits

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from rendered import gallery

LIMIT = 40
"""Images of a source and generator that are evaluated."""
ENOUGH = 15
"""Images of a generator, or of a source of photographs, from which on it has a line."""


def left_out(corpus: Corpus, train: np.ndarray, tests: Mapping[str, np.ndarray]) -> list[CardTable]:
    """Results on sources and on generators that the head of the fold never saw."""
    y = corpus.labels[corpus.rows]
    generator = np.array([corpus.samples[i].generator or "" for i in corpus.rows])
    note = (
        f"{FOLDS} folds; nothing of a {{0}} in the test part was trained on. `standard`: JPEG 90, "
        "longest side at most 1536. `degraded`: a random path through the web (resize or crop, "
        "blur, noise, one or two codecs). Mean over folds, at each head's own threshold (logit 0)."
    )
    tables = []
    for what, cell in (("source", splits.by_source), ("generator", splits.by_generator)):
        scores, fold_of = corpus.out_of_fold(linear, [train], list(tests.values()), cell)
        lines = [
            metrics_row(f"all, {name}", mean_over_folds(score, y, fold_of))
            for name, score in zip(tests, scores, strict=True)
        ]
        table_note = note.format(what)
        if what == "generator":
            names, counts = np.unique(generator[y == 1], return_counts=True)
            for name in names[counts >= ENOUGH]:
                fold = fold_of[generator == name][0]
                part = (generator == name) | ((y == 0) & (fold_of == fold))
                lines.append(metrics_row(name, evaluate(scores[0][part], y[part], 0.0)))
            table_note += (
                f" By generator ({ENOUGH} images or more): {next(iter(tests))}, against the "
                "photographs of its fold."
            )
        tables.append(CardTable(f"Leave-{what}-out", table_note, tuple(lines)))
    return tables


def evaluated(detector: Path, options: argparse.Namespace) -> list[CardTable]:
    """Results of the detector itself on sources that it was not trained on, by tier."""
    groups = {"paired": PAIRED, "calibration": CALIBRATION}
    found = {name: _evaluation(detector, options, name, list(of)) for name, of in groups.items()}
    ways = (SliceBy.SOURCE, SliceBy.GENERATOR)
    parts = {by: {name: found[name](by) for name in groups} for by in ways}
    whole = [
        _line(f"{name}, {row.tier}", row)
        for name, each in parts[SliceBy.SOURCE].items()
        for row in each.rows
        if row.slice == "all"
    ]
    pairs = [
        _line(f"{row.slice}, {row.tier}", row)
        for row in parts[SliceBy.SOURCE]["paired"].rows
        if row.slice != "all"
    ]
    generators = [
        _line(f"{row.slice} ({name}), {row.tier}", row)
        for name, each in parts[SliceBy.GENERATOR].items()
        for row in each.rows
        if row.slice != "all" and row.generated >= ENOUGH
    ]
    photographs = [
        _shares(row)
        for each in parts[SliceBy.SOURCE].values()
        for row in each.rows
        if row.slice != "all" and row.tier == "clean" and row.real >= ENOUGH
    ]
    tier_note = (
        "`clean`: files as they are. `web`: longest side 1024, JPEG 75. `hard`: two JPEG of 50 to "
        "70, half the size and back, blur, WebP 60. "
    )
    columns = (
        "Intervals are 95 %, by bootstrap over groups of near-duplicates. tpr_at: share of "
        "generated images found where that share of these photographs is flagged; r_acc and f_acc: "
        "shares right at the default threshold."
    )
    return [
        CardTable(
            title="Sources not trained on",
            note=f"`paired`: {', '.join(PAIRED)}. `calibration`: the sources that the "
            "thresholds were chosen on, whose r_acc therefore flatters. At most "
            f"{LIMIT} images of a source and generator. {tier_note}{columns}",
            rows=tuple(whole),
        ),
        CardTable(
            title="Content-matched pairs",
            note="Real and generated images of the same kind of scene, so that content cannot "
            "help. None was trained or calibrated on, but the choice of view, blocks and head "
            f"looked at them (`docs/views.md`, `docs/heads.md`). {tier_note}",
            rows=tuple(pairs),
        ),
        CardTable(
            title="Generators in sources not trained on",
            note=f"Those with {ENOUGH} images or more. Other images of the same generator may "
            "have been trained on; leave-generator-out is above.",
            rows=tuple(generators),
        ),
        CardTable(
            title="Photographs by source",
            note="What is flagged at the default threshold, files as they are, with exact "
            "binomial intervals. Nothing here was trained on. The paired sources "
            f"({', '.join(PAIRED)}) tell what to expect elsewhere: the promised rate holds for "
            "photographs like those of the calibration.",
            rows=tuple(photographs),
        ),
    ]


def _evaluation(
    detector: Path, options: argparse.Namespace, name: str, sources: list[str]
) -> Callable[[SliceBy], Evaluation]:
    """`dgsf eval` of some sources, of which the scores are kept."""
    manifest = options.cache / f"held-out-{name}.jsonl"
    chosen = argparse.Namespace(**vars(options) | {"sources": sources, "limit": LIMIT})
    with manifest.open("w", encoding="utf-8") as stream:
        for row in held_out(chosen):
            line = {"path": str(row.path.resolve()), "label": row.label, "source": row.source}
            line |= {"generator": row.generator, "sha256": row.sha256, "group": row.group}
            stream.write(json.dumps({k: v for k, v in line.items() if v is not None}) + "\n")

    def evaluation(by: SliceBy) -> Evaluation:
        return run(
            EvaluationRequest(
                data=manifest,
                models=[str(detector)],
                tiers=tiers.NAMES,
                by=by,
                rates=(),
                scores=options.cache / "scores.jsonl",
                backbone_weights=None,
                device="cpu",
                batch=None,
                workers=None,
            ),
            _tell,
        )

    return evaluation


def _line(name: str, row: FigureRow) -> dict[str, object]:
    auroc = row.figures["auroc"]
    between = None if auroc is None else f"{auroc.low:.3f} to {auroc.high:.3f}"
    line: dict[str, object] = {"": name, "real": row.real, "generated": row.generated}
    for figure, found in row.figures.items():
        if figure != "acc":
            line[figure] = None if found is None else round(found.value, 3)
        if figure == "auroc":
            line["95 %"] = between
    return line


def _shares(row: FigureRow) -> dict[str, object]:
    """What is flagged of the photographs of a source, with an exact binomial interval."""
    kept = row.figures["r_acc"]
    assert kept is not None
    flagged = round((1 - kept.value) * row.real)
    low, high = interval(flagged, row.real)
    share = f"{flagged / row.real:.1%}"
    return {"": row.slice, "n": row.real, "flagged": share, "95 %": f"{low:.1%} to {high:.1%}"}


def not_photographs(detector: Detector) -> CardTable:
    """Verdicts on what is no photograph at all."""
    pictures = gallery() | {"one pixel": Image.new("RGB", (1, 1))}
    lines = []
    for name, picture in pictures.items():
        row = detector.score(picture)
        lines.append({"": name, "verdict": row.verdict, "reason": row.reason})
    note = "What is recognised as no photograph is never flagged, whatever its score."
    return CardTable("What is no photograph", note, tuple(lines))


def _tell(what: str, done: int, total: int, figures: Mapping[str, float]) -> None:
    if done == total or done % 100 < 4:
        print(f"{what}: {done}/{total}", file=sys.stderr, flush=True)
