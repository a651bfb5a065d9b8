"""From an image of any mode to upright 8-bit RGB, by the rules of `decoder`."""

import logging

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from dgsforensics.pictures import colour

_log = logging.getLogger(__name__)


def upright(
    image: Image.Image,
    notes: list[str],
    rows: slice | None = None,
    exif: bytes | None = None,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return the pixels (H, W, 3) of a loaded image and the width and height of all of it; add to
    the notes what there is to say about them.

    `rows`: of these stored rows only; `exif`: where the image came without its own.
    """
    rgb = _rgb(image, notes)
    width, height = rgb.size
    if rows is not None:
        rgb = rgb.crop((0, rows.start, rgb.width, rows.stop))
    turn = _turn(image, exif, notes)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return _array(rgb), (height, width) if turn in _SIDEWAYS else (width, height)


def _turn(image: Image.Image, exif: bytes | None, notes: list[str]) -> Image.Transpose | None:
    """How EXIF says the image is turned upright, whatever type of number it says so in."""
    try:
        tags = Image.Exif()
        if stored := exif or image.info.get("exif"):
            tags.load(stored)  # afresh, for `getexif` is silent on damage it met before
        if exif is None:
            tags = image.getexif()
        value = tags.get(ExifTags.Base.Orientation, 1)
        if isinstance(value, bytes | tuple):
            value = value[0] if value else 1
        return _TURNS.get(value)
    except Exception:
        _log.debug("damaged EXIF", exc_info=True)
        notes.append("damaged EXIF, not turned upright")
        return None


def _array(rgb: Image.Image) -> NDArray[np.uint8]:
    """Return what `np.asarray` would, in strips that fit the processor's cache: a third of its time
    at 12 MP.
    """
    pixels = np.empty((rgb.height, rgb.width, 3), np.uint8)
    rows = max(1, (1 << 18) // rgb.width)
    for top in range(0, rgb.height, rows):
        bottom = min(top + rows, rgb.height)
        pixels[top:bottom] = np.asarray(rgb.crop((0, top, rgb.width, bottom)))
    return pixels


def _rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    grey: NDArray[np.uint8]
    flat = image
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        is_12_bit = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample) == (12,)
        grey = (values >> (4 if is_12_bit else 8)).astype(np.uint8)
        flat = Image.fromarray(grey)
    elif image.mode == "I":
        grey = (np.clip(np.asarray(image), 0, 65535) >> 8).astype(np.uint8)
        notes.append("32-bit values clipped to 0..65535")
        flat = Image.fromarray(grey)
    elif image.mode == "F":
        values = np.clip(np.nan_to_num(np.asarray(image)), 0, 1)
        grey = np.rint(values * 255).astype(np.uint8)
        notes.append("floating-point values clipped to 0..1")
        flat = Image.fromarray(grey)
    elif image.has_transparency_data:
        flat = _over_white(image, notes)
    if flat.mode not in ("L", "RGB", "CMYK"):
        flat = flat.convert("L" if flat.mode in ("1", "LA", "La") else "RGB")
    flat = colour.in_srgb(flat, image, notes)
    return flat if flat.mode == "RGB" else flat.convert("RGB")


def _over_white(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    is_grey = image.mode in ("L", "LA", "1")
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("L" if is_grey else "RGB")
    notes.append("transparency laid over white")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white.convert("L") if is_grey else white


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TURNS[turn] for turn in (5, 6, 7, 8)}
