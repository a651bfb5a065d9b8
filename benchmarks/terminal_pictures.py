"""How much of a picture its cells in the terminal keep, beside chafa with as many cells.

    python benchmarks/terminal_pictures.py PICTURE ... [--columns 22,40,66,100] [--sheet FOLDER]

Both draw the picture, cut to 4:3, in cells of 1:2. The cells are rendered at 8x16 pixels each, from
the geometry of their characters (for lines, those of light or heavy strokes), and compared with
the picture at the same size: PSNR, SSIM (11x11 Gaussian, of the brightness), and PSNR of what is
left when both are blurred over a cell, as from a distance, where dithering counts. Chafa is asked
for what it draws by itself (`chafa`), for all its effort (`chafa -w 9`), and for the characters
that we have in the same set. It has to be on the path; the Debian package will do. Exit code 1
where ours is worse, in PSNR or SSIM, than chafa by itself.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from dgsforensics.tui import blocks, palette, symbols
from dgsforensics.tui.viewport import Frame

ACROSS, DOWN = 8, 16
BRIGHTNESS = np.array([0.299, 0.587, 0.114])
SETS = {"halves": symbols.HALVES, "blocks": symbols.BLOCK_ELEMENTS, "sextants": symbols.SEXTANTS}
CHAFA = {
    "chafa": [],
    "chafa -w 9": ["-w", "9"],
    "chafa -w 9, blocks": ["-w", "9", "--symbols", "block+space"],
    "chafa -w 9, sextants": ["-w", "9", "--symbols", "block+space+sextant"],
}
BASIC = [(192.0 if n == 7 else 128.0 if n < 9 else 255.0) for n in range(16)]
PALETTE = [
    *(
        tuple(BASIC[n] * bool((n if n != 8 else 7) >> bit & 1) for bit in range(3))
        for n in range(16)
    ),
    *map(tuple, palette.RGB.astype(float)),
]
"""The first sixteen as chafa takes them to be; we use none of these."""
CODE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\n])")
Pixels = NDArray[np.float64]
Cell = tuple[str, Pixels, Pixels]


@cache
def bitmap(character: str) -> Pixels:
    """The foreground of a character: (16, 8, 1), 0 or 1."""
    for known in SETS.values():
        if (place := known.characters.find(character)) >= 0:
            mask = known.masks[place].reshape(known.down, symbols.ACROSS)
            rows = mask.repeat(48 // known.down, axis=0)
            fine: Pixels = rows.reshape(DOWN, 3, ACROSS).mean(axis=1)
            return fine[..., None]
    name, mask = unicodedata.name(character), np.zeros((DOWN, ACROSS))
    words = set(re.split(r"[ -]", name))
    if name.startswith("BLOCK SEXTANT-"):
        for digit in name.partition("-")[2]:
            row, column = divmod(int(digit) - 1, 2)
            top, bottom = round(row * DOWN / 3), round((row + 1) * DOWN / 3)
            mask[top:bottom, column * 4 : column * 4 + 4] = 1
    elif name.startswith("QUADRANT"):
        for row, side in enumerate(("UPPER", "LOWER")):
            for column, hand in enumerate(("LEFT", "RIGHT")):
                if f"{side} {hand}" in name:
                    mask[row * 8 : row * 8 + 8, column * 4 : column * 4 + 4] = 1
    elif "DIAGONAL" in words:
        for row in range(DOWN):
            mask[row, [row // 2] * ("LEFT TO" in name or "CROSS" in words)] = 1
            mask[row, [ACROSS - 1 - row // 2] * ("RIGHT TO" in name or "CROSS" in words)] = 1
    elif name.startswith("BOX DRAWINGS"):
        half = 1 if "LIGHT" in words or "SINGLE" in words else 2
        arms = words | ({"LEFT", "RIGHT"} if "HORIZONTAL" in words else set())
        arms |= {"UP", "DOWN"} if "VERTICAL" in words else set()
        mask[8 - half : 8 + half, : 4 if "LEFT" in arms else 0] = 1
        mask[8 - half : 8 + half, 4 if "RIGHT" in arms else 8 :] = 1
        mask[: 8 if "UP" in arms else 0, 4 - half : 4 + half] = 1
        mask[8 if "DOWN" in arms else 16 :, 4 - half : 4 + half] = 1
    else:
        share = {"SPACE": 0.0, "FULL BLOCK": 1.0, "LIGHT SHADE": 0.25, "MEDIUM SHADE": 0.5}
        share |= {"DARK SHADE": 0.75}
        mask += share.get(name, 0.0)
        mask[: 2 if name == "UPPER ONE EIGHTH BLOCK" else 0] = 1
        mask[8 if name == "LOWER HALF BLOCK" else DOWN :] = 1
        mask[:, {"RIGHT HALF BLOCK": 4, "RIGHT ONE EIGHTH BLOCK": 7}.get(name, ACROSS) :] = 1
    return mask[..., None]


def rendered(rows: list[list[Cell]]) -> Pixels:
    """What a terminal shows of cells, 8x16 pixels each."""
    lines = []
    for row in rows:
        cells = [bitmap(c) * front + (1 - bitmap(c)) * back for c, front, back in row]
        lines.append(np.concatenate(cells, axis=1))
    return np.concatenate(lines, axis=0)


def by_chafa(picture: Image.Image, cells: tuple[int, int], few: bool, more: list[str]) -> Pixels:
    """The picture as chafa draws it."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        picture.save(file.name)
        command = ["chafa", "--format", "symbols", "--polite", "on", "--animate", "off"]
        command += ["--stretch", "--size", f"{cells[0]}x{cells[1]}"]
        command += ["--colors", "256" if few else "full", *more, file.name]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    rows = [list(read(line)) for line in done.stdout.splitlines()]
    found = [row for row in rows if row]
    assert [len(row) for row in found] == [cells[0]] * cells[1]
    return rendered(found)


