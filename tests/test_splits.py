from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.datasets.labelled import Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label
from dgsforensics.trainer.splits import by_generator, by_source, capped, folds, hold_out


def sample(number: int, source: str, generator: str | None, group: str) -> Sample:
    label = Label.GENERATED if generator else Label.REAL
    return Sample(Path(str(number)), label, generator, source, group, f"{number:064x}", "photo")


SAMPLES = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"), st.sampled_from([None, "x", "y", "z"]), st.integers(0, 30)
    ),
    min_size=1,
    max_size=60,
).map(lambda rows: [sample(i, s, g, str(group)) for i, (s, g, group) in enumerate(rows)])


@given(SAMPLES, st.sampled_from([by_source, by_generator]), st.integers(2, 5))
def test_no_cell_and_no_group_straddles_a_fold(samples, cell, count) -> None:
    tested = []
    for train, test in folds(samples, cell, count):
        tested += test.tolist()
        for key in (cell, lambda s: s.group):
            assert not {key(samples[i]) for i in train} & {key(samples[i]) for i in test}
    assert sorted(tested) == list(range(len(samples)))


def test_folds_get_both_classes_where_there_are_enough_sources() -> None:
    samples = [sample(i, f"r{i % 5}", None, str(i)) for i in range(50)]
    samples += [sample(100 + i, f"f{i % 5}", "x", str(100 + i)) for i in range(30)]
    for _, test in folds(samples, by_source, 5):
        assert {samples[i].label for i in test} == set(Label)


def test_a_generator_is_left_out_across_its_sources() -> None:
    samples = [sample(i, f"s{i % 3}", "xyz"[i % 2], str(i)) for i in range(30)]
    for train, test in folds(samples, by_generator, 2):
        left = {samples[i].generator for i in test}
        assert not left & {samples[i].generator for i in train}


@given(SAMPLES, st.integers(1, 4), st.integers(1, 4))
def test_caps_hold_and_do_not_depend_on_order(samples, real, generated) -> None:
    chosen = capped(samples, real, generated)
    assert chosen == capped(samples[::-1], real, generated)
    assert len({s.group for s in chosen}) == len(chosen)
    for s in chosen:
        same = [c for c in chosen if (c.source, c.generator) == (s.source, s.generator)]
        assert len(same) <= (generated if s.generator else real)


def test_a_larger_cap_only_adds() -> None:
    samples = [sample(i * 7919 % 1000, f"s{i % 3}", None, str(i)) for i in range(90)]
    assert set(capped(samples, 5, 5)) <= set(capped(samples, 9, 9))


# Holding out a share


def photographs(counts: dict[str, int], start: int = 0) -> list[Sample]:
    names = [name for name, count in counts.items() for _ in range(count)]
    return [sample(i, name, None, str(i)) for i, name in enumerate(names, start)]


def fakes(counts: dict[str, int], source: str = "web", start: int = 10_000) -> list[Sample]:
    names = [name for name, count in counts.items() for _ in range(count)]
    return [sample(i, source, name, str(i)) for i, name in enumerate(names, start)]


def names(samples: list[Sample], part: list[int], kind: str, label: Label) -> set[str]:
    return {getattr(samples[i], kind) for i in part if samples[i].label == label}


def sizes(samples: list[Sample], part: list[int]) -> Counter[Label]:
    return Counter(samples[i].label for i in part)


MANY = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "e", "unknown"]),
        st.sampled_from([None, None, "x", "y", "z", "v", "w", "unknown"]),
        st.integers(0, 60),
    ),
    min_size=4,
    max_size=60,
).map(lambda rows: [sample(i, s, g, str(group)) for i, (s, g, group) in enumerate(rows)])


