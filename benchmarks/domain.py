"""How often photographs and generated pictures are called out of domain, and graphics are not.

    python benchmarks/domain.py --manifest FILE --images DIR [--limit 100]

At most `--limit` images of a source and generator, near-duplicates once, as they are and reduced by
half and kept as JPEG 60. Of these only the half whose paths were not used to fit the weights of
`dgsforensics.pictures.domain` counts. The graphics are those of `tests/rendered.py`, in several
sizes and encodings; the weights were fitted on others. Ends with the time it takes, on one picture
of 12 megapixels.
"""

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dgsforensics.datasets.labelled import as_sample, read
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
    "half, JPEG 60": lambda image: encode(half(image), "JPEG", 60),
}
ENCODINGS = VERSIONS | {
    "JPEG 60": lambda image: encode(image, "JPEG", 60),
    "WebP 80": lambda image: encode(image, "WEBP", 80),
    "half": half,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True, help="root of the manifest's paths")
    parser.add_argument("--limit", type=int, default=100, help="of a source and generator")
    options = parser.parse_args()
    rows = [as_sample(row) for row in read(options.manifest, options.images)]
    samples = splits.capped(rows, options.limit, options.limit)
    samples = [s for s in samples if not fitted_on(s.path.relative_to(options.images))]
    counts: Counter[tuple[str, str]] = Counter()
    named: Counter[tuple[str, str]] = Counter()
    for number, sample in enumerate(samples, 1):
        image = Image.fromarray(decoder.load(sample.path).pixels)
        kind = "photographs" if sample.generator is None else "generated"
        kind += ", art" if sample.style == "art" else ""
        for name, version in VERSIONS.items():
            found = recognise(np.asarray(version(image)))
            for what in (kind, f"  {sample.source}") if sample.generator is None else (kind,):
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


if __name__ == "__main__":
    main()
