"""What a filter asks for, in every word it knows, and in which order the answer comes."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.case.store import Case
from dgsforensics.choices import Order
from dgsforensics.errors import UsageError
from dgsforensics.judgements import Judgement
from dgsforensics.records import Evidence, FileFacts, Mark, Status
from dgsforensics.review.queries import NAMES, difference, listed, parse, resumed
from dgsforensics.review.session import Review
from made_review import PHOTOS, failed, scan, scored, sha

CLAIMS = {
    "camera": Evidence(Mark.CAMERA, "EXIF", "Model", "FUJIFILM X-T3"),
    "second": Evidence(Mark.CAMERA, "XMP", "Model", "Nikon"),
    "software": Evidence(Mark.SOFTWARE, "EXIF", "Software", "Adobe Photoshop 25.1"),
    "generator": Evidence(Mark.GENERATOR, "PNG text", "parameters", "Steps: 20"),
    "c2pa": Evidence(Mark.C2PA, "C2PA", "signed by", "nobody"),
    "type": Evidence(Mark.SOURCE_TYPE, "XMP", "DigitalSourceType", "trainedAlgorithmicMedia"),
    "plain": Evidence(None, "EXIF", "Rating", "camera"),
}


def sized(row, width: int, height: int, kind: str):
    return replace(row, facts=FileFacts(row.facts.sha256, 1, kind, width, height, 1))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    c = CLAIMS
    with Case.open(tmp_path / "case.sqlite3") as case:
        scan(
            case,
            [
                scored("Trip/IMG_1.jpg", None, 3.0, c["camera"], c["second"], c["software"]),
                sized(scored("Trip/b [1].png", None, 0.0, c["generator"]), 10, 10, "PNG"),
                sized(scored("trip-2/été.webp", None, -2.0, c["c2pa"]), 4000, 3000, "WEBP"),
                scored("trip-2/copy.jpg", "Trip/IMG_1.jpg", 3.0),
                failed("broken.jpg", sha256=sha("broken"), format="JPEG"),
                replace(failed("huge.dng"), status=Status.UNSUPPORTED),
                scored("my $file^.jpg", None, 0.5, c["type"], c["plain"]),
            ],
        )
        yield case


@pytest.fixture
def review(case: Case) -> Review:
    return Review(case, "ann")


ALL = ("IMG_1.jpg", "b [1].png", "été.webp", "copy.jpg", "broken.jpg", "huge.dng", "my $file^.jpg")


def found(review: Review, query: str, order: Order = Order.SCAN) -> list[str]:
    return [item.path.name for item in listed(review, query, order)]


def places(review: Review, query: str) -> list[int]:
    return [item.index for item in listed(review, query, Order.SCAN)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("  \t\n ", [0, 1, 2, 3, 4, 5, 6]),
        ("verdict:flagged", [0, 3]),
        ("verdict:inconclusive", [1, 6]),
        ("verdict:not_flagged", [2]),
        ("verdict:NOT_Flagged", [2]),
        ("verdict:unreadable", [4]),
        ("verdict:unsupported,unreadable", [4, 5]),
        ("verdict:flagged,not_flagged,unsupported", [0, 2, 3, 5]),
        ("-verdict:flagged", [1, 2, 4, 5, 6]),
        ("--verdict:flagged", [0, 3]),
        ("verdict:flagged verdict:inconclusive", []),
        # probabilities: 0.777, 0.438, 0.223, 0.777, none, none, 0.5
        ("score:0.5..", [0, 3, 6]),
        ("score:..0.5", [1, 2, 6]),
        ("score:0.5..0.5", [6]),
        ("score:0.5", [6]),
        ("score:..", [0, 1, 2, 3, 6]),
        ("score:.4...6", [1, 6]),
        ("score:4e-1..1", [0, 1, 3, 6]),
        ("-score:..", [4, 5]),
        ("format:jpeg", [0, 3, 4, 6]),
        ("format:JPEG,png", [0, 1, 3, 4, 6]),
        ("format:jp", []),
        ("-format:jpeg,png,webp", [5]),
        ("only:flagged,claims", [0, 1, 2, 3, 6]),
        ("only:claims", [1, 2, 6]),
        ("only:NOT_Flagged,failed", [2, 4, 5]),
        ("only:failed -only:claims", [4, 5]),
        ("mark:c2pa", [2]),
        ("mark:source-type", [6]),
        ("'mark:source type'", [6]),
        ("mark:camera,generator", [0, 1, 3]),
        ("mark:software mark:camera", [0, 3]),
        ("camera:fuji", [0, 3]),
        ("camera:'x-t3'", [0, 3]),
        ('camera:"FUJIFILM X"', [0, 3]),
        ("camera:nikon", []),  # the first one counts
        ("-camera:fuji", [1, 2, 4, 5, 6]),
        ("software:photoshop", [0, 3]),
        ("software:PHOTO,shop", []),  # a part of a name, commas and all
        ("claims:G,c", [1, 2]),  # the letters in the column
        ("flagged", [0, 3]),
        ("not-flagged", [2]),
        ("-unreadable", [0, 1, 2, 3, 5, 6]),
        ("folder:trip", [0, 1, 2, 3]),
        ("folder:trip-2", [2, 3]),
        ("folder:img", []),
        ("img_1", [0]),
        ("IMG", [0]),
        ("Été", [2]),
        ("photos", [0, 1, 2, 3, 4, 5, 6]),
        ("trip .jpg", [0, 3]),
        ("trip -.jpg", [1, 2]),
        ('"b [1]"', [1]),
        ("b\\ [1]", [1]),
        ("[1]", [1]),
        ("$file^.jpg", [6]),
        (".*", []),
        ("(", []),
        ("#", []),
        ("*", []),
        ("-", [2, 3]),
        ("un:known", []),
        ("Verdict:flagged", []),  # such a name is not known: plain text
        ("🤔", []),
        ("\udcff", []),
        ("a\0b", []),
    ],
)
def test_words(review: Review, query: str, expected: list[int]) -> None:
    assert places(review, query) == expected


def test_labels_are_ones_own(review: Review, case: Case) -> None:
    bob = Review(case, "bob")
    bob.label(bob.items, Judgement.AI)
    a, b, c, _, broken, *_ = review.items
    review.label([a, broken], Judgement.AI)
    review.label([b], Judgement.UNFIT)
    review.note(c, "label:real, says Bob")
    for query, expected in {
        "label:ai": [0, 3, 4],
        "label:AI,unfit": [0, 1, 3, 4],
        "label:any": [0, 1, 3, 4],
        "label:none": [2, 5, 6],
        "label:none,ai": [0, 2, 3, 4, 5, 6],
        "label:any,none": [0, 1, 2, 3, 4, 5, 6],
        "-label:any": [2, 5, 6],
        "label:real": [],
        "'label:no label'": [2, 5, 6],
        "label:unsure": [],
        "label:ai verdict:flagged": [0, 3],
    }.items():
        assert places(review, query) == expected, query


def test_text_is_looked_for_in_ones_own_notes(review: Review, case: Case) -> None:
    a = review.items[0]
    review.note(a, "Sechs Finger an der GROẞEN Hand")
    bob = Review(case, "bob")
    bob.note(bob.items[1], "finger")
    review.follow()
    assert places(review, "finger") == [0, 3]  # and its copy
    assert places(review, "grossen") == [0, 3]
    assert places(review, '"an der"') == [0, 3]
    assert places(review, "-finger folder:trip") == [1, 2]


def test_reviewers_who_differ(review: Review, case: Case) -> None:
    others = [Review(case, name) for name in ("bob", "cleo")]
    for other, judgements in zip(others, (["ai", "ai", "ai"], ["ai", "real", None]), strict=True):
        for item, judgement in zip(other.items, judgements, strict=False):
            other.label([item], judgement and Judgement(judgement))
        other.note(other.items[6], "a note is no label")
    review.label([review.items[2]], Judgement.REAL)
    seen = [difference(review, item) for item in review.items]
    assert seen == [False, True, True, False, None, None, None]
    assert places(review, "differ:no") == [0, 3]
    assert places(review, "differ:yes") == [1, 2]
    assert places(review, "-differ:yes") == [0, 3, 4, 5, 6]
    assert places(review, "differ:yes,no") == [0, 1, 2, 3]
    assert places(review, "differ:YES") == [1, 2]


def test_a_blind_reviewer_finds_nothing_out_by_asking(case: Case) -> None:
    for name, judgement in (("bob", Judgement.AI), ("cleo", Judgement.AI)):
        other = Review(case, name)
        other.label(other.items, judgement)
    ann = Review(case, "ann", blind=True)
    assert places(ann, "differ:no") == places(ann, "differ:yes") == []
    ann.label([ann.items[1]], Judgement.REAL)
    ann.label([ann.items[2]], Judgement.AI)
    assert places(ann, "differ:yes") == [1]
    assert places(ann, "differ:no") == [2]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("verdict:", "verdict: is followed by flagged"),
        ('label:""', "label: is followed by ai"),
        ("-camera:", "camera: is followed by part of its name"),
        ("verdict:fake", "verdict:fake is not known; verdict: takes flagged"),
        ("verdict:flagged,fake", "verdict:fake is not known"),
        ("verdict:scored", "verdict:scored is not known"),
        ("label:maybe", "label:maybe is not known; label: takes ai, real"),
        ("mark:exif", "claims:exif is not known; claims: takes c2pa"),
        ("differ:perhaps", "differ:perhaps is not known; differ: takes yes or no"),
        ("score:high", "score: is followed by 0.9.."),
        ("score:90%", "score: is followed by"),
        ("score:0.1..0.2..0.3", "score: is followed by"),
        ("score:nan", "score: is followed by"),
        ("score:..nan", "score: is followed by"),
        ("score:0.9..0.5", "score: is followed by"),
        ("it's", "no closing quotation"),
        ('say "cheese', "no closing quotation"),
        ("back\\", "no escaped character"),
        ("verdict:flagged x 'y", "no closing quotation"),
    ],
)
def test_what_makes_no_sense_is_said(review: Review, query: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(review, query)
    assert caught.value.message.startswith("filter: ") and message in caught.value.message
    with pytest.raises(UsageError):
        listed(review, query, Order.SCORE)


def test_every_name_is_explained_and_works(review: Review) -> None:
    good = {
        "score": "0.1..",
        "differ": "yes",
        "verdict": "flagged",
        "label": "any",
        "claims": "c2pa",
        "only": "failed",
    }
    for name, says in NAMES.items():
        assert says
        everything = set(places(review, ""))
        some = set(places(review, f"{name}:{good.get(name, 'jpeg')}"))
        assert some | set(places(review, f"-{name}:{good.get(name, 'jpeg')}")) == everything
        assert not some & set(places(review, f"-{name}:{good.get(name, 'jpeg')}"))


@given(
    query=st.text()
    | st.lists(st.sampled_from([*NAMES, ":", "-", ",", "..", " ", '"', "1"])).map("".join)
)
def test_any_text_is_a_query_or_a_usage_error(tmp_path_factory, query: str) -> None:
    path = tmp_path_factory.getbasetemp() / "queries.sqlite3"
    with Case.open(path) as case:
        if case.last_scan() is None:
            scan(case, [scored("a.jpg"), failed("b.jpg")])
        review = Review(case, "ann")
        try:
            names = found(review, query)
        except UsageError as error:
            assert error.message.startswith("filter: ")
        else:
            assert set(names) <= {"a.jpg", "b.jpg"}


# Order


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.SCAN, [0, 1, 2, 3, 4, 5, 6]),
        (Order.QUEUE, [0, 3, 6, 1, 2, 4, 5]),
        (Order.SCORE, [0, 3, 6, 1, 2, 4, 5]),
        (Order.NAME, [4, 5, 6, 3, 2, 1, 0]),
        (Order.SIZE, [2, 0, 3, 6, 1, 4, 5]),
        (Order.FORMAT, [5, 0, 3, 6, 4, 1, 2]),
        (Order.LABEL, [0, 3, 6, 5, 2, 1, 4]),
    ],
)
def test_orders(review: Review, order: Order, expected: list[int]) -> None:
    review.label([review.items[1], review.items[4]], Judgement.UNSURE)
    review.label([review.items[2]], Judgement.AI)
    assert [item.index for item in listed(review, "", order)] == expected
    backwards = [item.index for item in listed(review, "", order, reverse=True)]
    assert backwards == expected[::-1]
    some = [item.index for item in listed(review, "trip", order)]
    assert some == [i for i in expected if i < 4]


def test_equal_scores_stay_in_the_order_of_the_scan(tmp_path: Path) -> None:
    with Case.open(tmp_path / "many.sqlite3") as case:
        scan(case, [scored(f"{n % 7}-{n}.jpg", logit=float(n % 3)) for n in range(60)])
        review = Review(case, "ann")
        for order in (Order.SCORE, Order.SIZE, Order.FORMAT, Order.LABEL, Order.SCAN):
            rows = listed(review, "", order)
            if order in (Order.SIZE, Order.SCAN):
                assert [item.index for item in rows] == list(range(60))
            else:
                keys = [(-(item.row.logit or 0.0), item.index) for item in rows]
                assert keys == sorted(keys)


def test_a_review_without_files_lists_none(tmp_path: Path) -> None:
    with Case.open(tmp_path / "empty.sqlite3") as case:
        review = Review(case, "ann")
        for order in Order:
            assert listed(review, "verdict:flagged", order, reverse=True) == []


def test_paths_of_any_bytes(tmp_path: Path) -> None:
    with Case.open(tmp_path / "odd.sqlite3") as case:
        odd = Path(os.fsdecode(b"/photos/caf\xe9\n.jpg"))
        scan(case, [replace(scored("x"), path=odd), replace(scored("y"), path=PHOTOS / "y")])
        review = Review(case, "ann")
        assert places(review, "caf") == [0]
        assert places(review, "'caf\udce9'") == [0]
        assert places(review, "-caf") == [1]
        assert [item.index for item in listed(review, "", Order.NAME)] == [0, 1]


def test_a_review_goes_on_where_it_stopped(review: Review) -> None:
    rows = listed(review, "", Order.SCAN)
    assert resumed(review, rows) == 0
    review.label([rows[1]], Judgement.AI)
    assert resumed(review, rows) == 2  # after the last one, not at those left out before it
    review.label([rows[4]], Judgement.REAL)
    review.label([rows[6]], Judgement.REAL)
    assert resumed(review, rows) == 0  # round the end
    assert resumed(review, listed(review, "verdict:flagged", Order.SCAN)) == 0
    review.undo()
    assert resumed(review, rows) == 6
    review.label(rows, Judgement.AI)
    assert resumed(review, rows) == 0
    assert resumed(review, []) == 0