@given(MANY, st.floats(0.05, 0.95), st.sampled_from(["auto", "generator", "source", "group"]))
def test_parts_share_nothing_and_both_have_both_classes(samples, share, by) -> None:
    try:
        train, validation, _ = hold_out(samples, share, by, 0)
    except UsageError:
        return
    assert not set(train) & set(validation)
    assert train == sorted(train) and validation == sorted(validation)
    held = {samples[i].group for i in validation}
    assert not {samples[i].group for i in train} & held
    for part in (train, validation):
        assert {samples[i].label for i in part} == set(Label)
    # What is in neither part is a near-duplicate of something held out.
    for i in set(range(len(samples))) - set(train) - set(validation):
        assert samples[i].group in held
    if by in ("generator", "source"):
        kind = {Label.REAL: "source", Label.GENERATED: by}
        for label in Label:
            in_train = names(samples, train, kind[label], label)
            in_validation = names(samples, validation, kind[label], label)
            assert not in_train & in_validation and "unknown" not in in_validation


@given(MANY, st.randoms(use_true_random=False), st.sampled_from(["auto", "source", "group"]))
def test_the_order_of_the_images_does_not_matter(samples, random, by) -> None:
    shuffled = random.sample(samples, len(samples))

    def outcome(rows: list[Sample]) -> object:
        try:
            train, validation, words = hold_out(rows, 0.3, by, 5)
        except UsageError as error:
            return error.message
        return {rows[i].path for i in train}, {rows[i].path for i in validation}, words

    assert outcome(shuffled) == outcome(samples)


def test_a_split_that_must_never_change() -> None:
    samples = photographs({name: 10 for name in "abcdefgh"}) + fakes(dict.fromkeys("xyz", 10))
    train, validation, words = hold_out(samples, 0.25, "auto", 100)
    assert names(samples, validation, "source", Label.REAL) == {"b", "g"}
    assert [i for i in validation if i >= 80] == [83, 84, 91, 93, 95, 99, 100]
    assert len(train) + len(validation) == len(samples)
    assert words == (
        "Held out: 20 of 80 real images, source b, g. "
        "Held out: 7 of 30 generated images, by near-duplicate group."
    )


def test_auto_takes_whole_cells_from_four_on() -> None:
    samples = photographs(dict.fromkeys("abc", 20)) + fakes(dict.fromkeys("wxyz", 20))
    train, validation, _ = hold_out(samples, 0.25, "auto", 0)
    assert len(names(samples, validation, "generator", Label.GENERATED)) == 1
    assert len(names(samples, train, "generator", Label.GENERATED)) == 3
    assert len(names(samples, validation, "source", Label.REAL)) > 1
    assert sizes(samples, validation) == {Label.REAL: 15, Label.GENERATED: 20}


def test_unknown_is_no_cell() -> None:
    real = photographs({**dict.fromkeys("abc", 10), "unknown": 10})
    generated = fakes({**dict.fromkeys("vwxyz", 10), "unknown": 10})
    samples = real + generated
    train, validation, words = hold_out(samples, 0.2, "auto", 0)
    assert "unknown" in names(samples, validation, "source", Label.REAL)  # by group: three cells
    assert names(samples, train, "generator", Label.GENERATED) >= {"unknown"}
    assert "10 generated images of unknown generator stay in training" in words
    assert "of unknown source" not in words


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.01, 0.1, 0.2, 0.5, 0.9, 0.99])
def test_some_cells_are_held_out_and_never_all(seed: int, share: float) -> None:
    uneven = {"a": 400, "b": 7, "c": 90, "d": 41, "e": 12}
    samples = photographs(uneven) + fakes({"x": 10, "y": 90})
    train, validation, _ = hold_out(samples, share, "generator", seed)
    for part in (train, validation):
        assert names(samples, part, "source", Label.REAL)
        assert names(samples, part, "generator", Label.GENERATED)
    # No single cell would have brought the share of photographs nearer.
    held = sizes(samples, validation)[Label.REAL]
    kept = names(samples, train, "source", Label.REAL)
    if len(kept) > 1 and held > 7:
        assert all(abs(held + uneven[n] - share * 550) >= abs(held - share * 550) for n in kept)


def test_a_large_generator_is_not_drawn_where_small_ones_suffice() -> None:
    samples = photographs(dict.fromkeys("abcde", 20)) + fakes(
        {"big": 100, **dict.fromkeys("tuvwxyz", 10)}
    )
    for seed in range(20):
        _, validation, _ = hold_out(samples, 0.2, "auto", seed)
        assert "big" not in names(samples, validation, "generator", Label.GENERATED)
        assert sizes(samples, validation)[Label.GENERATED] == 30


