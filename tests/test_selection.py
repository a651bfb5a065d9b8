import dataclasses
import hashlib
from pathlib import Path

import pytest

from dgsforensics.datasets.labelled import ListedImage
from dgsforensics.errors import ConfigError, UsageError
from dgsforensics.records import Label
from dgsforensics.trainer.config import SourcesConfig
from dgsforensics.trainer.selection import select


def image(name: str, source: str, generator: str | None = None, **more: object) -> ListedImage:
    listed = ListedImage(
        path=Path(name),
        label=Label.GENERATED if generator else Label.REAL,
        generator=generator,
        source=source,
        caption=None,
        split=None,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        group=None,
        style="photo",
        origin=name,
    )
    return dataclasses.replace(listed, **more)


LISTED = [
    *(image(f"a{i}", "camera") for i in range(9)),
    *(image(f"b{i}", "blog") for i in range(3)),
    *(image(f"x{i}", "blog", "sd") for i in range(4)),
    *(image(f"y{i}", "blog", "flux") for i in range(4)),
    *(image(f"z{i}", "gallery", "sd", style="art" if i else "photo") for i in range(6)),
]


def parts(config: SourcesConfig) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for row in select(LISTED, config)[0]:
        found.setdefault(row.split, set()).add(row.source)
    return found


def test_without_choices_all_is_taken_as_it_is() -> None:
    assert select(LISTED, SourcesConfig()) == (LISTED, [])


def test_caps_are_of_a_source_and_of_a_generator_in_a_source() -> None:
    taken, remarks = select(LISTED, SourcesConfig(real=2, generated=3))
    counts: dict[tuple[str, str | None], int] = {}
    for row in taken:
        counts[row.source, row.generator] = counts.get((row.source, row.generator), 0) + 1
    assert counts == {
        ("camera", None): 2,
        ("blog", None): 2,
        ("blog", "sd"): 3,
        ("blog", "flux"): 3,
        ("gallery", "sd"): 3,
    }
    assert remarks == [
        "13 of 26 images were taken: one of each group of near-duplicates, and of a source at most "
        "2 photographs and 3 images of a generator."
    ]


def test_the_choice_goes_by_content_and_not_by_order_or_name() -> None:
    config = SourcesConfig(real=2, generated=2)
    chosen = {row.sha256 for row in select(LISTED, config)[0]}
    turned = [dataclasses.replace(row, path=Path("elsewhere") / row.path) for row in LISTED[::-1]]
    assert {row.sha256 for row in select(turned, config)[0]} == chosen
    lowest = sorted(str(row.sha256) for row in LISTED if row.source == "camera")[:2]
    assert set(lowest) <= chosen


def test_a_file_without_a_digest_is_hashed(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / str(i)).write_bytes(bytes([i]))
    listed = [image(str(tmp_path / str(i)), "camera", sha256=None) for i in range(4)]
    [only] = select(listed, SourcesConfig(real=1))[0]
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert only.path == min(digests, key=lambda path: digests[path])


def test_one_of_a_group_is_taken() -> None:
    listed = [dataclasses.replace(row, group="same") for row in LISTED[:4]] + LISTED[4:]
    assert len(select(listed, SourcesConfig(real=100))[0]) == len(LISTED) - 3


def test_sources_have_one_part_each_with_all_that_is_theirs() -> None:
    config = SourcesConfig(calibration=("camera",), test=("gallery",))
    assert parts(config) == {"train": {"blog"}, "validation": {"camera"}, "test": {"gallery"}}


def test_without_named_sources_for_calibration_the_split_is_left_to_chance() -> None:
    assert parts(SourcesConfig(test=("gallery",))) == {
        None: {"camera", "blog"},
        "test": {"gallery"},
    }


def test_what_is_held_out_has_a_cap_of_its_own() -> None:
    config = SourcesConfig(calibration=("camera",), real=2, generated=2, held_out=5)
    taken = [row for row in select(LISTED, config)[0] if row.split == "validation"]
    assert len(taken) == 5


def test_styles_are_left_out_but_not_of_the_test() -> None:
    config = SourcesConfig(exclude_styles=("art",), calibration=("camera",))
    taken, remarks = select(LISTED, config)
    assert len(taken) == len(LISTED) - 5 and "Left out 5 images of style art." in remarks
    kept = select(LISTED, dataclasses.replace(config, test=("gallery",)))[0]
    assert len(kept) == len(LISTED)


def test_a_source_is_left_out() -> None:
    taken, remarks = select(LISTED, SourcesConfig(exclude=("camera",)))
    assert {row.source for row in taken} == {"blog", "gallery"}
    assert remarks == ["Left out 9 images of camera."]


def test_an_image_is_left_out_by_the_first_digits_of_its_digest() -> None:
    digest = LISTED[0].sha256
    assert digest is not None
    taken, remarks = select(LISTED, SourcesConfig(exclude_images=(digest[:12],)))
    assert taken == LISTED[1:]
    assert remarks == ["Left out 1 image by SHA-256."]
    for wrong in (digest[:7], "not a digest", digest.upper()):
        with pytest.raises(ConfigError, match="exclude_images"):
            SourcesConfig(exclude_images=(wrong,))


def test_a_name_that_nothing_has_is_refused() -> None:
    for name in ("exclude", "calibration", "test"):
        with pytest.raises(UsageError, match="no image is listed of camra"):
            select(LISTED, SourcesConfig(**{name: ("camra",)}))


@pytest.mark.parametrize(
    "options",
    [
        {"exclude": ("a",), "test": ("a",)},
        {"calibration": ("a",), "test": ("a",)},
        {"real": 0},
        {"held_out": -1},
    ],
)
def test_what_contradicts_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="sources"):
        SourcesConfig(**options)
