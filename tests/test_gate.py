import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgsforensics.datasets.labelled import Sample
from dgsforensics.records import Label
from dgsforensics.trainer.gate import (
    FEW,
    FEW_PHOTOGRAPHS,
    Comparison,
    GateCandidate,
    GateRow,
    compare,
    halves,
)


def sample(number: int, generator: str | None = None, source: str = "camera") -> Sample:
    label = Label.GENERATED if generator else Label.REAL
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Sample(Path(str(number)), label, generator, source, sha256, sha256, "photo")


def images(real: int = 40, **generated: int) -> list[Sample]:
    """Photographs of two sources, then images of each generator."""
    made = [sample(i, source=("camera", "web")[i % 2]) for i in range(real)]
    for name, count in generated.items():
        made += [sample(len(made) + i, name) for i in range(count)]
    return made


def logits(samples: list[Sample], gap: float = 0.0, seed: int = 0, **gaps: float) -> np.ndarray:
    """Normal noise, generated images `gap` (or their generator's) higher."""
    noise = np.random.default_rng(seed).normal(size=len(samples))
    shift = [0 if s.generator is None else gaps.get(s.generator, gap) for s in samples]
    return noise + np.array(shift)


def judge(
    samples: list[Sample],
    before: np.ndarray,
    after: np.ndarray,
    allowed: float = 0.02,
    known: np.ndarray | None = None,
) -> Comparison:
    return compare(
        GateCandidate("the old one", before),
        GateCandidate("the new one", after),
        samples,
        allowed,
        known,
    )


def harmed(samples: list[Sample], scores: np.ndarray, part: np.ndarray, by: float) -> np.ndarray:
    """Scores with the photographs of a part raised that the others' threshold does not cover."""
    real = np.array([s.label == Label.REAL for s in samples])
    return scores + np.where(real & part & (halves(samples) == 1), by, 0)


def row(comparison: Comparison, name: str) -> GateRow:
    [found] = [row for row in comparison.rows if row.name == name]
    return found


# The verdict

mixes = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from("uv"), st.integers(-3, 3)),
    max_size=40,
).map(
    lambda rows: [
        *[(sample(i, g, s), float(x)) for i, (g, s, x) in enumerate(rows)],
        (sample(1000, "a", "u"), 0.0),
        (sample(1001, None, "u"), 0.0),
    ]
)


@given(mixes, st.booleans(), st.floats(0, 1))
@settings(deadline=None)
def test_a_detector_is_no_worse_than_itself(mix, replayed, allowed) -> None:
    """Few images, one generator, ties, all scores equal, ranked the wrong way round."""
    samples, scores = [s for s, _ in mix], np.array([x for _, x in mix])
    known = np.arange(len(samples)) % 2 == 1 if replayed else None
    comparison = judge(samples, scores, scores, allowed, known)
    assert comparison.losses == [] and comparison.gain == 0
    assert all(row.before == row.after for row in comparison.rows)


def test_a_better_one_passes_and_a_worse_one_does_not() -> None:
    samples = images(200, sd=150, gan=60)
    weak, strong = logits(samples, 1), logits(samples, 3, seed=1)
    assert judge(samples, weak, strong).losses == []
    losses = judge(samples, strong, weak).losses
    assert [loss.split(" fell")[0] for loss in losses] == [
        *("AUROC", "mean AUROC over generators"),
        *("AUROC of generator gan", "AUROC of generator sd"),
    ]


def test_the_loss_is_in_the_words() -> None:
    samples = images(40, sd=40)
    comparison = judge(samples, logits(samples, 3), logits(samples, 0))
    found = row(comparison, "all")
    assert f"fell from {found.before.auroc:.3f} to {found.after.auroc:.3f}" in comparison.losses[0]
    assert (comparison.before, comparison.after) == ("the old one", "the new one")


