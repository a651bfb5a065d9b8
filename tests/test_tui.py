"""`dgsf review` on its screen, with keys pressed and what is said read back.

Snapshots are the text of the screen, in `tests/snapshots`: other than SVG it can be read in a diff.
After a change that is meant, DGSF_SNAPSHOTS=update writes them anew.
"""

import os
import re
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual import events
from textual.widgets import Input

import tui_case
from conftest import photo
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.judgements import Action, Judgement, Showing, Sight
from dgsforensics.pictures import decoder
from dgsforensics.records import Verdict
from dgsforensics.review.relations import Relation
from dgsforensics.review.session import Review
from dgsforensics.scan.request import ScanRequest
from dgsforensics.tui import app as app_module
from dgsforensics.tui import decoding, keys
from dgsforensics.tui.evidence import EvidencePane
from dgsforensics.tui.graphics import TEXT
from dgsforensics.tui.keys import KEYS
from dgsforensics.tui.rows import Rows
from tui_case import SAMPLES, Sample, Seat, build, log, prediction, sit, write

pytestmark = pytest.mark.slow

BY_SCORE = [Path(sample.name).name for sample in SAMPLES]
"""The order in which they are listed; those without a score follow."""


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    for name in ("NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setattr(app_module, "FOLLOW_SECONDS", 0.05)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def case(built, tmp_path):
    """A case file of its own; the pictures are everyone's."""
    return shutil.copy(built, tmp_path / "case.sqlite3")


# Every key


@dataclass(frozen=True)
class Hand:
    """A seat, and the key under test."""

    seat: Seat
    key: str
    case: Path

    async def press(self):
        await self.seat.press(self.key)


def labels(judgement):
    async def check(hand):
        await hand.press()
        assert hand.seat.labels == {"lake.png": judgement}
        [entry] = log(hand.case)
        item = hand.seat.item("lake.png")
        assert (entry.reviewer, entry.action, entry.judgement) == ("ann", Action.LABEL, judgement)
        assert (entry.path, entry.sha256) == (item.path, item.sha256)
        assert entry.shown == item.shown
        assert entry.sight.showing == Showing.BLOCKS
        assert entry.sight.width > 20 and entry.sight.height > 10 and entry.sight.seconds >= 0
        assert (entry.shown.logit, entry.shown.verdict) == (5.0, Verdict.FLAGGED)
        assert hand.seat.current == "lake small.png"

    return check


async def unlabels(hand):
    await hand.seat.press("1", "up")
    await hand.press()
    assert hand.seat.labels == {}
    assert [entry.judgement for entry in log(hand.case)] == [Judgement.AI, None]
    assert hand.seat.current == "lake.png"


async def writes_a_note(hand):
    await hand.press()
    await hand.seat.write("seen before")
    await hand.seat.press("enter")
    assert hand.seat.review.note_of(hand.seat.item("lake.png")) == "seen before"
    [entry] = log(hand.case)
    assert (entry.action, entry.note, entry.judgement) == (Action.NOTE, "seen before", None)
    await hand.seat.press("i")
    assert "seen before" in hand.seat.text


def labels_the_group(judgement):
    async def check(hand):
        await hand.press()
        group = ["lake.png", "lake small.png", "lake again.png"]
        assert hand.seat.labels == dict.fromkeys(group, judgement)
        assert len({entry.step for entry in log(hand.case)}) == 1
        seen = [entry.sight.showing for entry in log(hand.case)]
        assert seen == [Showing.BLOCKS, Showing.GROUP, Showing.GROUP]
        assert hand.seat.current == "lake.png"
        assert f"3 of 3 images changed ({Relation.NEAR})" in hand.seat.status

    return check


async def chooses_the_relation(hand):
    said = []
    for _ in Relation:
        await hand.press()
        said.append(hand.seat.status.strip())
    assert said == [
        "group: same folder, 3 images listed",
        "group: same camera, 3 images listed",
        "group: same software, this one alone",
        "group: near-duplicates, 3 images listed",
    ]


async def lists_the_group(hand):
    await hand.press()
    assert hand.seat.listed == ["lake.png", "lake small.png", "lake again.png"]
    assert "near-duplicates of lake.png" in hand.seat.top
    await hand.press()
    assert len(hand.seat.listed) == 10
    assert hand.seat.current == "lake.png"


async def undoes(hand):
    await hand.seat.press("1", "2", "end")
    await hand.press()
    assert hand.seat.labels == {"lake.png": "ai"}
    assert hand.seat.current == "lake small.png"
    await hand.press()
    assert hand.seat.labels == {}
    await hand.press()
    assert "nothing to be undone" in hand.seat.status
    assert [entry.action for entry in log(hand.case)] == ["label", "label", "undo", "undo"]


async def redoes(hand):
    await hand.press()
    assert "nothing to be done again" in hand.seat.status
    await hand.seat.press("exclamation_mark", "z", "end")
    assert hand.seat.labels == {}
    await hand.press()
    assert len(hand.seat.labels) == 3
    assert hand.seat.current == "lake.png"
    assert "3 images" in hand.seat.status


async def goes_to_the_next_unlabelled(hand):
    await hand.seat.go("lake small.png")
    await hand.seat.press("1", "1", "home")
    seen, said = [hand.seat.current], []
    for _ in range(7):
        await hand.press()
        seen.append(hand.seat.current)
        said.append(hand.seat.status.strip())
    # Those that were never read have nothing to label.
    assert seen == ["lake.png", *BY_SCORE[3:], "broken.png", "lake.png", "tower.png"]
    assert [bool(text) for text in said] == [False] * 5 + [True, False]
    assert "from the other end" in said[5]


async def goes_to_the_previous_unlabelled(hand):
    await hand.seat.go("tower.png")
    await hand.seat.press("1", "home")
    seen = []
    for _ in range(6):
        await hand.press()
        seen.append(hand.seat.current)
    assert seen == ["broken.png", *reversed(BY_SCORE[4:]), "peak.png", "lake small.png"]


def moves(start, *steps):
    async def check(hand):
        await hand.seat.press(start)
        places = []
        for _ in steps:
            await hand.press()
            places.append(hand.seat.board.rows.cursor)
        assert tuple(places) == steps
        assert hand.seat.top.strip().startswith(f"{steps[-1] + 1}/10 ")

    return check


async def filters(hand):
    await hand.press()
    await hand.seat.write("label:none lake")
    await hand.seat.press("enter")
    assert hand.seat.listed == ["lake.png", "lake small.png", "lake again.png"]
    assert "label:none lake by score" in hand.seat.top


async def goes_through_the_verdicts(hand):
    found = []
    for _ in range(5):
        await hand.press()
        found.append((len(hand.seat.listed), {item.kind for item in hand.seat.board.rows.items}))
    assert [count for count, _ in found] == [4, 1, 2, 3, 10]
    kinds = [{"flagged"}, {"inconclusive"}, {"not flagged"}, {"unreadable", "unsupported"}]
    assert [kinds for _, kinds in found[:4]] == kinds


async def drops_the_filter(hand):
    await hand.seat.press("v", "v", "G")
    assert hand.seat.listed == ["tram.png"]
    await hand.press()  # first out of the group
    assert "tram.png" in hand.seat.listed and "verdict:inconclusive" in hand.seat.top
    await hand.press()
    assert len(hand.seat.listed) == 10
    assert hand.seat.current == "tram.png"
    assert " all by score" in hand.seat.top
    await hand.press()
    assert len(hand.seat.listed) == 10  # it takes nothing up again: that is for another key
    await hand.seat.press("slash", "enter")
    assert "verdict:inconclusive" in hand.seat.top


async def sorts(hand):
    await hand.seat.go("tower.png")
    said = []
    for _ in range(7):
        await hand.press()
        assert hand.seat.current == "tower.png"
        said.append((hand.seat.top.split(" all by ")[1].split()[0], hand.seat.listed[0]))
    assert said == [
        ("name", "lake small.png"),
        ("size", "lake.png"),
        ("format", "locked.png"),
        ("label", "lake.png"),
        ("scan", "lake.png"),
        ("queue", "lake.png"),
        ("score", "lake.png"),
    ]


async def reverses(hand):
    await hand.press()
    assert hand.seat.listed[-1] == "lake.png"
    assert "by score ↑" in hand.seat.top
    await hand.press()
    assert hand.seat.listed[0] == "lake.png"


async def filters_again(hand):
    await hand.seat.press("slash", *"label", "colon", *"none", "enter", "1")
    assert len(hand.seat.listed) == 10  # what was labelled stays where it is, until asked
    await hand.press()
    assert hand.seat.listed[0] == "lake small.png"
    assert len(hand.seat.listed) == 9


async def picture_is_there(seat):
    await seat.until(lambda: seat.board.viewer.picture.scale is not None)


async def zooms_in(hand):
    await picture_is_there(hand.seat)
    before = hand.seat.board.viewer.picture.scale
    await hand.press()
    assert hand.seat.board.viewer.picture.scale > before


async def zooms_out(hand):
    await picture_is_there(hand.seat)
    picture = hand.seat.board.viewer.picture
    fitted = picture.scale
    await hand.seat.press("plus", "plus")
    closer = picture.scale
    await hand.press()
    assert fitted < picture.scale < closer


async def shows_one_to_one(hand):
    await picture_is_there(hand.seat)
    await hand.press()
    assert hand.seat.board.viewer.picture.scale == 1.0


async def fits(hand):
    await picture_is_there(hand.seat)
    await hand.seat.press("c")
    await hand.press()
    assert hand.seat.board.viewer.picture.visible_box == (0, 0, 1, 1)


def pans(x, y):
    async def check(hand):
        await picture_is_there(hand.seat)
        await hand.seat.press("c")
        before = hand.seat.board.viewer.picture.visible_box
        await hand.press()
        after = hand.seat.board.viewer.picture.visible_box
        assert ((after[0] > before[0]) - (after[0] < before[0])) == x
        assert ((after[1] > before[1]) - (after[1] < before[1])) == y

    return check


async def compares(hand):
    await picture_is_there(hand.seat)
    assert "lake small.png ·" not in hand.seat.text
    await hand.press()
    await hand.seat.until(lambda: hand.seat.text.count("480x320") == 2)
    assert "98.2% lake s" in hand.seat.text
    await hand.press()
    assert "98.2% lake s" not in hand.seat.text


async def asks_for_the_map(hand):
    asked = []

    class Explainer:
        def explain(self, item, shown, show, tell, stop):
            asked.append((item.path.name, shown.logit))
            show([((0.0, 0.0, 0.5, 0.5), 1.0)])
            tell("map: found")

    hand.seat.app._explainer = Explainer()
    await picture_is_there(hand.seat)
    await hand.press()
    await hand.seat.says("map: found")
    assert asked == [("lake.png", 5.0)]
    assert "red AI" in hand.seat.text
    await hand.press()
    assert "red AI" not in hand.seat.text  # hidden
    await hand.press()
    assert "red AI" in hand.seat.text
    assert len(asked) == 1


def gives_the_screen_to(*wanted):
    """The panes that are there after the key, and all again after it once more."""

    async def check(hand):
        board = hand.seat.board
        panes = {
            "list": board.rows,
            "picture": board.viewer.picture,
            "evidence": board.query_one(EvidencePane),
        }
        before = {name: pane.size for name, pane in panes.items()}
        await hand.press()
        assert {name for name, pane in panes.items() if pane.is_on_screen} == set(wanted)
        assert any(panes[name].size.area > before[name].area for name in wanted)
        await hand.seat.press("2")
        assert ("the picture is hidden" in hand.seat.status) == ("picture" not in wanted)
        await hand.press()
        assert {name: pane.size for name, pane in panes.items()} == before

    return check


async def opens_the_picture(hand):
    await hand.press()
    assert "there is no screen to open it on: " in hand.seat.status
    assert "lake.png" in hand.seat.status


async def finds_a_key_by_words(hand):
    await hand.press()
    assert hand.seat.app.screen is not hand.seat.board
    await hand.seat.write("sort the other")
    await hand.seat.says("The list: sort the other way round")
    await hand.seat.press("enter")
    await hand.seat.until(lambda: "by score ↑" in hand.seat.top)
    assert hand.seat.app.screen is hand.seat.board


async def scrolls_the_evidence_down(hand):
    pane = hand.seat.app.screen.query_one(EvidencePane)
    await hand.press()
    assert pane.scroll_y > 0
    await hand.seat.press("down", "up")
    assert pane.scroll_y == 0  # of another image it begins at the start


async def scrolls_the_evidence_up(hand):
    pane = hand.seat.app.screen.query_one(EvidencePane)
    await hand.seat.press("right_square_bracket", "right_square_bracket")
    before = pane.scroll_y
    await hand.press()
    assert pane.scroll_y < before


async def turns_dark_or_light(hand):
    assert hand.seat.app.current_theme.dark
    await hand.press()
    assert not hand.seat.app.current_theme.dark
    await hand.press()
    assert hand.seat.app.current_theme.dark


async def shows_the_help(hand):
    await hand.press()
    assert "Keys of the moment" in hand.seat.text
    assert "z undo" not in hand.seat.text.replace(hand.seat.text.splitlines()[-1], "")
    await hand.seat.press("escape", "1", "question_mark")
    assert "z undo" in hand.seat.text.replace(hand.seat.text.splitlines()[-1], "")
    await hand.seat.press("escape")
    assert "Keys of the moment" not in hand.seat.text
    assert hand.seat.app.screen is hand.seat.board


async def quits(hand):
    await hand.press()
    assert hand.seat.app.return_code == 0


EXPECTED: dict[str, Callable[[Hand], Awaitable[None]]] = {
    "ai": labels("ai"),
    "real": labels("real"),
    "unsure": labels("unsure"),
    "unfit": labels("unfit"),
    "unlabel": unlabels,
    "note": writes_a_note,
    "group-ai": labels_the_group("ai"),
    "group-real": labels_the_group("real"),
    "group-unsure": labels_the_group("unsure"),
    "group-unfit": labels_the_group("unfit"),
    "group": chooses_the_relation,
    "group-only": lists_the_group,
    "undo": undoes,
    "redo": redoes,
    "next-unlabelled": goes_to_the_next_unlabelled,
    "previous-unlabelled": goes_to_the_previous_unlabelled,
    "down": moves("home", 1, 2),
    "up": moves("end", 8, 7),
    "page-down": moves("home", 4, 8, 9),
    "page-up": moves("end", 5, 1, 0),
    "first": moves("end", 0, 0),
    "last": moves("home", 9, 9),
    "filter": filters,
    "verdict": goes_through_the_verdicts,
    "everything": drops_the_filter,
    "sort": sorts,
    "reverse": reverses,
    "refresh": filters_again,
    "zoom-in": zooms_in,
    "zoom-out": zooms_out,
    "actual": shows_one_to_one,
    "fit": fits,
    "pan-left": pans(-1, 0),
    "pan-down": pans(0, 1),
    "pan-up": pans(0, -1),
    "pan-right": pans(1, 0),
    "beside": compares,
    "map": asks_for_the_map,
    "open": opens_the_picture,
    "picture": gives_the_screen_to("picture"),
    "both": gives_the_screen_to("picture", "evidence"),
    "list": gives_the_screen_to("list"),
    "evidence": gives_the_screen_to("list", "evidence"),
    "evidence-down": scrolls_the_evidence_down,
    "evidence-up": scrolls_the_evidence_up,
    "dark": turns_dark_or_light,
    "palette": finds_a_key_by_words,
    "help": shows_the_help,
    "quit": quits,
    "interrupt": quits,
}
"""What each key of `KEYS` does to the case of `tui_case`."""
SMALL = {"page-down": (120, 8), "page-up": (120, 8), "evidence-down": (80, 24)}
SMALL["evidence-up"] = (80, 24)
"""The size of the screen, where it matters."""


def each_key():
    return [(name, key) for name, spec in KEYS.items() for key in spec.keys.split(",")]


@pytest.mark.parametrize(("name", "key"), each_key(), ids=lambda value: value)
def test_each_key(case, name, key):
    """A key without an expectation fails."""
    sit(case, lambda seat: EXPECTED[name](Hand(seat, key, case)), size=SMALL.get(name, (160, 30)))


def test_no_expectation_is_left_of_a_key_that_is_gone():
    assert list(EXPECTED) == list(KEYS)


def test_a_remapped_key_does_what_the_other_did(case):
    keymap = keys.remapped({"ai": "p", "next-unlabelled": "ctrl+n, f5"})

    async def steps(seat):
        assert "p AI" in seat.text.splitlines()[-1]
        await seat.press("1", "a", "n", "space")
        assert (seat.labels, seat.current) == ({}, "lake.png")
        await seat.press("p", "ctrl+n")
        assert (seat.labels, seat.current) == ({"lake.png": "ai"}, "peak.png")
        await seat.press("f5", "question_mark")
        assert seat.text.splitlines()  # the help shows them
        keys_shown = seat.text.replace(seat.text.splitlines()[-1], "")
        assert re.search(r"\bp AI\b", keys_shown)
        assert not re.search(r"\b1 AI\b", keys_shown)

    sit(case, steps, keymap=keymap)


# Labels


def test_a_label_is_in_the_log_at_once(case):
    async def steps(seat):
        for count, key in enumerate("1234", start=1):
            await seat.press(key)
            assert len(log(case)) == count
        await seat.press("0")  # nothing to take away: nothing to write
        assert len(log(case)) == 4

    sit(case, steps)


def test_staying_after_a_label(case):
    async def steps(seat):
        await seat.press("1", "2")
        assert (seat.labels, seat.current) == ({"lake.png": "real"}, "lake.png")

    sit(case, steps, advance=False)


@pytest.mark.parametrize(
    ("relation", "group"),
    [
        (Relation.NEAR, {"lake.png", "lake small.png", "lake again.png"}),
        (Relation.FOLDER, {"lake.png", "lake small.png", "peak.png"}),
        (Relation.CAMERA, {"lake.png", "peak.png", "tram.png"}),
        (Relation.SOFTWARE, {"lake.png"}),  # it names none, and so has nothing in common
    ],
)
def test_groups(case, relation, group):
    async def steps(seat):
        await seat.press(*["g"] * list(Relation).index(relation), "quotation_mark")
        assert seat.labels == dict.fromkeys(group, "real")
        await seat.press("z")
        assert seat.labels == {}

    sit(case, steps)


def test_all_of_the_footer_is_seen_at_80_columns(case):
    async def steps(seat):
        assert seat.text.splitlines()[-1].strip().endswith("q quit")

    sit(case, steps, size=(80, 24))


@pytest.mark.parametrize(("times", "hidden"), [(0, 1), (1, 0), (2, 1)])
def test_what_the_filter_hides_is_left_alone(case, times, hidden):
    async def steps(seat):
        await seat.press(*["g"] * times, "dollar_sign")
        listed = {name for name in seat.labels if name in BY_SCORE[:4]}
        assert listed == set(seat.labels)
        assert (f"{hidden} more are not listed" in seat.status) == bool(hidden)

    sit(case, steps, query="verdict:flagged")


def test_copies_share_a_label(tmp_path):
    twin = Sample("city/twin.png", 4.9, same_as="alps/lake.png")
    case = build(tmp_path, (*SAMPLES, twin))

    async def steps(seat):
        await seat.press("1")
        assert seat.labels == {"lake.png": "ai", "twin.png": "ai"}
        assert len(log(case)) == 1

    sit(case, steps)


def test_what_was_never_read_cannot_be_labelled(case):
    async def steps(seat):
        for key in ("1", "exclamation_mark", "t"):
            seat.board.say("")
            await seat.press("end", key)
            assert seat.app.screen is seat.board  # there is nothing to write a note to
            assert "could not be read" in seat.status
        assert log(case) == []
        await seat.go("broken.png")  # its bytes were read
        await seat.press("4")
        assert seat.labels == {"broken.png": "unfit"}
        [entry] = log(case)
        assert entry.shown is None

    sit(case, steps)


def test_undo_goes_on_after_a_restart(case):
    async def first(seat):
        await seat.press("1", "1", "1")

    async def second(seat):
        await seat.press("z", "z", "y")
        assert seat.labels == dict.fromkeys(BY_SCORE[:2], "ai")
        assert "2 steps to undo, 1 to redo" in seat.status

    sit(case, first)
    sit(case, second)


def test_every_image_has_a_label(case):
    async def steps(seat):
        await seat.press("g", "exclamation_mark", "end", "up", "up", "up", "exclamation_mark", "n")
        assert "every image listed has a label" in seat.status

    sit(case, steps)


# Dialogs


def test_a_note_is_kept_or_not(case):
    async def steps(seat):
        item = seat.item("lake.png")
        await seat.press("1", "up", "t")
        await seat.write("a [b]c")
        await seat.press("escape")
        assert seat.review.note_of(item) == ""
        await seat.press("t")
        assert seat.app.screen.query_one(Input).value == ""
        await seat.write("a [b]c")
        await seat.press("enter")
        assert seat.review.note_of(item) == "a [b]c"
        assert seat.labels == {"lake.png": "ai"}
        assert "AI+" in seat.text
        await seat.press("t")
        assert seat.app.screen.query_one(Input).value == "a [b]c"
        await seat.press("ctrl+u", "enter")
        assert seat.review.note_of(item) == ""
        assert "AI+" not in seat.text

    sit(case, steps)


def test_keys_are_text_in_a_dialog(case):
    async def steps(seat):
        await seat.press("t", *"1q", "question_mark", *"zG", "enter")
        assert seat.review.note_of(seat.item("lake.png")) == "1q?zG"
        assert seat.labels == {}

    sit(case, steps)


@pytest.mark.parametrize("query", ["score:x", "verdict:maybe", '"open', "label:"])
def test_a_filter_that_cannot_be_meant(case, query):
    async def steps(seat):
        await seat.press("slash")
        seat.app.screen.query_one(Input).value = query
        await seat.press("enter")
        assert "filter:" in seat.text
        assert seat.app.screen.query_one(Input).value == query  # it stays open
        await seat.press("escape")
        assert len(seat.listed) == 10
        await seat.press("slash")
        assert seat.app.screen.query_one(Input).value == ""

    sit(case, steps)


def test_a_filter_that_nothing_meets(case):
    async def steps(seat):
        await seat.press("slash", *"zzz", "enter")
        assert seat.listed == []
        assert "nothing" in seat.text
        await seat.press("1", "exclamation_mark", "n", "G", "b", "m", "t", "escape")
        assert len(seat.listed) == 10
        assert log(case) == []

    sit(case, steps)


def test_the_verdict_leaves_the_rest_of_the_filter(case):
    async def steps(seat):
        await seat.press("v")
        assert seat.listed == ["lake.png", "lake small.png"]
        assert "verdict:flagged lake by" in seat.top
        await seat.press("v", "v")
        assert seat.listed == ["lake again.png"]

    sit(case, steps, query="lake")


def test_the_help_scrolls_and_closes(case):
    async def steps(seat):
        await seat.press("question_mark", "pagedown", "pagedown", "pagedown")
        assert "C2PA" in seat.text
        for key in ("q", "question_mark", "f1", "enter", "escape"):
            await seat.press(key)
            assert seat.app.screen is seat.board
            await seat.press("question_mark")
            assert seat.app.screen is not seat.board

    sit(case, steps, size=(80, 24))


# The mouse


def test_a_click_chooses_a_row(case):
    async def steps(seat):
        await seat.pilot.click(Rows, offset=(10, 4))
        assert seat.current == "tower.png"
        await seat.pilot.click(Rows, offset=(10, 0))  # the heading
        await seat.pilot.click(Rows, offset=(10, 20))  # below the last
        assert seat.current == "tower.png"

    sit(case, steps)


def test_a_click_after_the_wheel(tmp_path):
    case = many(tmp_path, 100)

    async def steps(seat):
        rows = seat.board.rows
        for _ in range(5):
            await seat.pilot._post_mouse_events([events.MouseScrollDown], Rows, offset=(5, 5))
        await seat.until(lambda: rows.scroll_y > 0)
        await seat.pilot.wait_for_animation()
        assert rows.cursor == 0  # the wheel looks, and chooses nothing
        top = round(rows.scroll_y)
        await seat.pilot.click(Rows, offset=(5, 3))
        assert rows.cursor == top + 2
        assert round(rows.scroll_y) == top

    sit(case, steps)


# What there is to review


def many(tmp_path, count):
    folder = tmp_path / "many"
    rows = [prediction(folder, Sample(f"{n:05}.png", 5 - n / count)) for n in range(count)]
    return write(tmp_path / "many.sqlite3", rows)


async def press_everything(seat):
    for name, key in each_key():
        if name not in ("quit", "interrupt"):
            await seat.press(key)
            if seat.app.screen is not seat.board:
                await seat.press("escape")


@pytest.mark.parametrize("count", [0, 1])
def test_all_keys_on_next_to_nothing(tmp_path, monkeypatch, count):
    monkeypatch.setattr("dgsforensics.detector.detector.Detector.load", missing)
    case = build(tmp_path, SAMPLES[:1]) if count else tmp_path / "new.sqlite3"

    async def steps(seat):
        await press_everything(seat)
        if not count:
            assert seat.top.strip().startswith("0/0 ")

    sit(case, steps, query=f"verdict:flagged {'lake' * count}")


def missing(*_):
    from dgsforensics.errors import CheckpointError

    raise CheckpointError("there is no such detector")


def test_failures_say_why(case):
    async def steps(seat):
        await seat.go("broken.png")
        await seat.press("i")
        assert "unreadable" in seat.text
        assert "truncated" in seat.text
        await seat.press("m")
        assert "no score to explain" in seat.status
        await seat.go("raw.xyz")
        assert "not an image" in seat.text

    sit(case, steps)


def test_a_file_that_is_gone_is_marked_and_labelled_only_after_a_question(tmp_path):
    case = build(tmp_path)

    async def steps(seat):
        gone = seat.item("park.png")
        content = gone.path.read_bytes()
        gone.path.unlink()
        await seat.says("gone: city/park.png")
        await seat.go("park.png")
        await seat.says("cannot be read")
        await seat.press("2")
        assert "park.png: the file is gone" in seat.text
        await seat.press("2", "enter", "escape")
        assert log(case) == []
        await seat.press("2", "y")
        assert seat.labels == {"park.png": "real"}
        [entry] = log(case)
        assert entry.sight == Sight(Showing.UNREADABLE)
        gone.path.write_bytes(content)
        await seat.until(lambda: "gone: city/park.png" not in seat.text)
        await seat.go("park.png")
        await seat.press("1")
        assert seat.labels == {"park.png": "ai"}

    sit(case, steps)


def test_a_file_that_is_not_what_was_scanned_is_marked_and_asked_about(tmp_path):
    case = build(tmp_path)
    lake = tmp_path / "pictures" / SAMPLES[0].name
    shutil.copy(tmp_path / "pictures" / SAMPLES[2].name, lake)

    async def steps(seat):
        await seat.says("changed: lake.png")
        await seat.press("1")
        assert "lake.png: the file is not what was scanned" in seat.text
        await seat.press("escape")
        assert log(case) == []

    sit(case, steps, size=(160, 30))


# What was seen


@contextmanager
def no_picture_yet(monkeypatch):
    """Decoders that wait."""
    go_on, load = threading.Event(), decoder.load

    def waiting(*arguments):
        go_on.wait(tui_case.DEADLINE)
        return load(*arguments)

    monkeypatch.setattr(decoding.decoder, "load", waiting)
    try:
        yield go_on
    finally:
        go_on.set()


def test_a_key_that_comes_before_the_picture_labels_nothing(case, monkeypatch):
    with no_picture_yet(monkeypatch) as go_on:

        async def steps(seat):
            await seat.says("loading")
            await seat.pilot.press("1", "A", "0")
            assert log(case) == []
            assert "NOT LABELLED: no label came before lake.png" in seat.status
            assert seat.current == "lake.png"
            go_on.set()
            await seat.press("1")
            assert seat.labels == {"lake.png": "ai"}

        sit(case, steps, size=(160, 30))


def test_keys_typed_at_once_label_one_image(case):
    async def steps(seat):
        await seat.settled()
        for _ in range(3):  # all before the next picture can be drawn
            seat.app.post_message(events.Key("2", "2"))
        await seat.pilot.pause()
        await seat.settled()
        assert seat.labels == {"lake.png": "real"}
        assert seat.current == "lake small.png"
        assert "NOT LABELLED: real came before lake small.png" in seat.status
        await seat.press("2")
        assert list(seat.labels) == BY_SCORE[:2]

    sit(case, steps, size=(160, 30))


def test_labels_without_looking_say_so(case, monkeypatch):
    async def steps(seat):
        await seat.says("loading")
        await seat.pilot.press("1", "2", "w", "w", "3")
        assert list(seat.labels) == BY_SCORE[:3]
        assert [entry.sight for entry in log(case)] == [Sight(Showing.BLIND)] * 3

    with no_picture_yet(monkeypatch):
        sit(case, steps, looks=False)


def test_how_long_a_picture_was_there_is_kept(case):
    async def steps(seat):
        await seat.settled()
        await seat.pilot.pause(0.3)
        await seat.press("1", "t", *"odd", "enter")
        label, note = log(case)
        assert 0.3 <= label.sight.seconds < tui_case.DEADLINE
        assert note.sight.showing == Showing.BLOCKS
        assert note.sight.seconds < label.sight.seconds

    sit(case, steps)


# Many at once


def test_what_would_be_replaced_is_asked_about(case):
    async def steps(seat):
        await seat.press("1", "home", "R")
        text = seat.text
        assert "Label 3 images real (near-duplicates)?" in text
        assert "by verdict: 2 flagged, 1 not flagged" in text
        assert "by label: 2 no label, 1 AI" in text
        assert "replaced: 1 label" in text
        await seat.press("R", "enter", "space", "escape")
        assert seat.labels == {"lake.png": "ai"}
        await seat.press("R", "y")
        assert set(seat.labels.values()) == {"real"} and len(seat.labels) == 3
        assert seat.current == "lake.png"
        await seat.press("R")  # nothing to replace, nothing to ask
        assert seat.app.screen is seat.board

    sit(case, steps)


@pytest.mark.parametrize(("count", "asks"), [(10, False), (11, True)])
def test_many_are_asked_about(tmp_path, count, asks):
    case = many(tmp_path, count)

    async def steps(seat):
        await seat.press("g", "A")
        assert (f"Label {count} images AI (same folder)?" in seat.text) is asks
        if asks:
            assert "by label: 11 no label" in seat.text
            assert log(case) == []
            await seat.press("y")
        assert len(log(case)) == count
        assert seat.board.rows.cursor == 0

    sit(case, steps, looks=False)


ODD = (
    *("\x1b[31mred.png", "two\nlines.png", "画像写真" * 12 + ".png", "[red]x[bold].png"),
    *("\u202eb.png", "a" * 200 + ".png", " .png", os.fsdecode(b"caf\xe9.png")),
)


@pytest.mark.parametrize("renderer", [None, TEXT])
def test_odd_names(tmp_path, renderer):
    folder = tmp_path / "pictures"
    samples = tuple(Sample(name, 5.0 - i / 10) for i, name in enumerate(ODD))
    tui_case.paint(folder, samples)
    case = write(tmp_path / "odd.sqlite3", [prediction(folder, sample) for sample in samples])

    async def steps(seat):
        for sample in samples:
            for key in ("b", "t", "escape", "G", "G", "1"):
                await seat.press(key)
                shown = seat.text.splitlines()
                assert len(shown) == 24
                assert max(map(cell_len, shown)) <= 80
                assert not set("".join(shown)) & set("\x1b\u202e\udce9")
            assert seat.labels[Path(sample.name).name] == "ai"
        assert "[red]" in seat.text

    sit(case, steps, size=(80, 24), **({"renderer": renderer} if renderer else {}))
    assert [entry.path.name for entry in log(case)] == list(ODD)


def test_sizes(case):
    async def steps(seat):
        await picture_is_there(seat)
        for columns, rows in [(200, 60), (80, 24), (40, 10), (20, 5), (10, 3), (4, 2), (120, 30)]:
            await seat.pilot.resize_terminal(columns, rows)
            for key in ("w", "w", "w", "t", "escape", "question_mark", "escape"):
                await seat.press(key)
            assert all(cell_len(line) <= columns for line in seat.text.splitlines())
        await seat.press("1")
        assert seat.labels == {"lake.png": "ai"}

    sit(case, steps, size=(200, 60))


def test_ten_thousand_rows_cost_what_can_be_seen(tmp_path, monkeypatch):
    case, drawn, row = many(tmp_path, 10_000), [], Rows._row

    def counted(self, place, *rest, **more):
        drawn.append(place)
        return row(self, place, *rest, **more)

    monkeypatch.setattr(Rows, "_row", counted)

    async def steps(seat):
        height = seat.board.rows.page
        for key, times, end in (("down", 5, 5), ("pagedown", 5, 5 + 5 * height), ("end", 1, 9_999)):
            drawn.clear()
            await seat.press(*[key] * times)
            assert seat.board.rows.cursor == end
            assert end in drawn
            assert len(drawn) <= 3 * height * times

    sit(case, steps)


# Others at work


def test_a_second_reviewer_is_followed(case):
    async def steps(seat):
        with Case.open(case) as opened:
            other = Review(opened, "bob")
            item = next(i for i in other.items if i.path.name == "lake.png")
            other.label([item], Judgement.REAL)
        await seat.until(lambda: "?" in seat.text.splitlines()[2])
        await seat.press("1")
        assert "AI≠" in seat.text
        assert "agreement with bob 0 of 1" in seat.top
        await seat.press("up", "2")
        assert "real=" in seat.text
        assert "agreement with bob 0 of 1" in seat.top  # by what was said first

    sit(case, steps, size=(160, 30))


def test_blind_until_labelled(case):
    with Case.open(case) as opened:
        other = Review(opened, "bob")
        other.label(other.items, Judgement.REAL)

    async def steps(seat):
        assert "bob" not in seat.text
        assert "(blind)" in seat.top
        await seat.press("1", "up", "i")
        assert "AI≠" in seat.text
        assert "bob, " in seat.text
        await seat.press("z")
        assert "bob" not in seat.text

    sit(case, steps, blind=True)


def test_rows_of_a_scan_elsewhere_appear(tmp_path):
    folder, case = tmp_path / "pictures", tmp_path / "case.sqlite3"
    tui_case.paint(folder)
    rows = [prediction(folder, sample) for sample in SAMPLES]
    write(case, rows[2:3])

    async def steps(seat):
        assert seat.current == "peak.png"
        with Case.open(case) as opened:
            scan = opened.begin_scan(tui_case.SETTINGS)
            scan.record(rows[:1])
            await seat.until(lambda: seat.listed == ["lake.png", "peak.png"])
            assert seat.current == "peak.png"  # under the finger
            assert "2/2" in seat.top
            scan.record(rows[1:])
            await seat.until(lambda: seat.listed == BY_SCORE)
            scan.finish()
        assert seat.current == "peak.png"
        assert seat.board.relations.nearest(seat.item("lake.png"))[0].path.name == "lake small.png"
        await seat.press("1")
        assert seat.labels == {"peak.png": "ai"}

    sit(case, steps)


# With a detector


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "scanned"
    folder.mkdir()
    for seed in range(6):
        photo(260, 240, seed).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def request_(tiny_detector, tiny_backbone, folder, tmp_path):
    return ScanRequest(
        paths=[folder],
        model=str(tiny_detector),
        backbone_weights=tiny_backbone,
        device="cpu",
        batch=2,
        case=tmp_path / "new.sqlite3",
    )


def test_a_scan_goes_on_while_one_reviews(request_, monkeypatch):
    from dgsforensics.detector.detector import Detector

    judge, go_on, judged = Detector.judge, threading.Event(), []

    def held(self, *rest, **more):
        if len(judged) >= 3:
            go_on.wait(tui_case.DEADLINE)
        judged.append(rest)
        return judge(self, *rest, **more)

    monkeypatch.setattr(Detector, "judge", held)

    async def steps(seat):
        try:
            await seat.says("scanning: 2 of 6")
            await seat.until(lambda: len(seat.listed) == 2)
            await seat.press("1")
            assert "AI" in seat.status
            assert "scanning: 2 of 6" in seat.status
        finally:
            go_on.set()
        await seat.says("scanned: 6 files")
        assert "scanning" not in seat.status
        assert len(seat.listed) == 6
        assert list(seat.labels.values()) == ["ai"]
        [entry] = log(request_.case)
        assert entry.shown == seat.item(entry.path.name).shown

    sit(request_.case, steps, request=request_, scans=True)


def test_the_error_of_a_scan_is_said(request_, tmp_path):
    async def steps(seat):
        await seat.says("the scan stopped: ")
        await seat.press("?")
        assert seat.app.screen is not seat.board  # the review goes on

    missing = replace(request_, model=str(tmp_path / "none.safetensors"))
    sit(request_.case, steps, request=missing, scans=True, size=(160, 30))


def test_a_folder_that_is_gone_is_said(request_, tmp_path):
    async def steps(seat):
        await seat.says("the scan stopped")
        assert "gone: no such file or folder" in seat.text and seat.listed == []

    gone = replace(request_, paths=[tmp_path / "gone"])
    sit(request_.case, steps, request=gone, scans=True, size=(160, 30))


def test_quitting_in_the_middle_of_a_scan(request_, monkeypatch):
    from dgsforensics.detector.detector import Detector

    judge, go_on, judged = Detector.judge, threading.Event(), []

    def held(self, *rest, **more):
        if len(judged) >= 2:
            go_on.wait(tui_case.DEADLINE)
        judged.append(rest)
        return judge(self, *rest, **more)

    monkeypatch.setattr(Detector, "judge", held)

    async def steps(seat):
        await seat.says("scanning: 2 of 6")
        await seat.press("q")
        go_on.set()

    sit(request_.case, steps, request=request_, scans=True)
    assert len(judged) < 6
    with Case.open(request_.case) as opened:
        assert 2 <= len(Review(opened, "ann").items) < 6
        [scan] = opened.scans()
        assert scan.finished is None


def test_the_map_of_a_score(request_):
    async def steps(seat):
        await seat.says("scanned: 6 files")
        await picture_is_there(seat)
        await seat.press("m")
        await seat.says("covering one")
        assert seat.board.viewer.has_heat
        assert "red AI, blue real" in seat.text or "no region matters" in seat.text
        await seat.press("down")
        await picture_is_there(seat)
        assert "red AI" not in seat.text

    sit(request_.case, steps, request=request_, scans=True, size=(200, 50))


def test_a_map_is_left_off_when_another_image_is_shown(case):
    class Explainer:
        def explain(self, item, shown, show, tell, stop):
            tell("map: 1 of 49 regions")
            end = time.monotonic() + tui_case.DEADLINE
            while not stop() and time.monotonic() < end:
                time.sleep(0.01)
            over.append("left off" if stop() else "went on")

    async def steps(seat):
        seat.app._explainer = Explainer()
        await seat.press("m")
        await seat.says("map: 1 of 49")
        await seat.press("1")
        await seat.until(lambda: over)
        assert over == ["left off"]
        assert "map" not in seat.status

    over = []
    sit(case, steps)


def test_a_map_needs_the_detector_that_scored(case, request_):
    async def steps(seat):
        await seat.press("m")
        await seat.says("no map: ")
        assert "--model" in seat.text or "not the made-up" in seat.text

    sit(case, steps, request=request_, size=(200, 30))


# Without colour


def test_nothing_is_told_by_colour_alone(case, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with Case.open(case) as opened:
        other = Review(opened, "bob")
        other.label(other.items[:2], Judgement.REAL)

    async def steps(seat):
        assert seat.app.no_color
        await seat.press("1", "2")
        listed = [line[:88] for line in seat.text.splitlines()[2:12]]
        assert [line.split()[0].lstrip("▸") for line in listed] == [
            *("flagged", "flagged", "flagged", "flagged", "inconclusive", "not", "not"),
            *("unreadable", "unreadable", "unsupported"),
        ]
        assert [line.startswith("▸") for line in listed].index(True) == 2
        assert "AI≠" in listed[0]
        assert "real=" in listed[1]
        await picture_is_there(seat)
        seat.board.viewer.heat(
            seat.item("peak.png"), [((0, 0, 0.5, 1), 1.0), ((0.5, 0, 1, 1), -1.0)]
        )
        await seat.says("+ AI, - real")
        assert "++" in seat.text
        assert "--" in seat.text

    sit(case, steps, size=(160, 30), renderer=TEXT)


# Snapshots

SNAPSHOTS = Path(__file__).parent / "snapshots"
MADE_WITH = ("8.2.8", (3, 11))
"""Textual, and Python."""
UPDATE = os.environ.get("DGSF_SNAPSHOTS") == "update"


class Noon(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


VIEWS: dict[str, tuple[str, ...]] = {
    "board": (),
    "help": ("question_mark",),
    "filter": ("slash", *"score", "colon", "x", "enter"),
    "evidence": ("i",),
}


@pytest.mark.skipif(
    (version("textual"), sys.version_info[:2]) != MADE_WITH,
    reason=f"the snapshots were made with Textual {MADE_WITH[0]} on Python 3.11",
)
@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("view", VIEWS)
def test_snapshot(tmp_path, monkeypatch, view, size):
    place = Path("/pictures")
    monkeypatch.setattr("dgsforensics.case.decisions.datetime", Noon)
    loaded = decoder.Picture(photo_pixels(), tui_case.FileFacts(), None)
    monkeypatch.setattr(decoding.decoder, "load", lambda *_: loaded)
    monkeypatch.setattr("dgsforensics.tui.presence.is_there", lambda path: True)
    rows = [prediction(place, sample) for sample in SAMPLES]
    case = write(tmp_path / "case.sqlite3", [*rows, *tui_case.failures(place)])
    with Case.open(case) as opened:
        other = Review(opened, "bob")
        other.label(other.items[:2], Judgement.REAL)
        other.note(other.items[0], "the negative is in the archive")

    async def steps(seat):
        await seat.press("1", "2", "exclamation_mark", "home")
        await picture_is_there(seat)
        await seat.press(*VIEWS[view])
        shown = seat.text + "\n"
        file = SNAPSHOTS / f"{view}-{size[0]}x{size[1]}.txt"
        if UPDATE:
            file.parent.mkdir(exist_ok=True)
            file.write_text(shown, encoding="utf-8")
        assert shown == file.read_text(encoding="utf-8"), "DGSF_SNAPSHOTS=update if it is meant"

    sit(case, steps, size=size)


def photo_pixels():
    import numpy as np

    return np.asarray(photo(480, 320))


@contextmanager
def full(case):
    """A case file that takes no decision, as on a full disk."""
    with closing(sqlite3.connect(case, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON decision"
            " BEGIN SELECT raise(ABORT, 'database or disk is full'); END"
        )
        try:
            yield
        finally:
            db.execute("DROP TRIGGER full")


@pytest.mark.parametrize("key", ["1", "A", "z"])
def test_a_case_file_that_takes_nothing_more_says_so(case, key):
    async def steps(seat):
        await seat.press("2", "home")
        before, here = seat.labels, seat.current
        with full(case):
            # What is typed ahead was meant for the images that follow.
            await seat.press(key, *("y" if key == "A" else ""), "3", "4", "down", "enter")
            assert "NOT WRITTEN" in seat.text and "disk is full" in seat.text
        assert seat.labels == before and seat.current == here
        await seat.press("escape", key, *("y" if key == "A" else ""))
        assert "NOT WRITTEN" not in seat.text
        assert len(log(case)) > 1

    sit(case, steps)


def test_a_note_that_is_not_written_stays_in_its_line(case):
    async def steps(seat):
        with full(case):
            await seat.press("t", *"odd", "enter")
            assert "NOT WRITTEN" in seat.text and "disk is full" in seat.text
        await seat.press("enter")
        assert [entry.note for entry in log(case)] == ["odd"]

    sit(case, steps)


def test_the_list_keeps_still_under_a_finger(tmp_path):
    tui_case.paint(tmp_path)
    rows = [prediction(tmp_path, sample) for sample in SAMPLES]
    path = tmp_path / "case.sqlite3"
    with Case.open(path) as opened:
        scan = opened.begin_scan(tui_case.SETTINGS)
        scan.record(rows[3:5])

        async def steps(seat):
            await seat.until(lambda: len(seat.listed) == 2)
            scan.record(rows[:1])  # the highest score: sorted in, for nobody has done anything
            await seat.until(lambda: len(seat.listed) == 3)
            first = Path(SAMPLES[0].name).name
            assert seat.listed[0] == first
            await seat.press("1", "plus")
            listed, scale = seat.listed, seat.board.viewer.picture.scale
            scan.record(rows[1:2])
            await seat.until(lambda: len(seat.listed) == 4)
            assert seat.listed == [*listed, Path(SAMPLES[1].name).name]
            assert seat.current == listed[2] and seat.board.viewer.picture.scale == scale
            await seat.press("full_stop")
            assert seat.listed[:2] == [first, Path(SAMPLES[1].name).name]

        sit(path, steps)


def test_a_case_that_cannot_be_read_for_a_moment_stays_on_the_screen(case, monkeypatch):
    async def steps(seat):
        def fails(self):
            raise CaseError("the disk reports an error")

        before = seat.listed
        with monkeypatch.context() as patch:
            patch.setattr(Review, "grow", fails)
            patch.setattr(Review, "load", fails)
            await seat.says("the case cannot be read: the disk reports an error")
            seat.app.post_message(seat.app.Scanned(""))
            await seat.press("down")
        assert seat.listed == before
        await seat.press("1")
        assert len(log(case)) == 1

    sit(case, steps)
