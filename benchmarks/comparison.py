"""Detectors side by side on the same images, among them the other one on PyPI that works offline.

    python benchmarks/comparison.py --manifest FILE --images DIR [--model NAME_OR_FILE ...] \\
        [--sources NAME ...] [--tiers clean,web,hard] [--limit 64] [--json FILE] \\
        [--peer-python PATH]

By default on the sources that the bundled detector was tested on and had no part in making it
(`test` in `weights/dgs-b16.toml`). At most `--limit` images of a source and generator,
near-duplicates once. Figures and intervals are those of `dgsf eval` (`docs/eval.md`); differences
are to the first detector.

The other one is `sahu65` (`peer.py`), which gets a virtual environment of its own: one made for the
run, or one that is there, `--peer-python`.

All read the same files: in `clean` those of the corpus, in other tiers a PNG of the altered
picture. They take turns on parts of the images, so a machine whose speed drifts does not favour
one; the seconds an image are medians over the parts, loading and first call left out.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from peer import NAME, Answer, Score, made_environment, running
from PIL import Image

from dgsforensics import Detector
from dgsforensics.choices import SliceBy
from dgsforensics.datasets.labelled import ListedImage, as_sample, read
from dgsforensics.detector.folders import weights_folder
from dgsforensics.errors import ImageError
from dgsforensics.evaluation import scorecard, slices, tiers
from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.evaluation.metrics import Bools, Floats
from dgsforensics.evaluation.output import NOTHING, Difference, FigureRow
from dgsforensics.evaluation.scorecard import JudgedDetector
from dgsforensics.evaluation.slices import SliceImage
from dgsforensics.pictures import decoder, pixel_limit
from dgsforensics.records import Failure, FileFacts, Prediction
from dgsforensics.trainer import config, splits

PART = 32
"""Images that one detector scores before the next has its turn."""
FIGURES = {"auroc": "AUROC", "ap": "AP", "tpr_at_0.05": "TPR at 5 %"} | {
    name: name for name in ("r_acc", "f_acc")
}
Scores = tuple[Floats, Bools]
"""Logits (N,), not a number where there is none, and whether images are out of domain (N,)."""


def arguments(description: str) -> argparse.ArgumentParser:
    """What benchmarks on sources that were not trained on have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="root of the manifest's paths")
    recipe = config.read(weights_folder() / "dgs-b16.toml")
    tested = recipe["sources"]["test"]
    parser.add_argument("--sources", nargs="+", default=tested, metavar="NAME")
    return parser


def held_out(options: argparse.Namespace) -> list[ListedImage]:
    """The images to look at, in an order that is the same on every machine."""
    listed = {
        row.path: row
        for row in read(options.manifest, options.images)
        if row.source in options.sources
    }
    if missing := set(options.sources) - {row.source for row in listed.values()}:
        raise SystemExit(f"not in the manifest: {', '.join(sorted(missing))}")
    chosen = splits.capped([as_sample(r) for r in listed.values()], options.limit, options.limit)
    return [listed[sample.path] for sample in chosen]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=64, help="of a source and generator")
    parser.add_argument("--model", action="append", metavar="NAME_OR_FILE")
    parser.add_argument("--tiers", type=tiers.parse, default=("clean",), metavar="LIST")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything here")
    parser.add_argument("--peer-python", type=Path, help=f"Python that has {NAME}; else made")
    options = parser.parse_args()
    listed = held_out(options)
    entries = [
        SliceImage(row, FileFacts(row.sha256), row.group or str(row.sha256)) for row in listed
    ]
    pixel_limit.lift()
    document: dict[str, object] = {"sources": options.sources, "limit": options.limit}
    rows, differences, seconds, failures = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = options.peer_python or made_environment(folder / "peer")
        with running(python, folder) as (other, versions):
            document["peer"] = versions
            detectors = [*ours(options.model or [None]), other]
            for tier in options.tiers:
                scores, times, failed = scored(detectors, tier, listed, folder)
                here, against = figures(detectors, tier, entries, scores)
                show(tier, here, against, times, failed)
                rows += here
                differences += against
                seconds += [{"tier": tier, "detector": n, "seconds": t} for n, t in times.items()]
                failures += failed
    if options.json:
        found: dict[str, Sequence[FigureRow | Difference]] = {
            "rows": rows,
            "differences": differences,
        }
        document |= {k: [dataclasses.asdict(row) for row in part] for k, part in found.items()}
        document |= {"seconds": seconds, "failures": failures}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def ours(models: Sequence[str | None]) -> list[tuple[JudgedDetector, Score]]:
    """The detectors of this program, by names of their own."""
    found: dict[str, tuple[JudgedDetector, Score]] = {}
    seen: set[str] = set()
    for model in models:
        detector = Detector.load(model, "cpu")
        name, sha256 = detector.config.name, detector.sha256
        if sha256 in seen:
            raise SystemExit(f"--model: {model} is named twice")
        seen.add(sha256)
        if name in found:
            name += f" ({sha256[:12]})"
        made = JudgedDetector(name, detector.calibration, {None: detector.thresholds})
        found[name] = made, scorer(detector)
    return list(found.values())


