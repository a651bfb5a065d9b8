from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dgsforensics.datasets.labelled import ListedImage
from dgsforensics.evaluation.protocol import ENOUGH, SourceProtocol, measure
from dgsforensics.evaluation.slices import SliceImage
from dgsforensics.records import FileFacts, Label


def entry(source: str, generator: str | None) -> SliceImage:
    listed = ListedImage(
        path=Path("x"),
        label=Label.GENERATED if generator else Label.REAL,
        generator=generator,
        source=source,
        caption=None,
        split=None,
        sha256=None,
        group=None,
        style="photo",
        origin="x",
    )
    return SliceImage(listed, FileFacts(), "g")


def measured(
    cells: dict[tuple[str, str | None], list[float]], threshold: float = 0.0, outside: float = 99.0
) -> SourceProtocol:
    """The protocol of logits by source and generator; those of `outside` are out of domain."""
    pairs = [(entry(*cell), logit) for cell, logits in cells.items() for logit in logits]
    logits = np.array([logit for _, logit in pairs])
    found = measure("d", "clean", [e for e, _ in pairs], logits, logits == outside, threshold)
    assert found is not None
    return found


def spread(centre: float, count: int = 20) -> list[float]:
    return (centre + np.linspace(-2, 2, count)).tolist()


def test_sources_count_alike_however_many_images_they_have() -> None:
    small, large = spread(-1, 10), spread(1, 1000)
    fakes = spread(2, 50)
    found = measured({("a", None): small, ("b", None): large, ("c", "sd"): fakes})
    expected = [roc_auc_score([0] * len(real) + [1] * 50, real + fakes) for real in (small, large)]
    assert found.auroc_sources == pytest.approx(np.mean(expected))
    assert found.auroc_worst == pytest.approx(min(expected))
    weights = [0.5 / 10] * 10 + [0.5 / 1000] * 1000 + [1] * 50
    whole = roc_auc_score([0] * 1010 + [1] * 50, small + large + fakes, sample_weight=weights)
    assert found.auroc_generators == pytest.approx(whole)
    assert found.auroc == pytest.approx((found.auroc_sources + found.auroc_generators) / 2)
    assert (found.counted_sources, found.counted_generators) == (2, 1)
    flagged = [np.mean(np.array(real) >= 0) for real in (small, large)]
    assert found.flagged == pytest.approx(np.mean(flagged))
    assert found.flagged_worst == pytest.approx(max(flagged))


def test_generators_count_alike_and_each_in_each_source() -> None:
    found = measured(
        {
            ("a", None): spread(-1),
            ("c", "sd"): spread(3, 400),
            ("c", "flux"): spread(-3, 8),
            ("d", "sd"): spread(0, 8),
        }
    )
    shares = [np.mean(np.array(spread(c, n)) >= 0) for c, n in ((3, 400), (-3, 8), (0, 8))]
    assert found.counted_generators == 3
    assert found.found == pytest.approx(np.mean(shares))


def test_the_share_found_at_a_rate_weighs_sources_alike() -> None:
    cells = {("a", None): [5.0] * 5 + [-1.0] * 5, ("b", None): [-1.0] * 990}
    found = measured(cells | {("c", "sd"): [4.0, 6.0, 6.0, 6.0, 6.0]})
    # Half of one of two sources, a quarter of all photographs, lies at 5.
    assert found.tpr_at_5 == pytest.approx(0.8)
    assert found.tpr_at_1 == pytest.approx(0.8)


def test_a_pair_is_a_source_with_both_classes() -> None:
    cells = {("a", None): spread(0), ("a", "sd"): spread(1), ("b", None): spread(-9)}
    found = measured(cells)
    expected = roc_auc_score([0] * 20 + [1] * 20, spread(0) + spread(1))
    assert (found.counted_pairs, found.pairs) == (1, pytest.approx(expected))
    by_name = {source.name: source for source in found.sources}
    assert by_name["a"].pair == pytest.approx(expected) and by_name["b"].pair is None
    assert by_name["b"].generated is None


def test_what_is_too_small_has_a_line_and_does_not_count() -> None:
    cells = {("a", None): spread(-1), ("tiny", None): [9.0] * (ENOUGH - 1), ("c", "sd"): spread(2)}
    found = measured(cells)
    assert [source.name for source in found.sources] == ["a", "c", "tiny"]
    assert found.counted_sources == 1
    assert found.flagged == np.mean(np.array(spread(-1)) >= 0)
    [tiny] = [source.real for source in found.sources if source.name == "tiny"]
    assert tiny is not None and (tiny.flagged, tiny.count) == (ENOUGH - 1, ENOUGH - 1)


def test_what_is_out_of_domain_is_not_flagged_and_what_has_no_score_is_not_there() -> None:
    cells = {("a", None): [99.0, 1.0, *[-1.0] * 8, np.nan], ("c", "sd"): spread(2)}
    [share] = [source.real for source in measured(cells).sources if source.name == "a"]
    assert share is not None and (share.flagged, share.count) == (1, 10)


def test_one_class_leaves_open_what_needs_two() -> None:
    found = measured({("a", None): spread(-1), ("b", None): spread(1)})
    assert found.flagged is not None
    assert (found.auroc, found.pairs, found.tpr_at_5, found.found) == (None,) * 4


def test_without_sources_there_is_nothing_to_say() -> None:
    entries = [entry("unknown", None), entry("a", "sd")]
    logits = np.zeros(2)
    assert measure("d", "clean", entries, logits, logits > 1, 0.0) is None
