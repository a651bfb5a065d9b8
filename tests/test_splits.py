from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.datasets import Sample
from dgsforensics.records import Label
from dgsforensics.trainer.splits import by_generator, by_source, capped, folds


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