def read(line: str) -> Iterator[Cell]:
    """The cells of a line with terminal codes."""
    black = np.zeros(3)
    front, back, swapped = black, black, False
    for code in CODE.finditer(line):
        if code[3]:
            yield (code[3], back, front) if swapped else (code[3], front, back)
        elif code[2] == "m":
            numbers = [int(number or 0) for number in code[1].split(";")]
            while numbers:
                match numbers:
                    case [38 | 48 as which, 2, r, g, b, *rest]:
                        colour = np.array([r, g, b], float)
                    case [38 | 48 as which, 5, number, *rest]:
                        colour = np.array(PALETTE[number])
                    case [0 | 7 | 27 as which, *rest]:
                        swapped = which == 7
                        front, back = (black, black) if which == 0 else (front, back)
                    case _:
                        raise ValueError(f"unknown code {code[0]!r}")
                if which == 38:
                    front = colour
                elif which == 48:
                    back = colour
                numbers = rest


def by_us(picture: Image.Image, cells: tuple[int, int], few: bool, name: str) -> Pixels:
    """The picture as the review draws it where it fills so many cells."""
    chosen = SETS[name]
    size = cells[0], cells[1] * blocks.CELL[1]
    fine = blocks.finer(chosen)
    reduced = picture.resize((size[0] * fine[0], size[1] * fine[1]), Image.Resampling.BICUBIC)
    whole = Frame((0.0, 0.0, 1.0, 1.0), 0, 0, *size, size[0] / picture.width)
    rows: list[list[Cell]] = []
    for strip in blocks.in_symbols(reduced, whole, cells, {}, chosen, few_colours=few):
        row: list[Cell] = []
        for text, style, _ in strip:
            pair = (style.color, style.bgcolor) if style else (None, None)
            front, back = (np.array(c.get_truecolor() if c else (0, 0, 0), float) for c in pair)
            row += [(character, front, back) for character in text]
        rows.append(row)
    return rendered(rows)


def psnr(one: Pixels, other: Pixels) -> float:
    """In decibels."""
    return float(20 * np.log10(255) - 10 * np.log10(((one - other) ** 2).mean()))


def ssim(one: Pixels, other: Pixels) -> float:
    """Wang et al. (2004), of the brightness."""

    def smooth(values: Pixels) -> Pixels:
        near: Pixels = gaussian_filter(values, 1.5, truncate=3.5)
        return near

    a, b = one @ BRIGHTNESS, other @ BRIGHTNESS
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    cov = smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def blurred(values: Pixels) -> Pixels:
    """As from where a cell is but a point."""
    near: Pixels = gaussian_filter(values, (8, 8, 0))
    return near


def main() -> int:
    """Draw, render, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--columns", default="22,40,66,100")
    parser.add_argument("--sheet", type=Path, help="write what is rendered into this folder")
    arguments = parser.parse_args()
    worse = False
    for few in (False, True):
        for columns in map(int, arguments.columns.split(",")):
            cells = columns, round(columns * 3 / 4 / 2)
            found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
            for path in arguments.pictures:
                with Image.open(path) as opened:
                    picture = ImageOps.fit(opened.convert("RGB"), (1056, 792))
                size = cells[0] * ACROSS, cells[1] * DOWN
                meant = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), float)
                drawn = {name: by_us(picture, cells, few, name) for name in SETS}
                drawn |= {name: by_chafa(picture, cells, few, more) for name, more in CHAFA.items()}
                for name, seen in drawn.items():
                    pair = blurred(seen), blurred(meant)
                    found[name].append((psnr(seen, meant), ssim(seen, meant), psnr(*pair)))
                    if arguments.sheet:
                        arguments.sheet.mkdir(parents=True, exist_ok=True)
                        file = f"{path.stem}-{columns}-{256 if few else 'full'}-{name}.png"
                        Image.fromarray(seen.round().astype(np.uint8)).save(arguments.sheet / file)
            print(f"{cells[0]}x{cells[1]} cells, {'256' if few else 'all'} colours")
            mean = {name: np.mean(values, axis=0) for name, values in found.items()}
            for name, (peak, alike, distant) in mean.items():
                said = f"PSNR {peak:5.2f}  SSIM {alike:.4f}  from a distance {distant:5.2f}"
                print(f"  {name:<22}{said}")
            worse |= bool((mean["blocks"][:2] < mean["chafa"][:2]).any())
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
