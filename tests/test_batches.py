import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_clip
from conftest import photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import ConfigError, ImageError
from dgsforensics.records import Label
from dgsforensics.trainer.batches import Batch, Material, batches, epoch_order
from dgsforensics.trainer.config import TrainConfig
from dgsforensics.trainer.distributed import Group
from dgsforensics.trainer.features import treated

WIDTH = 16
CONFIG = TrainConfig(base="none", epochs=2, batch=4, draws=3, augmentation="flip", seed=5)


# The order of an epoch

weights = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=80).map(np.array)


@given(weights, st.integers(1, 5), st.integers(0, 2**32 - 1), st.integers(0, 50))
@settings(deadline=None)
def test_each_image_comes_as_often_as_its_weight_says(given_, draws, seed, epoch) -> None:
    order = epoch_order(given_, draws, seed, epoch)
    assert order.shape == (len(given_), 2)
    times = Counter(order[:, 0].tolist())
    assert set(times) <= set(range(len(given_)))
    for i, expected in enumerate(len(given_) * given_ / given_.sum()):
        assert np.floor(expected - 1e-9) <= times[i] <= np.ceil(expected + 1e-9)
    assert set(order[:, 1].tolist()) <= set(range(draws))


@given(st.integers(1, 300), st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1), st.integers(0, 9))
@settings(deadline=None)
def test_with_equal_weights_an_epoch_is_a_permutation(count, weight, seed, epoch) -> None:
    order = epoch_order(np.full(count, weight), 2, seed, epoch)
    assert sorted(order[:, 0].tolist()) == list(range(count))


@given(
    st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0]), min_size=2, max_size=40),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_an_image_of_no_weight_never_comes(values, seed) -> None:
    values[seed % len(values)] = 1.0
    order = epoch_order(np.array(values), 1, seed, 0)
    assert all(values[i] > 0 for i in order[:, 0])


def test_over_many_epochs_the_shares_are_those_of_the_weights() -> None:
    given_ = np.array([0.05, 0.3, 0.3, 1.0, 2.35, 0.0, 3.0, 1.0])
    times = np.zeros(8)
    versions = np.zeros(2)
    for epoch in range(2000):
        order = epoch_order(given_, 2, 0, epoch)
        times += np.bincount(order[:, 0], minlength=8)
        versions += np.bincount(order[:, 1], minlength=2)
    assert times / times.sum() == pytest.approx(given_ / given_.sum(), abs=0.004)
    assert versions / versions.sum() == pytest.approx([0.5, 0.5], abs=0.02)


def test_the_order_follows_seed_and_epoch_and_nothing_else() -> None:
    given_ = np.ones(50)
    first = epoch_order(given_, 2, 1, 3)
    np.random.seed(0)
    torch.manual_seed(0)
    assert np.array_equal(epoch_order(given_ * 7, 2, 1, 3), first)
    for seed, epoch in ((2, 3), (1, 4), (3, 1)):
        assert not np.array_equal(epoch_order(given_, 2, seed, epoch), first)


def test_images_are_shuffled() -> None:
    order = epoch_order(np.ones(1000), 1, 0, 0)[:, 0]
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.15


# Batches


@pytest.fixture
def model(tiny_backbone) -> DetectorModel:
    config = tiny_clip.config(view="whole")
    return DetectorModel(config, load_backbone(config.backbone, tiny_backbone))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    made = []
    for i in range(11):
        path = tmp_path / f"{i}.png"
        photo(40, 30, i).save(path)
        label, generator = (Label.GENERATED, "g") if i % 3 else (Label.REAL, None)
        made.append(Sample(path, label, generator, "s", str(i), f"{i:064}", "photo"))
    return made


def make_material(samples: list[Sample], draws: int = 3, semantics: bool = True) -> Material:
    """Features that say whose and of which draw they are."""
    number = np.arange(len(samples), dtype=np.float32)
    teacher = number[None, :, None] + 100 * np.arange(draws, dtype=np.float32)[:, None, None]
    return Material(
        samples,
        np.ones(len(samples)),
        (torch.zeros(1, WIDTH), torch.zeros(1)),
        np.repeat(teacher, WIDTH, axis=2),
        np.repeat(-number[:, None], WIDTH, axis=1) if semantics else None,
    )


