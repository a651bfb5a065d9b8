"""One form for all pictures: no side above 1536 pixels, and one JPEG of quality 90.

Photographs and generated images come in different sizes and codecs, and a detector that sees them
as they are learns that difference. A detector whose input is `standard` sees every picture in this
form, in training and in a scan alike, whatever it was before.
"""

from io import BytesIO

from PIL import Image

LONGEST = 1536
"""Longest side after `standard`, pixels."""
QUALITY = 90
"""Of the JPEG in `standard`."""


def standard(image: Image.Image) -> Image.Image:
    """Return an RGB picture in the standard form: longest side at most 1536, JPEG 90, 4:2:0.

    It removes what containers and huge sizes give away and little else. A smaller picture is not
    enlarged. The encoder is Pillow's: another libjpeg may give slightly other pixels.
    """
    return encode(shrink(image, LONGEST / max(image.size)), "JPEG", QUALITY)


def encode(
    image: Image.Image, codec: str, quality: int, subsampling: int | None = None
) -> Image.Image:
    """Return an RGB picture encoded and decoded again.

    `subsampling` of a JPEG is 0, 1 or 2 for 4:4:4, 4:2:2 and 4:2:0; None: full chroma from quality
    93, else 4:2:0.
    """
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
    """Return the picture scaled by `factor`; itself where that would not make it smaller."""
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, resample)
