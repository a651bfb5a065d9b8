"""How much each source counts in training, and which versions of its images there are."""

from pathlib import Path

import numpy as np
import pytest

from dgsforensics.datasets.labelled import Sample
from dgsforensics.records import Label
from dgsforensics.trainer.features import Draw, draws_of
from dgsforensics.trainer.teacher import capped_weights


def samples(cells: dict[tuple[str, str | None], int]) -> list[Sample]:
    made = []
    for (source, generator), count in cells.items():
        label = Label.GENERATED if generator else Label.REAL
        for i in range(count):
            name = f"{source}{generator}{i}"
            made.append(Sample(Path(name), label, generator, source, name, name, "photo"))
    return made


def totals(found: list[Sample], weights: np.ndarray) -> dict[tuple[str, str | None], float]:
    sums: dict[tuple[str, str | None], float] = {}
    for sample, weight in zip(found, weights.tolist(), strict=True):
        cell = sample.source, sample.generator
        sums[cell] = sums.get(cell, 0.0) + weight
    return sums


def test_a_small_source_counts_by_its_images_and_a_large_one_as_any_other() -> None:
    cells = {("a", None): 5, ("b", None): 20, ("c", None): 400, ("g", "sd"): 3}
    found = samples(cells)
    sums = totals(found, capped_weights(found, 20, None))
    assert [sums["a", None], sums["b", None], sums["c", None]] == pytest.approx(
        [5 / 45, 20 / 45, 20 / 45]
    )
    assert sums["g", "sd"] == pytest.approx(1)


def test_a_source_of_many_generators_has_a_limit_of_its_own() -> None:
    cells = {("g", f"m{i}"): 30 for i in range(6)} | {("h", "sd"): 30, ("a", None): 1}
    found = samples(cells)
    sums = totals(found, capped_weights(found, 20, 40))
    assert sums["h", "sd"] == pytest.approx(20 / 60)
    assert sums["g", "m0"] == pytest.approx(40 / 60 / 6)


def test_without_limits_images_count_alike_and_classes_too() -> None:
    found = samples({("a", None): 9, ("b", None): 1, ("g", "sd"): 5})
    weights = capped_weights(found, None, None)
    assert weights[:10] == pytest.approx([0.1] * 10) and weights[10:] == pytest.approx([0.2] * 5)


def test_the_first_version_may_be_the_picture_as_it_is() -> None:
    assert draws_of("web", 3, False, 7) == [Draw("web", 7), Draw("web", 8), Draw("web", 9)]
    assert draws_of("web", 3, True, 7) == [Draw("as_is"), Draw("web", 8), Draw("web", 9)]
    assert draws_of("none", 3, False, 7) == draws_of("none", 3, True, 7) == [Draw("as_is")]
