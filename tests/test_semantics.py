import numpy as np
import pytest
from PIL import Image

from conftest import photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.config import InputConfig
from dgsforensics.pictures import canonical
from dgsforensics.records import Label
from dgsforensics.trainer.features import treated
from dgsforensics.trainer.semantics import SIDE, lowpass


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.float64)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def share_above(image: Image.Image, cycles: float) -> float:
    """Share of the power, the mean aside, at more cycles a picture than so many."""
    grey = pixels(image).mean(axis=2)
    window = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    y, x = (np.fft.fftfreq(n) * n for n in grey.shape)
    high = np.maximum(np.abs(y)[:, None], np.abs(x)) > cycles
    return float(power[high].sum() / power.sum())


@pytest.mark.parametrize("size", [(1024, 768), (300, 224), (224, 224), (3000, 40)])
def test_high_frequencies_are_gone(size) -> None:
    before = noise(*size)
    after = lowpass(before)
    # 48 pixels hold 24 cycles; a cubic leaves a little of their mirror images up to 48.
    assert share_above(before.resize((224, 224), Image.Resampling.NEAREST), SIDE) > 0.5
    assert share_above(after, SIDE) < 0.01
    assert share_above(after, SIDE / 2 + 4) < 0.1


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("factor", [8, 16])
def test_a_grid_of_the_kind_that_generators_leave_cannot_be_seen(period, factor) -> None:
    side = SIDE * factor
    y, x = np.mgrid[0:side, 0:side]
    grid = np.where((y // (period // 2) + x // (period // 2)) % 2, 20, -20)[..., None]
    plain = pixels(photo(side, side)).clip(20, 235)
    clean, marked = (
        Image.fromarray(values.astype(np.uint8)) for values in (plain, (plain + grid).clip(0, 255))
    )
    assert np.abs(pixels(clean) - pixels(marked)).mean() > 15
    assert np.abs(pixels(lowpass(clean)) - pixels(lowpass(marked))).max() <= 1


def test_a_codec_leaves_next_to_nothing() -> None:
    before = photo(900, 700)
    for other in (canonical.encode(before, "JPEG", 40), canonical.encode(before, "WEBP", 30)):
        difference = np.abs(pixels(lowpass(other)) - pixels(lowpass(before)))
        assert difference.mean() < 1 < np.abs(pixels(other) - pixels(before)).mean()


def test_what_is_shown_can_still_be_told() -> None:
    pictures = [photo(600, 500, seed) for seed in range(6)]
    thumbnails = [pixels(p.resize((12, 12), Image.Resampling.BOX)).ravel() for p in pictures]
    kept = [pixels(lowpass(p).resize((12, 12), Image.Resampling.BOX)).ravel() for p in pictures]
    for i, one in enumerate(kept):
        distances = [np.linalg.norm(one - other) for other in thumbnails]
        assert np.argmin(distances) == i


def test_the_whole_picture_is_in_it() -> None:
    before = Image.new("RGB", (960, 480))
    before.paste((255, 0, 0), (0, 0, 480, 480))
    before.paste((0, 0, 255), (480, 0, 960, 480))
    after = lowpass(before)
    assert after.getpixel((2, 112)) == (255, 0, 0) and after.getpixel((221, 112)) == (0, 0, 255)
    assert after.size == (224, 224)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (47, 49), (48, 48), (5, 5)])
@pytest.mark.parametrize("side", [224, 336])
def test_any_shape_becomes_a_square_in_rgb(size, side) -> None:
    after = lowpass(photo(*size), side)
    assert after.size == (side, side) and after.mode == "RGB"


def test_one_colour_stays_that_colour() -> None:
    after = lowpass(Image.new("RGB", (640, 333), (17, 130, 255)))
    assert after.getcolors() == [(224 * 224, (17, 130, 255))]


def test_it_is_deterministic_and_leaves_the_picture_alone() -> None:
    before = photo(300, 200)
    copy = pixels(before)
    assert np.array_equal(pixels(lowpass(before)), pixels(lowpass(before)))
    assert np.array_equal(pixels(before), copy)


@pytest.mark.parametrize(
    "config", [InputConfig(), InputConfig("whole"), InputConfig("whole", size=336)]
)
def test_it_stands_in_for_the_view_of_the_detector(config, tmp_path) -> None:
    path = tmp_path / "x.png"
    photo(640, 480).save(path)
    sample = Sample(path, Label.REAL, None, "s", "g", "0" * 64, "photo")
    for seed in (0, 1):  # nothing about it is drawn
        found = treated(config, sample, "lowpass", seed)
        assert np.array_equal(found, np.asarray(lowpass(photo(640, 480), config.size)))
