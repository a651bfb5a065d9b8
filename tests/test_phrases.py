"""Words and numbers of the screen: of the width they were given, and never more certain than so."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from dgsforensics import console, wording
from dgsforensics.case.store import Case
from dgsforensics.judgements import Judgement
from dgsforensics.records import Mark
from dgsforensics.review import phrases
from dgsforensics.review.session import Review
from made_review import PHOTOS, failed, scan, scored

SHARES = st.floats(0, 1)
SMALLEST = 5e-324


def test_everything_has_a_word() -> None:
    assert set(phrases.JUDGEMENTS) == set(Judgement)
    assert set(phrases.MARKS) == set(Mark)
    assert len(set(phrases.MARKS.values())) == len(Mark)
    assert {len(letter) for letter in phrases.MARKS.values()} == {1}


@pytest.mark.parametrize("width", [20, 37, 60])
@pytest.mark.parametrize("logit", [-40.0, -1.0, 0.0, 1.5, 40.0])
def test_the_scale_has_the_score_and_both_thresholds(case: Case, width: int, logit: float) -> None:
    scan(case, [scored("a.jpg", logit=logit), failed("b.jpg")])
    a, b = Review(case, "ann").items
    line = phrases.scale(a, width)
    assert cell_len(line) == width and line.startswith("0 ") and line.endswith(" 100%")
    cells = line[2:-5]
    assert a.probability is not None and a.scale is not None
    assert cells.index("●") == min(len(cells) - 1, int(a.probability * len(cells)))
    probability, thresholds = a.scale.calibration.probability, a.scale.thresholds
    zones = cells.replace("●", "")
    assert zones == "".join(sorted(zones, key="░▒▓".index))
    for sign, upto in (("░", thresholds.lower), ("▒", thresholds.upper)):
        end = max((i + 1 for i, c in enumerate(cells) if c == sign), default=0)
        assert end - 1 <= probability(upto) * len(cells) + 0.5
    assert phrases.scale(b, width) == ""


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "  0.0%"),
        (SMALLEST, " <0.1%"),
        (0.0004999, " <0.1%"),
        (0.0006, "  0.1%"),
        (0.5, " 50.0%"),
        (0.09949, "  9.9%"),
        (0.9994, " 99.9%"),
        (0.9996, ">99.9%"),
        (1 - 2**-53, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    assert wording.percent(share) == expected


@given(SHARES)
@example(1 - 2**-53)
@example(SMALLEST)
@example(0.9995)
@example(0.0005)
def test_nothing_is_called_certain_that_is_not(share: float) -> None:
    text = wording.percent(share)
    assert len(text) == 6
    assert ("100.0%" in text) == (share == 1)
    assert (text.strip() == "0.0%") == (share == 0)
    if text.strip()[0].isdigit():
        assert abs(float(text.strip("% ")) / 100 - share) <= 0.000501


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, "unknown size"),
        (0, "0 bytes"),
        (1, "1 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (1049, "1.0 KB"),
        (1051, "1.1 KB"),
        (99_900, "99.9 KB"),
        (99_960, "100 KB"),
        (999_400, "999 KB"),
        (999_600, "1.0 MB"),
        (999_999, "1.0 MB"),
        (2_345_678, "2.3 MB"),
        (999_999_999, "1.0 GB"),
        (5_000_000_000_000, "5000 GB"),
    ],
)
def test_amounts(count: int | None, expected: str) -> None:
    assert phrases.amount(count) == expected


@given(st.integers(0, 10**15))
def test_an_amount_is_near_what_it_says(count: int) -> None:
    number, unit = phrases.amount(count).split()
    size = {"bytes": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert float(number) * size == pytest.approx(count, rel=0.051, abs=0.5)
    assert float(number) < 1000 or unit == "GB"


@given(st.text(max_size=30), st.integers(0, 35))
@example("abcdef", 0)
@example("abcdef", 1)
@example("abcdef", 2)
@example("abcdef", 3)
@example("abcdef", 5)
@example("", 0)
def test_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    short = console.shortened(text, width)
    if cell_len(text) <= width:
        assert short == text
        return
    assert cell_len(short) <= width
    if width < 3:
        assert text.startswith(short)
        return
    head, tail = short.split("…", 1) if "…" not in text else (short[:0], short[:0])
    assert text.startswith(head) and text.endswith(tail)
    if text.isascii():
        assert len(short) == width


def test_shortened_in_an_example() -> None:
    assert console.shortened("holiday/DSC_1234.jpg", 11) == "holid…4.jpg"


def test_the_labels_column(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg"), scored("c.jpg"), failed("d.jpg")])
    ann, bob, cleo = (Review(case, name) for name in ("ann", "bob", "cleo"))

    def column(review: Review = ann) -> list[str]:
        review.follow()
        return [phrases.label(review, item) for item in review.items]

    assert column() == ["", "", "", ""]
    ann.label(ann.items[:2], Judgement.AI)
    ann.note(ann.items[2], "odd")
    assert column() == ["AI", "AI", "+", ""]
    bob.label([bob.items[0]], Judgement.AI)
    bob.label([bob.items[1]], Judgement.REAL)
    bob.label([bob.items[2]], Judgement.UNFIT)
    assert column() == ["AI=", "AI≠", "?+", ""]
    cleo.label([cleo.items[0]], Judgement.REAL)
    cleo.note(cleo.items[1], "not said which")
    ann.note(ann.items[0], "sure")
    assert column() == ["AI≠+", "AI≠", "?+", ""]
    bob.label([bob.items[1]], None)
    assert column() == ["AI≠+", "AI", "?+", ""]
    assert column(Review(case, "new")) == ["?", "?", "?", ""]


def test_the_labels_column_of_a_blind_reviewer(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    bob = Review(case, "bob")
    bob.label(bob.items, Judgement.AI)
    bob.note(bob.items[0], "odd")
    ann = Review(case, "ann", blind=True)
    assert [phrases.label(ann, item) for item in ann.items] == ["", ""]
    ann.note(ann.items[1], "mine")
    assert [phrases.label(ann, item) for item in ann.items] == ["", "+"]
    ann.label(ann.items[:1], Judgement.REAL)
    assert [phrases.label(ann, item) for item in ann.items] == ["real≠", "+"]
    ann.undo()
    assert [phrases.label(ann, item) for item in ann.items] == ["", "+"]


def test_sizes_names_and_places(case: Case) -> None:
    scan(case, [scored("sub/a\x1b[2J.jpg"), failed("b.jpg", format="JPEG"), scored("/x/c.jpg")])
    a, b, c = Review(case, "ann").items
    assert [phrases.size(item) for item in (a, b, c)] == ["640x480", "", "640x480"]
    assert phrases.name(a) == "a\\x1b[2J.jpg"
    places = [phrases.place(item, str(PHOTOS)) for item in (a, b, c)]
    assert places == ["sub/a\\x1b[2J.jpg", "b.jpg", "/x/c.jpg"]
    assert phrases.place(b, "/") == "photos/b.jpg"


def test_a_folder_whose_name_begins_like_the_root_is_not_below_it(case: Case) -> None:
    scan(case, [scored("/photos-2/a.jpg"), scored("\\b.jpg")])
    beside, odd = Review(case, "ann").items
    assert phrases.place(beside, str(PHOTOS)) == "/photos-2/a.jpg"
    assert phrases.place(odd, str(PHOTOS)) == "\\b.jpg"