def test_the_seed_draws_others() -> None:
    samples = photographs(dict.fromkeys("abcdefgh", 5)) + fakes(dict.fromkeys("stuvwxyz", 5))
    drawn = {tuple(hold_out(samples, 0.25, "auto", seed)[1]) for seed in range(10)}
    assert len(drawn) > 5


def test_generated_images_by_source() -> None:
    samples = photographs(dict.fromkeys("ab", 10))
    samples += fakes({"x": 10}, source="c") + fakes({"x": 10}, source="d", start=20_000)
    with pytest.raises(
        UsageError, match="cannot hold out a generator: the generated images name 1"
    ):
        hold_out(samples, 0.5, "generator", 0)
    train, validation, _ = hold_out(samples, 0.5, "source", 0)
    for part in (train, validation):
        assert len(names(samples, part, "source", Label.GENERATED)) == 1


def test_near_duplicates_of_what_is_held_out_are_dropped_and_counted() -> None:
    samples = photographs(dict.fromkeys("abcd", 10))
    samples += [sample(50_000 + i, "e", None, str(i)) for i in range(40)]  # each repeats one
    samples += fakes(dict.fromkeys("wxyz", 10))
    train, validation, words = hold_out(samples, 0.125, "auto", 0)
    repeats = sizes(samples, validation)[Label.REAL]
    assert len(samples) - len(train) - len(validation) == repeats == 10
    assert f"{repeats} near-duplicates of images held out were dropped from training" in words


def test_a_group_with_both_classes_is_not_parted() -> None:
    samples = [sample(i, "s", None, str(i // 2)) for i in range(20)]
    samples += [sample(100 + i, "s", "x", str(i // 2)) for i in range(20)]
    train, validation, _ = hold_out(samples, 0.5, "group", 0)
    assert (len(train), len(validation)) == (20, 20)


def test_names_with_odd_characters() -> None:
    samples = photographs({"caf\udce9": 5, "a\nb": 5, "\ud800": 5, "": 5, "c": 5})
    samples += fakes({"x": 5, "y": 5})
    words = " ".join(hold_out(samples, 0.4, "auto", seed)[2] for seed in range(10))
    assert words.isprintable() and "caf\\xe9" in words


def test_many_names_are_cut_short() -> None:
    samples = photographs({f"s{i:02}": 2 for i in range(40)}) + fakes({"x": 5, "y": 5})
    words = hold_out(samples, 0.5, "auto", 0)[2]
    assert words.count("s") >= 10 and "and 10 more" in words


@pytest.mark.parametrize(
    ("samples", "share", "by", "message"),
    [
        ([], 0.2, "auto", "no real image"),
        (photographs({"a": 9}), 0.2, "auto", "no generated image"),
        (fakes({"a": 9}), 0.2, "group", "no real image"),
        (photographs({"a": 1}) + fakes({"x": 9}), 0.2, "auto", "no real image is left for valid"),
        (photographs({"a": 9}) + fakes({"x": 9, "y": 9}), 0.2, "generator", "hold out a source"),
        (photographs({"a": 9, "unknown": 9}) + fakes({"x": 9}), 0.2, "source", "name 1"),
        (photographs({"a": 9}) + fakes({"x": 9}), 0.2, "colour", "cannot split by 'colour'"),
        *((photographs({"a": 9}), share, "auto", "share") for share in (0, 1, -1, 2, float("nan"))),
    ],
)
def test_what_cannot_be_split_is_said(samples, share, by, message) -> None:
    with pytest.raises(UsageError, match=message):
        hold_out(samples, share, by, 0)


def test_one_group_of_near_duplicates_cannot_be_split() -> None:
    samples = [sample(i, "s", None, "same") for i in range(9)] + fakes({"x": 9})
    with pytest.raises(UsageError, match="no real image is left for validation") as caught:
        hold_out(samples, 0.5, "group", 0)
    assert "near-duplicates" in (caught.value.hint or "")