def scorer(detector: Detector) -> Score:
    def answer(row: Prediction | Failure) -> Answer | str:
        if isinstance(row, Failure):
            return row.reason
        return row.logit, row.domain is not None

    def score(paths: Sequence[Path]) -> list[Answer | str]:
        return [answer(row) for batch in detector.scan_batches(paths) for row in batch]

    return score


def scored(
    detectors: Sequence[tuple[JudgedDetector, Score]],
    tier: str,
    listed: Sequence[ListedImage],
    folder: Path,
) -> tuple[dict[str, Scores], dict[str, float], list[dict[str, str]]]:
    """Scores of each detector and its seconds an image; failures."""
    size = len(listed)
    scores = {c.name: (np.full(size, math.nan), np.zeros(size, bool)) for c, _ in detectors}
    times: dict[str, list[float]] = {contender.name: [] for contender, _ in detectors}
    failures = []
    for start in range(0, len(listed), PART):
        files: dict[int, Path] = {}
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for i, row in enumerate(listed[start : start + PART], start):
                try:
                    files[i] = as_seen(tier, row, Path(scratch) / f"{i}.png")
                except (ImageError, OSError) as error:
                    reason = getattr(error, "message", str(error))
                    failures += [failure(name, tier, row, reason) for name in scores]
            first = start // PART % len(detectors)  # none is always the first to read a file
            for contender, score in (*detectors[first:], *detectors[:first]):
                if start == 0:
                    score(list(files.values())[:4])  # the first call allocates
                began = time.perf_counter()
                answers = score(list(files.values()))
                times[contender.name].append((time.perf_counter() - began) / max(1, len(files)))
                for i, answer in zip(files, answers, strict=True):
                    if isinstance(answer, str):
                        failures.append(failure(contender.name, tier, listed[i], answer))
                    else:
                        for kept, value in zip(scores[contender.name], answer, strict=True):
                            kept[i] = value
        done = min(start + PART, len(listed))
        print(f"{tier}: {done}/{len(listed)}", file=sys.stderr, flush=True)
    return scores, relative(times), failures


def as_seen(tier: str, row: ListedImage, target: Path) -> Path:
    """The file of a picture in a tier, a new one at `target` where the tier alters it."""
    data = row.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise SystemExit(f"{row.path}: not the content that the manifest names")
    if (alter := tiers.alteration(tier)) is None:
        return row.path
    Image.fromarray(alter(decoder.decode(data)).pixels).save(target, compress_level=1)
    return target


def failure(name: str, tier: str, row: ListedImage, reason: str) -> dict[str, str]:
    return {"detector": name, "tier": tier, "path": str(row.path), "reason": reason}


def relative(times: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds an image of the first; of the others too, through the median of ratios."""
    [first, *_] = times.values()
    seconds = statistics.median(first)
    ratios = {n: [b / a for a, b in zip(first, t, strict=True)] for n, t in times.items()}
    return {name: seconds * statistics.median(each) for name, each in ratios.items()}


def figures(
    detectors: Sequence[tuple[JudgedDetector, Score]],
    tier: str,
    entries: Sequence[SliceImage],
    scores: dict[str, Scores],
) -> tuple[list[FigureRow], list[Difference]]:
    """All images, then each source with both classes."""
    rows, differences = [], []
    first = detectors[0][0]
    for part in slices.cut(entries, SliceBy.SOURCE):
        labels = {entries[i].listed.label for i in part.rows}
        if len(labels) > 1:
            for contender, _ in detectors:
                logits, outside = scores[contender.name]
                rows.append(scorecard.row(contender, tier, part, entries, logits, outside))
                if contender is not first:
                    pair = (first, scores[first.name][0]), (contender, logits)
                    differences.append(scorecard.difference(*pair, tier, part, entries))
    return rows, [found for found in differences if found is not None]


def show(
    tier: str,
    rows: Sequence[FigureRow],
    differences: Sequence[Difference],
    times: dict[str, float],
    failures: Sequence[dict[str, str]],
) -> None:
    line = "{:36} {:22} {:>9} {:>20} {:>6} {:>11} {:>6} {:>6}  {}".format
    print(f"\n{tier}")
    print(line("", "", "n", *FIGURES.values(), "AUROC to the first"))
    against = {(found.slice, found.detector): found for found in differences}
    for row in rows:
        auroc, *others = (row.figures[name] for name in FIGURES)
        cells = [
            with_interval(auroc),
            *(NOTHING if x is None else f"{x.value:.3f}" for x in others),
        ]
        found = against.get((row.slice, row.detector))
        last = f"{with_interval(found.auroc, '+')}, p {found.p:.3f}" if found else ""
        print(line(row.slice, row.detector, f"{row.real}+{row.generated}", *cells, last).rstrip())
    first = next(iter(times.values()))
    for name, seconds in times.items():
        print(f"{name}: {seconds:.3f} s an image, {seconds / first:.2f} times the first")
    counts = Counter((one["detector"], one["reason"]) for one in failures)
    for (name, reason), count in sorted(counts.items()):
        print(f"{name}: {count} without a score: {reason}")
    sys.stdout.flush()


def with_interval(found: Estimate | None, sign: str = "") -> str:
    if found is None:
        return NOTHING
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


if __name__ == "__main__":
    main()
