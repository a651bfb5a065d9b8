"""How far logits move when the colours of photographs are mistaken, and when rows are missing.

    python benchmarks/fidelity.py FOLDER [--count 40] [--seed 5]

Photographs are stored in other colour spaces, in 8 bits, and scored as if they were sRGB and
through their profile; and they are scored without their lower rows, as files that were cut are.
"""

import argparse
import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from dgsforensics.detector.detector import Detector
from dgsforensics.detector.views import input_pixels
from dgsforensics.errors import ImageError
from dgsforensics.files.walk import find_files
from dgsforensics.pictures import decoder

D50, D65 = (0.3457, 0.3585), (0.3127, 0.3290)
SPACES = {
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65, 2.2),
    "ProPhoto RGB": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), D50, 1.8),
    "Display P3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65, 2.2),
    "sRGB, linear": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65, 1.0),
    "sRGB, gamma 2.2": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65, 2.2),
}
"""Red, green, blue, white (x, y), and the exponent."""
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
WHITE = np.array([0.9642, 1.0, 0.8249])
"""Of the ICC's profile connection space."""
MISSING = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
SIDE = 1200
"""Pixels; of larger photographs a corner is taken."""


def tristimulus(place: tuple[float, float]) -> np.ndarray:
    x, y = place
    return np.array([x / y, 1, (1 - x - y) / y])


def matrix(name: str) -> np.ndarray:
    """From linear values to XYZ under D50, (3, 3)."""
    *primaries, white, _ = SPACES[name]
    columns = np.stack([tristimulus(place) for place in primaries], axis=1)
    columns = columns * np.linalg.solve(columns, tristimulus(white))
    scale = np.diag((BRADFORD @ WHITE) / (BRADFORD @ tristimulus(white)))
    adapted: np.ndarray = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ columns
    return adapted


def profile(name: str) -> bytes:
    """A matrix profile of version 2 of the ICC."""

    def fixed(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + np.round(values * 65536).astype(">i4").tobytes()

    curve = b"curv\0\0\0\0\0\0\0\1" + round(SPACES[name][-1] * 256).to_bytes(2) + b"\0\0"
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\2x\0" + bytes(82), b"wtpt": fixed(WHITE)}
    for letter, column in zip(b"rgb", matrix(name).T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = fixed(column)
        tags[bytes([letter]) + b"TRC"] = curve
    table, body, start = len(tags).to_bytes(4), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += tag + (start + len(body)).to_bytes(4) + len(content).to_bytes(4)
        body += content
    head = (start + len(body)).to_bytes(4) + bytes(4) + b"\x02\x10\0\0mntrRGB XYZ "
    head += bytes(12) + b"acsp" + bytes(28) + fixed(WHITE)[8:]
    return head.ljust(128, b"\0") + table + body


def stored(pixels: np.ndarray, name: str) -> bytes:
    """A PNG of pixels (H, W, 3) of sRGB in another space."""
    values = pixels / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    there = np.linalg.inv(matrix(name)) @ matrix("sRGB, linear")
    levels = 255 * np.clip(linear @ there.T, 0, 1) ** (1 / SPACES[name][-1])
    buffer = io.BytesIO()
    image = Image.fromarray(np.rint(levels).astype(np.uint8))
    image.save(buffer, "PNG", icc_profile=profile(name), compress_level=1)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    found = [file for file in find_files([options.folder]) if isinstance(file, Path)]
    random.Random(options.seed).shuffle(found)
    detector = Detector.load()
    rows: list[list[float]] = []
    for path in found:
        try:
            pixels = decoder.load(path).pixels[:SIDE, :SIDE]
        except ImageError:
            continue
        if min(pixels.shape[:2]) < 240:
            continue
        views = [pixels]
        for name in SPACES:
            data = stored(pixels, name)
            views += [np.asarray(Image.open(io.BytesIO(data))), decoder.decode(data).pixels]
        views += [pixels[: round(len(pixels) * (1 - share))] for share in MISSING]
        shown = [decoder.from_pil(Image.fromarray(view)) for view in views]
        inputs = np.stack([input_pixels(detector.config.input, view)[0] for view in shown])
        rows.append(detector.logits(inputs, 4))
        if len(rows) == options.count:
            break
    logits = np.array(rows)
    moved = np.abs(logits[:, 1:] - logits[:, :1])
    print(f"{len(rows)} photographs; mean and 95th percentile of the change of the logit")
    for number, name in enumerate(SPACES):
        for place, how in enumerate(("as if sRGB", "by profile")):
            column = moved[:, 2 * number + place]
            print(f"{name:16} {how}: {column.mean():.2f}  {np.quantile(column, 0.95):.2f}")
    flagged = logits >= detector.thresholds.upper
    for number, share in enumerate(MISSING):
        column = 2 * len(SPACES) + number
        change = (flagged[:, column + 1] != flagged[:, 0]).mean()
        far = np.quantile(moved[:, column], 0.95)
        mean = moved[:, column].mean()
        print(f"{share:4.0%} missing: {mean:.2f}  {far:.2f}, flagged or not changes: {change:.0%}")


if __name__ == "__main__":
    main()
