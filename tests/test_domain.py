import json
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from conftest import encode, photo
from dgsforensics.pictures import domain
from dgsforensics.pictures.domain import recognise
from rendered import gallery

PHOTO = photo(480, 360, 3)
ENCODINGS = {
    "PNG": lambda image: image,
    "JPEG 60": lambda image: again(image, "JPEG", quality=60),
    "JPEG 90": lambda image: again(image, "JPEG", quality=90),
    "WebP 80": lambda image: again(image, "WEBP", quality=80),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "half, JPEG 75": lambda image: again(ENCODINGS["half"](image), "JPEG", quality=75),
}
WORDS = {
    "a single colour",
    "a smooth gradient",
    "noise or a pattern",
    "a document or drawing",
    "a flat graphic",
    "too small to judge",
}


graphics = cache(gallery)


@cache
def photographs() -> list[Image.Image]:
    """Of several sizes, the larger ones fewer."""
    counts = {(64, 64): 12, (320, 256): 12, (640, 480): 6, (1000, 1300): 2}
    return [photo(*size, seed) for size, count in counts.items() for seed in range(count)]


def again(image: Image.Image, kind: str, **options: object) -> Image.Image:
    return Image.open(BytesIO(encode(image, kind, **options))).convert("RGB")


def found(image: Image.Image) -> str | None:
    return recognise(np.asarray(image.convert("RGB")))


def wrong(cases: dict[str, str | None], *, photograph: bool) -> list[str]:
    return [f"{name}: {said}" for name, said in cases.items() if (said is None) != photograph]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [(640, 480), (1280, 800), (900, 1300)])
def test_graphics_are_recognised_however_they_are_kept(encoding, size):
    cases = {name: found(ENCODINGS[encoding](image)) for name, image in graphics(*size).items()}
    assert not wrong(cases, photograph=False)
    assert set(cases.values()) <= WORDS


def test_what_a_graphic_is_called():
    said = {name: found(image) for name, image in gallery().items()}
    assert said["black"] == said["white"] == said["colour"] == "a single colour"
    assert said["linear gradient"] == said["radial gradient"] == "a smooth gradient"
    for name in ("uniform noise", "grey noise", "Gaussian noise", "fine checkerboard"):
        assert said[name] == "noise or a pattern", name
    for name in ("page", "dark page", "scanned page", "table", "drawing", "line chart"):
        assert said[name] == "a document or drawing", name


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_photographs_are_not(encoding):
    cases = {
        f"{image.size}, {i}": found(ENCODINGS[encoding](image))
        for i, image in enumerate(photographs())
        if image.width > 64 or not encoding.startswith("half")
    }
    assert not wrong(cases, photograph=True)


def test_odd_photographs_are_photographs():
    pixels = np.asarray(PHOTO).astype(np.float64)
    frame = Image.new("L", PHOTO.size)
    ImageDraw.Draw(frame).ellipse((100, 60, 380, 300), fill=255)
    product = Image.new("RGB", PHOTO.size, "white")
    product.paste(PHOTO, mask=frame)
    captioned = ImageOps.expand(PHOTO, (0, 0, 0, 60), "white")
    ImageDraw.Draw(captioned).text((10, 380), "A caption of two words or more", "black")
    cases = {
        "black and white": PHOTO.convert("L"),
        "blurred": PHOTO.filter(ImageFilter.GaussianBlur(5)),
        "night": Image.fromarray((pixels * 0.25).astype(np.uint8)),
        "over-exposed": Image.fromarray(np.clip(pixels * 1.6 + 30, 0, 255).astype(np.uint8)),
        "fog": Image.fromarray((pixels * 0.3 + 160).astype(np.uint8)),
        "product on white": product,
        "letterbox": ImageOps.expand(PHOTO, (0, 60, 0, 60), "black"),
        "caption": captioned,
    }
    assert not wrong({name: found(image) for name, image in cases.items()}, photograph=True)


@pytest.mark.parametrize(
    ("size", "judged"),
    [((64, 64), True), ((31, 400), False), ((32, 127), False), ((32, 128), True), ((1, 1), False)],
)
def test_how_small_is_too_small(size, judged):
    assert (found(photo(*size)) != "too small to judge") == judged


def test_the_fitted_numbers_are_whole_and_say_where_they_come_from():
    model = domain.load()
    assert model.classes[0] == domain.PHOTOGRAPH
    assert set(model.classes[1:]) | {"too small to judge"} == WORDS
    assert model.weights.shape == (len(model.classes), len(domain.names()))
    assert np.isfinite([*model.weights.ravel(), *model.bias]).all()
    assert (model.thresholds >= 0).all()
    origin = json.loads((files("dgsforensics.weights") / "domain.json").read_text())["origin"]
    assert (Path(__file__).parents[1] / origin["command"]).is_file()
    assert min(origin["rows"].values()) > 1000 and len(origin["manifests"]) >= 1


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)).flatmap(
        lambda size: hnp.arrays(np.uint8, (*size, 3))
    )
)
def test_any_picture_has_an_answer(pixels):
    said = recognise(pixels)
    assert said is None or said in WORDS


@settings(max_examples=60)
@given(
    st.integers(3, 16),
    st.integers(3, 16),
    st.integers(0, 99),
    st.integers(0, 60),
    st.sampled_from([0, 4, 40]),
)
def test_turned_and_mirrored_pictures_of_whole_tiles_are_the_same(n, m, seed, contrast, noise):
    """Tiles then lie alike; other sizes are sampled elsewhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(128, contrast, (n, m, 3)).repeat(16, 0).repeat(16, 1)
    pixels = np.clip(coarse + rng.normal(0, noise, coarse.shape), 0, 255).astype(np.uint8)
    said = recognise(pixels)
    for turned in (pixels[::-1], pixels[:, ::-1], np.rot90(pixels), pixels.transpose(1, 0, 2)):
        assert recognise(turned) == said


def test_a_picture_is_not_written_to_and_gives_the_same_again():
    pixels = np.asarray(gallery()["window"]).copy()
    before = pixels.copy()
    pixels.setflags(write=False)
    assert recognise(pixels) == recognise(pixels) is not None
    assert (pixels == before).all()


def test_a_large_picture_is_sampled_over_all_of_it():
    """Black but for the last quarter: of its first rows alone, it is of a single colour."""
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[1500:, 2000:] = np.asarray(photo(2000, 1500))
    assert recognise(pixels) != "a single colour"