def test_allowed_is_the_whole_difference_and_no_more() -> None:
    samples = images(10, sd=10)
    perfect = np.array([0.0] * 10 + [1.0] * 10)
    one_off = perfect.copy()
    one_off[10] = -1  # one of ten below every photograph: AUROC 0.9
    assert judge(samples, perfect, one_off, 0.1).losses == []
    assert len(judge(samples, perfect, one_off, 0.0999).losses) == 3
    samples = images(40, sd=40)
    quiet = np.where(np.arange(80) < 40, 0.0, 10.0)
    flagging = harmed(samples, quiet, np.arange(80) < 8, 9)
    found = row(judge(samples, quiet, flagging), "all")
    lost = found.before.r_acc - found.after.r_acc
    assert lost > 0
    assert judge(samples, quiet, flagging, lost).losses == []
    [loss] = judge(samples, quiet, flagging, lost - 0.001).losses
    assert loss == f"r_acc fell from {found.before.r_acc:.3f} to {found.after.r_acc:.3f}"


def test_1_allows_everything() -> None:
    samples = images(40, sd=40)
    assert judge(samples, logits(samples, 5), -logits(samples, 5), 1.0).losses == []


def test_r_acc_of_too_few_photographs_is_shown_but_not_weighed() -> None:
    for count, weighed in ((FEW_PHOTOGRAPHS - 1, False), (FEW_PHOTOGRAPHS, True)):
        samples = images(count, sd=30)
        scores = np.where(np.arange(len(samples)) < count, 0.0, 10.0)
        after = harmed(samples, scores, np.ones(len(samples), dtype=bool), 5)
        comparison = judge(samples, scores, after)
        assert row(comparison, "all").after.r_acc < 0.6
        assert any("r_acc" in loss for loss in comparison.losses) == weighed
        assert (comparison.remark is None) == weighed
        assert weighed or "r_acc was not weighed: 19 photographs" in comparison.remark


@given(st.floats(0.1, 10), st.floats(-9, 9))
def test_both_are_judged_by_the_same_rule(scale, shift) -> None:
    """A detector whose logits are the old one's in other units is neither better nor worse."""
    samples = images(40, sd=40)
    scores = logits(samples, 3).round(3)
    comparison = judge(samples, scores, scores * scale + shift)
    assert comparison.losses == []
    assert all(row.before.r_acc == row.after.r_acc for row in comparison.rows)
    assert all(row.before.f_acc == row.after.f_acc for row in comparison.rows)


def test_a_gain_on_one_generator_does_not_pay_for_the_mean() -> None:
    samples = images(100, many=300, few=20)
    before = logits(samples, many=2, few=4)
    after = logits(samples, many=2.5, few=0)
    comparison = judge(samples, before, after)
    assert row(comparison, "all").after.auroc > row(comparison, "all").before.auroc
    assert ["mean AUROC over" in loss for loss in comparison.losses] == [True, False]


def test_a_gain_on_a_new_generator_does_not_pay_for_an_old_one() -> None:
    samples = images(100, old=100, new=100)
    before, after = logits(samples, old=2.4, new=0.5), logits(samples, old=1.4, new=2.8)
    comparison = judge(samples, before, after)
    assert len(comparison.losses) == 1 and comparison.losses[0].startswith("AUROC of generator old")


@pytest.mark.parametrize("count", [10, 30])
def test_chance_alone_does_not_make_a_generator_forgotten(count) -> None:
    """Another detector, as good, on few images of five generators."""
    rejected = 0
    for seed in range(100):
        samples = images(100, **{name: count for name in "abcde"})
        before, after = logits(samples, 2, seed), logits(samples, 2, seed + 1000)
        losses = judge(samples, before, after).losses
        rejected += any("of generator" in loss for loss in losses)
    assert rejected <= 35


def test_a_generator_with_few_images_is_shown_but_not_weighed() -> None:
    samples = images(100, many=300, few=FEW - 1)
    comparison = judge(samples, logits(samples, 3), logits(samples, many=4, few=-1))
    assert comparison.losses == []
    assert not row(comparison, "generator few").weighed
    assert row(comparison, "generator few").after.auroc < 0.5
    enough = images(100, many=300, few=FEW)
    comparison = judge(enough, logits(enough, 3), logits(enough, many=4, few=-1))
    assert row(comparison, "generator few").weighed and comparison.losses


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_scale_of_the_logits_does_not_count(scale) -> None:
    samples = images(60, sd=60)
    scores = logits(samples, 2)
    assert judge(samples, scores, scale * scores + 5 * scale).losses == []


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, -1])
def test_scores_that_are_none_never_pass(odd, at) -> None:
    samples = images(20, sd=20)
    broken = logits(samples, 2)
    broken[at] = odd
    with pytest.raises(ValueError, match="not finite"):
        judge(samples, logits(samples, 2), broken)


