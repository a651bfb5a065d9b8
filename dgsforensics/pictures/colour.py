"""What the numbers of pixels mean: colour profiles and gamma, turned into sRGB.

The detector takes every picture for sRGB. Photographs stored in other spaces and scored as if they
were not moved by 0.4 in the logit on average (Adobe RGB, ProPhoto RGB, Display P3) and by 1.5 where
the numbers were linear; through the profile by 0.1 and 0.2 (`benchmarks/fidelity.py`).
"""

import logging
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_LARGEST = 1 << 23
"""Bytes of a profile; those of printers have two million."""
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of a profile, and the mode it is for."""
_NEAR = 3
"""Levels by which a profile may move colours and still be sRGB but for rounding."""
_USUAL_GAMMA = (0.42, 0.5)
"""Encoded with about the curve of sRGB, as PNG says it."""
_SRGB_CHROMATICITY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)

_log = logging.getLogger(__name__)


def in_srgb(image: Image.Image, source: Image.Image, notes: list[str]) -> Image.Image:
    """Return an image of mode L, RGB or CMYK in sRGB where the file it comes from, `source`, says
    that it is not; else the same image. Adds to the notes what could not be done."""
    profile = source.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return _through(profile, image, notes)
    if "srgb" in source.info or source.format != "PNG":
        return image
    gamma = source.info.get("gamma")
    if isinstance(gamma, float) and gamma > 0 and not _within(gamma, _USUAL_GAMMA):
        image = image.point(_curve(gamma) * len(image.getbands()))
    primaries = source.info.get("chromaticity")
    if primaries and not np.allclose(primaries, _SRGB_CHROMATICITY, atol=0.01):
        notes.append("chromaticities other than those of sRGB, not applied")
    return image


def _through(profile: bytes, image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        mode, transform = _transform(profile)
        if mode != image.mode:
            notes.append("the colour profile is for another kind of picture, not applied")
        elif transform is not None:
            converted = ImageCms.applyTransform(image, transform)
            assert converted is not None  # it is None only where it was asked to work in place
            return converted
    except Exception:
        _log.debug("no colours to be had from the profile", exc_info=True)
        notes.append("damaged colour profile, not applied")
    return image


@lru_cache(maxsize=16)
def _transform(profile: bytes) -> tuple[str | None, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile is for, and the way to sRGB; None where it is there already."""
    if len(profile) > _LARGEST:
        raise ValueError("too large")
    opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = _SPACES.get(opened.profile.xcolor_space.strip())
    if mode is None:
        return None, None
    made = ImageCms.buildTransform(
        opened,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return mode, None if mode != "CMYK" and _changes_little(made, mode) else made


def _changes_little(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    before = Image.fromarray(grid).convert(mode)
    after = ImageCms.applyTransform(before, transform)
    assert after is not None
    moved = np.asarray(after).astype(int) - np.asarray(before.convert("RGB"))
    return int(np.abs(moved).max()) <= _NEAR


def _curve(gamma: float) -> list[int]:
    """By level as stored with a gamma, the level of sRGB (IEC 61966-2-1)."""
    linear = np.linspace(0, 1, 256) ** (1 / gamma)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: list[int] = np.rint(255 * encoded).astype(int).tolist()
    return levels


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]
