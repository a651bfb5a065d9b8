"""How far reviewers agree, against scikit-learn."""

import math
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from dgsforensics.case.store import Case
from dgsforensics.judgements import Judgement
from dgsforensics.review.agreement import Agreement, with_others
from dgsforensics.review.history import History
from dgsforensics.review.session import Review
from made_review import failed, scan, scored

AI, REAL, UNSURE, UNFIT = Judgement


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with Case.open(tmp_path / "case.sqlite3") as case:
        scan(case, [scored(f"{n}.jpg") for n in range(6)])
        yield case


def say(case: Case, reviewer: str, labels: list[Judgement | None]) -> Review:
    review = Review(case, reviewer)
    for item, label in zip(review.items, labels, strict=False):
        review.label([item], label)
    return review


def test_only_what_both_have_labelled_counts(case: Case) -> None:
    say(case, "zoe", [None, None, None, AI])
    cleo = say(case, "cleo", [None, AI, AI, REAL, REAL, REAL])
    say(case, "bob", [AI, AI, REAL, None, UNSURE, UNSURE])
    say(case, "nobody", [])
    cleo.note(cleo.items[0], "a note is no label")
    ann = say(case, "ann", [AI, AI, AI, None, UNFIT])
    assert with_others(ann) == [
        Agreement("bob", 4, 2, pytest.approx((0.5 - 0.375) / (1 - 0.375))),
        Agreement("cleo", 3, 2, pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))),
    ]
    assert with_others(Review(case, "nobody")) == []
    assert with_others(Review(case, "new")) == []


def test_copies_count_once_and_unread_files_never(tmp_path: Path) -> None:
    with Case.open(tmp_path / "copies.sqlite3") as case:
        rows = [scored("a"), scored("copy", "a"), scored("again", "a"), failed("x"), scored("b")]
        scan(case, rows)
        bob, ann = Review(case, "bob"), Review(case, "ann")
        bob.label(bob.items, AI)
        ann.label(ann.items[:1], AI)
        ann.label(ann.items[4:], REAL)
        assert with_others(ann) == [Agreement("bob", 2, 1, 0.0)]


def test_where_chance_alone_gives_full_agreement_there_is_no_kappa(case: Case) -> None:
    say(case, "bob", [AI, AI, AI])
    assert with_others(say(case, "ann", [AI, AI, AI])) == [Agreement("bob", 3, 3, None)]
    assert with_others(say(case, "cleo", [REAL] * 3))[0] == Agreement("ann", 3, 0, 0.0)


def test_a_label_taken_away_counts_no_more(case: Case) -> None:
    bob = say(case, "bob", [AI, REAL])
    ann = say(case, "ann", [AI, AI])
    bob.label(bob.items[1:2], None)
    ann.follow()
    assert with_others(ann) == [Agreement("bob", 1, 1, None)]
    ann.undo()
    ann.undo()
    assert with_others(ann) == []


def test_images_that_are_gone_from_the_case_count_no_more(case: Case) -> None:
    say(case, "bob", [AI, AI, REAL])
    ann = say(case, "ann", [AI, REAL, REAL])
    scan(case, [scored("1.jpg", cached=True), scored("2.jpg", cached=True)])
    ann.load()
    assert [(pair.both, pair.same) for pair in with_others(ann)] == [(2, 1)]


def test_a_blind_reviewer_is_compared_over_the_own_labels(case: Case) -> None:
    say(case, "bob", [AI, REAL, AI, REAL, AI, REAL])
    ann = Review(case, "ann", blind=True)
    assert with_others(ann) == []
    ann.note(ann.items[0], "no label yet")
    assert with_others(ann) == []
    ann.label(ann.items[:2], AI)
    assert [(pair.both, pair.same) for pair in with_others(ann)] == [(2, 1)]


