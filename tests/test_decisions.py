"""The log of decisions: what stands, two reviewers, tampering, the death of a process."""

import dataclasses
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dgsforensics.case import connection, schema
from dgsforensics.case.decisions import ORIGIN, Log, LogEntry, standing
from dgsforensics.case.merging import merge
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.judgements import Action, Judgement, ScoreSeen, Showing, Sight
from dgsforensics.records import Verdict

SHOWN = ScoreSeen("dgs", "d" * 64, 1.25, 0.1 + 0.2, 0.9, Verdict.FLAGGED)


def entry(name: str, judgement: Judgement | None = Judgement.AI, note: str = "") -> LogEntry:
    return LogEntry(Path("/photos") / name, name * 64, judgement, note, SHOWN)


@pytest.fixture
def case_path(tmp_path: Path) -> Path:
    return tmp_path / "case.sqlite3"


@pytest.fixture
def case(case_path: Path) -> Iterator[Case]:
    with Case.open(case_path) as case:
        yield case


def test_what_was_written_is_read_back(case: Case, case_path: Path) -> None:
    odd = LogEntry(Path(os.fsdecode(b"/p/\xff\n.jpg")), "b" * 64, None, "why? \u2014 \udcff", None)
    first = Log(case).append("ann", Action.LABEL, [entry("a"), odd])
    assert [d.id for d in first] == [1, 2]
    assert {d.step for d in first} == {1}
    assert first[0].shown == SHOWN and first[0].judgement == Judgement.AI
    assert (first[1].path, first[1].note, first[1].shown) == (odd.path, "why? \u2014 \\udcff", None)
    second = Log(case).append("bob", Action.NOTE, [entry("a")])
    assert [(d.id, d.step, d.reviewer, d.action) for d in second] == [(3, 3, "bob", Action.NOTE)]
    with Case.open(case_path) as other:
        log = Log(other)
        assert log.after() == first + second
        assert log.after(2) == second
        assert log.verify().head == second[0].hash
        assert log.verify().entries == 3


def test_an_empty_log_is_sound(case: Case) -> None:
    assert Log(case).verify().head == ORIGIN
    assert Log(case).verify(ORIGIN).entries == 0
    assert Log(case).append("ann", Action.LABEL, []) == []
    with pytest.raises(CaseError, match="cut off"):
        Log(case).verify("1" * 64)


def test_each_reviewer_stands_by_the_last_decision(case: Case) -> None:
    log = Log(case)
    log.append("ann", Action.LABEL, [entry("a"), entry("b")])
    log.append("bob", Action.LABEL, [entry("a", Judgement.REAL)])
    log.append("ann", Action.LABEL, [entry("a", Judgement.UNSURE)])
    now = standing(log.after())
    assert {r: d.judgement for r, d in now["a" * 64].items()} == {
        "ann": Judgement.UNSURE,
        "bob": Judgement.REAL,
    }
    later = log.append("ann", Action.UNDO, [entry("a", None), entry("b", None, "still odd")])
    now = standing(later, now)
    assert list(now["a" * 64]) == ["bob"]
    assert now["b" * 64]["ann"].note == "still odd"


def test_one_entry_that_cannot_be_written_leaves_none(case: Case) -> None:
    with pytest.raises(CaseError):
        Log(case).append(
            "ann", Action.LABEL, [entry("a"), dataclasses.replace(entry("b"), sha256=None)]
        )  # type: ignore[arg-type]
    assert Log(case).after() == []


def test_a_step_built_upon_an_older_log_is_not_written(case: Case) -> None:
    log = Log(case)
    assert log.append("ann", Action.LABEL, [entry("a")], after=1) == []
    [first] = log.append("ann", Action.LABEL, [entry("a")], after=0)
    log.append("bob", Action.LABEL, [entry("b")])
    assert log.append("ann", Action.LABEL, [entry("c")], after=first.id) == []
    assert [d.reviewer for d in log.after()] == ["ann", "bob"]
    assert [d.id for d in log.append("ann", Action.LABEL, [entry("c")], after=2)] == [3]


