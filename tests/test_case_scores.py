"""Scores by content, and cases as a whole: taken over, verified, merged. No model is needed."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import made_case
from conftest import photo
from dgsforensics.case import connection, location, merging, schema, scores
from dgsforensics.case.decisions import Log, LogEntry
from dgsforensics.case.scans import ScanOptions, ScanSettings
from dgsforensics.case.store import Case
from dgsforensics.case.verification import verify
from dgsforensics.detector import folders, header
from dgsforensics.errors import CaseError
from dgsforensics.judgements import Action, Judgement
from dgsforensics.records import FileFacts, Prediction, Traits, Verdict

SETTINGS = replace(made_case.SETTINGS, weights_sha256="w" * 64)
A = made_case.sha256(b"a")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return made_case.pictures(tmp_path / "photos")


@pytest.fixture
def old_case(monkeypatch: pytest.MonkeyPatch) -> Path:
    """As version 3 of the schema left it, among the user's cases."""
    path = location.folder() / "old.sqlite3"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:3])
        with closing(connection.connect(path)) as db:
            db.execute("INSERT INTO image VALUES (?, 3, 'PNG', 4, 5, 1, 7, '[]')", (A,))
            db.execute(
                "INSERT INTO scan VALUES (1, '2026-01-01T00:00:00+00:00', NULL, '0.1', 'made-up',"
                " ?, 'v1', 0.9, '{}')",
                (made_case.MODEL,),
            )
            db.execute(
                "INSERT INTO prediction VALUES (?, ?, 'v1', 1.5, 'small', 1, NULL)",
                (A, made_case.MODEL),
            )
            db.execute(
                "INSERT INTO location VALUES (x'2f61', ?, 3, 'PNG', 'scored', NULL, 1, 0)", (A,)
            )
    return path


def test_an_old_case_is_taken_over_into_the_store(old_case: Path) -> None:
    with scores.opened() as store:
        assert store is not None
        assert scores.without_weights(store) == {made_case.MODEL}
        scores.adopt(store, {made_case.MODEL: "w" * 64})
        known = store.begin_scan(SETTINGS).known(A)
        assert known is not None and known.origin is not None and known.traits is not None
        assert (known.logit, known.note, known.facts.width) == (1.5, "small", 4)
        assert (known.origin.tool_version, known.origin.time[:10]) == ("0.1", "2026-01-01")
        other = replace(SETTINGS, model_sha256="c" * 64)  # a calibrated copy
        assert store.begin_scan(other).known(A) is not None
        assert scores.without_weights(store) == set()
    with Case.open(old_case) as case:
        scores.adopt(case, {made_case.MODEL: "w" * 64})
        assert [row.logit for row in case.rows()] == [1.5]
        assert verify(case).scores == 1


def test_a_store_that_cannot_be_used_is_said_and_done_without(caplog) -> None:
    location.scores().parent.mkdir(parents=True)
    location.scores().write_bytes(b"no database at all")
    with scores.opened() as store:
        assert store is None
    assert "without the scores of other folders" in caplog.text


def test_an_equal_file_of_the_same_scan_is_not_known(files: dict[str, Path]) -> None:
    facts = FileFacts(A, 3, "PNG", 4, 5, 1)
    row = Prediction(files["a.png"], facts, 1.5, 0.8, Verdict.FLAGGED, 0.5, "made-up", "m" * 64)
    with scores.opened() as store:
        assert store is not None
        scan = store.begin_scan(SETTINGS)
        scan.remember([row])
        assert scan.known(A) is None
        assert store.begin_scan(SETTINGS).known(A) is not None
        assert list(store.current()) == []  # of places it knows nothing


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE score SET logit = 9", "the scores of 4 images are not what was written"),
        ("UPDATE score SET time = '2020'", "the scores of 4 images are not what was written"),
        ("UPDATE image SET width = 9", "the facts and claims of 4 images"),
        ("UPDATE image SET evidence = '[]'", "the facts and claims of 4 images"),
        ("DELETE FROM score", "4 files should have a score"),
    ],
)
def test_verification_finds_what_was_edited(
    files: dict[str, Path], tmp_path: Path, statement: str, said: str
) -> None:
    path = made_case.write(tmp_path / "case.sqlite3", files)
    with Case.open(path) as case:
        assert verify(case).scores == 4
    with sqlite3.connect(path) as db:
        db.execute(statement)
    with Case.open(path) as case, pytest.raises(CaseError, match=said):
        verify(case)
    with Case.open(path) as case:
        scan = case.begin_scan(made_case.SETTINGS)
        assert scan.known(made_case.sha256(files["a.png"].read_bytes())) is None


def test_verification_finds_a_page_of_zeros(files: dict[str, Path], tmp_path: Path) -> None:
    path = made_case.write(tmp_path / "case.sqlite3", files)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        [size] = db.execute("PRAGMA page_size").fetchone()
        [page] = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'location_of_scan'"
        ).fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(CaseError, match="damaged"), Case.open(path) as case:
        verify(case)


def test_merging_adds_and_takes_nothing_away(files: dict[str, Path], tmp_path: Path) -> None:
    names = list(files)
    one = made_case.write(tmp_path / "1.sqlite3", {name: files[name] for name in names[:2]})
    two = made_case.write(tmp_path / "2.sqlite3", {name: files[name] for name in names[1:]})
    contents = [made_case.sha256(path.read_bytes()) for path in files.values()]

    def said(case: Case, who: str, number: int, judgement: Judgement) -> None:
        entry = LogEntry(files[names[number]], contents[number], judgement, "", None)
        Log(case).append(who, Action.LABEL, [entry])

    with Case.open(one) as into, Case.open(two) as other:
        said(other, "Ann", 1, Judgement.AI)
        said(other, "Bob", 2, Judgement.REAL)
        said(into, "Ann", 1, Judgement.REAL)  # later, so it stands
        count = merging.merge(into, other)
        assert (count.files, count.scores, count.decisions) == (2, 2, 1)
        assert {row.path for row in into.current()} == set(files.values())
        assert [(d.reviewer, d.judgement) for d in Log(into).after()] == [
            ("Ann", Judgement.REAL),
            ("Bob", Judgement.REAL),
        ]
        verify(into)
        again = merging.merge(into, other)
        assert (again.files, again.scores, again.decisions) == (0, 0, 0)


# Without the model


SCRIPT = """
import sys
from dgsforensics import cli
try:
    cli.main()
except SystemExit as end:
    code = int(end.code)
print(code, *sorted({"torch", "open_clip", "textual"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["known"], "0"),
        (["known", "--threshold", "0.000001"], "1"),
        (["known", "--fpr", "0.05"], "0"),
        (["nothing"], "2"),
        (["gone"], "2"),
    ],
)
def test_a_scan_that_needs_no_model_loads_none(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    (tmp_path / "known").mkdir()
    (tmp_path / "nothing").mkdir()
    place = tmp_path / "known" / "a.png"
    photo(90, 80).save(place)
    made = header.read(folders.resolve(None))
    facts = FileFacts(made_case.sha256(place.read_bytes()), 1, "PNG", 90, 80, 1)
    row = Prediction(place, facts, -5.0, 0, Verdict.NOT_FLAGGED, 0.5, "x", made.sha256)
    settings = ScanSettings(
        "0", "x", made.sha256, made.config.preprocessing, 0.5, ScanOptions(), made.weights_sha256
    )
    with scores.opened() as store:
        assert store is not None
        store.begin_scan(settings).remember([replace(row, traits=Traits(1, ()))])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "scan", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.stdout.splitlines()[-1].strip() == expected, done.stderr
