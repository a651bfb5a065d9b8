from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.datasets.layouts import LABELS, SPLITS, FolderRole, read_place, survey
from dgsforensics.records import Label

REAL, FAKE = Label.REAL, Label.GENERATED


def places(*paths: str) -> dict[str, FolderRole | None]:
    """What the folders of a set with just these folders say."""
    folders = {path: tuple(path.split("/")) if path else () for path in paths}
    tree = survey(folders.values())
    return {path: read_place(parts, tree) for path, parts in folders.items()}


def test_cnn_detection_and_universal_fake_detect() -> None:
    assert places(
        "test/progan/airplane/0_real",
        "test/progan/airplane/1_fake",
        "test/progan/train/1_fake",
        "test/stylegan2/church/1_fake",
        "test/biggan/0_real",
        "test/san/1_fake",
    ) == {
        "test/progan/airplane/0_real": FolderRole(REAL, "progan", "test"),
        "test/progan/airplane/1_fake": FolderRole(FAKE, "progan", "test"),
        "test/progan/train/1_fake": FolderRole(FAKE, "progan", "test"),
        "test/stylegan2/church/1_fake": FolderRole(FAKE, "stylegan2", "test"),
        "test/biggan/0_real": FolderRole(REAL, "biggan", "test"),
        "test/san/1_fake": FolderRole(FAKE, "san", "test"),
    }


def test_the_trains_of_progan_are_not_for_training() -> None:
    found = places("progan/train/0_real", "progan/cat/0_real", "cyclegan/horse/1_fake")
    assert found["progan/train/0_real"] == FolderRole(REAL, "progan", None)
    below = places("train/train/1_fake", "train/tvmonitor/1_fake")
    assert below["train/train/1_fake"] == FolderRole(FAKE, "train", "train")


def test_the_training_part_beside_others_is_one() -> None:
    found = places("train/car/0_real", "train/sdv1.4/1_fake", "val/car/0_real", "test/R3GAN/1_fake")
    assert found == {  # AIGIBench
        "train/car/0_real": FolderRole(REAL, "car", "train"),
        "train/sdv1.4/1_fake": FolderRole(FAKE, "sdv1.4", "train"),
        "val/car/0_real": FolderRole(REAL, "car", "validation"),
        "test/R3GAN/1_fake": FolderRole(FAKE, "R3GAN", "test"),
    }
    odd = places("sd/train/1_fake", "sd/val/1_fake", "sd/cat/1_fake")
    assert odd["sd/train/1_fake"] == FolderRole(FAKE, "sd", "train")


def test_diffusion_datasets() -> None:
    found = places("diffusion_datasets/laion/0_real", "diffusion_datasets/ldm_200_cfg/1_fake")
    assert list(found.values()) == [
        FolderRole(REAL, "laion", None),
        FolderRole(FAKE, "ldm_200_cfg", None),
    ]


def test_aigc_detect_benchmark() -> None:
    found = places(
        "test/ADM/0_real", "test/stable_diffusion_v_1_5/1_fake", "test/cyclegan/zebra/1_fake"
    )
    assert list(found.values()) == [
        FolderRole(REAL, "ADM", "test"),
        FolderRole(FAKE, "stable_diffusion_v_1_5", "test"),
        FolderRole(FAKE, "cyclegan", "test"),
    ]


def test_genimage() -> None:
    assert places(
        "BigGAN/imagenet_ai_0419_biggan/val/ai",
        "BigGAN/imagenet_ai_0419_biggan/val/nature",
        "BigGAN/imagenet_ai_0419_biggan/train/nature",
        "BigGAN/imagenet_ai_0419_biggan/train/ai",
        "Midjourney/imagenet_midjourney/train/ai",
        "ADM/val/nature/n01440764",
        "ADM/val/ai/n01440764",
        "ADM/val/ai",
    ) == {
        "BigGAN/imagenet_ai_0419_biggan/val/ai": FolderRole(FAKE, "BigGAN", "validation"),
        "BigGAN/imagenet_ai_0419_biggan/val/nature": FolderRole(REAL, "BigGAN", "validation"),
        "BigGAN/imagenet_ai_0419_biggan/train/nature": FolderRole(REAL, "BigGAN", "train"),
        "BigGAN/imagenet_ai_0419_biggan/train/ai": FolderRole(FAKE, "BigGAN", "train"),
        "Midjourney/imagenet_midjourney/train/ai": FolderRole(FAKE, "Midjourney", "train"),
        "ADM/val/nature/n01440764": FolderRole(REAL, "ADM", "validation"),
        "ADM/val/ai/n01440764": FolderRole(FAKE, "ADM", "validation"),
        "ADM/val/ai": FolderRole(FAKE, "ADM", "validation"),
    }


def test_parts_of_genimage_by_themselves() -> None:
    one = places("imagenet_ai_0508_adm/val/ai", "imagenet_ai_0508_adm/val/nature")
    assert set(one.values()) == {
        FolderRole(FAKE, "imagenet_ai_0508_adm", "validation"),
        FolderRole(REAL, "imagenet_ai_0508_adm", "validation"),
    }
    part = places("ai", "nature")
    assert list(part.values()) == [FolderRole(FAKE, None, None), FolderRole(REAL, None, None)]


def test_pictures_of_nature_are_not_real_for_that() -> None:
    found = places("fake/sdxl/nature", "fake/sdxl/ai", "photos/nature", "ai/nature", "real/flickr")
    assert found["fake/sdxl/nature"] == FolderRole(FAKE, "sdxl", None)
    assert found["ai/nature"] == FolderRole(FAKE, "nature", None)
    assert found["photos/nature"] is None


def test_without_a_label_folder_there_is_nothing_to_say() -> None:
    assert places("", "sdxl", "train/sdxl") == {"": None, "sdxl": None, "train/sdxl": None}


def test_a_category_is_better_than_nothing() -> None:
    assert places("cat/1_fake")["cat/1_fake"] == FolderRole(FAKE, "cat", None)
    assert places("fake/horse")["fake/horse"] == FolderRole(FAKE, "horse", None)


folder = st.sampled_from(
    [*LABELS, *SPLITS, "nature", "cat", "sdxl", "Flux", "imagenet_glide", "é\n"]
)


@given(st.lists(st.lists(folder, max_size=5).map(tuple), max_size=8))
def test_any_tree_is_read_and_names_are_folders_of_it(paths: list[tuple[str, ...]]) -> None:
    tree = survey(paths)
    for path in paths:
        place = read_place(path, tree)
        names = [name.lower() for name in path]
        if place is None:
            assert not LABELS.keys() & set(names)
            continue
        assert place.name is None or place.name in path
        assert (place.name or "").lower() not in LABELS
        inner = next((name for name in reversed(names) if name in LABELS), "nature")
        assert place.label == LABELS.get(inner, REAL)