def unlocked(case_path: Path) -> sqlite3.Connection:
    """A connection for somebody who means to change the log."""
    db = sqlite3.connect(case_path, isolation_level=None)
    for trigger in ("decisions_stay", "decisions_are_kept"):
        db.execute(f"DROP TRIGGER {trigger}")
    return db


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE decision SET judgement = 'real' WHERE id = 2", "entry 2 .* changed"),
        ("UPDATE decision SET note = 'x' WHERE id = 1", "entry 1 .* changed"),
        ("UPDATE decision SET time = '2020' WHERE id = 3", "entry 3 .* changed"),
        ("UPDATE decision SET path = x'2f61' WHERE id = 3", "entry 3 .* changed"),
        ("UPDATE decision SET probability = 0.3 WHERE id = 2", "entry 2 .* changed"),
        ("UPDATE decision SET hash = hex(zeroblob(32)) WHERE id = 2", "entry 2 .* changed"),
        ("UPDATE decision SET reviewer = 'eve', hash = hash WHERE id = 2", "entry 2 .* changed"),
        # Bytes that spell a text and a text that spells bytes hash the same.
        ("UPDATE decision SET path = lower(hex(path)) WHERE id = 2", "entry 2 .* changed"),
        ("UPDATE decision SET note = x'cafe' WHERE id = 3", "entry 3 .* changed"),
        ("UPDATE decision SET sha256 = x'" + "c" * 64 + "' WHERE id = 3", "entry 3 .* changed"),
        ("UPDATE decision SET model = x'cafe' WHERE id = 3", "entry 3 .* changed"),
        ("UPDATE decision SET logit = NULL WHERE id = 3", "entry 3 .* changed"),
        ("DELETE FROM decision WHERE id = 1", "entry 1 .* missing"),
        ("DELETE FROM decision WHERE id = 2", "entry 2 .* missing"),
        ("UPDATE decision SET id = 9 WHERE id = 3", "entry 3 .* missing"),
    ],
)
def test_what_was_changed_shows(case_path: Path, change: str, expected: str) -> None:
    with Case.open(case_path) as case:
        spelled = dataclasses.replace(SHOWN, model="cafe")
        last = dataclasses.replace(entry("c", note="cafe"), shown=spelled)
        Log(case).append("ann", Action.LABEL, [entry("a"), entry("b"), last])
        Log(case).verify()
    with closing(unlocked(case_path)) as db:
        db.execute(change)
    with Case.open(case_path) as case, pytest.raises(CaseError, match=expected):
        Log(case).verify()


def test_a_log_that_was_cut_off_shows_against_a_noted_head(case_path: Path) -> None:
    with Case.open(case_path) as case:
        log = Log(case)
        written = log.append("ann", Action.LABEL, [entry("a"), entry("b"), entry("c")])
    with closing(unlocked(case_path)) as db:
        db.execute("DELETE FROM decision WHERE id = 3")
    with Case.open(case_path) as case:
        log = Log(case)
        assert log.verify(written[1].hash).entries == 2
        with pytest.raises(CaseError, match="cut off"):
            log.verify(written[2].hash)


@pytest.mark.parametrize("change", ["UPDATE decision SET note = 'x'", "DELETE FROM decision"])
def test_the_database_itself_refuses_to_change_the_log(case_path: Path, change: str) -> None:
    with Case.open(case_path) as case:
        Log(case).append("ann", Action.LABEL, [entry("a")])
    with (
        closing(sqlite3.connect(case_path)) as db,
        pytest.raises(sqlite3.IntegrityError, match="only ever added to"),
    ):
        db.execute(change)


def test_two_reviewers_at_once_make_one_chain(case_path: Path) -> None:
    def judge(reviewer: str) -> None:
        with Case.open(case_path) as case:
            for number in range(40):
                Log(case).append(reviewer, Action.LABEL, [entry("a", note=f"{number}"), entry("b")])

    Case.open(case_path).__enter__()
    reviewers = [threading.Thread(target=judge, args=(name,)) for name in ("ann", "bob")]
    for thread in reviewers:
        thread.start()
    for thread in reviewers:
        thread.join()
    with Case.open(case_path) as case:
        log = Log(case)
        assert log.verify().entries == 160
        for step in {d.step for d in log.after()}:
            assert len({d.reviewer for d in log.after() if d.step == step}) == 1
        assert {r: d.note for r, d in standing(log.after())["a" * 64].items()} == {
            "ann": "39",
            "bob": "39",
        }


