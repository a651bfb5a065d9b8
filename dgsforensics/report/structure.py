"""How a file is built: its coding, its colour profile, the small picture inside. No pixel of the
picture is decoded for it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageCms, JpegImagePlugin

from dgsforensics.errors import ImageError
from dgsforensics.files import jpeg
from dgsforensics.pictures import decoder, near_duplicates
from dgsforensics.pictures.opening import damage_is_unreadable, opener_of
from dgsforensics.provenance import containers, exif

_SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1"}
_SAME_SHAPE = 0.02
"""By how much the sides of two pictures may be in another ratio; cameras round."""


@dataclass(frozen=True, slots=True)
class JpegQuality:
    """What the quantisation tables of a JPEG say."""

    quality: int
    """1 to 100, on the scale of the Independent JPEG Group."""
    exact: bool
    """Whether the tables are those of that scale; else it is the nearest."""


@dataclass(frozen=True, slots=True)
class EmbeddedThumbnail:
    """The small picture that cameras put into EXIF."""

    width: int
    height: int
    fingerprints: tuple[int, ...]
    """As it is and turned by a quarter, a half and three quarters, cut to the picture's shape: it
    is stored as the sensor lies, and often with black bars."""

    def distance(self, fingerprint: int) -> int:
        """Return in how many of 64 bits it differs from the picture."""
        return min((own ^ fingerprint).bit_count() for own in self.fingerprints)


@dataclass(frozen=True, slots=True)
class FileStructure:
    """How a file is built; None where it has no such thing."""

    mode: str
    """Of the pixels, as Pillow calls it: RGB, L, CMYK, P, I;16, ..."""
    progressive: bool
    tables: tuple[tuple[int, ...], ...]
    """Quantisation tables of a JPEG, 64 numbers each, row by row."""
    quality: JpegQuality | None
    sampling: str | None
    """Of the colours of a JPEG: 4:2:0, ..."""
    trailing: int | None
    """Bytes behind the end marker of a JPEG."""
    profile: str | None
    """What its colour profile calls itself."""
    profile_sha256: str | None
    thumbnail: EmbeddedThumbnail | None
    remarks: tuple[str, ...]
    """What could not be read."""


def read(data: bytes, kind: str | None) -> FileStructure:
    """Return how a whole file is built; raises `ImageError` for what is no picture or damaged."""
    opener = opener_of(kind, data)
    remarks: list[str] = []
    with damage_is_unreadable(kind, data), opener(BytesIO(data)) as image:
        profile = image.info.get("icc_profile") or None
        tables: tuple[tuple[int, ...], ...] = ()
        sampling, trailing = None, None
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
            sampling = _sampling(image)
            trailing = _trailing(data) if kind == image.format else None
        return FileStructure(
            mode=image.mode,
            progressive=bool(image.info.get("progressive") or image.info.get("interlace")),
            tables=tables,
            quality=quality(tables) if tables else None,
            sampling=sampling,
            trailing=trailing,
            profile=None if profile is None else _profile_name(profile, remarks),
            profile_sha256=None if profile is None else hashlib.sha256(profile).hexdigest(),
            thumbnail=_thumbnail(data, kind, image.size, remarks),
            remarks=tuple(remarks),
        )


def quality(tables: Sequence[Sequence[int]]) -> JpegQuality:
    """Return the quality whose tables (ISO 10918-1, annex K, as libjpeg scales them) are nearest,
    by the mean distance of their entries."""
    given = tables[:2]
    distances = {}
    for number in range(1, 101):
        scale = 5000 // number if number < 50 else 200 - 2 * number
        distance = 0
        for table, base in zip(given, (_LUMINANCE, _CHROMINANCE), strict=False):
            scaled = (min(255, max(1, (entry * scale + 50) // 100)) for entry in base)
            distance += sum(abs(a - b) for a, b in zip(table, scaled, strict=True))
        distances[number] = distance
    nearest = min(distances, key=lambda number: (distances[number], -number))
    return JpegQuality(nearest, distances[nearest] == 0)


def _sampling(image: JpegImagePlugin.JpegImageFile) -> str | None:
    if image.layers != 3:
        return None
    (_, across, down, *_), *others = image.layer
    if any(layer[1:3] != (1, 1) for layer in others):
        return ", ".join(f"{layer[1]}x{layer[2]}" for layer in image.layer)
    return _SAMPLINGS.get((across, down), f"{across}x{down}")


def _trailing(data: bytes) -> int | None:
    ends = [segment.stop for segment in jpeg.segments(data) if segment.marker == jpeg.EOI]
    return len(data) - ends[0] if ends else None


def _profile_name(profile: bytes, remarks: list[str]) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        remarks.append("the colour profile is damaged")
        return ""


def _thumbnail(
    data: bytes, kind: str | None, size: tuple[int, int], remarks: list[str]
) -> EmbeddedThumbnail | None:
    """The first one in EXIF; what is damaged is no thumbnail, and said to be."""
    try:
        blocks = [block.data for block in containers.blocks(data, kind) if block.origin == "EXIF"]
    except (ValueError, IndexError):
        remarks.append("the metadata are damaged")
        return None
    found = next(filter(None, map(exif.thumbnail, blocks)), None)
    if found is None:
        return None
    try:
        small = Image.fromarray(decoder.decode(found).pixels)
    except ImageError as error:
        remarks.append(f"the thumbnail cannot be read: {error.message}")
        return None
    cut = _in_shape(small, size)
    turned = [cut, *(cut.transpose(turn) for turn in _TURNS)]
    prints = tuple(map(near_duplicates.fingerprint, turned))
    return EmbeddedThumbnail(small.width, small.height, prints)


_TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


def _in_shape(small: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the middle of a picture that is in the ratio of these sides, long to short."""
    wanted, given = max(size) / max(1, min(size)), small.width / small.height
    if given < 1:
        wanted = 1 / wanted
    if abs(wanted / given - 1) <= _SAME_SHAPE:
        return small
    width = min(small.width, max(1, round(small.height * wanted)))
    height = min(small.height, max(1, round(small.width / wanted)))
    left, top = (small.width - width) // 2, (small.height - height) // 2
    return small.crop((left, top, left + width, top + height))


# fmt: off
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)
# fmt: on
