"""What is made of a picture while its file is at hand: the input of the tower, and its traits."""

from dataclasses import replace

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dgsforensics.detector.config import InputConfig
from dgsforensics.errors import ImageError
from dgsforensics.files.content import Limits
from dgsforensics.pictures import canonical, decoder, near_duplicates, patches
from dgsforensics.pictures.decoder import Picture
from dgsforensics.provenance import claims
from dgsforensics.records import EarlierScore, Traits


def traits(data: bytes, picture: Picture) -> Traits:
    """Return what a reviewer sorts images by; read while the file is at hand."""
    fingerprint = near_duplicates.fingerprint(PIL.Image.fromarray(picture.pixels))
    return Traits(fingerprint, tuple(claims.read(data, picture.facts.format)))


def with_traits(earlier: EarlierScore, data: bytes, limits: Limits) -> EarlierScore:
    """Return an earlier score with its traits, read now if nobody looked then."""
    if earlier.traits is not None:
        return earlier
    try:
        return replace(earlier, traits=traits(data, decoder.decode(data, limits, earlier.facts)))
    except ImageError:  # limits may be tighter now; the score stands
        return earlier


def input_pixels(config: InputConfig, picture: Picture) -> tuple[NDArray[np.uint8], str | None]:
    """Return what the tower is shown of a picture, (size, size, 3) RGB, and what limits it."""
    pixels = canonical_pixels(config, picture)
    if config.view == "whole":
        size = (config.size, config.size)
        resized = PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC)
        return np.asarray(resized), None
    selection = patches.select(pixels)
    if selection.distinct < patches.TILES:
        return selection.pixels, f"small picture: {selection.distinct} of 49 patches distinct"
    overlapping = selection.stride < patches.PATCH
    return selection.pixels, "small picture: patches overlap" if overlapping else None


def canonical_pixels(config: InputConfig, picture: Picture) -> NDArray[np.uint8]:
    """Return the picture that the view is taken of, (H, W, 3) RGB: in the detector's own form."""
    if config.canonical == "none":
        return picture.pixels
    return np.asarray(canonical.standard(PIL.Image.fromarray(picture.pixels)))
