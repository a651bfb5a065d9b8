"""Graphics and documents of many kinds, drawn at random: what is no photograph.

Made for `domain_fit.py`. Nothing but Pillow with its own font, and numpy; a picture follows
from its kind and number. Not those of `tests/rendered.py`, on which the rates are reported.
"""

import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Random = np.random.Generator
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

SIZES = (
    *((160, 120), (256, 256), (320, 240), (480, 360), (640, 480), (800, 600), (1024, 768)),
    *((1280, 720), (1654, 2339), (1920, 1080)),
)
WORDS = "where several people were away until noon nobody could say which of the old keys was meant"
WORDS += (
    " for the gate by the river 17 208 4.5 % north east page item total open close save edit view"
)
INK, PAPER = (30, 30, 34), (255, 255, 255)


def draw(kind: str, number: int) -> Image.Image:
    """One picture, RGB; the same for the same kind and number."""
    return KINDS[kind](np.random.default_rng([zlib.crc32(kind.encode()), number]))


def canvas(r: Random, ground: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw, int, int]:
    width, height = SIZES[r.integers(len(SIZES))]
    if r.random() < 0.3:
        width, height = height, width
    image = Image.new("RGB", (width, height), ground)
    return image, ImageDraw.Draw(image), width, height


def colour(r: Random, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = r.integers(low, high, 3).tolist()
    return red, green, blue


def grey(r: Random, low: int, high: int) -> Colour:
    """With a hint of colour."""
    level = int(r.integers(low, high))
    red, green, blue = np.clip(level + r.integers(-8, 9, 3), 0, 255).tolist()
    return red, green, blue


def ground_and_ink(r: Random, dark: float = 0.3) -> tuple[Colour, Colour]:
    if r.random() < dark:
        return grey(r, 0, 50), grey(r, 170, 256)
    return (PAPER if r.random() < 0.5 else grey(r, 228, 256)), grey(r, 0, 80)


def letters(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, size))


def phrase(r: Random, count: int) -> str:
    return " ".join(r.choice(WORDS.split(), count))


def paragraph(r: Random, d: ImageDraw.ImageDraw, box: Box, size: float, ink: Colour) -> None:
    left, top, right, bottom = box
    font, gap = letters(size), size * r.uniform(1.2, 1.7)
    while top + size < bottom:
        if r.random() > 0.1:  # else an empty line
            end = int((right - left) / (size if r.random() < 0.2 else size / 2))
            d.text((left, top), phrase(r, 40)[:end], font=font, fill=ink)
        top += gap


