"""Tiers of degradation for an evaluation: what happens to a picture before it is scored.

`clean` leaves it as it is. `web` is one upload: longest side 1024, JPEG 75 with 4:2:0. `hard` is a
picture that has been around: JPEG, half the size and back, blur, JPEG again, WebP 60. What is drawn
at random is drawn from the SHA-256 of the file, so each run treats a file alike, and both classes
are treated alike. The encoders belong to Pillow: another version may give slightly other pixels.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import PIL
from PIL import Image, ImageFilter

from dgsforensics.errors import UsageError
from dgsforensics.pictures.decoder import Picture

VERSION = 1
"""Raised whenever the same file would give other pixels."""
WEB_LONGEST = 1024
"""Pixels."""
_WEBP_LONGEST = 16383
"""Pixels that WebP can hold; `hard` shrinks larger pictures first."""
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def parse(text: str) -> tuple[str, ...]:
    """Return names of tiers in a list with commas, each once; `UsageError` for others."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in _TIERS:
            raise UsageError(f"--tiers: no tier {name!r}", f"known: {', '.join(_TIERS)}")
    return names


def key(name: str) -> str:
    """Return opaque: scores of a tier are used again only under an equal key."""
    return name if name == "clean" else f"{name} {VERSION}, Pillow {PIL.__version__}"


def alteration(name: str) -> Callable[[Picture], Picture] | None:
    """Return what a tier does to the picture in a file; None for nothing. Facts and note stay."""
    treat = _TIERS[name]
    if treat is None:
        return None

    def alter(picture: Picture) -> Picture:
        rng = random.Random(f"{name} {VERSION} {picture.facts.sha256}")
        treated = treat(Image.fromarray(picture.pixels), rng)
        return replace(picture, pixels=np.asarray(treated))

    return alter


def _web(image: Image.Image, rng: random.Random) -> Image.Image:
    return _encode(_fit(image, WEB_LONGEST), "JPEG", quality=75, subsampling=2)


def _hard(image: Image.Image, rng: random.Random) -> Image.Image:
    image = _fit(image, _WEBP_LONGEST)
    first, second = rng.randint(50, 70), rng.randint(50, 70)
    down, up = rng.choice(_FILTERS), rng.choice(_FILTERS)
    radius = rng.uniform(0.3, 1.0)
    image = _encode(image, "JPEG", quality=first, subsampling=2)
    half = (max(1, image.width // 2), max(1, image.height // 2))
    image = image.resize(half, down).resize(image.size, up)
    image = image.filter(ImageFilter.GaussianBlur(radius))
    image = _encode(image, "JPEG", quality=second, subsampling=2)
    return _encode(image, "WEBP", quality=60)


def _fit(image: Image.Image, longest: int) -> Image.Image:
    """Return the picture scaled down until no side is longer; never up."""
    factor = longest / max(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _encode(image: Image.Image, codec: str, **options: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, codec, **options)
    with Image.open(buffer) as decoded:
        return decoded.convert("RGB")


_TIERS: dict[str, Callable[[Image.Image, random.Random], Image.Image] | None] = {
    "clean": None,
    "web": _web,
    "hard": _hard,
}
NAMES: Sequence[str] = tuple(_TIERS)