def rows(batch: Batch) -> list[tuple[int, int]]:
    """Image and draw of each row."""
    return [(int(x) % 100, int(x) // 100) for x in batch.teacher[:, 0]]


@pytest.fixture
def make(model, samples):
    def start(
        config: TrainConfig = CONFIG, first: int = 0, group: Group | None = None, **how: object
    ) -> Iterator[Batch]:
        return batches(
            make_material(samples, **how), model, config, first, group or Group(), workers=2
        )

    return start


def test_shapes_and_kinds(make) -> None:
    for batch in make():
        b = len(batch.labels)
        assert batch.pixels.shape == (b, 224, 224, 3) and batch.pixels.dtype == torch.uint8
        assert batch.labels.shape == (b,) and batch.labels.dtype == torch.float32
        assert batch.teacher.shape == batch.semantics.shape == (b, WIDTH)
        assert batch.teacher.dtype == batch.semantics.dtype == torch.float32
        assert batch.size == b <= CONFIG.batch


def test_all_of_a_row_belongs_to_one_image_and_draw(make, model, samples) -> None:
    seen = 0
    for batch in make():
        for i, (index, draw) in enumerate(rows(batch)):
            assert batch.semantics[i, 0] == -index
            assert batch.labels[i] == (samples[index].label == Label.GENERATED)
            expected = treated(model.config.input, samples[index], "flip", CONFIG.seed + draw)
            assert np.array_equal(batch.pixels[i].numpy(), expected)
            seen += 1
    assert seen == 2 * len(samples)


def test_an_epoch_shows_each_image_once_when_all_weigh_alike(make, samples) -> None:
    epochs = [[], []]
    for number, batch in enumerate(make()):
        epochs[number // 3] += [index for index, _ in rows(batch)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(11))] * 2
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        (1, [1] * 11),
        (4, [4, 4, 3]),
        (5, [4, 4, 3]),
        (6, [6, 5]),
        (10, [6, 5]),
        (11, [11]),
        (99, [11]),
    ],
)
def test_steps_of_an_epoch_are_of_nearly_equal_size(batch, sizes, make) -> None:
    config = replace(CONFIG, batch=batch, epochs=1)
    assert [b.size for b in make(config)] == sizes


def test_without_semantics_there_are_none(make) -> None:
    assert all(batch.semantics is None for batch in make(semantics=False))


def test_files_as_they_are_have_one_version(make, model, samples) -> None:
    config = replace(CONFIG, augmentation="none")  # whatever `draws` says
    for batch in make(config, draws=1):
        for i, (index, draw) in enumerate(rows(batch)):
            assert draw == 0
            expected = treated(model.config.input, samples[index], "as_is", 0)
            assert np.array_equal(batch.pixels[i].numpy(), expected)


@pytest.mark.parametrize("first", [1, 2, 3, 4, 5, 6, 7])
def test_going_on_from_a_step_is_leaving_out_those_before(first, make) -> None:
    whole = list(make())
    rest = list(make(first=first))
    assert len(rest) == max(0, len(whole) - first)
    for one, other in zip(whole[first:], rest, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.teacher, other.teacher)
        assert torch.equal(one.semantics, other.semantics)
        assert one.size == other.size


def test_going_on_decodes_nothing_of_what_was_done(make, samples) -> None:
    done = {index for batch in itertools.islice(make(), 2) for index, _ in rows(batch)}
    config = replace(CONFIG, epochs=1)
    for index in done:
        samples[index].path.unlink()
    assert [batch.size for batch in make(config, first=2)] == [3]


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("batch", [4, 5, 6, 11])
def test_the_parts_of_several_processes_are_the_joint_batch(processes, batch, make) -> None:
    config = replace(CONFIG, batch=batch)
    alone = list(make(config))
    parts = [list(make(config, group=Group(rank, processes))) for rank in range(processes)]
    assert all(len(part) == len(alone) for part in parts)
    for step, joint in enumerate(alone):
        mine = [part[step] for part in parts]
        assert {part.size for part in mine} == {joint.size}
        assert sum(len(part.labels) for part in mine) == joint.size
        assert sorted(itertools.chain(*map(rows, mine))) == sorted(rows(joint))
        for rank, part in enumerate(mine):
            assert torch.equal(part.pixels, joint.pixels[rank::processes])
            assert torch.equal(part.labels, joint.labels[rank::processes])
            assert torch.equal(part.semantics, joint.semantics[rank::processes])


@pytest.mark.parametrize("processes", range(1, 12))
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 6, 7, 10, 11, 40])
def test_no_process_is_left_without_a_row(processes, batch, make) -> None:
    """The last ones of an epoch, or all of them, may be fewer than the processes."""
    config = replace(CONFIG, batch=batch, epochs=1)
    for rank in {0, processes - 1}:
        made = make(config, group=Group(rank, processes))
        try:
            assert all(len(part.labels) > 0 for part in made)
        except ConfigError as error:
            assert "cannot share" in error.message
            assert batch < 2 * processes  # what the hint says is enough


def test_too_many_processes_are_told_by_each_of_them(make) -> None:
    for rank in range(4):
        with pytest.raises(ConfigError, match="4 processes cannot share batches of 3") as caught:
            next(make(group=Group(rank, 4)))
        assert "batch of 8 or more" in str(caught.value.hint)


def test_a_file_that_is_gone_is_an_error_at_its_turn(make, samples) -> None:
    order = [index for batch in make() for index, _ in rows(batch)]
    samples[order[5]].path.unlink()
    made = make()
    next(made)
    with pytest.raises(ImageError):
        next(made)


def test_the_material_is_left_as_it_was(model, samples) -> None:
    material = make_material(samples)
    before = material.teacher.copy(), material.semantics.copy()
    for batch in batches(material, model, CONFIG, 0, Group(), 2):
        batch.teacher.add_(1)
        batch.semantics.add_(1)
    assert np.array_equal(material.teacher, before[0])
    assert np.array_equal(material.semantics, before[1])


def test_weights_reach_the_batches(model, samples) -> None:
    material = make_material(samples)
    heavy = np.ones(11)
    heavy[3] = 100
    made = batches(replace(material, weights=heavy), model, CONFIG, 0, Group(), 2)
    times = Counter(index for batch in made for index, _ in rows(batch))
    assert times[3] >= 18