def test_a_decision_outlives_the_process(case_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from dgsforensics.case.decisions import Log, LogEntry
from dgsforensics.judgements import Action, Judgement
from dgsforensics.case.store import Case
with Case.open(Path(sys.argv[1])) as case:
    Log(case).append("ann", Action.LABEL, [LogEntry(Path("/a"), "a" * 64, Judgement.AI, "", None)])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script, str(case_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    with Case.open(case_path) as case:
        assert [d.judgement for d in Log(case).after()] == [Judgement.AI]
        assert Log(case).verify().entries == 1


def test_a_case_that_may_only_be_read_is_verified_as_it_is(
    case_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Case.open(case_path) as case:
        [written] = Log(case).append("ann", Action.LABEL, [entry("a")])
    before = case_path.read_bytes()
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    with Case.open(case_path) as case:
        assert Log(case).verify(written.hash).entries == 1
        assert Log(case).after() == [written]
        with pytest.raises(CaseError, match="cannot be written"):
            Log(case).append("ann", Action.LABEL, [entry("b")])
    assert case_path.read_bytes() == before
    assert [path.name for path in case_path.parent.iterdir()] == [case_path.name]


def test_an_older_case_that_may_only_be_read_says_what_to_do(
    case_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with closing(connection.connect(case_path)):
            pass
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(CaseError, match="of an older version"), Case.open(case_path):
        pass


SEEN = Sight(Showing.BLOCKS, 66, 44, 1.25)
BY_VERSION_4 = """INSERT INTO decision (id, time, reviewer, step, action, path, sha256, judgement,
    note, model, model_sha256, logit, probability, threshold, verdict, hash)
    VALUES (1, '2026-01-02T12:00:00.000+00:00', 'ann', 1, 'label', x'2f61', ?, 'ai', '',
    'dgs', ?, 1.25, 0.5, 0.9, 'flagged', ?)"""


def begun_with_schema_4(case_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of one entry, hashed as versions did that said nothing of the picture."""
    who = [1, "2026-01-02T12:00:00.000+00:00", "ann", 1, "label", "2f61", "a" * 64, "ai", ""]
    entry = [*who, "dgs", "d" * 64, 1.25, 0.5, 0.9, "flagged"]
    digest = hashlib.sha256(f"{ORIGIN}\n{json.dumps(entry)}".encode()).hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:4])
        with closing(connection.connect(case_path)) as db:
            db.execute(BY_VERSION_4, ("a" * 64, "d" * 64, digest))


def test_what_was_seen_is_kept_and_merged(case: Case, tmp_path: Path) -> None:
    seen = dataclasses.replace(entry("a"), sight=SEEN)
    blind = dataclasses.replace(entry("b"), sight=Sight(Showing.BLIND))
    Log(case).append("ann", Action.LABEL, [seen, blind])
    assert [decision.sight for decision in Log(case).after()] == [SEEN, Sight(Showing.BLIND)]
    with Case.open(tmp_path / "other.sqlite3") as other:
        merge(other, case)
        assert [decision.sight for decision in Log(other).after()] == [SEEN, Sight(Showing.BLIND)]
        assert Log(other).verify().entries == 2


def test_a_log_of_an_older_version_goes_on_in_one_chain(
    case_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_with_schema_4(case_path, monkeypatch)
    with Case.open(case_path) as case:
        assert Log(case).verify().entries == 1
        Log(case).append("bob", Action.LABEL, [dataclasses.replace(entry("a"), sight=SEEN)])
        assert Log(case).verify().entries == 2
        assert [decision.sight for decision in Log(case).after()] == [None, SEEN]


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ("showing = 'blocks' WHERE id = 1", 1),
        ("shown_width = 80 WHERE id = 1", 1),
        ("shown_seconds = 9.0 WHERE id = 2", 2),
        ("showing = 'kitty' WHERE id = 2", 2),
        ("showing = NULL WHERE id = 2", 2),
        (
            "showing = NULL, shown_width = NULL, shown_height = NULL, shown_seconds = NULL"
            " WHERE id = 2",
            2,
        ),
    ],
)
def test_what_was_seen_cannot_be_changed_unnoticed(
    case_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, number: int
) -> None:
    begun_with_schema_4(case_path, monkeypatch)
    with Case.open(case_path) as case:
        Log(case).append("bob", Action.LABEL, [dataclasses.replace(entry("a"), sight=SEEN)])
    with closing(unlocked(case_path)) as db:
        db.execute(f"UPDATE decision SET {change}")
    with Case.open(case_path) as case, pytest.raises(CaseError, match=f"entry {number} .* changed"):
        Log(case).verify()
