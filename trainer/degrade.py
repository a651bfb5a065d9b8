"""What happens to pictures on their way through the web, done to both classes alike.

Real photographs and generated images reach a corpus in different sizes and codecs. A head trained
on them as they are learns that difference. Here every picture, whatever its class, is brought to a
size and a codec drawn from the same distributions.
"""

import math
import random
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

VERSION = 1
"""Raised whenever the same seed would give other pixels."""
LONGEST = 1536
"""Longest side after `standard`, pixels; the upper end in `degrade`."""
SHORTEST = 192
"""Lower end of the longest side drawn in `degrade`, pixels."""
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def standard(image: Image.Image) -> Image.Image:
    """Return the mild, fixed treatment: longest side at most 1536, then JPEG 90, 4:2:0.

    It removes what containers and huge sizes give away and little else.
    """
    return encode(shrink(image, LONGEST / max(image.size)), "JPEG", 90)


def degrade(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return a random path through the web: resize or crop, maybe blur, maybe noise, one or two
    codecs.

    The longest side is drawn log-uniformly between 192 and 1536 pixels (never above the picture's
    own) and reached by resizing, cropping or both.
    """
    longest = max(image.size)
    high = min(longest, LONGEST)
    target = math.exp(rng.uniform(math.log(min(SHORTEST, high)), math.log(high)))
    way = rng.choice(("resize", "crop", "both"))
    if way != "crop":
        factor = target / longest if way == "resize" else math.sqrt(target / longest)
        image = shrink(image, factor, rng.choice(_FILTERS))
    image = _crop(image, round(target), rng)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.2:
        image = _add_noise(image, rng.uniform(1, 6), rng.getrandbits(32))
    if rng.random() < 0.8:
        image = encode(image, "JPEG", rng.randint(45, 95))
    else:
        image = encode(image, "WEBP", rng.randint(50, 95))
    if rng.random() < 0.4:
        image = encode(image, "JPEG", rng.randint(55, 95))
    return image


def encode(
    image: Image.Image, codec: str, quality: int, subsampling: int | None = None
) -> Image.Image:
    """Encode and decode an RGB picture. `subsampling` of a JPEG is 0, 1 or 2 for 4:4:4, 4:2:2 and
    4:2:0; None: full chroma from quality 93, else 4:2:0."""
    buffer = BytesIO()
    if subsampling is None:
        subsampling = 0 if quality >= 93 else 2
    options = {"subsampling": subsampling} if codec == "JPEG" else {}
    image.save(buffer, codec, quality=quality, **options)
    with Image.open(buffer) as decoded:
        return decoded.convert("RGB")


def shrink(
    image: Image.Image, factor: float, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Scale both sides by `factor`; the picture itself when that would not make it smaller."""
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, resample)


def _crop(image: Image.Image, longest: int, rng: random.Random) -> Image.Image:
    width, height = min(image.width, longest), min(image.height, longest)
    left = rng.randint(0, image.width - width)
    top = rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def _add_noise(image: Image.Image, sigma: float, seed: int) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32)
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return Image.fromarray(np.rint(np.clip(pixels + noise, 0, 255)).astype(np.uint8))
