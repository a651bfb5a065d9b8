import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tiny_clip
from conftest import photo
from dgsforensics import Detector
from dgsforensics.detector.explain import explain
from dgsforensics.detector.forward import ForwardPass
from dgsforensics.detector.views import input_pixels
from dgsforensics.errors import UnreadableError
from dgsforensics.pictures import decoder, patches

HEAD_BLOCKS = (0, 1)


@pytest.fixture(params=["patches", "whole"])
def detector(request, tiny_backbone, tmp_path):
    """Its head reads 64 features, more than there are tiles."""
    config = tiny_clip.config(blocks=HEAD_BLOCKS, view=request.param)
    return Detector.load(
        tiny_clip.write_detector(tmp_path, tiny_backbone, config), "cpu", tiny_backbone
    )


class Sum(nn.Module):
    """A model whose logit is the sum of what the tiles say, each by its weight."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights, dtype=torch.float64).view(7, 7)

    def forward(self, pixels):
        tiles = pixels.double().mean(dim=3).unfold(1, 32, 32).unfold(2, 32, 32)
        return (tiles.mean(dim=(3, 4)) * self.weights).sum(dim=(1, 2))


def last(detector, picture, **options):
    *_, explanation = explain(detector, picture, **options)
    return explanation


def picture(width=300, height=260, seed=3):
    return decoder.from_pil(photo(width, height, seed))


def place(detector, shown, tile):
    """Where a tile of the input lies in the picture, pixels."""
    height, width = shown.pixels.shape[:2]
    row, column = divmod(tile, 7)
    if detector.config.input.view == "whole":
        return (
            column * width / 7,
            row * height / 7,
            (column + 1) * width / 7,
            (row + 1) * height / 7,
        )
    top, left = patches.select(shown.pixels).origins[tile].tolist()
    return left, top, min(left + 32, width), min(top + 32, height)


@pytest.mark.parametrize("tile", [0, 17, 48])
def test_the_tile_that_drives_the_head_is_found(detector, tile):
    shown = picture()
    pixels, _ = input_pixels(detector.config.input, shown)
    mean = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
    covered = np.repeat(pixels[None], 49, axis=0)
    for number in range(49):
        row, column = divmod(number, 7)
        covered[number, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = mean
    with torch.no_grad():
        full = detector.forward.model.features(torch.tensor(pixels[None])).double()  # (1, 64)
        features = detector.forward.model.features(torch.tensor(covered)).double()  # (49, 64)
        wanted = torch.zeros(49, dtype=torch.float64)
        wanted[tile] = 2
        head = torch.linalg.lstsq(full - features, wanted[:, None], driver="gelsd").solution
        detector.forward.model.head.weight.copy_(head.T)
    explanation = last(detector, shown)
    strongest = max(explanation.regions, key=lambda region: abs(region.change))
    assert strongest.change == pytest.approx(2, abs=0.2)
    others = [region.change for region in explanation.regions if region is not strongest]
    assert max(map(abs, others)) < 0.2
    height, width = shown.pixels.shape[:2]
    left, top, right, bottom = strongest.box
    found = left * width, top * height, right * width, bottom * height
    assert found == pytest.approx(place(detector, shown, tile))


def test_the_sign_says_towards_what(detector):
    shown = picture()
    pixels, _ = input_pixels(detector.config.input, shown)
    brightness = pixels.mean()
    detector.forward.model = Sum([1.0] * 49)
    for region, tile in zip(last(detector, shown).regions, range(49), strict=True):
        row, column = divmod(tile, 7)
        own = pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32].mean()
        assert region.change == pytest.approx(own - brightness, abs=0.6)  # the mean is rounded


def test_the_changes_of_a_sum_add_up_to_what_covering_everything_does(detector):
    shown = picture()
    weights = np.random.default_rng(0).normal(size=49)
    detector.forward.model = Sum(weights)
    pixels, _ = input_pixels(detector.config.input, shown)
    flat = np.full_like(pixels, np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8))
    explanation = last(detector, shown)
    [nothing] = detector.logits(flat[None])
    total = sum(region.change for region in explanation.regions)
    assert total == pytest.approx(explanation.logit - nothing, rel=1e-4)


def test_the_same_picture_gets_the_same_explanation_and_the_logit_of_a_scan(detector, tmp_path):
    photo(300, 260, 3).save(tmp_path / "a.png")
    shown = decoder.load(tmp_path / "a.png")
    explanation = last(detector, shown, batch=4)
    assert last(detector, shown, batch=4) == explanation
    [scanned] = detector.scan(tmp_path / "a.png", batch=4)
    assert explanation.logit == scanned.logit
    other = last(detector, shown, batch=7)
    assert other.logit == pytest.approx(explanation.logit, abs=1e-4)
    assert [region.box for region in other.regions] == [r.box for r in explanation.regions]


@pytest.mark.parametrize("batch", [1, 4, 49, 50, 64])
def test_it_grows_batch_by_batch_and_can_be_stopped(detector, batch):
    detector.forward.model = Sum(range(49))
    seen = list(explain(detector, picture(), batch))
    assert [len(found.regions) for found in seen] == [
        min(49, batch * step - 1) for step in range(1, math.ceil(50 / batch) + 1)
    ]
    assert {found.total for found in seen} == {49}
    assert all(found.regions == seen[-1].regions[: len(found.regions)] for found in seen)
    begun = explain(detector, picture(), batch)
    assert next(begun) == seen[0]
    begun.close()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from(["patches", "whole"]))
def test_boxes_lie_in_the_picture_whatever_its_size(width, height, view):
    detector = _shell(view)
    shown = picture(width, height)
    explanation = last(detector, shown, batch=50)
    assert len(explanation.regions) == explanation.total <= 49
    boxes = [region.box for region in explanation.regions]
    assert len(set(boxes)) == len(boxes)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        if view == "patches":
            assert (right - left) * width == pytest.approx(min(32, width))
            assert (bottom - top) * height == pytest.approx(min(32, height))
    if view == "patches":
        assert explanation.total == patches.select(shown.pixels).distinct


def _shell(view):
    """A detector as far as `explain` looks into it."""

    class Shell(Detector):
        config = tiny_clip.config(view=view)

        def __init__(self):
            self.forward = Summing()

    class Summing(ForwardPass):
        def __init__(self):
            self.model = Sum(range(49))
            self.device = torch.device("cpu")

    return Shell()


def test_a_patch_that_fills_several_tiles_is_covered_in_all_of_them():
    detector = _shell("patches")
    detector.forward.model = Sum([1.0] * 49)
    shown = picture(32, 32)  # one patch, 49 times: nothing is left of it when it is covered
    [region] = last(detector, shown).regions
    assert region.box == (0, 0, 1, 1)
    assert region.change == pytest.approx(0, abs=49)  # 49 tiles at their mean, which is rounded


def test_a_model_without_a_finite_score_explains_nothing(detector):
    detector.forward.model = Sum([math.nan] * 49)
    with pytest.raises(UnreadableError, match="finite"):
        next(explain(detector, picture()))
