"""One `dgsf eval`, from the request to what was found: data, tiers, detectors, scores, figures."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL

from dgsforensics.choices import SliceBy
from dgsforensics.datasets import labelled
from dgsforensics.datasets.labelled import ListedImage
from dgsforensics.detector import checkpoint, folders
from dgsforensics.detector.calibration import Thresholds
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.devices import pick_device
from dgsforensics.errors import UsageError
from dgsforensics.evaluation import bootstrap, metrics, protocol, scorecard, scores, slices, tiers
from dgsforensics.evaluation.metrics import Bools, Floats
from dgsforensics.evaluation.output import (
    Curves,
    DetectorThreshold,
    Difference,
    Evaluation,
    FigureRow,
    Subject,
)
from dgsforensics.evaluation.protocol import SourceProtocol
from dgsforensics.evaluation.scorecard import JudgedDetector
from dgsforensics.evaluation.slices import SliceImage
from dgsforensics.interrupts import remembered_interrupt
from dgsforensics.pictures import pixel_limit
from dgsforensics.records import Failure, FileFacts, Label, Prediction, UnreadFile
from dgsforensics.wording import counted

Tell = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class EvaluationRequest:
    """What the command line asked for; the fields are its options."""

    data: Path
    models: list[str | None]
    tiers: tuple[str, ...]
    by: SliceBy
    rates: tuple[float, ...]
    """False-positive rates beside those always given."""
    scores: Path
    backbone_weights: Path | None
    device: str
    batch: int | None
    workers: int | None


class _Files:
    """What scoring finds out about the listed files, whatever the detector and tier."""

    def __init__(self, listed: Sequence[ListedImage]) -> None:
        self.listed = listed
        self.facts = [FileFacts()] * len(listed)
        self.unread: dict[UnreadFile, None] = {}

    def refuse(self, path: Path, reason: str) -> None:
        self.unread[UnreadFile(str(path), reason)] = None


def run(request: EvaluationRequest, tell: Tell) -> Evaluation:
    """Score what has no score yet, and work out all figures.

    `tell` is told what is being done, how much of it is done, of how much. Raises `DgsError` for
    what stops the whole evaluation; then, and on an interruption, all scores so far are kept.
    """
    notes: list[str] = []
    outside: list[Failure] = []
    listed = labelled.read_for_evaluation(request.data, notes.append, outside.append)
    files = _Files(listed)
    for failure in outside:
        files.refuse(failure.path, failure.reason)
    # All detectors are read and checked before anything is scored.
    sources = [checkpoint.read(folders.resolve(model)) for model in request.models]
    contenders = _contenders(sources, request.rates)
    pixel_limit.lift()
    # By detector and tier, (listed images,) each.
    logits: dict[tuple[str, str], Floats] = {}
    beyond: dict[tuple[str, str], Bools] = {}
    with scores.opened(request.scores) as kept:
        for source, contender in zip(sources, contenders, strict=True):
            model = checkpoint.build_model(source, request.backbone_weights)
            detector = Detector.of(source, model, pick_device(request.device))
            for tier in request.tiers:
                progress = partial(tell, f"{contender.name}, {tier}")
                key = contender.name, tier
                logits[key], beyond[key] = _score(request, detector, tier, files, kept, progress)
    used, copies = _usable(files, list(logits.values()))
    if not used:
        some = "; ".join(f"{one.path}: {one.reason}" for one in list(files.unread)[:3])
        raise UsageError(f"none of {counted(len(listed), 'image')} can be evaluated: {some}")
    entries = [_entry(files, i) for i in used]
    parts = slices.cut(entries, request.by)
    rows: list[FigureRow] = []
    differences: list[Difference | None] = []
    curves: list[Curves | None] = []
    protocols: list[SourceProtocol] = []
    todo = len(request.tiers) * len(contenders) * len(parts)
    for tier in request.tiers:
        first = contenders[0], logits[contenders[0].name, tier][used]
        for contender in contenders:
            own = logits[contender.name, tier][used]
            out = beyond[contender.name, tier][used]
            upper = contender.cuts[None].upper
            whole = protocol.measure(contender.name, tier, entries, own, out, upper)
            protocols += [] if whole is None else [whole]
            curves.append(scorecard.curves(contender, tier, parts[0], entries, own))
            for part in parts:
                rows.append(scorecard.row(contender, tier, part, entries, own, out))
                if contender is not first[0]:
                    differences.append(
                        scorecard.difference(first, (contender, own), tier, part, entries)
                    )
                tell("figures", len(rows), todo, {})
    return Evaluation(
        tool_version=version("dgsforensics"),
        pillow_version=PIL.__version__,
        data=str(request.data),
        by=request.by,
        tiers=request.tiers,
        seed=bootstrap.SEED,
        resamples=bootstrap.RESAMPLES,
        bins=metrics.BINS,
        listed=len(listed),
        used=len(used),
        copies=copies,
        notes=tuple(notes),
        unread=tuple(files.unread),
        detectors=tuple(map(_subject, sources, contenders)),
        rows=tuple(rows),
        differences=tuple(found for found in differences if found is not None),
        curves=tuple(found for found in curves if found is not None),
        protocols=tuple(protocols),
    )


def _contenders(sources: Sequence[Checkpoint], rates: Sequence[float]) -> list[JudgedDetector]:
    """Return detectors with names of their own and their thresholds."""
    if len({source.sha256 for source in sources}) < len(sources):
        raise UsageError("--model: the same detector is named twice")
    names = [source.config.name for source in sources]
    made = []
    for source in sources:
        name = source.config.name
        if names.count(name) > 1:
            name += f" ({source.sha256[:12]})"
        cuts: dict[float | None, Thresholds] = {None: source.calibration.thresholds()}
        for rate in rates:
            cuts[rate] = source.calibration.thresholds(fpr=rate)
        made.append(JudgedDetector(name, source.calibration, cuts))
    return made


def _subject(source: Checkpoint, contender: JudgedDetector) -> Subject:
    probability = contender.calibration.probability
    return Subject(
        name=contender.name,
        model_sha256=source.sha256,
        preprocessing=source.config.preprocessing,
        calibrated_on=contender.calibration.measured_on,
        cuts=tuple(
            DetectorThreshold(rate, probability(cut.upper), probability(cut.lower), cut.origin)
            for rate, cut in contender.cuts.items()
        ),
    )


def _score(
    request: EvaluationRequest,
    detector: Detector,
    tier: str,
    files: _Files,
    kept: scores.Scores,
    tell: Callable[[int, int, Mapping[str, float]], None],
) -> tuple[Floats, Bools]:
    """Return the logits of all listed images in one tier, from the file of scores or by the model;
    and
    whether they are out of domain.
    """
    key, preprocessing = tiers.key(tier), detector.config.preprocessing
    logits = np.full(len(files.listed), math.nan)
    outside = np.zeros(len(files.listed), dtype=bool)
    position = 0
    with remembered_interrupt() as stopped:
        for batch in detector.scan_batches(
            [listed.path for listed in files.listed],
            batch=request.batch,
            workers=request.workers,
            known=kept.known(key, detector.sha256, preprocessing),
            alter=tiers.alteration(tier),
        ):
            if stopped.is_set():
                raise KeyboardInterrupt
            kept.record([row for row in batch if isinstance(row, Prediction)], key, preprocessing)
            for row in batch:
                if isinstance(row, Failure):
                    files.refuse(row.path, row.reason)
                elif _is_meant(files, position, row.facts):
                    files.facts[position] = row.facts
                    logits[position], outside[position] = row.logit, row.domain is not None
                position += 1
            tell(position, len(logits), {})
    return logits, outside


def _is_meant(files: _Files, position: int, facts: FileFacts) -> bool:
    """Return whether a file holds what the data say it does."""
    listed = files.listed[position]
    if listed.sha256 in (None, facts.sha256):
        return True
    files.refuse(listed.path, f"not the content that {listed.origin} gives the sha256 of")
    return False


def _usable(files: _Files, logits: Sequence[Floats]) -> tuple[list[int], int]:
    """Return positions of the images that count, and how many were left out as copies."""
    scored = np.flatnonzero(np.isfinite(logits).any(axis=0)).tolist()
    labels: dict[str | None, set[Label]] = {}
    for i in scored:
        labels.setdefault(files.facts[i].sha256, set()).add(files.listed[i].label)
    rows: dict[tuple[str | None, str, str | None], int] = {}
    copies = 0
    for i in scored:
        listed, sha256 = files.listed[i], files.facts[i].sha256
        if len(labels[sha256]) > 1:
            files.refuse(listed.path, "the same content is labelled both real and generated")
        elif (key := (sha256, listed.source, listed.generator)) in rows:
            copies += 1
        else:
            rows[key] = i
    return list(rows.values()), copies


def _entry(files: _Files, position: int) -> SliceImage:
    listed, facts = files.listed[position], files.facts[position]
    return SliceImage(listed, facts, listed.group or str(facts.sha256))
