import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.datasets.labelled import Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label
from dgsforensics.trainer.captions.subjects import common_folder, from_folders


def real(path: str, source: str = "unknown", caption: str | None = None) -> Sample:
    return Sample(Path(path), Label.REAL, None, source, "g", "ab", "photo", caption)


def fake(path: str, generator: str = "unknown", caption: str | None = None) -> Sample:
    return Sample(Path(path), Label.GENERATED, generator, generator, "g", "ab", "photo", caption)


def subjects(*samples: Sample) -> list[str | None]:
    found = from_folders(samples)
    assert all(caption.startswith("a photo of a ") for caption in found.values())
    captions = (found.get(sample.path) for sample in samples)
    return [caption and caption.removeprefix("a photo of a ") for caption in captions]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("n02_golden-retriever", "golden retriever"),
        ("n02099601-golden_retriever", "golden retriever"),
        ("Cat", "cat"),
        ("dog1", "dog"),
        ("t-shirt", "t shirt"),
        ("fake_dogs", "dogs"),
        ("ai-cats.v2", "cats"),
        ("犬", "犬"),
        (unicodedata.normalize("NFD", "Größe"), "größe"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_names_are_cleaned(folder, name):
    others = [real(f"/d/{folder}/0_real/x.jpg"), real("/d/other/0_real/x.jpg")]
    for path in (f"/d/{folder}/1_fake/x.jpg", f"/d/fake/{folder}/x.jpg", f"/d/{folder}/x.jpg"):
        assert subjects(fake(path), *others) == [name, name, "other"]


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1))
def test_any_name_of_a_folder_is_cleaned(folder):
    samples = [real(f"/d/0_real/{folder}/x.jpg"), fake(f"/d/1_fake/{folder}/x.jpg")]
    first, second = subjects(*samples)
    assert first == second
    if first is not None:
        assert first and first == " ".join(first.split())
        assert not any(c.isdigit() or c in "-_" for c in first)


@pytest.mark.parametrize(
    "inner",
    [
        *("0_real", "1_fake", "REAL", "fake", "ai", "generated", "synthetic"),
        *("train", "Val", "valid", "validation", "test"),
        *("0", "n02099601", "images", "2023-01-05", "__", "v2", "real/images/7"),
    ],
)
def test_folders_that_say_nothing_are_gone_past(inner):
    others = [fake("/d/cat/x.jpg"), fake("/d/boat/x.jpg")]
    assert subjects(real(f"/d/cat/{inner}/x.jpg"), *others) == ["cat", "cat", "boat"]


def test_the_innermost_name_counts():
    samples = [real("/d/animal/real/dog/x.jpg"), fake("/d/dog/x.jpg"), fake("/d/animal/y.jpg")]
    assert subjects(*samples) == ["dog", "dog", "animal"]


def test_folders_that_hold_all_images_say_nothing():
    assert subjects(real("/home/jane/0_real/x.jpg"), fake("/home/jane/1_fake/x.jpg")) == [None] * 2
    assert common_folder([real("/a/b/c.jpg"), real("/a/b/d/../c/e.jpg")]) == Path("/a/b")


def test_trains_are_a_subject_within_a_split():
    samples = [
        make(f"/d/train/{subject}/{label}/x.jpg")
        for subject in ("train", "car")
        for make, label in ((real, "0_real"), (fake, "1_fake"))
    ]
    assert subjects(*samples) == ["train", "train", "car", "car"]
    assert subjects(samples[0], real("/d/val/car/0_real/x.jpg")) == ["train", "car"]
    assert subjects(real("/d/train/0_real/x.jpg"), real("/d/test/x.jpg")) == [None, None]


@pytest.mark.parametrize(
    ("folder", "generator"),
    [
        ("sdxl", "SDXL"),
        ("sdxl", "SDXL 1.0"),
        ("sdxl", "sdxl-turbo"),
        ("SDXL_turbo", "sdxl"),
        ("sdxl/0042", "sdxl"),
        ("test/sd-xl", "SDXL"),
        ("dalle3", "DALL-E 3"),
        ("Café", unicodedata.normalize("NFD", "café")),
    ],
)
def test_a_generator_is_never_the_caption(folder, generator):
    made = fake(f"/d/{folder}/1_fake/x.jpg", generator)
    others = [real("/d/cat/0_real/x.jpg"), fake("/d/cat/1_fake/x.jpg")]
    with pytest.raises(UsageError, match="generator or source") as caught:
        subjects(made, *others)
    assert str(made.path) in caught.value.message
    assert caught.value.hint


def test_a_source_of_photographs_is_never_the_caption():
    photo = real("/d/flickr/0_real/x.jpg", "flickr")
    with pytest.raises(UsageError, match="'flickr', which is that of a generator or source"):
        subjects(photo, real("/d/cat/0_real/x.jpg"), fake("/d/cat/1_fake/x.jpg"))


def test_what_is_unknown_is_no_name():
    assert subjects(fake("/d/unknown/x.jpg"), real("/d/unknown/y.jpg"), real("/d/a cat/y.jpg")) == [
        "unknown",
        "unknown",
        "a cat",
    ]


def test_a_generator_is_gone_past_for_a_name_above_or_below():
    samples = [
        real("/d/dog/0_real/x.jpg"),
        fake("/d/dog/sdxl/1_fake/x.jpg", "sdxl"),
        fake("/d/sdxl/1_fake/cat/x.jpg", "sdxl"),
    ]
    assert subjects(*samples) == ["dog", "dog", "cat"]


def test_what_both_labels_are_sorted_by_counts_whatever_the_data_call_it():
    samples = [
        real("/d/car/0_real/x.jpg", "car"),
        fake("/d/car/1_fake/x.jpg", "car"),
        real("/d/real/boat/x.jpg", "boat"),
        fake("/d/fake/boat/x.jpg", "boat"),
    ]
    assert subjects(*samples) == ["car", "car", "boat", "boat"]
    with pytest.raises(UsageError, match="'car'"):
        subjects(*samples[1:])


def test_names_that_no_two_labels_share_would_be_labels():
    samples = [real("/d/coco/x.jpg"), fake("/d/sd14/x.jpg", "Stable Diffusion 1.4")]
    with pytest.raises(UsageError, match=r"no folder name is shared .*'coco' and 'sd'"):
        subjects(*samples)
    assert subjects(*samples, real("/d/cat/x.jpg"), fake("/d/cat/y.jpg"))[2:] == ["cat", "cat"]


def test_images_with_a_caption_of_their_own_are_not_asked():
    made = fake("/d/sdxl/1_fake/x.jpg", "sdxl", "a cat")
    assert subjects(made, real("/d/dog/0_real/x.jpg")) == [None, "dog"]