def photocopied(r: Random, image: Image.Image) -> Image.Image:
    """As from a scanner: a little skewed, unsharp, on paper, with noise."""
    skewed = image.rotate(r.uniform(-3, 3), Image.Resampling.BICUBIC, fillcolor=PAPER)
    a = np.asarray(skewed.filter(ImageFilter.GaussianBlur(r.uniform(0.2, 1)))).astype(np.float32)
    height, width, _ = a.shape
    tint = np.array([0, -r.uniform(0, 4), -r.uniform(0, 16)], np.float32)
    a *= (r.uniform(215, 252) + tint) / 255
    rough = r.normal(0, r.uniform(0, 3.5), (height // 4 + 2, width // 4 + 2)).astype(np.float32)
    a += np.asarray(Image.fromarray(rough).resize((width, height)))[..., None]
    return pixels(a + r.normal(0, r.uniform(0.5, 5), (height, width, r.choice([1, 3]))))


def pixels(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def squares(cells: np.ndarray, side: int) -> Image.Image:
    return pixels(cells.repeat(3 // cells.shape[2], 2).repeat(side, 0).repeat(side, 1))


def page(r: Random, dark: float = 0.3) -> Image.Image:
    ground, ink = ground_and_ink(r, dark)
    image, d, w, h = canvas(r, ground)
    margin, size = w * r.uniform(0.04, 0.12), max(9, min(w, h) * r.uniform(0.018, 0.05))
    d.text((margin, margin), phrase(r, 3).title(), font=letters(size * 2), fill=ink)
    columns = 2 if r.random() < 0.25 else 1
    step = (w - 2 * margin) / columns
    for left in margin + step * np.arange(columns):
        bottom = h - margin if r.random() < 0.7 else h * r.uniform(0.3, 0.9)
        paragraph(r, d, (left, margin + size * 3, left + step * 0.92, bottom), size, ink)
    return image


def scan(r: Random) -> Image.Image:
    return photocopied(r, page(r, dark=0))


def terminal(r: Random) -> Image.Image:
    ground, _ = ground_and_ink(r, dark=0.7)
    low, high = (120, 256) if ground[0] < 128 else (0, 140)
    image, d, _, h = canvas(r, ground)
    size, y = int(r.integers(10, 20)), 4.0
    while y < h:
        x = 6.0 + size * 2 * r.integers(0, 4)
        for word in r.choice(WORDS.split(), r.integers(0, 12)):
            d.text((x, y), str(word), font=letters(size), fill=colour(r, low, high))
            x += size * 0.6 * (len(word) + 1)
        y += size * 1.3
    return image


def table(r: Random) -> Image.Image:
    image, d, w, h = canvas(r, PAPER)
    columns, size = int(r.integers(3, 9)), max(9, h * r.uniform(0.015, 0.035))
    striped, line, heading = r.random() < 0.6, grey(r, 180, 256), colour(r, 150, 256)
    for row, y in enumerate(np.arange(0, h, size * 1.8)):
        shade = heading if row == 0 else (243, 244, 248) if striped and row % 2 else PAPER
        d.rectangle((0, y, w, y + size * 1.8), fill=shade)
        for column in range(columns):
            text = phrase(r, 1) if column % 2 == 0 else f"{r.random() * 1000:.2f}"
            d.text((column * w / columns + 5, y + size * 0.3), text, font=letters(size), fill=INK)
        d.line((0, y, w, y), fill=line)
    return image


def drawing(r: Random) -> Image.Image:
    ground, ink = ground_and_ink(r, dark=0.15)
    image, d, w, h = canvas(r, ground)
    for _ in range(r.integers(4, 40)):
        points = (r.random((r.integers(2, 8), 2)) * (w, h)).tolist()
        box = *np.min(points[:2], axis=0), *np.max(points[:2], axis=0)
        width = max(1, int(min(w, h) * r.uniform(0.002, 0.012)))
        match r.integers(3):
            case 0:
                d.line([*map(tuple, points)], fill=ink, width=width, joint="curve")
            case 1:
                d.ellipse(box, outline=ink, width=width)
            case _:
                d.rectangle(box, outline=ink, width=width)
    return image


def scanned_drawing(r: Random) -> Image.Image:
    return photocopied(r, drawing(r))


def code(r: Random) -> Image.Image:
    count = int(r.integers(21, 60))
    cells = np.pad(r.random((count, count)) < 0.5, 3, constant_values=True)
    return squares(cells[..., None] * 255, int(r.choice([3, 4, 5, 8, 12, 20])))


def mosaic(r: Random) -> Image.Image:
    """Squares of any colours, or any greys."""
    image, _, w, h = canvas(r, PAPER)
    side = int(r.choice([4, 6, 8, 12, 16, 24, 32]))
    cells = r.integers(0, 256, (h // side + 1, w // side + 1, 3 if r.random() < 0.7 else 1))
    image.paste(squares(cells, side))
    return image


def heat_map(r: Random) -> Image.Image:
    image, d, w, h = canvas(r, PAPER)
    count, low, high = int(r.integers(5, 24)), np.array(colour(r)), np.array(colour(r))
    cells = pixels(low + r.random((count, count, 1)) * (high - low))
    cells = cells.resize((w * 7 // 10, h * 8 // 10), Image.Resampling.NEAREST)
    image.paste(cells, (w // 8, h // 10))
    for y in np.linspace(h * 0.1, h * 0.8, 6):
        d.text((w * 0.03, y), phrase(r, 1)[:5], font=letters(h * 0.03), fill=INK)
    return image


def window(r: Random) -> Image.Image:
    light = (215, 256), grey(r, 0, 80)
    tones, ink = light if r.random() < 0.6 else ((15, 70), grey(r, 180, 256))
    image, d, w, h = canvas(r, grey(r, *tones))
    size, side = r.uniform(11, 17), w * r.uniform(0.12, 0.28)
    d.rectangle((0, 0, w, h * 0.07), fill=grey(r, *tones) if r.random() < 0.5 else colour(r))
    d.text((10, h * 0.015), phrase(r, 3), font=letters(size), fill=ink)
    d.rectangle((0, h * 0.07, side, h), fill=grey(r, *tones))
    for y in np.arange(h * 0.1, h * 0.9, size * 2):
        d.ellipse((10, y, 24, y + 14), fill=colour(r))
        d.text((30, y), phrase(r, 2)[: int(side / 9)], font=letters(size), fill=ink)
    for _ in range(r.integers(2, 9)):
        x, y = r.uniform(side + 8, w * 0.85), r.uniform(h * 0.1, h * 0.85)
        box = x, y, min(w - 6, x + r.uniform(60, w * 0.5)), min(h - 6, y + r.uniform(30, h * 0.5))
        if box[2] - x > 20 and box[3] - y > 20:
            d.rounded_rectangle(box, 6, fill=grey(r, *tones), outline=grey(r, *tones))
            panel(r, d, box, size, ink)
    return image


def panel(r: Random, d: ImageDraw.ImageDraw, box: Box, size: float, ink: Colour) -> None:
    """Text, buttons or icons."""
    left, top, right, bottom = box
    if r.random() < 0.5:
        paragraph(r, d, (left + 8, top + 6, right - 8, bottom - 4), size, ink)
        return
    for _ in range(5):
        x, y = r.uniform(left, max(left, right - 70)), r.uniform(top, max(top, bottom - 24))
        if r.random() < 0.6:
            d.rounded_rectangle((x, y, x + 70, y + 24), 5, fill=colour(r))
            d.text((x + 8, y + 4), phrase(r, 1), font=letters(size), fill=PAPER)
        else:
            d.polygon([(x, y), (x + 20, y + 4), (x + 9, y + 22)], fill=colour(r))


def chart(r: Random) -> Image.Image:
    ground, ink = ground_and_ink(r)
    image, d, w, h = canvas(r, ground)
    left, top, right, bottom = box = w * 0.1, h * 0.1, w * 0.95, h * 0.88
    for mark, y in enumerate(np.linspace(top, bottom, 6)):
        d.line((left, y, right, y), fill=(150, 150, 150))
        d.text((left * 0.3, y - 5), f"{100 - 20 * mark}", font=letters(h * 0.03), fill=ink)
    (bars, lines)[r.integers(2)](r, d, box)
    return image


def bars(r: Random, d: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    step = (right - left) / r.integers(3, 12)
    for x in np.arange(left, right - step / 2, step):
        y = bottom - (bottom - top) * r.random()
        d.rectangle((x, y, x + step * 0.7, bottom), fill=colour(r))


def lines(r: Random, d: ImageDraw.ImageDraw, box: Box) -> None:
    left, top, right, bottom = box
    for _ in range(r.integers(1, 6)):
        walk = np.cumsum(r.normal(0, 1, 60))
        ys = bottom - (bottom - top) * (walk - walk.min()) / np.ptp(walk)
        d.line([*zip(np.linspace(left, right, 60), ys, strict=True)], fill=colour(r), width=2)


def shapes(r: Random, count: int, size: float, ground: Colour, low: int, high: int) -> Image.Image:
    image, d, w, h = canvas(r, ground)
    for _ in range(count):
        x, y, radius = r.random() * w, r.random() * h, min(w, h) * size * r.uniform(0.2, 1)
        angles = np.sort(r.uniform(0, 2 * np.pi, r.integers(3, 14)))
        outline = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
        d.polygon(outline, fill=colour(r, low, high))
    return image


def polygons(r: Random) -> Image.Image:
    return shapes(r, int(r.integers(5, 80)), 0.35, colour(r), 0, 256)


def street_map(r: Random) -> Image.Image:
    image = shapes(r, int(r.integers(6, 30)), 0.3, colour(r, 200, 250), 130, 255)
    d = ImageDraw.Draw(image)
    for _ in range(r.integers(4, 20)):
        way = [(r.random() * image.width, r.random() * image.height) for _ in range(4)]
        d.line(way, fill=(150, 150, 150), width=6, joint="curve")
        d.line(way, fill=(255, 240, 180), width=4, joint="curve")
    for _ in range(r.integers(4, 30)):
        at = r.random() * image.width, r.random() * image.height
        d.text(at, phrase(r, 2).title(), font=letters(12), fill=(60, 60, 60))
    return image


def logo(r: Random) -> Image.Image:
    image, d, w, h = canvas(r, PAPER if r.random() < 0.6 else colour(r))
    for _ in range(r.integers(1, 5)):
        x, y = w * r.uniform(0.25, 0.75), h * r.uniform(0.25, 0.75)
        radius = min(w, h) * r.uniform(0.08, 0.35)
        box = x - radius, y - radius, x + radius, y + radius
        match r.integers(3):
            case 0:
                d.ellipse(box, fill=colour(r))
            case 1:
                d.rounded_rectangle(box, radius / 3, fill=colour(r))
            case _:
                d.arc(box, 0, int(r.integers(90, 360)), fill=colour(r), width=int(radius / 3) + 1)
    d.text((w * 0.1, h * 0.7), phrase(r, 1).title(), font=letters(h * 0.15), fill=colour(r))
    return image


def named(*kinds: Callable[[Random], Image.Image]) -> dict[str, Callable[[Random], Image.Image]]:
    return {kind.__name__: kind for kind in kinds}


DOCUMENTS = named(page, scan, terminal, table, drawing, scanned_drawing, code)
GRAPHICS = named(window, chart, polygons, street_map, logo, mosaic, heat_map)
KINDS = DOCUMENTS | GRAPHICS
