import dataclasses
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from conftest import encode, photo
from dgsforensics.errors import UsageError
from dgsforensics.evaluation import tiers
from dgsforensics.pictures import decoder
from dgsforensics.pictures.decoder import Picture
from dgsforensics.records import FileFacts


def picture(width: int = 300, height: int = 200, seed: int = 0) -> Picture:
    return decoder.decode(encode(photo(width, height, seed), "PNG"))


def altered(name: str, given: Picture) -> np.ndarray:
    alter = tiers.alteration(name)
    assert alter is not None
    result = alter(given)
    assert (result.facts, result.note) == (given.facts, given.note)
    assert result.pixels.dtype == np.uint8
    return result.pixels


def test_clean_is_the_picture_itself() -> None:
    assert tiers.alteration("clean") is None


def test_web_is_one_upload() -> None:
    large = picture(1500, 600)
    assert altered("web", large).shape == (410, 1024, 3)
    small = picture()
    with Image.open(
        BytesIO(encode(Image.fromarray(small.pixels), "JPEG", quality=75, subsampling=2))
    ) as expected:
        assert (altered("web", small) == np.asarray(expected)).all()


def test_hard_keeps_the_size_and_takes_the_detail() -> None:
    given = picture()
    result = altered("hard", given)
    assert result.shape == given.pixels.shape
    detail = [np.abs(np.diff(p.astype(float), axis=1)).mean() for p in (given.pixels, result)]
    assert detail[1] < 0.7 * detail[0]
    difference = np.abs(result.astype(float) - given.pixels.astype(float)).mean()
    assert difference < 25  # still the same picture


@pytest.mark.parametrize("name", ["web", "hard"])
def test_the_same_file_is_treated_alike_and_another_is_not(name: str) -> None:
    given = picture()
    assert (altered(name, given) == altered(name, picture())).all()
    other = dataclasses.replace(given, facts=FileFacts(sha256="0" * 64))
    same = (altered(name, other) == altered(name, given)).all()
    assert same == (name == "web")  # nothing is drawn at random there


@pytest.mark.parametrize("name", ["web", "hard"])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (3000, 2), (17000, 3)])
def test_odd_sizes(name: str, size: tuple[int, int]) -> None:
    given = dataclasses.replace(
        picture(), pixels=np.full((size[1], size[0], 3), 90, dtype=np.uint8)
    )
    height, width, _ = altered(name, given).shape
    longest = {"web": 1024, "hard": 16383}[name]
    assert max(width, height) == min(max(size), longest)


def test_lists_of_tiers() -> None:
    assert tiers.parse("clean") == ("clean",)
    assert tiers.parse(" hard, web,hard") == ("hard", "web")
    for text in ("", "clean,", "Clean", "worst"):
        with pytest.raises(UsageError, match="no tier"):
            tiers.parse(text)


def test_scores_of_tiers_are_kept_apart() -> None:
    assert len({tiers.key(name) for name in tiers.NAMES}) == 3
    assert str(tiers.VERSION) in tiers.key("web")