def test_a_new_detector_that_says_the_same_of_everything_does_not_pass() -> None:
    samples = images(30, sd=30)
    losses = judge(samples, logits(samples, 3), np.zeros(60)).losses
    assert "AUROC fell" in losses[0]


def test_a_threshold_of_few_photographs_does_not_excuse_real_harm() -> None:
    """Sources that are judged by each other's threshold, with one that the new one flags."""
    samples = images(60, sd=60)
    scores = logits(samples, 6)
    shifted = harmed(samples, scores, np.ones(120, dtype=bool), 5)
    assert any("r_acc" in loss for loss in judge(samples, scores, shifted).losses)


# What the base knew


def test_what_the_base_knew_counts_by_itself() -> None:
    """A gain on one's own images pays for nothing that is forgotten of the others."""
    samples = images(100, mine=100, old=60)
    known = np.array([s.generator == "old" or i < 50 for i, s in enumerate(samples)])
    before, after = logits(samples, mine=0.2, old=3), logits(samples, mine=4, old=1.5)
    comparison = judge(samples, before, after, known=known)
    assert "AUROC of the known images fell" in comparison.losses[0]
    assert any("AUROC of known generator old fell" in loss for loss in comparison.losses)
    assert not any(" own images" in loss for loss in comparison.losses)
    mine, others = row(comparison, "own images"), row(comparison, "known images")
    assert (mine.after.real, mine.after.generated) == (50, 100)
    assert (others.after.real, others.after.generated) == (50, 60)
    gains = [part.after.auroc - part.before.auroc for part in (mine, others)]
    assert comparison.gain == pytest.approx(np.mean(gains))


def test_photographs_that_the_base_knew_are_not_flagged_for_ones_own() -> None:
    samples = images(200, mine=50, old=50)
    known = np.array([s.generator == "old" or 100 <= i < 200 for i, s in enumerate(samples)])
    scores = logits(samples, 8)
    losses = judge(samples, scores, harmed(samples, scores, known, 6), known=known).losses
    assert any(loss.startswith("r_acc of the known images fell") for loss in losses)
    assert not any(" own images" in loss for loss in losses)


def test_a_person_reads_their_own_rows_and_what_was_lost() -> None:
    names = [f"old{i}" for i in range(12)]
    samples = images(100, mine=30, **{name: 15 for name in names})
    known = np.array(
        [i < 50 or (s.generator or "").startswith("old") for i, s in enumerate(samples)]
    )
    before = logits(samples, 3)
    after = before - np.array([5.0 if s.generator == "old7" else 0.0 for s in samples])
    comparison = judge(samples, before, after, known=known)
    shown = [row.name for row in comparison.shown(3)]
    assert shown[:3] == ["all", "own images", "known images"]
    assert "generator old7" in shown and "generator mine" in shown
    assert (
        sum(row.known and row.kind in ("generator", "source") for row in comparison.shown(3)) == 3
    )


# Rows


def test_each_generator_is_measured_against_all_photographs() -> None:
    samples = images(30, sd=20, gan=12)
    scores = logits(samples, 1)
    comparison = judge(samples, scores, scores)
    assert [row.name for row in comparison.rows] == [
        *("all", "generator gan", "generator sd"),
        *("photographs of camera", "photographs of web"),
    ]
    gan = row(comparison, "generator gan").after
    assert (gan.real, gan.generated) == (30, 12)
    below = scores[:30][None] < scores[-12:][:, None]
    assert gan.auroc == pytest.approx(below.mean())
    web = row(comparison, "photographs of web").after
    assert (web.real, web.generated, web.auroc, web.f_acc) == (15, 0, None, None)
    camera = row(comparison, "photographs of camera").after
    both = row(comparison, "all").after.r_acc
    assert np.mean([web.r_acc, camera.r_acc]) == pytest.approx(both)


