"""From the bytes of a file to what the model is shown, and all else that is read of it on the way.

Without torch: this also runs in processes of their own, see `decoding_pool`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dgsforensics.detector import views
from dgsforensics.detector.config import InputConfig
from dgsforensics.files.content import Limits
from dgsforensics.pictures import decoder, domain
from dgsforensics.pictures.decoder import Picture
from dgsforensics.records import FileFacts, Traits

MOST_MISSING = 0.1
"""Share of a picture that may be missing before nothing that was measured on whole ones holds."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image ready for the model."""

    facts: FileFacts
    pixels: NDArray[np.uint8]
    """(size, size, 3) RGB."""
    note: str | None
    domain: str | None
    missing: float | None
    """As `Prediction.missing`."""
    traits: Traits | None = None


def prepare(picture: Picture, config: InputConfig) -> PreparedImage:
    """Return what the model is shown of a picture, and what there is to say about it."""
    pixels, remark = views.input_pixels(config, picture)
    if picture.missing > MOST_MISSING:
        found: str | None = "too much is missing"
    else:
        found = domain.recognise(picture.pixels)
    notes = (found and f"out of domain: {found}", picture.note, remark)
    text = "; ".join(note for note in notes if note)
    return PreparedImage(picture.facts, pixels, text or None, found, picture.missing or None)


def prepare_file(
    data: bytes, facts: FileFacts, limits: Limits, config: InputConfig
) -> PreparedImage:
    """Return the same of the bytes of a file, with its traits; raises `ImageError`."""
    picture = decoder.decode(data, limits, facts)
    return replace(prepare(picture, config), traits=views.traits(data, picture))
