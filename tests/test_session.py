"""A review is what the log says: copies, steps, restarts, other people and other processes."""

import math
import ntpath
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgsforensics.case.decisions import Log
from dgsforensics.case.scans import ScanOptions
from dgsforensics.case.store import Case, as_text
from dgsforensics.errors import CaseError
from dgsforensics.judgements import Action, Judgement, ScoreSeen
from dgsforensics.records import Evidence, Mark, Status, Verdict
from dgsforensics.review.item import Item
from dgsforensics.review.phrases import place
from dgsforensics.review.session import Review
from made_review import MODEL, OLD, PHOTOS, SETTINGS, failed, scaled, scan, scored, sha

AI, REAL, UNSURE = Judgement.AI, Judgement.REAL, Judgement.UNSURE
CAMERA = Evidence(Mark.CAMERA, "EXIF", "Model", "Box 3")


def named(review: Review, name: str) -> Item:
    [item] = [item for item in review.items if item.path == PHOTOS / name]
    return item


def labels(review: Review) -> dict[str, Judgement | None]:
    return {
        str(item.path.relative_to(PHOTOS)): review.judgement(item)
        for item in review.items
        if review.judgement(item)
    }


def names(items: Iterable[Item]) -> list[str]:
    return [str(item.path.relative_to(PHOTOS)) for item in items]


# What is there


def test_what_is_out_of_domain_is_not_flagged(case: Case) -> None:
    found = {"domain": "a document or drawing", "reason": "out of domain: a document or drawing"}
    pages = [scored(f"{logit}", None, logit, **found) for logit in (-2.0, 0.0, 9.0)]
    scan(case, [*pages, scored("photo", None, 9.0)])
    review = Review(case, "ann")
    verdicts = {item.path.name: item.verdict for item in review.items}
    assert verdicts == {
        "-2.0": Verdict.NOT_FLAGGED,
        "0.0": Verdict.INCONCLUSIVE,
        "9.0": Verdict.INCONCLUSIVE,
        "photo": Verdict.FLAGGED,
    }
    item = named(review, "9.0")
    assert item.shown is not None
    assert (item.shown.verdict, item.row.reason) == (Verdict.INCONCLUSIVE, found["reason"])
    review.label([item], REAL)
    [decision] = review.decisions(item)
    assert decision.shown == item.shown


def test_scores_are_what_the_scan_says_they_mean(case: Case) -> None:
    scan(
        case,
        [
            scored("high.jpg", logit=1.0),
            scored("middle.jpg", logit=math.nextafter(1.0, 0)),
            scored("edge.jpg", logit=-1.0),
            scored("low.jpg", logit=-1.5),
            failed("broken.jpg"),
            replace(failed("raw.dng"), status=Status.UNSUPPORTED),
        ],
    )
    items = Review(case, "ann").items
    assert [item.index for item in items] == list(range(6))
    assert [item.kind for item in items] == [
        *(Verdict.FLAGGED, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.NOT_FLAGGED),
        *(Status.UNREADABLE, Status.UNSUPPORTED),
    ]
    assert items[0].probability == pytest.approx(1 / (1 + math.exp(-0.25)))
    assert items[3].probability == pytest.approx(1 / (1 + math.exp(1)))
    assert items[0].shown == ScoreSeen(
        "tiny", MODEL, 1.0, items[0].probability, 0.75, Verdict.FLAGGED
    )
    broken = items[4]
    assert (broken.probability, broken.verdict, broken.scale, broken.shown) == (None,) * 4
    assert broken.sha256 is None and broken.evidence == () and broken.marks == []


def test_each_file_is_read_by_the_scale_of_its_own_scan(case: Case) -> None:
    strict = scaled(lower=5, upper=6, origin="strict")
    scan(case, [scored("a.jpg", logit=2.0), scored("b.jpg", logit=2.0)], finish=False)
    scan(
        case,
        [scored("b.jpg", logit=2.0)],
        strict,
        finish=False,
    )
    review = Review(case, "ann")
    assert {item.path.name: item.verdict for item in review.items} == {
        "a.jpg": Verdict.FLAGGED,
        "b.jpg": Verdict.NOT_FLAGGED,
    }
    scale = named(review, "b.jpg").scale
    assert scale is not None and scale.thresholds.origin == "strict"


