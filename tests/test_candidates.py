"""The best of base, teacher and student."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import tiny_clip
from dgsforensics.datasets.labelled import Sample
from dgsforensics.records import Label
from dgsforensics.trainer.candidates import Candidate, Kind, TrainingChoice, choose

REAL, GENERATED = 60, 60


def images(kind: str) -> list[Sample]:
    made = []
    for i in range(REAL + GENERATED):
        name = hashlib.sha256(f"{kind}{i}".encode()).hexdigest()
        generator = None if i < REAL else f"maker of {kind}"
        label = Label.REAL if i < REAL else Label.GENERATED
        made.append(Sample(Path(name), label, generator, kind, name, name, "photo"))
    return made


OWN, KNOWN = images("own"), images("known")
CONTENTS = {sample.sha256 for sample in KNOWN}


def scores(samples: list[Sample], gap: float, seed: int) -> dict[str, float]:
    noise = np.random.default_rng(seed).normal(size=len(samples))
    shift = [gap * (sample.label == Label.GENERATED) for sample in samples]
    return dict(zip([s.sha256 for s in samples], (noise + shift).tolist(), strict=True))


def candidate(kind: Kind, own: float, known: float | None, held: int = 1, seed: int = 0):
    """With so much between the classes; a student is scored on every `held`-th own image."""
    logits = {s.sha256: scores(OWN, own, seed)[s.sha256] for s in OWN[::held]}
    if known is not None:
        logits |= scores(KNOWN, known, seed)
    return Candidate(kind, f"the {kind}", logits, tiny_clip.config(), {})


def result(*trained: Candidate, base: Candidate | None, allowed: float = 0.02) -> TrainingChoice:
    return choose(base, trained, [*OWN, *KNOWN], CONTENTS, allowed)


def test_a_teacher_that_gains_is_returned_and_not_thrown_away_for_a_poor_student() -> None:
    base = candidate("base", 0.3, 3)
    teacher, student = candidate("teacher", 2, 3), candidate("student", 0.35, None, held=4)
    choice = result(teacher, student, base=base)
    assert choice.best is choice.new is teacher
    assert [standing.kind for standing in choice.standings] == ["base", "teacher", "student"]
    assert [standing.images for standing in choice.standings] == [120, 120, 30]
    assert choice.standings[2].known is None and choice.standings[1].known is not None
    assert (choice.comparison.before, choice.comparison.after) == ("the base", "the teacher")


def test_a_teacher_that_forgets_is_not_returned() -> None:
    base, teacher = candidate("base", 0.3, 3), candidate("teacher", 4, 1)
    choice = result(teacher, base=base)
    assert choice.best is base and choice.new is teacher
    assert any("known images fell" in loss for loss in choice.comparison.losses)
    assert result(teacher, base=base, allowed=1).best is teacher


def test_without_a_gain_the_base_is_returned_though_the_gate_would_let_it_pass() -> None:
    base = candidate("base", 2, 3)
    worse = candidate("teacher", 1.9, 2.95)
    choice = result(worse, base=base, allowed=0.05)
    lost = -choice.comparison.gain
    assert choice.comparison.losses == [] and 0 < lost < 0.05
    assert choice.best is worse  # what is lost is below a quarter of what is allowed
    assert result(worse, base=base, allowed=3.9 * lost).best is base
    assert result(candidate("teacher", 2, 3), base=base).best.kind == "teacher"


def test_a_student_has_to_be_clearly_better_where_forgetting_cannot_be_seen() -> None:
    base, teacher = candidate("base", 0.3, 3), candidate("teacher", 1.5, 3)
    assert result(teacher, candidate("student", 1.52, None, 4), base=base).best is teacher
    student = candidate("student", 6, None, 4)
    choice = result(teacher, student, base=base)
    assert choice.best is student
    assert "known images" not in [row.name for row in choice.comparison.rows]
    assert choice.comparison.rows[0].after.real == 15  # what both have been scored on


@pytest.mark.parametrize(("gap", "kind"), [(1.5, "student"), (1.0, "teacher")])
def test_from_scratch_the_one_ahead_is_returned(gap, kind) -> None:
    teacher, student = candidate("teacher", 1.2, None), candidate("student", gap, None)
    choice = result(teacher, student, base=None)
    assert choice.best is choice.new and choice.best.kind == kind
    assert choice.comparison.losses == []
    assert choice.comparison.before != choice.comparison.after


def test_alone_from_scratch_it_is_compared_with_itself() -> None:
    teacher = candidate("teacher", 1.2, None)
    choice = result(teacher, base=None)
    assert choice.best is teacher and choice.comparison.gain == 0