def test_the_source_of_generated_images_is_no_source_of_photographs() -> None:
    samples = [sample(0), sample(1), sample(2, "sd", "elsewhere"), sample(3, "sd", "camera")]
    names = [row.name for row in judge(samples, np.arange(4.0), np.arange(4.0)).rows]
    assert names == ["all", "generator sd", "photographs of camera"]


# Thresholds that are not read off what they are judged on


def test_a_photograph_cannot_raise_the_threshold_it_is_judged_by() -> None:
    samples = images(40, sd=40)
    quiet = np.where(np.arange(80) < 40, 0.0, 10.0)
    for i in range(40):
        scores = quiet.copy()
        scores[i] = 5
        found = row(judge(samples, quiet, scores), "all").after
        assert found.r_acc == pytest.approx(39 / 40)
        assert found.f_acc == 1


def test_the_measured_rate_is_that_of_further_photographs() -> None:
    rates = []
    for seed in range(150):
        samples = images(40, sd=20)
        scores = logits(samples, 2, seed)
        rates.append(1 - row(judge(samples, scores, scores), "all").after.r_acc)
    # 20 photographs in a half support 1 in 21; by its own images nothing would ever be flagged.
    assert np.mean(rates) == pytest.approx(1 / 21, abs=0.015)


def test_fitted_thresholds_follow_the_scores() -> None:
    samples = images(60, sd=60)
    scores = logits(samples, 3)
    one = row(judge(samples, scores, scores * 3 + 7), "all")
    assert one.before.r_acc == one.after.r_acc and one.before.f_acc == one.after.f_acc


@pytest.mark.parametrize(
    ("real", "generated"), [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (2, 2), (3, 3)]
)
def test_tiny_sets_are_measured_without_crashing(real, generated) -> None:
    samples = images(real, sd=generated)
    scores = logits(samples, 3)
    found = row(judge(samples, scores, scores), "all").after
    assert 0 <= found.r_acc <= 1 and 0 <= found.f_acc <= 1


def test_one_group_of_photographs_is_measured_without_crashing() -> None:
    samples = [replace(s, group="one") if s.label == Label.REAL else s for s in images(9, sd=9)]
    scores = logits(samples, 3)
    assert row(judge(samples, scores, scores), "all").after.real == 9


def test_ranked_the_wrong_way_round_it_is_measured_at_0() -> None:
    samples = images(30, sd=30)
    scores = logits(samples, -4)
    found = row(judge(samples, scores, scores), "all").after
    assert found.r_acc == pytest.approx(np.mean(scores[:30] < 0))
    assert found.f_acc == pytest.approx(np.mean(scores[30:] >= 0))


# Halves

grouped = st.lists(
    st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 25)), min_size=1, max_size=60
).map(lambda rows: [replace(sample(i, g), group=str(group)) for i, (g, group) in enumerate(rows)])


@given(grouped, st.randoms())
def test_no_group_lies_in_both_halves_and_order_does_not_matter(samples, random) -> None:
    side = dict(zip(samples, halves(samples).tolist(), strict=True))
    assert set(side.values()) <= {0, 1}
    by_group = Counter((s.group, half) for s, half in side.items())
    assert len({group for group, _ in by_group}) == len(by_group)
    shuffled = samples.copy()
    random.shuffle(shuffled)
    assert dict(zip(shuffled, halves(shuffled).tolist(), strict=True)) == side


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_groups_are_halved_however_large(sizes) -> None:
    names = [str(i) for i, size in enumerate(sizes) for _ in range(size)]
    samples = [replace(sample(i), group=name) for i, name in enumerate(names)]
    side = dict(zip(names, halves(samples).tolist(), strict=True))
    assert abs(2 * sum(side.values()) - len(sizes)) <= 1


@given(st.integers(1, 50), st.integers(1, 50))
def test_each_class_is_halved(real, generated) -> None:
    samples = images(real, sd=generated)
    half = halves(samples)
    assert abs(2 * int(half[:real].sum()) - real) <= 1
    assert abs(2 * int(half[real:].sum()) - generated) <= 1
