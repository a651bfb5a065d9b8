"""Colours of other spaces are turned into sRGB, and only those."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import encode, photo
from dgsforensics.pictures import decoder

PHOTO = photo()


def profile(gamma: float, space: bytes = b"RGB ", primaries: str = "srgb") -> bytes:
    """A matrix profile of the ICC's version 2, with the primaries of sRGB or Adobe RGB (D50)."""

    def fixed(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    green = (0.3851, 0.7169, 0.0971) if primaries == "srgb" else (0.2052, 0.6257, 0.0609)
    red = (0.4361, 0.2225, 0.0139) if primaries == "srgb" else (0.6097, 0.3111, 0.0195)
    blue = (0.1431, 0.0606, 0.7141) if primaries == "srgb" else (0.1492, 0.0632, 0.7446)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(80)
    tags = {b"desc": text, b"wtpt": fixed(0.9642, 1, 0.8249)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        tags |= {b"rXYZ": fixed(*red), b"gXYZ": fixed(*green), b"bXYZ": fixed(*blue)}
        tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content
    head = struct.pack(">I", 132 + 12 * len(tags) + len(body)) + bytes(4) + b"\x02\x10\0\0mntr"
    head += space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + fixed(0.9642, 1, 0.8249)[8:]).ljust(128, b"\0") + table + body


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def in_space(data: bytes) -> Image.Image:
    """The photograph stored in the space of a profile."""
    space = ImageCms.ImageCmsProfile(BytesIO(data))
    stored = ImageCms.profileToProfile(PHOTO, ImageCms.createProfile("sRGB"), space)
    assert stored is not None
    return stored


def off(data: bytes) -> float:
    """Mean distance of what is decoded from the photograph, levels."""
    moved = decoder.decode(data).pixels.astype(int) - np.asarray(PHOTO)
    return float(np.abs(moved).mean())


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("made", [profile(1.0), profile(2.2, primaries="adobe")])
def test_a_profile_is_applied(kind: str, made: bytes) -> None:
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encode(in_space(made), kind, icc_profile=made, **lossless.get(kind, {}))
    assert off(data) < 2
    assert decoder.decode(data).note is None


def test_srgb_by_any_name_moves_nothing() -> None:
    for made in (SRGB, ImageCms.ImageCmsProfile(BytesIO(SRGB)).tobytes()):
        assert off(encode(PHOTO, "PNG", icc_profile=made)) == 0


def test_grey_has_profiles_too() -> None:
    grey = PHOTO.convert("L")
    picture = decoder.decode(encode(grey, "PNG", icc_profile=profile(1.0, b"GRAY")))
    assert picture.pixels.mean() > np.asarray(grey).mean() + 20
    assert picture.note is None


@pytest.mark.parametrize(
    ("made", "note"),
    [
        (b"no profile at all", "damaged colour profile, not applied"),
        (profile(1.0)[:200], "damaged colour profile, not applied"),
        (
            profile(1.0, b"GRAY"),
            "the colour profile is for another kind of picture, not applied",
        ),
    ],
)
def test_a_profile_that_cannot_be_applied_is_named(made: bytes, note: str) -> None:
    data = encode(PHOTO, "PNG", icc_profile=made)
    assert off(data) == 0
    assert decoder.decode(data).note == note


def with_gamma(image: Image.Image, gamma: float, more: bytes = b"") -> bytes:
    data = encode(image, "PNG")
    body = b"gAMA" + struct.pack(">I", round(gamma * 100_000))
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + more + data[33:]


def test_gamma_is_applied_unless_it_is_the_usual_one() -> None:
    assert off(with_gamma(PHOTO, 0.45455)) == 0
    assert off(with_gamma(in_space(profile(1.0)), 1.0)) < 2
    body = b"sRGB\0"
    srgb = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    assert off(with_gamma(PHOTO, 1.0, srgb)) == 0  # which has the last word


def test_colours_under_transparency_are_managed() -> None:
    image = in_space(profile(1.0))
    image.putalpha(255)
    assert off(encode(image, "PNG", icc_profile=profile(1.0))) < 2