def test_claims_come_with_the_file(case: Case) -> None:
    claims = (
        Evidence(Mark.SOFTWARE, "EXIF", "Software", "Paint"),
        CAMERA,
        Evidence(None, "XMP", "Rating", "5"),
        Evidence(Mark.CAMERA, "XMP", "Model", "Other"),
        Evidence(Mark.C2PA, "C2PA", "signed by", "nobody"),
    )
    scan(case, [scored("a.jpg", None, 0.0, *claims), scored("b.jpg", fingerprint=7)])
    a, b = Review(case, "ann").items
    assert a.evidence == claims
    assert a.marks == [Mark.C2PA, Mark.CAMERA, Mark.SOFTWARE]
    assert a.claim(Mark.CAMERA) == "Box 3"
    assert a.claim(Mark.GENERATOR) is None
    assert b.evidence == () and b.claim(Mark.CAMERA) is None


def test_a_scan_by_an_older_version_says_what_to_do(case: Case) -> None:
    scan(case, [failed("broken.jpg")], OLD)
    assert len(Review(case, "ann").items) == 1  # nothing there to be shown
    scan(case, [scored("a.jpg")], OLD)
    with pytest.raises(CaseError, match="older version") as caught:
        Review(case, "ann")
    assert caught.value.hint is not None and "scan the folder again" in caught.value.hint
    scan(case, [replace(scored("a.jpg"), cached=True)])  # then nothing of the old one is left
    assert [item.verdict for item in Review(case, "ann").items] == [Verdict.INCONCLUSIVE]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.0, "intercept": 0.0},
        {"temperature": 1.0, "intercept": 0.0, "thresholds": None},
        {"temperature": 1.0, "intercept": 0.0, "thresholds": {"upper": 1.0}},
        {"temperature": 1.0, "intercept": 0.0, "thresholds": {"cut": 1.0}},
        {
            "temperature": "1",
            "intercept": 0.0,
            "thresholds": SETTINGS.options.to_dict()["thresholds"],
        },
    ],
)
def test_settings_that_lack_the_scale(case: Case, options: dict[str, object]) -> None:
    scan(case, [scored("a.jpg")], replace(SETTINGS, options=ScanOptions.from_dict(options)))
    with pytest.raises(CaseError, match="older version"):
        Review(case, "ann")


def test_the_root_holds_all_files(case: Case) -> None:
    assert Review(case, "ann").root == Path()
    running = scan(case, [scored("trip/b/1.jpg"), scored("trip/b/2.jpg")], finish=False)
    review = Review(case, "ann")
    assert review.root == PHOTOS / "trip" / "b"
    running.record([scored("trip/b.jpg")])
    review.grow()
    assert review.root == PHOTOS / "trip"
    running.record([scored("trip-2/x.jpg")])
    review.grow()
    assert review.root == PHOTOS
    running.record([scored("/elsewhere/x.jpg")])
    review.grow()
    assert review.root == Path("/")


