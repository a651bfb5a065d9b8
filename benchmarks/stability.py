"""Does the verdict of a picture survive what the web does to it?

    python benchmarks/stability.py --manifest FILE --images DIR [--model NAME_OR_FILE] \\
        [--sources NAME ...] [--limit 20]

Each picture is scored as it is and in versions of its pixels: recompressed as JPEG (4:2:0) or WebP,
or made smaller (Lanczos, and not compressed again). `kept` is the share whose verdict stays or
moves to inconclusive; the goal is 95 % of photographs in which it is kept in all versions at once.
`each version` counts every version of every picture. In `all at once` a picture is kept when it is
in all versions, flagged when it is in one, and has the largest of its differences.

By default on the sources of `comparison.py`, which the bundled detector was not trained on; at most
`--limit` images of a source and generator, near-duplicates once. Only pictures that have a score in
all versions count; the others are named on standard error.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from comparison import arguments, held_out
from PIL import Image

from dgsforensics import Detector
from dgsforensics.datasets.labelled import ListedImage
from dgsforensics.detector.binomial import interval
from dgsforensics.pictures import pixel_limit
from dgsforensics.pictures.canonical import encode
from dgsforensics.pictures.decoder import Picture
from dgsforensics.records import Label, Prediction, Verdict


def encoded(codec: str, quality: int, picture: Picture) -> Picture:
    image = encode(Image.fromarray(picture.pixels), codec, quality, subsampling=2)
    return replace(picture, pixels=np.asarray(image))


def resized(factor: float, picture: Picture) -> Picture:
    height, width = picture.pixels.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    image = Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS)
    return replace(picture, pixels=np.asarray(image))


AS_IS = "as it is"
VERSIONS: dict[str, Callable[[Picture], Picture] | None] = {
    AS_IS: None,
    **{f"JPEG {quality}": partial(encoded, "JPEG", quality) for quality in (60, 75, 85, 95)},
    "WebP 80": partial(encoded, "WEBP", 80),
    **{f"size {factor}": partial(resized, factor) for factor in (0.5, 0.75, 0.9)},
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=20, help="of a source and generator")
    parser.add_argument("--model", metavar="NAME_OR_FILE")
    options = parser.parse_args()
    listed = held_out(options)
    pixel_limit.lift()
    detector = Detector.load(options.model, "cpu")
    logits = np.full((len(VERSIONS), len(listed)), np.nan)
    verdicts = np.full(logits.shape, "", dtype=object)
    for number, (name, alter) in enumerate(VERSIONS.items()):
        position = 0
        for batch in detector.scan_batches([row.path for row in listed], alter=alter):
            for row in batch:
                if not isinstance(row, Prediction):
                    print(f"{row.path}, {name}: {row.reason}", file=sys.stderr)
                elif row.facts.sha256 != listed[position].sha256:
                    raise SystemExit(f"{row.path}: not the content that the manifest names")
                else:
                    logits[number, position] = row.logit
                    verdicts[number, position] = row.verdict
                position += 1
        print(f"{name}: {position} images", file=sys.stderr, flush=True)
    whole = np.isfinite(logits).all(axis=0)
    print(f"{detector.config.name}, {sum(~whole)} of {len(listed)} images without all scores")
    for label in Label:
        chosen = np.flatnonzero(whole & [row.label == label for row in listed])
        if len(chosen):
            show(label, [listed[i] for i in chosen], logits[:, chosen], verdicts[:, chosen])


def show(
    label: Label, listed: Sequence[ListedImage], logits: np.ndarray, verdicts: np.ndarray
) -> None:
    """Figures of one class from logits and verdicts (V, N), those of the picture as it is first."""
    gaps = np.abs(logits[1:] - logits[0])  # (V - 1, N)
    kept = (verdicts[1:] == verdicts[0]) | (verdicts[1:] == Verdict.INCONCLUSIVE)
    flagged = verdicts == Verdict.FLAGGED
    line = "{:14} {:>7} {:>8} {:>17} {:>16}".format
    print(f"\n{label}: {len(listed)} images of {len({row.source for row in listed})} sources")
    print(line("", "kept", "flagged", "median |d logit|", "90th percentile"))
    print(line(AS_IS, "", f"{flagged[0].mean():.1%}", "", ""))
    _, *names = VERSIONS
    rows = [*zip(names, kept, flagged[1:], gaps, strict=True)]
    rows.append(("each version", kept.ravel(), flagged[1:].ravel(), gaps.ravel()))
    together = kept.all(axis=0)
    rows.append(("all at once", together, flagged[1:].any(axis=0), gaps.max(axis=0)))
    for name, stays, found, gap in rows:
        median, high = np.quantile(gap, (0.5, 0.9))
        shares = f"{stays.mean():.1%}", f"{found.mean():.1%}"
        print(line(name, *shares, f"{median:.3f}", f"{high:.3f}"))
    low, high = interval(int(together.sum()), len(together))
    print(f"kept in all versions at once: {sum(together)}, 95 % interval {low:.1%} to {high:.1%}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
