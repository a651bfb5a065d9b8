"""Who scanned, where and with what: recorded with the scan, and kept through merging and age."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

import made_case
from dgsforensics.case import connection, contents, hashes, merging, schema
from dgsforensics.case.circumstances import Circumstances, ScanOutcome
from dgsforensics.case.store import Case
from dgsforensics.case.verification import verify

HERE = Circumstances(("dgsf", "scan", "x\udc80"), "/here", None, "desk", "Linux")
OUTCOME = ScanOutcome("cpu", 4, (("/a.pdf", "PDF"),))


def test_both_come_back_as_they_were_written() -> None:
    assert Circumstances.from_json(HERE.to_json()) == HERE
    assert ScanOutcome.from_json(OUTCOME.to_json()) == OUTCOME


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"device": 1}', "{"])
def test_what_makes_no_sense_was_not_said(text: str | None) -> None:
    assert Circumstances.from_json(text) is None
    assert ScanOutcome.from_json(text) is None


def test_a_scan_records_who_where_and_what_came_of_it(on_tiny, tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    made_case.pictures(folder, ("a.png",))
    (folder / "notes.txt").write_text("minutes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    on_tiny("scan", "photos", "--case", tmp_path / "case.sqlite3")
    with Case.open(tmp_path / "case.sqlite3") as case:
        scan = case.last_scan()
        [score] = contents.scores(case)
        assert verify(case).scores == 1
    assert scan is not None
    now, came = scan.settings.circumstances, scan.outcome
    assert now is not None and came is not None
    assert now.command[:3] == ("dgsf", "scan", "photos")
    assert (now.folder, now.operator) == (str(tmp_path), "ann")
    assert (came.device, came.batch) == ("cpu", 4)
    assert scan.settings.options.left_out == {"text": 1}
    assert came.named == ((str(folder / "notes.txt"), "text"),)
    assert score.origin.computed_with is not None
    assert score.origin.computed_with.endswith("cpu, float32")
    assert score.origin.computed_with.startswith(f"torch {version('torch')}")
    assert f"Pillow {version('pillow')}" in score.origin.computed_with


def test_merging_takes_them_along(tmp_path: Path) -> None:
    files = made_case.pictures(tmp_path / "photos")
    made_case.write(tmp_path / "other.sqlite3", files)
    with Case.open(tmp_path / "other.sqlite3") as other, Case.open(tmp_path / "a.sqlite3") as into:
        other.begin_scan(replace(made_case.SETTINGS, circumstances=HERE)).finish(OUTCOME)
        with other.writing() as db:
            db.execute("UPDATE location SET scan_id = 2")
        merging.merge(into, other)
        [scan] = into.scans()
    assert (scan.settings.circumstances, scan.outcome) == (HERE, OUTCOME)


def test_scores_by_older_versions_keep_their_hash(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "old.sqlite3"
    image = ("a" * 64, 3, "PNG", 4, 5, 1, 7, "[]")
    score = ("a" * 64, "w", "v1", 1.5, None, None, None, "m", "0.2", "2026-01-01T00:00:00+00:00")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:5])
        with closing(connection.connect(path)) as db:
            db.execute(
                "INSERT INTO scan (started, tool_version, model, model_sha256, preprocessing,"
                " threshold, settings) VALUES ('2026-01-01T00:00:00Z', '', '', '', '', 0, '{}')"
            )
            row = (*image, hashes.image_hash(*image))
            db.execute("INSERT INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            held = (*score, 1, hashes.score_hash(*score))
            db.execute("INSERT INTO score VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", held)
    with Case.open(path) as case:
        assert verify(case).scores == 1
        [found] = contents.scores(case)
        assert found.origin.computed_with is None
        [scan] = case.scans()
        assert scan.settings.circumstances is None and scan.outcome is None
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE score SET computed_with = 'another machine'")
    with Case.open(path) as case, pytest.raises(Exception, match="scores of 1 image"):
        verify(case)
