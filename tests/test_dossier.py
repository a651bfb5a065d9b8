"""What is said of one image: all of it, in order, and nothing that a terminal would act on."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dgsforensics.case.decisions import Log, LogEntry
from dgsforensics.case.scans import ScanOptions
from dgsforensics.case.store import Case
from dgsforensics.judgements import Action, Judgement
from dgsforensics.records import Evidence, FileFacts, Mark, Status
from dgsforensics.review.dossier import EVERY_IMAGE, Line, describe
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review
from made_review import MODEL, SETTINGS, failed, scaled, scan, scored, sha

ESCAPE = "\x1b]0;owned\x07\x1b[2J\r\n\u202eexe.\u200b\x00\x9b31m"
"""What a name, a prompt or a note must not do to a terminal."""


def said(
    review: Review, item: Item, similar: tuple[Item, int] | None = None
) -> dict[str, list[Line]]:
    sections = list(describe(review, item, similar))
    assert len({title for title, _ in sections}) == len(sections)
    return dict(sections)


def test_all_that_is_known_in_order(case: Case) -> None:
    claims = (
        Evidence(Mark.CAMERA, "EXIF", "Model", "Box 3"),
        Evidence(None, "XMP", "Rating", "5"),
    )
    facts = FileFacts(sha("a"), 2_345_678, "WEBP", 4000, 3000, 3)
    row = scored("a.webp", None, 2.5, *claims, reason="the first of 3 frames")
    scan(case, [replace(row, facts=facts), scored("b.jpg")])
    review = Review(case, "ann")
    a, b = review.items
    review.note(b, "b is odd")
    review.label([b], Judgement.UNSURE)
    sections = said(review, a, (b, 13))
    assert list(sections) == [
        "Score",
        "What the file claims (easily removed or forged)",
        "Near-duplicates",
        "Limits",
        "File",
        EVERY_IMAGE,
    ]
    assert sections["Score"] == [
        ("", "flagged, probability 73.1%, logit 2.500"),
        ("flagged from", "75.0%; inconclusive from 32.1%"),
    ]
    assert sections["Limits"] == [("", "the first of 3 frames")]
    assert sections[EVERY_IMAGE] == [
        ("threshold:", "false-positive rate 0.01"),
        ("detector", f"tiny {MODEL[:12]}"),
        ("", "A score is a signal, not proof."),
    ]
    assert sections["What the file claims (easily removed or forged)"] == [
        ("EXIF, Model:", "Box 3"),
        ("XMP, Rating:", "5"),
    ]
    assert sections["File"] == [
        ("", "/photos/a.webp"),
        ("", "WEBP, 4000x3000, 2.3 MB"),
        ("frames", "3"),
        ("sha256", sha("a")),
    ]
    assert sections["Near-duplicates"] == [
        ("13 of 64 bits differ:", "/photos/b.jpg"),
        ("", "your label: unsure"),
    ]
    assert list(said(review, b)) == [
        *("Score", "What the file claims", "Decisions", "File", EVERY_IMAGE)
    ]
    assert [name for name, _ in said(review, b)["File"]] == ["", "", "sha256"]  # one frame
    review.label([b], None)
    assert said(review, a, (b, 0))["Near-duplicates"] == [("0 of 64 bits differ:", "/photos/b.jpg")]


def test_a_score_next_to_certain_is_not_said_to_be_certain(case: Case) -> None:
    made = replace(scaled(lower=-40.0, upper=30.0, origin="strict"), threshold=0.9999996)
    scan(case, [scored("a.jpg", logit=25.0), scored("b.jpg", logit=-30.0)], made)
    a, b = Review(case, "ann").items
    review = Review(case, "ann")
    assert said(review, a)["Score"][:2] == [
        ("", "inconclusive, probability >99.9%, logit 25.000"),
        ("flagged from", ">99.9%; inconclusive from <0.1%"),
    ]
    assert said(review, b)["Score"][0] == ("", "inconclusive, probability <0.1%, logit -30.000")


def test_without_a_band_none_is_mentioned(case: Case) -> None:
    options = {
        **SETTINGS.options.to_dict(),
        "thresholds": {"lower": 1.0, "upper": 1.0, "origin": "p"},
    }
    scan(case, [scored("a.jpg")], replace(SETTINGS, options=ScanOptions.from_dict(options)))
    review = Review(case, "ann")
    assert ("flagged from", "75.0%") in said(review, review.items[0])["Score"]


def test_decisions_ones_own_first(case: Case) -> None:
    scan(case, [scored("a.jpg")])
    bob, ann, zoe = (Review(case, name) for name in ("bob", "ann", "zoe"))
    bob.label(bob.items, Judgement.AI)
    bob.note(bob.items[0], "six fingers")
    zoe.label(zoe.items, Judgement.UNFIT)
    ann.note(ann.items[0], "later")
    times = {d.reviewer: d.time[:16].replace("T", " ") for d in Log(case).after()}
    assert said(ann, ann.items[0])["Decisions"] == [
        (f"ann, {times['ann']} UTC:", "no label: later"),
        (f"bob, {times['bob']} UTC:", "AI: six fingers"),
        (f"zoe, {times['zoe']} UTC:", "unfit"),
    ]


def test_blind_says_nothing_of_others_before_ones_own_label(case: Case) -> None:
    scan(case, [scored("a.jpg"), scored("b.jpg")])
    bob = Review(case, "bob")
    bob.label(bob.items, Judgement.REAL)
    bob.note(bob.items[0], "a secret")
    ann = Review(case, "ann", blind=True)
    a, b = ann.items
    ann.note(a, "mine")
    for sections in (said(ann, a, (b, 3)), said(ann, b, (a, 3))):
        text = str(sections)
        assert "bob" not in text and "secret" not in text and "real" not in text
    ann.label([a], Judgement.AI)
    assert "a secret" in str(said(ann, a)) and "bob" not in str(said(ann, b, (a, 3)))


def test_a_file_without_a_score(case: Case) -> None:
    scan(
        case,
        [
            failed("cut.jpg", "truncated after 12 bytes", sha256=sha("cut"), size=1, format="JPEG"),
            replace(failed("raw.dng", "needs the extra raw"), status=Status.UNSUPPORTED),
        ],
    )
    review = Review(case, "ann")
    cut, raw = review.items
    assert said(review, cut) == {
        "Score": [("", "unreadable"), ("because:", "truncated after 12 bytes")],
        "What the file claims": [("", "not looked at")],
        "File": [("", "/photos/cut.jpg"), ("", "JPEG, 1 bytes"), ("sha256", sha("cut"))],
    }
    assert said(review, raw) == {
        "Score": [("", "unsupported"), ("because:", "needs the extra raw")],
        "What the file claims": [("", "not looked at")],
        "File": [("", "/photos/raw.dng")],
    }


def test_nothing_found_is_not_the_same_as_nobody_looked(case: Case) -> None:
    scan(case, [scored("old.jpg"), scored("empty.jpg", fingerprint=5)])
    review = Review(case, "ann")
    old, empty = review.items
    assert said(review, old)["What the file claims"] == [
        ("", "not looked at; dgsf scan --no-cache looks again")
    ]
    assert said(review, empty)["What the file claims"] == [("", "nothing; that proves nothing")]


@pytest.mark.parametrize("copies", [0, 1, 5, 6, 9])
def test_copies_are_named_up_to_five(case: Case, copies: int) -> None:
    scan(case, [scored("a.jpg"), *(scored(f"{n}.jpg", "a.jpg") for n in range(copies))])
    review = Review(case, "ann")
    lines = said(review, review.items[0]).get("Near-duplicates", [])
    named = [value for name, value in lines if name == "same content:"]
    assert named == [f"/photos/{n}.jpg" for n in range(min(copies, 5))]
    assert [value for _, value in lines if "more cop" in value] == (
        [f"and {copies - 5} more copies"] if copies > 5 else []
    )


def test_nothing_reaches_the_terminal_that_it_would_act_on(case: Case) -> None:
    hostile = Path(os.fsdecode(b"/photos/\xff")) / (ESCAPE.replace("\0", "") + ".jpg")
    evil = Evidence(Mark.GENERATOR, f"PNG{ESCAPE}", f"key{ESCAPE}", f"value{ESCAPE}")
    facts = replace(scored("x").facts, format=f"J{ESCAPE}")
    odd = scored("x", None, 0.0, evil, path=hostile, facts=facts, reason=f"frames{ESCAPE}")
    made = replace(scaled(lower=-1.0, upper=1.0, origin=f"rate{ESCAPE}"), model=f"tiny{ESCAPE}")
    copy, broken = replace(odd, path=hostile / "copy"), failed(f"b{ESCAPE[:2]}", f"r{ESCAPE}")
    scan(case, [odd, copy, broken], made)
    for name in (f"bob{ESCAPE}", "ann"):
        review = Review(case, name)
        review.label(review.items, Judgement.AI)
        # `Review.note` blanks what it is given; the log may hold anything.
        said_so = LogEntry(hostile, facts.sha256, Judgement.AI, f"note{ESCAPE}", None)
        Log(case).append(review.reviewer, Action.NOTE, [said_so])
        review.follow()
    for item in review.items:
        for title, lines in said(review, item, (review.items[0], 3)).items():
            for name, value in lines:
                assert title.isprintable() and name.isprintable() and value.isprintable()
    text = str(said(review, review.items[0]))
    for word in ("key", "value", "rate", "frames", "note", "tiny", "bob", "PNG"):
        assert word + "\\x1b]0;owned" in text.replace("\\\\", "\\"), word


def test_an_older_case_is_described_once_it_was_scanned_again(case: Case) -> None:
    scan(case, [scored("a.jpg")], replace(SETTINGS, options=ScanOptions()))
    scan(case, [scored("a.jpg", cached=True)])
    review = Review(case, "ann")
    sections = said(review, review.items[0])
    assert sections["Score"][0] == ("", "inconclusive, probability 43.8%, logit 0.000")
    assert "not looked at" in sections["What the file claims"][0][1]
