"""How often photographs and generated pictures are called out of domain, and graphics are not.

    python benchmarks/domain.py --manifest FILE [--manifest FILE] --images DIR [--limit 100]

At most `--limit` images of a source and generator, near-duplicates once, as they are, reduced by
half, and both kept as JPEG 60. Of these only the half whose paths were not used to fit
`dgsforensics.pictures.domain` (`domain_fit.py`) counts. What the recipe of the bundled detector
leaves out as no pictures to train on, such as drawings, documents and noise, is counted apart. The
graphics are those of `tests/rendered.py`, in several sizes and encodings; the weights were fitted
on others. Ends with the time it takes, on one picture of 12 megapixels.
"""

import argparse
import hashlib
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from dgsforensics.datasets.labelled import Sample, as_sample, read
from dgsforensics.pictures import decoder
from dgsforensics.pictures.canonical import encode
from dgsforensics.pictures.domain import recognise
from dgsforensics.trainer import splits

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from rendered import gallery

SIZES = ((320, 240), (640, 480), (1280, 800), (1654, 2339))


def half(image: Image.Image) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)))


VERSIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as they are": lambda image: image,
    "half": half,
    "JPEG 60": lambda image: encode(image, "JPEG", 60),
    "half, JPEG 60": lambda image: encode(half(image), "JPEG", 60),
}
ENCODINGS = VERSIONS | {"WebP 80": lambda image: encode(image, "WEBP", 80)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, action="append", required=True)
    parser.add_argument("--images", type=Path, required=True, help="root of the manifests' paths")
    parser.add_argument("--limit", type=int, default=100, help="of a source and generator")
    options = parser.parse_args()
    listed = [as_sample(row) for file in options.manifest for row in read(file, options.images)]
    samples = splits.capped(listed, options.limit, options.limit)
    samples = [s for s in samples if not fitted_on(s.path.relative_to(options.images))]
    counts: Counter[tuple[str, str]] = Counter()
    named: Counter[tuple[str, str]] = Counter()
    for number, sample in enumerate(samples, 1):
        image = Image.fromarray(decoder.load(sample.path).pixels)
        kind = "photographs" if sample.generator is None else "generated"
        kind += ", art" if sample.style == "art" else ""
        kind = "no pictures" if left_out(sample) else kind
        for name, version in VERSIONS.items():
            found = recognise(np.asarray(version(image)))
            for what in (kind, f"  {sample.source}") if kind == "photographs" else (kind,):
                counts[what, name] += 1
                named[what, name] += found is not None
        if number % 200 == 0:
            print(f"{number}/{len(samples)}", file=sys.stderr, flush=True)
    for size in SIZES:
        for image in gallery(*size).values():
            for name, version in ENCODINGS.items():
                counts["graphics", name] += 1
                named["graphics", name] += recognise(np.asarray(version(image))) is not None
    print("| pictures | version | n | out of domain |\n| --- | --- | ---: | ---: |")
    for what, name in sorted(counts):
        n = counts[what, name]
        if not what.startswith("  ") or named[what, name]:
            print(f"| {what} | {name} | {n} | {named[what, name] / n:.1%} |")
    large = np.random.default_rng(0).integers(0, 256, (3000, 4000, 3), dtype=np.uint8)
    began = time.perf_counter()
    for _ in range(20):
        recognise(large)
    print(f"\n{(time.perf_counter() - began) / 20 * 1000:.1f} ms at 12 megapixels")


def fitted_on(path: Path) -> bool:
    """Whether the weights were fitted on what lies at a path of the manifest."""
    return int(hashlib.md5(path.as_posix().encode()).hexdigest(), 16) % 2 == 1


@cache
def excluded() -> tuple[str, ...]:
    """How the digests begin of the images that the recipe leaves out as no pictures."""
    recipe = Path(__file__).parent.parent / "weights" / "dgs-b16.toml"
    return tuple(tomllib.loads(recipe.read_text("utf-8"))["sources"]["exclude_images"])


def left_out(sample: Sample) -> bool:
    return sample.sha256.startswith(excluded())


if __name__ == "__main__":
    main()