def test_files_on_two_drives_have_no_root(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    monkeypatch.setattr(os.path, "commonpath", lambda paths: ntpath.commonpath(["c:/a", "d:/b"]))
    assert review.root == Path()
    assert place(review.items[0], str(review.root)) == "/photos/a.jpg"


# Labels and notes


def test_copies_share_a_label(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("copy of a.jpg", "a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    a, copy, b = review.items
    assert review.copies(sha("a.jpg")) == [a, copy]
    assert review.copies("0" * 64) == []
    assert review.label([copy], AI) == 1
    assert labels(review) == {"a.jpg": AI, "copy of a.jpg": AI}
    assert review.label([a, copy, b], REAL) == 2  # contents, not files
    decisions = Log(case).after()
    assert [(d.path.name, d.sha256, d.step) for d in decisions] == [
        ("copy of a.jpg", sha("a.jpg"), 1),
        ("a.jpg", sha("a.jpg"), 2),
        ("b.jpg", sha("b.jpg"), 2),
    ]
    assert decisions[0].shown == copy.shown and decisions[0].judgement == AI


def test_a_group_is_one_step_and_nothing_is_written_twice(case: Case) -> None:
    scan(case, [scored(f"{n}.jpg") for n in range(4)])
    review = Review(case, "ann")
    items = review.items
    review.label(items[:1], AI)
    assert review.label(iter(items), AI) == 3  # the first one has it
    assert review.label(items, AI) == 0
    assert review.label([], REAL) == 0
    assert review.steps == (2, 0)
    assert len(Log(case).after()) == 4
    assert sorted(review.undo()) == sorted(item.sha256 or "" for item in items[1:])
    assert labels(review) == {"0.jpg": AI}
    assert len(review.redo()) == 3
    assert len(labels(review)) == 4


def test_a_file_that_was_never_read_is_left_alone(case: Case) -> None:
    scan(case, [failed("gone.jpg"), failed("cut.jpg", sha256=sha("cut")), scored("a.jpg")])
    review = Review(case, "ann")
    gone, cut, a = review.items
    assert review.label([gone], AI) == review.note(gone, "odd") == 0
    assert Log(case).after() == [] and review.judgement(gone) is None
    assert review.label([gone, cut, a], AI) == 2
    assert labels(review) == {"cut.jpg": AI, "a.jpg": AI}
    assert review.decisions(gone) == [] and review.note_of(gone) == ""
    assert Log(case).after()[0].shown is None


def test_notes_and_labels_leave_each_other_alone(case: Case) -> None:
    scan(case, [scored("a.jpg")])
    review = Review(case, "ann")
    [a] = review.items
    assert review.note(a, "  the hand\n") == 1
    assert (review.note_of(a), review.judgement(a)) == ("the hand", None)
    assert review.note(a, "the hand ") == 0
    review.label([a], AI)
    assert (review.note_of(a), review.judgement(a)) == ("the hand", AI)
    review.note(a, "six fingers")
    assert (review.note_of(a), review.judgement(a)) == ("six fingers", AI)
    assert review.label([a], None) == 1
    assert (review.note_of(a), review.judgement(a)) == ("six fingers", None)
    assert review.label([a], None) == 0
    assert review.note(a, " \t") == 1
    assert review.note_of(a) == "" and review.decisions(a) == []
    actions = [d.action for d in Log(case).after()]
    assert actions == [Action.NOTE, Action.LABEL, Action.NOTE, Action.LABEL, Action.NOTE]


def test_ones_own_labels_by_content(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("copy.jpg", "a.jpg"), scored("b.jpg"), scored("c.jpg")])
    ann, bob = Review(case, "ann"), Review(case, "bob")
    assert ann.labels == {}
    bob.label(bob.items, AI)
    ann.label(ann.items[:2], REAL)
    ann.note(ann.items[2], "no label")
    ann.label(ann.items[3:], AI)
    ann.label(ann.items[3:], None)
    assert ann.labels == Review(case, "ann").labels == {sha("a.jpg"): REAL}
    scan(case, [scored("b.jpg", cached=True)])
    ann.load()
    assert ann.labels == {sha("a.jpg"): REAL}  # whether or not a file is still there


@pytest.mark.parametrize("text", ["why? — 🤔", "\udcff", "a\0b", "\x1b[31mred", "x" * 10_000])
def test_odd_notes_are_kept_and_not_written_again(case: Case, text: str) -> None:
    scan(case, [scored("a.jpg")])
    review = Review(case, "ann")
    [a] = review.items
    assert review.note(a, text) == 1
    assert review.note_of(a) == kept(text)
    assert review.note(a, text) == review.label([a], None, note=text) == 0
    assert Review(case, "ann").note_of(a) == kept(text)


def kept(text: str) -> str:
    """A note as it is to be kept."""
    return re.sub("[\\0\x1b\x07\x9b\n\u202e]", " ", as_text(text)).strip()


def test_a_note_holds_nothing_that_a_terminal_obeys(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    a, b = review.items
    text = "\x1b]0;owned\x07 \x9b2Jthe\nhand\u202e \x1b"
    review.note(a, text)
    review.label([b], AI, note=text)
    assert review.note_of(a) == review.note_of(b) == "]0;owned   2Jthe hand"


@pytest.mark.parametrize("name", ["ann", "Ænne O'Neil; --", "j\udcf6rg", "a\0b"])
def test_a_reviewer_of_any_name_finds_the_own_labels(case: Case, name: str) -> None:
    scan(case, [scored("a.jpg")])
    review = Review(case, name)
    review.label(review.items, AI)
    for seen in (review, Review(case, name)):
        assert labels(seen) == {"a.jpg": AI}
        assert seen.steps == (1, 0)
    assert labels(Review(case, "bob")) == {}


# Undo and redo


def test_there_is_nothing_to_undo_or_redo_at_first(case: Case) -> None:
    scan(case, [scored("a.jpg")])
    review = Review(case, "ann")
    assert (review.undo(), review.redo(), review.steps) == ([], [], (0, 0))
    review.label(review.items, AI)
    assert (review.redo(), review.steps) == ([], (1, 0))
    assert len(Log(case).after()) == 1


def test_undo_has_no_limit_and_goes_on_after_a_restart(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    told: list[dict[str, Judgement | None]] = [{}]
    for number in range(150):
        review.label([review.items[number % 2]], list(Judgement)[number % 3])
        told.append(labels(review))
    assert review.steps == (150, 0)
    for number in range(149, -1, -1):
        if number % 20 == 0:
            review = Review(case, "ann")
        assert len(review.undo()) == 1
        assert labels(review) == told[number]
    assert review.undo() == []
    for number in range(1, 151):
        if number % 20 == 0:
            review = Review(case, "ann")
        assert len(review.redo()) == 1
        assert labels(review) == told[number]
    assert review.redo() == []
    assert Log(case).verify().entries == 450


def test_a_new_step_forgets_what_was_undone(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    a, b = review.items
    review.label([a], AI)
    review.label([b], AI)
    review.undo()
    review.undo()
    assert review.steps == (0, 2)
    review.note(a, "x")
    assert review.steps == (1, 0) and review.redo() == []
    assert Review(case, "ann").steps == (1, 0)
    review.undo()
    review.label([b], None)  # changes nothing, so it forgets nothing
    assert review.redo() == [sha("a.jpg")] and review.note_of(a) == "x"


def test_undo_says_what_was_seen_then_and_is_an_entry_of_its_own(case: Case) -> None:
    scan(case, [scored("a.jpg", logit=2.0)])
    review = Review(case, "ann")
    review.label(review.items, AI)
    strict = scaled(temperature=9.0)
    scan(
        case,
        [scored("a.jpg", logit=2.0, cached=True)],
        strict,
    )
    review.load()
    review.undo()
    first, undone = Log(case).after()
    assert (undone.action, undone.judgement, undone.step) == (Action.UNDO, None, 2)
    assert undone.shown == first.shown != review.items[0].shown


def test_what_is_no_longer_in_the_case_can_still_be_undone(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    review.label(review.items[:1], AI)
    scan(case, [scored("b.jpg", cached=True)])
    review.load()
    assert names(review.items) == ["b.jpg"] and labels(review) == {}
    assert review.undo() == [sha("a.jpg")]
    assert Log(case).after()[-1].path == PHOTOS / "a.jpg"


# Other people, other processes


def test_each_reviewer_has_labels_and_steps_of_their_own(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    ann, bob = Review(case, "ann"), Review(case, "bob")
    ann.label([ann.items[0]], AI)
    bob.label(bob.items, REAL)
    ann.label([ann.items[1]], UNSURE)
    bob.note(bob.items[0], "sure")
    assert ann.undo() == [sha("b.jpg")]
    assert bob.undo() == [sha("a.jpg")]
    ann.follow()
    assert labels(ann) == {"a.jpg": AI}
    assert labels(bob) == {"a.jpg": REAL, "b.jpg": REAL}
    assert (ann.steps, bob.steps) == ((1, 1), (1, 1))
    assert Review(case, "ann").steps == (1, 1)
    seen = ann.decisions(ann.items[0])
    assert [(d.reviewer, d.judgement) for d in seen] == [("ann", AI), ("bob", REAL)]


def test_own_decision_first_then_by_name(case: Case) -> None:
    scan(case, [scored("a.jpg")])
    for name in ("zoe", "bob", "mia", "ann"):
        review = Review(case, name)
        review.label(review.items, AI)
    mia = Review(case, "mia")
    assert [d.reviewer for d in mia.decisions(mia.items[0])] == ["mia", "ann", "bob", "zoe"]


def test_follow_names_the_images_concerned_once(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    ann, bob = Review(case, "ann"), Review(case, "bob")
    assert ann.follow() == set()
    ann.label(ann.items, AI)
    assert ann.follow() == set()  # it knows its own
    assert bob.follow() == {sha("a.jpg"), sha("b.jpg")}
    assert bob.follow() == set()
    assert [d.reviewer for d in bob.decisions(bob.items[0])] == ["ann"]


def test_another_process_of_the_same_reviewer_is_taken_into_account(
    case: Case, tmp_path: Path
) -> None:
    """Whoever labels goes by what is in the log, not by what the screen saw last."""
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    with Case.open(tmp_path / "case.sqlite3") as again:
        here, there = Review(case, "ann"), Review(again, "ann")
        a = here.items[0]
        here.label([a], AI)
        there.note(there.items[0], "from there")  # on top of the label
        assert there.judgement(there.items[0]) == AI
        here.label([a], REAL)  # and the note stays
        assert here.note_of(a) == "from there"
        there.label([there.items[0]], AI)
        assert here.label([a], REAL) == 1  # it had looked like no change
        assert labels(here) == {"a.jpg": REAL}
        there.label([there.items[1]], UNSURE)
        assert here.undo() == [sha("b.jpg")]  # the last step, whoever wrote it
        assert there.redo() == [sha("b.jpg")]
        here.follow()
        assert labels(here) == labels(there) == {"a.jpg": REAL, "b.jpg": UNSURE}
        assert here.steps == there.steps == Review(case, "ann").steps == (6, 0)


@pytest.fixture
def both(case: Case, tmp_path: Path) -> Iterator[tuple[Review, Review]]:
    """Two processes of one reviewer."""
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    with Case.open(tmp_path / "case.sqlite3") as again:
        yield Review(case, "ann"), Review(again, "ann")


def meanwhile(review: Review, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have something done just before the review's next step is written."""
    append = Log.append

    def late(log: Log, *arguments: Any, **options: Any) -> object:
        monkeypatch.setattr(Log, "append", append)
        what()
        return append(log, *arguments, **options)

    monkeypatch.setattr(Log, "append", late)


def test_two_undos_at_once_take_two_steps(
    both: tuple[Review, Review], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = both
    here.label(here.items[:1], AI)
    here.label(here.items[1:], REAL)
    meanwhile(there, here.undo, monkeypatch)
    assert there.undo() == [sha("a.jpg")]
    here.follow()
    assert labels(here) == labels(there) == {}
    assert here.steps == there.steps == (0, 2)
    meanwhile(there, here.redo, monkeypatch)
    assert there.redo() == [sha("b.jpg")]
    meanwhile(there, here.undo, monkeypatch)
    there.undo()
    meanwhile(there, lambda: (here.redo(), here.redo()), monkeypatch)
    assert there.redo() == []  # both are taken by now
    assert labels(there) == {"a.jpg": AI, "b.jpg": REAL}


def test_a_label_does_not_revert_a_note_written_meanwhile(
    both: tuple[Review, Review], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = both
    here.note(here.items[0], "odd")
    meanwhile(there, lambda: here.note(here.items[0], "the negative is in the safe"), monkeypatch)
    assert there.label(iter(there.items), AI) == 2
    meanwhile(there, lambda: here.label(here.items, REAL), monkeypatch)
    assert there.note(there.items[1], "and this") == 1
    here.follow()
    assert [(here.judgement(item), here.note_of(item)) for item in here.items] == [
        (REAL, "the negative is in the safe"),
        (REAL, "and this"),
    ]


def test_a_step_that_another_process_has_made_meanwhile_is_not_written_twice(
    both: tuple[Review, Review], monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    here, there = both
    meanwhile(there, lambda: here.label(here.items, AI), monkeypatch)
    assert there.label(there.items, AI) == 0
    assert len(Log(case).after()) == 2 and there.steps == (1, 0)


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_written_to_a_case_file_that_is_gone(
    case: Case, tmp_path: Path, replaced: bool
) -> None:
    scan(case, [scored("a.jpg")])
    review = Review(case, "ann")
    review.label(review.items, AI)
    aside = case.path.with_name("aside")
    case.path.rename(aside)
    if replaced:
        shutil.copy(aside, case.path)
    for write in (
        lambda: review.label(review.items, REAL),
        lambda: review.note(review.items[0], "x"),
        review.undo,
        review.follow,
        lambda: Log(case).append("ann", Action.LABEL, []),
    ):
        with pytest.raises(CaseError, match="moved away or replaced"):
            write()
    assert labels(review) == {"a.jpg": AI}
    aside.replace(case.path)
    assert review.label(review.items, REAL) == 1


def test_a_real_second_process(case: Case, tmp_path: Path) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    review.label(review.items[:1], AI)
    script = """
import sys
from pathlib import Path
from typing import Any
from dgsforensics.judgements import Judgement
from dgsforensics.review.session import Review
from dgsforensics.case.store import Case
with Case.open(Path(sys.argv[1])) as case:
    review = Review(case, "ann")
    assert review.steps == (1, 0)
    review.undo()
    review.label(review.items[1:], Judgement.REAL)
"""
    path = tmp_path / "case.sqlite3"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=120)
    assert labels(review) == {"a.jpg": AI}
    assert review.follow() == {sha("a.jpg"), sha("b.jpg")}
    assert labels(review) == {"b.jpg": REAL}
    assert review.steps == (1, 0)


def test_a_log_that_begins_in_the_middle_is_no_reason_to_stop(case: Case) -> None:
    """`dgsf` writes no undo without a step, but the log is read whatever it holds."""
    scan(case, [scored("a.jpg")])
    review = Review(case, "ann")
    review.label(review.items, AI)
    [entry] = Log(case).after()
    from dgsforensics.case.decisions import LogEntry

    made = LogEntry(entry.path, entry.sha256, REAL, "", None)
    Log(case).append("bob", Action.UNDO, [made])
    Log(case).append("bob", Action.REDO, [made])
    bob = Review(case, "bob")
    assert labels(bob) == {"a.jpg": REAL} and bob.steps == (2, 0)


# Blind


def test_blind_hides_what_others_said_until_one_has_said_it_oneself(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("copy.jpg", "a.jpg"), scored("b.jpg")])
    bob = Review(case, "bob")
    bob.label(bob.items, AI)
    bob.note(bob.items[0], "the hand")
    ann = Review(case, "ann", blind=True)
    a, copy, b = ann.items

    def seen(item: Item) -> list[str]:
        return [d.reviewer for d in ann.decisions(item)]

    assert seen(a) == seen(copy) == seen(b) == []
    ann.note(a, "odd")
    assert seen(a) == ["ann"]  # a note is no label
    ann.label([a], REAL)
    assert seen(a) == seen(copy) == ["ann", "bob"] and seen(b) == []
    ann.undo()
    assert seen(a) == ["ann"]
    ann.redo()
    assert seen(a) == ["ann", "bob"]
    ann.label([a], None)
    assert seen(a) == ["ann"]
    assert bob.follow() and [d.reviewer for d in bob.decisions(bob.items[0])] == ["bob", "ann"]
    bob.label([bob.items[2]], REAL)
    assert ann.follow() == {sha("b.jpg")} and seen(b) == []
    assert [d.reviewer for d in Review(case, "ann").decisions(b)] == ["bob"]  # not blind


# While a scan runs


def test_a_review_grows_with_a_running_scan(case: Case) -> None:
    review = Review(case, "ann")
    assert review.items == [] and review.grow() == []
    running = scan(case, [scored("a.jpg"), failed("broken.jpg")], finish=False)
    assert names(review.grow()) == ["a.jpg", "broken.jpg"]
    assert review.grow() == []
    review.label(review.items[:1], AI)
    running.record([scored("copy.jpg", "a.jpg")])
    running.record([scored("b.jpg", logit=3.0)])
    first = review.items[0]
    assert names(review.grow()) == ["copy.jpg", "b.jpg"]
    assert review.items[0] is first
    assert [item.index for item in review.items] == [0, 1, 2, 3]
    assert review.items[3].verdict == Verdict.FLAGGED
    assert labels(review) == {"a.jpg": AI, "copy.jpg": AI}
    running.finish()
    assert review.grow() == []


def test_a_file_seen_again_keeps_its_place(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg"), scored("c.jpg")])
    review = Review(case, "ann")
    a, b, c = review.items
    review.label([a], AI)
    running = scan(case, [scored("b.jpg", "new content", 5.0)], finish=False)
    assert review.grow() == [b]
    assert names(review.items) == ["a.jpg", "b.jpg", "c.jpg"] and review.items[1] is b
    assert (b.sha256, b.verdict, b.index) == (sha("new content"), Verdict.FLAGGED, 1)
    assert review.copies(sha("b.jpg")) == [] and review.copies(sha("new content")) == [b]
    running.record([scored("c.jpg", "a.jpg")])
    assert review.grow() == [c]
    assert review.copies(sha("a.jpg")) == [a, c] and labels(review) == {"a.jpg": AI, "c.jpg": AI}
    running.record([failed("a.jpg")])
    assert review.grow() == [a]
    assert (a.kind, a.sha256, a.probability, a.scale) == (Status.UNREADABLE, None, None, None)
    assert review.copies(sha("a.jpg")) == [c] and labels(review) == {"c.jpg": AI}
    running.record([])
    assert review.grow() == []


def test_a_cached_row_brings_the_claims_that_were_found_before(case: Case) -> None:
    scan(case, [scored("a.jpg", None, 0.0, CAMERA), scored("b.jpg")])
    review = Review(case, "ann")
    a, b = review.items
    assert a.evidence == (CAMERA,) and b.row.traits is None
    running = scan(case, [scored("a.jpg", cached=True)], finish=False)
    assert review.grow() == [a] and a.row.cached and a.evidence == (CAMERA,)
    running.record([scored("b.jpg", None, 0.0, CAMERA, fingerprint=9)])
    assert b.evidence == ()
    assert review.grow() == [b] and b.evidence == (CAMERA,)
    assert b.row.traits is not None and b.row.traits.fingerprint == 9


def test_a_renamed_file_takes_its_label_along(case: Case) -> None:
    scan(case, [scored("old.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    old, b = review.items
    review.label([old], AI)
    running = scan(case, [scored("new.jpg", "old.jpg", cached=True)], finish=False)
    assert names(review.grow()) == ["new.jpg"]
    assert labels(review)["new.jpg"] == AI
    running.record([scored("b.jpg", cached=True)])
    running.finish()
    review.load()
    assert names(review.items) == ["new.jpg", "b.jpg"]
    assert labels(review) == {"new.jpg": AI}
    assert names(review.copies(sha("old.jpg"))) == ["new.jpg"]
    assert review.items[1] is b and old not in review.items


def test_after_a_scan_what_is_gone_is_gone(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    review.label(review.items, AI)
    running = scan(case, [scored("b.jpg", cached=True)], finish=False)
    review.grow()
    review.load()
    assert names(review.items) == ["a.jpg", "b.jpg"]  # it may still come to a.jpg
    running.finish()
    review.load()
    assert names(review.items) == ["b.jpg"] and review.items[0].index == 0
    assert review.copies(sha("a.jpg")) == []
    assert (labels(review), review.steps) == ({"b.jpg": AI}, (1, 0))
    scan(case, [scored("c.jpg")], finish=False)
    assert names(review.grow()) == ["c.jpg"]


def failing(monkeypatch: pytest.MonkeyPatch, case: Case, name: str) -> None:
    """The next call of a method of the case fails, once."""
    method = getattr(case, name)

    def fail() -> object:
        monkeypatch.setattr(case, name, method)
        raise CaseError("the disk reports an error")

    monkeypatch.setattr(case, name, fail)


@pytest.mark.parametrize("what", ["grow", "load"])
def test_a_passing_error_changes_nothing(
    case: Case, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    review = Review(case, "ann")
    review.label(review.items[:1], AI)
    a, b = review.items
    strict = scaled(lower=-9, upper=-8, origin="strict")
    scan(
        case,
        [scored("a.jpg"), scored("b.jpg", "new")],
        strict,
    )
    for name in ("scans", "scans") if what == "grow" else ("scans", "current"):
        failing(monkeypatch, case, name)
        with pytest.raises(CaseError):
            getattr(review, what)()
        assert review.items == [a, b] and review.copies(sha("a.jpg")) == [a]
        assert (a.verdict, labels(review)) == (Verdict.INCONCLUSIVE, {"a.jpg": AI})
    # Where only the meaning of the scores cannot be read.
    monkeypatch.setattr(review, "_scales", {})
    rows = list(case.current())
    monkeypatch.setattr(case, "beyond", lambda row: rows)
    monkeypatch.setattr(case, "current", lambda: rows)
    failing(monkeypatch, case, "scans")
    with pytest.raises(CaseError):
        getattr(review, what)()
    assert review.copies(sha("a.jpg")) == [a] and review.copies(sha("b.jpg")) == [b]
    getattr(review, what)()
    assert review.items == [a, b] and a.verdict == b.verdict == Verdict.FLAGGED
    assert review.copies(sha("b.jpg")) == [] and review.copies(sha("new")) == [b]


def test_reading_anew_keeps_the_items_of_files_that_are_still_there(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg"), scored("c.jpg")])
    review = Review(case, "ann")
    a, _, c = review.items
    scan(case, [scored("c.jpg", cached=True), scored("new.jpg"), scored("a.jpg", "other", 4.0)])
    review.load()
    assert names(review.items) == ["c.jpg", "new.jpg", "a.jpg"]
    assert review.items[0] is c and review.items[2] is a
    assert [item.index for item in review.items] == [0, 1, 2]
    assert (a.verdict, review.copies(sha("other"))) == (Verdict.FLAGGED, [a])
    assert review.copies(sha("a.jpg")) == review.copies(sha("b.jpg")) == []


def test_copies_come_and_go_without_looking_through_them_all(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: no item is compared with another."""
    rows = [scored(f"{n}.jpg", "same") for n in range(300)]
    scan(case, rows)
    review = Review(case, "ann")
    scan(case, [*reversed(rows[:299]), scored("299.jpg")], finish=False)
    compared = []
    monkeypatch.setattr(Item, "__eq__", lambda one, other: compared.append(1) or one is other)
    assert len(review.grow()) == 300
    assert len(compared) == 0 and len(review.copies(sha("same"))) == 299


# Any sequence

CONTENTS = ("a", "b", "c")
FILES = ("a", "b", "c", "copy", "broken")
STEPS = st.one_of(
    st.tuples(
        st.just("label"),
        st.lists(st.sampled_from(FILES), max_size=5),
        st.sampled_from([None, AI, REAL]),
    ),
    st.tuples(
        st.just("note"), st.sampled_from(FILES), st.sampled_from(["", " x ", "y", "\udcff", "z\0"])
    ),
    st.just(("undo",)),
    st.just(("undo",)),
    st.just(("redo",)),
    st.just(("restart",)),
    st.just(("follow",)),
    st.tuples(st.just("other"), st.sampled_from(CONTENTS), st.sampled_from([None, AI, REAL])),
)
State = dict[str, tuple[Judgement | None, str]]


class Model:
    """What a reviewer expects: a state, and two stacks of states."""

    def __init__(self) -> None:
        self.state: State = dict.fromkeys(CONTENTS, (None, ""))
        self.undone: list[State] = []
        self.done: list[State] = []

    def become(self, state: State) -> int:
        changed = sum(state[content] != self.state[content] for content in CONTENTS)
        if changed:
            self.done.append(self.state)
            self.undone.clear()
            self.state = state
        return changed

    def go(self, back: list[State], forth: list[State]) -> int:
        if not back:
            return 0
        forth.append(self.state)
        before, self.state = self.state, back.pop()
        return sum(before[content] != self.state[content] for content in CONTENTS)


def content_of(name: str) -> str | None:
    return {"copy": "a", "broken": None}.get(name, name)


def state(review: Review) -> State:
    found = {}
    for item in review.items:
        name = content_of(item.path.name)
        if name is not None:
            value = (review.judgement(item), review.note_of(item))
            assert found.setdefault(name, value) == value  # copies say the same
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), STEPS), max_size=25))
def test_any_sequence_is_a_state_and_two_stacks(steps: list[tuple[bool, tuple]]) -> None:
    """Two processes of one reviewer, in turns, and another reviewer beside them."""
    with tempfile.TemporaryDirectory() as folder, Case.open(Path(folder) / "case") as case:
        rows = [scored("a"), scored("b"), scored("c"), scored("copy", "a"), failed("broken")]
        scan(case, rows)
        reviews, other, model = [Review(case, "ann"), Review(case, "ann")], {}, Model()
        for second, (what, *rest) in steps:
            review = reviews[second]
            by_name = {item.path.name: item for item in review.items}
            match what:
                case "label":
                    chosen, judgement = rest
                    after = dict(model.state)
                    for name in chosen:
                        if (content := content_of(name)) is not None:
                            after[content] = (judgement, after[content][1])
                    count = review.label([by_name[name] for name in chosen], judgement)
                    assert count == model.become(after)
                case "note":
                    name, text = rest
                    after = dict(model.state)
                    if (content := content_of(name)) is not None:
                        after[content] = (after[content][0], kept(text))
                    assert review.note(by_name[name], text) == model.become(after)
                case "undo":
                    assert len(review.undo()) == model.go(model.done, model.undone)
                case "redo":
                    assert len(review.redo()) == model.go(model.undone, model.done)
                case "restart":
                    reviews[second] = review = Review(case, "ann")
                case "follow":
                    review.follow()
                case "other":
                    content, judgement = rest
                    bob = Review(case, "bob")
                    bob.label([item for item in bob.items if item.path.name == content], judgement)
                    other[content] = judgement
                    continue
            assert state(review) == model.state
            assert review.steps == (len(model.done), len(model.undone))
        for review in (*reviews, Review(case, "ann")):
            review.follow()
            assert state(review) == model.state
            assert review.steps == (len(model.done), len(model.undone))
        bob = state(Review(case, "bob"))
        assert {content: bob[content][0] for content in other} == other
        Log(case).verify()
