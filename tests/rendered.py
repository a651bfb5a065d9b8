"""Rendered pictures that are no photographs, made with nothing but Pillow and its own font."""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TEXT = "minutes of the annual meeting and a table of all sums that were paid on Monday"
WORDS = TEXT.split(" ")
Draw = ImageDraw.ImageDraw


def gallery(width: int = 640, height: int = 480) -> dict[str, Image.Image]:
    """A picture of every kind, by name."""
    rng = np.random.default_rng(7)
    level = np.linspace(0, 255, width)
    noise = rng.integers(0, 256, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(x - width / 3, y - height / 2)
    paper = np.asarray(_drawn(width, height, "white", _text)) * 0.92 + rng.normal(
        0, 3, (height, width, 1)
    )
    flecks = np.full((height, width, 3), 120)
    flecks[rng.random((height, width)) < 0.1] = 255
    return {
        "black": Image.new("RGB", (width, height)),
        "white": Image.new("RGB", (width, height), "white"),
        "colour": Image.new("RGB", (width, height), (200, 60, 90)),
        "linear gradient": _image(np.tile(level[None, :, None], (height, 1, 3))),
        "radial gradient": _image((distance / distance.max() * 200)[..., None] * [1, 0.5, 0.8]),
        "uniform noise": _image(noise),
        "grey noise": _image(noise[..., :1].repeat(3, 2)),
        "Gaussian noise": _image(rng.normal(128, 30, (height, width, 3))),
        "salt and pepper": _image(flecks),
        "blocks of noise": _image(noise[: height // 16, : width // 16].repeat(16, 0).repeat(16, 1)),
        "checkerboard": _image(((x // 32 + y // 32) % 2 * 255)[..., None].repeat(3, 2)),
        "fine checkerboard": _image(((x // 2 + y // 2) % 2 * 255)[..., None].repeat(3, 2)),
        "page": _drawn(width, height, "white", _text),
        "dark page": _drawn(width, height, (20, 24, 30), partial(_text, dark=True)),
        "scanned page": _image(paper).rotate(1.5, Image.Resampling.BICUBIC, fillcolor=(235,) * 3),
        "window": _drawn(width, height, (236, 238, 242), _window),
        "bar chart": _drawn(width, height, "white", _bars),
        "line chart": _drawn(width, height, "white", _lines),
        "table": _drawn(width, height, "white", _table),
        "drawing": _drawn(width, height, "white", _drawing),
        "logo": _drawn(width, height, (250, 250, 245), _logo),
        "code": _drawn(width, height, "white", _code),
    }


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _drawn(
    width: int, height: int, ground: object, draw: Callable[[Draw, int, int], None]
) -> Image.Image:
    image = Image.new("RGB", (width, height), ground)  # type: ignore[arg-type]
    draw(ImageDraw.Draw(image), width, height)
    return image


def _text(
    draw: Draw, width: int, height: int, left: int = 20, top: int = 20, *, dark: bool = False
) -> None:
    font = ImageFont.load_default(16)
    for i, y in enumerate(range(top, height - 24, 22)):
        line = " ".join(WORDS[(i * 5 + k) % len(WORDS)] for k in range(4 + i * 7 % 9))
        draw.text((left, y), line, (225, 225, 220) if dark else (25, 25, 30), font)


def _window(draw: Draw, width: int, height: int) -> None:
    draw.rectangle((0, 0, width, 34), (46, 90, 160))
    draw.rectangle((0, 35, width // 4, height), (222, 226, 234))
    draw.rectangle((width // 4 + 20, 60, width - 20, height - 70), "white", (180, 180, 190))
    _text(draw, width, height - 80, width // 4 + 30, 70)
    for i in range(8):
        draw.ellipse((14, 60 + 30 * i, 28, 74 + 30 * i), (90 + 15 * i, 130, 200 - 15 * i))
        draw.text((36, 58 + 30 * i), WORDS[i], (40, 40, 50), ImageFont.load_default(14))
    draw.rounded_rectangle((width - 120, height - 50, width - 20, height - 16), 6, (40, 140, 80))


def _bars(draw: Draw, width: int, height: int) -> None:
    draw.line((50, 20, 50, height - 40, width - 20, height - 40), (60, 60, 60), 2)
    for i, share in enumerate((0.4, 0.9, 0.6, 0.3, 0.75)):
        left = 70 + i * (width - 110) // 5
        top = height - 40 - share * (height - 80)
        draw.rectangle((left, top, left + 60, height - 40), (60 + 40 * i, 120, 220 - 40 * i))
        draw.text((left, height - 32), WORDS[i], "black", ImageFont.load_default(14))


def _lines(draw: Draw, width: int, height: int) -> None:
    for i in range(6):
        y = 30 + i * (height - 80) // 5
        draw.line((50, y, width - 20, y), (215, 215, 215))
        draw.text((15, y - 8), str(100 - 20 * i), "black", ImageFont.load_default(14))
    rng = np.random.default_rng(1)
    for colour in ((200, 40, 40), (30, 100, 200)):
        values = height / 2 + np.cumsum(rng.normal(0, 8, 60))
        points = [(50 + i * (width - 70) / 59, float(v)) for i, v in enumerate(values)]
        draw.line(points, colour, 3)


def _table(draw: Draw, width: int, height: int) -> None:
    for i, y in enumerate(range(0, height, 28)):
        draw.rectangle((0, y, width, y + 28), (244, 246, 250) if i % 2 else "white")
        draw.line((0, y, width, y), (190, 190, 190))
        for k in range(5):
            text = WORDS[(i + k) % len(WORDS)] if k % 2 else f"{(i * 37 + k * 11) % 999}.50"
            draw.text((8 + k * width // 5, y + 5), text, "black", ImageFont.load_default(15))


def _drawing(draw: Draw, width: int, height: int) -> None:
    rng = np.random.default_rng(3)
    for _ in range(12):
        a, b = np.sort(rng.integers(0, (width, height), (2, 2)), axis=0).tolist()
        draw.ellipse((*a, *b), outline="black", width=3)
        draw.line((*a, *rng.integers(0, (width, height)).tolist()), "black", 2)


def _logo(draw: Draw, width: int, height: int) -> None:
    draw.ellipse((width // 4, height // 6, width // 2, height // 2), (220, 70, 40))
    draw.regular_polygon((width * 0.6, height * 0.4, height * 0.2), 6, fill=(30, 80, 160))
    draw.text((width // 4, height * 0.65), "Company", (40, 40, 40), ImageFont.load_default(60))


def _code(draw: Draw, width: int, height: int) -> None:
    cells = np.random.default_rng(5).random((29, 29)) < 0.5
    side = min(width, height) // 33
    for row, column in np.argwhere(cells).tolist():
        left, top = (column + 2) * side, (row + 2) * side
        draw.rectangle((left, top, left + side - 1, top + side - 1), "black")