def test_a_blind_reviewer_is_compared_by_what_was_said_before_knowing(case: Case) -> None:
    bob = say(case, "bob", [AI, REAL, UNSURE])
    ann = Review(case, "ann", blind=True)
    ann.label(ann.items[:2], REAL)
    ann.label([ann.items[3]], AI)
    ann.label([ann.items[3]], UNFIT)  # bob has said nothing yet
    bob.label(bob.items[3:4], UNFIT)
    ann.follow()
    before = with_others(ann)
    assert [(pair.both, pair.same) for pair in before] == [(3, 2)]
    ann.label(ann.items[:1], AI)  # now that bob's shows
    ann.note(ann.items[1], "hm")
    bob.label(bob.items[1:2], AI)
    ann.follow()
    assert with_others(ann) == before == with_others(Review(case, "ann", blind=True))
    ann.undo()
    assert with_others(ann) == before
    ann.label(ann.items[:1], None)
    assert [(pair.both, pair.same) for pair in with_others(ann)] == [(2, 2)]
    ann.label(ann.items[:1], AI)
    assert with_others(ann) == before
    assert with_others(Review(case, "ann")) == before


def test_both_reviewers_have_the_same_agreement_however_they_look(case: Case) -> None:
    bob = say(case, "bob", [AI, REAL, UNSURE, AI])
    ann = Review(case, "ann", blind=True)
    for item, label in zip(ann.items, [AI, AI, UNSURE, REAL], strict=False):
        ann.label([item], label)
    ann.label(ann.items[1:2], REAL)  # led by the other's, which shows by now
    bob.label(bob.items[3:4], REAL)
    [hers] = with_others(ann)
    for blind in (True, False):
        [his] = with_others(Review(case, "bob", blind=blind))
        assert (his.both, his.same, his.kappa) == (hers.both, hers.same, hers.kappa)
        assert with_others(Review(case, "ann", blind=blind)) == [hers]
    assert (hers.both, hers.same) == (4, 2)


def test_files_that_come_and_go_and_change(case: Case) -> None:
    say(case, "bob", [AI, AI, REAL])
    ann = say(case, "ann", [AI, REAL, REAL])
    running = scan(case, [scored("0.jpg", "other"), scored("x.jpg", "1.jpg")], finish=False)
    ann.grow()
    assert with_others(ann) == [Agreement("bob", 2, 1, 0.0)]
    running.record([scored("0.jpg", cached=True)])
    ann.grow()
    assert [(pair.both, pair.same) for pair in with_others(ann)] == [(3, 2)]
    running.finish()
    ann.load()  # the copy of 1.jpg and 0.jpg are left
    assert [(pair.both, pair.same) for pair in with_others(ann)] == [(2, 1)]
    scan(case, [])
    ann.load()
    assert with_others(ann) == []


def test_one_label_is_no_pass_over_all(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    say(case, "bob", [AI] * 6)
    ann = say(case, "ann", [AI] * 6)
    asked = []
    pairs = History.pairs_of
    monkeypatch.setattr(
        History, "pairs_of", lambda seen, sha256: asked.append(sha256) or pairs(seen, sha256)
    )
    ann.label(ann.items[:1], REAL)
    assert [(pair.both, pair.same) for pair in with_others(ann)] == [(6, 6)]
    assert set(asked) == {ann.items[0].sha256}


LABELS = st.sampled_from([AI, REAL, UNSURE, UNFIT])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=12))
@example([(AI, AI), (REAL, REAL)])
@example([(AI, REAL), (REAL, AI)])
@example([(UNFIT, UNFIT)])
def test_kappa_is_cohens(pairs: list[tuple[Judgement, Judgement]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Case.open(Path(folder) / "case") as case:
        scan(case, [scored(f"{n}.jpg") for n in range(len(pairs))])
        say(case, "bob", [mine for mine, _ in pairs])  # changed below
        say(case, "bob", [theirs for _, theirs in pairs])
        ann = say(case, "ann", [mine for mine, _ in pairs])
        [found] = with_others(ann)
    left, right = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = cohen_kappa_score(list(map(str, left)), list(map(str, right)))
    assert (found.both, found.same) == (len(pairs), sum(a == b for a, b in pairs))
    if math.isnan(expected):
        assert found.kappa is None
    else:
        assert found.kappa == pytest.approx(expected, abs=1e-12)
