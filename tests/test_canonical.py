from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from conftest import photo
from dgsforensics.detector.config import InputConfig
from dgsforensics.detector.views import input_pixels
from dgsforensics.pictures import decoder
from dgsforensics.pictures.canonical import LONGEST, encode, shrink, standard

ODD = [(1, 1), (1, 7), (7, 1), (255, 3), (256, 256), (257, 1), (5000, 10), (10, 5000), (1537, 40)]


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("size", [*ODD, (2000, 1500)])
def test_standard_only_shrinks_what_is_huge(size: tuple[int, int]) -> None:
    after = standard(picture(*size))
    assert after.mode == "RGB"
    factor = min(1, LONGEST / max(size))
    assert after.size == tuple(max(1, round(side * factor)) for side in size)


def test_standard_is_one_jpeg_at_90_without_full_chroma() -> None:
    before = photo(200, 120)
    buffer = BytesIO()
    before.save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    assert np.array_equal(np.asarray(standard(before)), np.asarray(Image.open(buffer)))


def test_jpeg_keeps_full_chroma_from_93() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 200
    errors = {
        quality: np.abs(
            np.asarray(encode(Image.fromarray(stripes), "JPEG", quality)).astype(int) - stripes
        ).mean()
        for quality in (92, 93)
    }
    assert errors[93] < 10 < 30 < errors[92]


@pytest.mark.parametrize("codec", ["JPEG", "WEBP"])
def test_a_lower_quality_costs_more(codec: str) -> None:
    before = photo(200, 120)
    errors = [
        np.abs(np.asarray(encode(before, codec, q)).astype(int) - np.asarray(before)).mean()
        for q in (95, 75, 55)
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 20


def test_shrink_never_enlarges() -> None:
    before = picture(30, 20)
    assert shrink(before, 1.0) is before and shrink(before, 7.5) is before
    assert shrink(before, 0.5).size == (15, 10)
    assert shrink(before, 1e-9).size == (1, 1)


# In a detector


@pytest.mark.parametrize("view", ["patches", "whole"])
@pytest.mark.parametrize("size", [(2000, 1500), (300, 260)])
def test_a_detector_sees_the_view_of_the_standard_form(view, size) -> None:
    before = photo(*size)
    plain, ours = InputConfig(view), InputConfig(view, canonical="standard")
    expected, _ = input_pixels(plain, decoder.from_pil(standard(before)))
    found, _ = input_pixels(ours, decoder.from_pil(before))
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, input_pixels(plain, decoder.from_pil(before))[0])
