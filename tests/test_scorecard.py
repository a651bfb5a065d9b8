import math
from pathlib import Path

import numpy as np
import pytest

from dgsforensics.datasets.labelled import ListedImage
from dgsforensics.detector.calibration import Calibration
from dgsforensics.evaluation import scorecard
from dgsforensics.evaluation.output import FigureRow
from dgsforensics.evaluation.scorecard import JudgedDetector
from dgsforensics.evaluation.slices import Slice, SliceImage
from dgsforensics.records import FileFacts, Label

RAMP = tuple(i / 100 for i in range(300))
CALIBRATION = Calibration(2.0, 0.5, tuple(x - 3 for x in RAMP), RAMP, "a ramp")


def contender(name: str = "one", rates: tuple[float, ...] = ()) -> JudgedDetector:
    cuts = {None: CALIBRATION.thresholds()} | {r: CALIBRATION.thresholds(fpr=r) for r in rates}
    return JudgedDetector(name, CALIBRATION, cuts)


def entries(labels: list[int], groups: list[str] | None = None) -> list[SliceImage]:
    groups = groups or [str(i) for i in range(len(labels))]
    return [
        SliceImage(
            ListedImage(
                Path("x"),
                Label.GENERATED if label else Label.REAL,
                "g" if label else None,
                *("s", None, None, None, None, "photo", "here"),
            ),
            FileFacts(sha256=group),
            group,
        )
        for label, group in zip(labels, groups, strict=True)
    ]


def row(
    made: JudgedDetector, tier: str, rows: list[SliceImage], logits: np.ndarray, *outside: int
) -> FigureRow:
    """Of the slice of everything; `outside` are the positions of those out of domain."""
    beyond = np.isin(np.arange(len(rows)), outside)
    return scorecard.row(made, tier, everything(rows), rows, logits, beyond)


def everything(rows: list[SliceImage]) -> Slice:
    return Slice("all", "slice", tuple(range(len(rows))))


def test_a_row_by_hand() -> None:
    rows = entries([0, 0, 1, 1])
    found = row(contender(rates=(0.1,)), "web", rows, np.array([-3.0, 0.2, -0.5, 2.0]))
    assert (found.detector, found.tier, found.slice) == ("one", "web", "all")
    assert (found.real, found.generated, found.real_of) == (2, 2, "slice")
    values = {name: estimate and estimate.value for name, estimate in found.figures.items()}
    # Flagged from about -0.02; 80 % of the generated ramp lies from 0.59 on, above that.
    assert (values["acc"], values["r_acc"], values["f_acc"]) == (0.5, 0.5, 0.5)
    assert values["auroc"] == 0.75
    assert values["inconclusive"] == 0
    assert values["brier"] == pytest.approx(
        np.mean(
            [
                (CALIBRATION.probability(x) - y) ** 2
                for x, y in ((-3, 0), (0.2, 0), (-0.5, 1), (2, 1))
            ]
        )
    )
    assert list(values) == [
        *("acc", "r_acc", "f_acc", "ap", "auroc", "tpr_at_0.01", "tpr_at_0.05", "tpr_at_0.1"),
        *("ece", "brier", "inconclusive"),
        *("acc_at_0.1", "r_acc_at_0.1", "f_acc_at_0.1", "inconclusive_at_0.1"),
    ]
    ece = found.figures.pop("ece")
    assert (ece.low, ece.high) == (None, None)
    assert all(e is not None and e.low <= e.value <= e.high for e in found.figures.values())


def test_what_is_out_of_domain_is_never_flagged() -> None:
    rows = entries([0, 0, 1, 1])
    logits = np.array([-3.0, 0.2, -0.5, 2.0])
    before, found = (row(contender(), "clean", rows, logits, *out).figures for out in ((), (1, 3)))
    values = {name: found[name].value for name in ("r_acc", "f_acc", "inconclusive")}
    assert values == {"r_acc": 1, "f_acc": 0, "inconclusive": 0.5}
    for name in ("auroc", "ap", "ece", "brier"):  # of logits, whatever the verdict
        assert found[name] == before[name]


def test_a_threshold_for_a_rate_is_the_calibrated_one() -> None:
    rows = entries([0, 1])
    at = CALIBRATION.at_fpr(0.5)
    found = row(contender(rates=(0.5,)), "clean", rows, np.array([at - 0.01, at]))
    assert found.figures["acc_at_0.5"].value == 1
    assert found.figures["f_acc"].value == 0


def test_images_without_a_score_in_this_tier_do_not_count() -> None:
    rows = entries([0, 1, 1])
    found = row(contender(), "clean", rows, np.array([-1.0, 1.0, math.nan]))
    assert (found.real, found.generated) == (1, 1)
    nothing = row(contender(), "clean", rows, np.full(3, math.nan))
    assert (nothing.real, nothing.generated) == (0, 0)
    assert set(nothing.figures) == set(found.figures)
    assert set(nothing.figures.values()) == {None}


def test_one_class_leaves_figures_open() -> None:
    rows = entries([1, 1])
    found = row(contender(), "clean", rows, np.array([-9.0, 1.0]))
    given = {name for name, estimate in found.figures.items() if estimate is not None}
    assert given == {"acc", "f_acc", "inconclusive"}
    assert scorecard.curves(contender(), "clean", everything(rows), rows, np.zeros(2)) is None


def test_groups_widen_intervals() -> None:
    labels = [0] * 30 + [1] * 30
    rng = np.random.default_rng(0)
    logits = np.repeat(rng.normal(0, 1, 20), 3) + np.array(labels)
    apart = entries(labels)
    together = entries(labels, [str(i // 3) for i in range(60)])
    width = []
    for rows in (apart, together):
        auroc = row(contender(), "clean", rows, logits).figures["auroc"]
        width.append(auroc.high - auroc.low)
    assert width[1] > 1.3 * width[0]


def test_a_difference_is_on_what_both_scored() -> None:
    rows = entries([0, 0, 1, 1, 1])
    first = contender("a"), np.array([0.0, 1.0, 0.5, 2.0, math.nan])
    second = contender("b"), np.array([0.0, 1.0, 1.5, 2.0, -9.0])
    found = scorecard.difference(first, second, "clean", everything(rows), rows)
    assert (found.detector, found.baseline) == ("b", "a")
    assert (found.real, found.generated) == (2, 2)
    assert found.auroc.value == 0.25
    assert 0 < found.p <= 1
    only_real = Slice("r", "slice", (0, 1))
    assert scorecard.difference(first, second, "clean", only_real, rows) is None


def test_curves_are_of_probabilities_and_logits() -> None:
    rows = entries([0, 1])
    logits = np.array([-8.0, 8.0])
    found = scorecard.curves(contender(), "hard", everything(rows), rows, logits)
    assert (found.detector, found.tier) == ("one", "hard")
    assert found.roc == [(0, 0), (0, 1), (1, 1)]
    assert [p for p, _, _ in found.reliability] == pytest.approx(
        [CALIBRATION.probability(x) for x in logits]
    )
