"""`dgsf label`, `export`, `apply` and `case`, from the command line to the files; also killed."""

import csv
import errno
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import made_case
from dgsforensics.case import ledger, location, lock
from dgsforensics.case.decisions import Log
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.judgements import Judgement


@pytest.fixture
def dgsf(monkeypatch, run_dgsf, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DGSF_REVIEWER", "Ann")
    return run_dgsf


@pytest.fixture
def files(tmp_path):
    return made_case.pictures(tmp_path / "photos")


@pytest.fixture
def case(files, tmp_path):
    """In the user's data folder, as of a scan of the folder."""
    return made_case.write(location.default_path([tmp_path / "photos"]), files)


def standing(case):
    with Case.open(case) as opened:
        return [(d.path.name, d.judgement, d.reviewer, d.note) for d in Log(opened).after()]


def rows(out):
    return [json.loads(line) for line in out.splitlines()]


# dgsf label


@pytest.mark.parametrize("how", ["case", "folder", "last"])
def test_the_case_is_named_by_file_or_folder_or_left_out(how, dgsf, case, files):
    named = {"case": [case], "folder": [files["a.png"].parent], "last": []}[how]
    code, out, err = dgsf("label", *named, files["a.png"], "photos/sub/deep", "--as", "ai")
    assert (code, out) == (0, "")
    assert "2 images labelled ai by Ann" in err
    assert ("case file:" in err) == (how == "last")
    assert standing(case) == [
        ("a.png", Judgement.AI, "Ann", ""),
        ("d.png", Judgement.AI, "Ann", ""),
    ]


def test_labelling_by_list_with_a_note_and_taking_it_away(dgsf, case, files, tmp_path):
    listed = b"\0".join(map(os.fsencode, [files["a.png"], files["sub/b.png"]]))
    code, _, err = dgsf(
        *("label", case, "--files-from", "-", "--as", "real", "--note", "seen it"),
        *("--reviewer", "Bob"),
        stdin=listed,
    )
    assert code == 0 and "2 images labelled real by Bob" in err
    (tmp_path / "list").write_text("photos/a.png\n")
    code, _, err = dgsf("label", case, "--files-from", "list", "--as", "none", "--reviewer", "Bob")
    assert code == 0 and "1 image not labelled any more by Bob" in err
    assert standing(case)[-1] == ("a.png", None, "Bob", "seen it")
    code, _, err = dgsf("label", case, "photos/sub", "--as", "real", "--reviewer", "Bob")
    assert code == 0 and "3 images labelled real by Bob, 1 of them before" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos/a.png"], "Missing option '--as'"),
        (
            ["photos/a.png", "--as", "fake"],
            "'fake' is not one of 'ai', 'real', 'unsure', 'unfit', 'none'",
        ),
        (["--as", "ai"], "nothing to label"),
        (["photos", "--as", "ai"], "nothing to label"),
        (["photos/a.png", "photos/gone.png", "--as", "ai"], "photos/gone.png: not in the case"),
        (["sha256:123", "--as", "ai"], "give 8 hexadecimal digits"),
        (["photos/a.png", "--as", "ai", "--reviewer", " "], "needs a name"),
        (["photos/a.png", "--as", "ai", "--files-from", "gone"], "cannot read gone"),
        (["photos/a.png", "--as", "ai", "--files-from", "photos"], "cannot read photos"),
        (["photos/\x1b[31m.png", "--as", "ai"], "\\x1b[31m.png: not in the case"),
    ],
)
def test_wrong_labels_write_nothing(arguments, message, dgsf, case):
    code, out, err = dgsf("label", *arguments)
    assert (code, out) == (2, "")
    assert message in re.sub(r"\s+", " ", err)
    assert "\x1b" not in err
    assert standing(case) == []


def test_without_a_login_name_one_must_be_given(dgsf, case, monkeypatch):
    def nobody():
        raise OSError("no login")

    monkeypatch.delenv("DGSF_REVIEWER")
    monkeypatch.setattr("getpass.getuser", nobody)
    code, _, err = dgsf("label", "photos/a.png", "--as", "ai")
    assert code == 2 and "give --reviewer" in err
    monkeypatch.setattr("getpass.getuser", lambda: "login")
    assert dgsf("label", "photos/a.png", "--as", "ai")[0] == 0
    assert standing(case) == [("a.png", Judgement.AI, "login", "")]


def test_without_any_case(dgsf):
    for arguments in (
        ("label", "x.png", "--as", "ai"),
        ("export", "--labels", "-"),
        ("apply", "--move", "out"),
        ("case", "verify"),
        ("case", "log"),
    ):
        code, out, err = dgsf(*arguments)
        assert (code, out) == (2, "") and "no case file yet" in err


def test_what_is_no_case_file_is_left_alone(dgsf, case, files, tmp_path):
    (tmp_path / "x.sqlite3").write_bytes(b"Minutes of the meeting")
    for arguments in (("export", "x.sqlite3", "--labels", "-"), ("case", "verify", "x.sqlite3")):
        code, out, err = dgsf(*arguments)
        assert (code, out) == (2, "") and "x.sqlite3" in err
    assert (tmp_path / "x.sqlite3").read_bytes() == b"Minutes of the meeting"


# dgsf export


def test_export_to_standard_output_and_to_files(dgsf, case, files, tmp_path):
    dgsf("label", case, "photos", "--as", "ai")
    dgsf("label", case, "photos/sub/b.png", "--as", "real", "--reviewer", "Bob")
    code, out, err = dgsf("export", case, "--labels", "-")
    assert code == 0
    assert [Path(row["path"]).name for row in rows(out)] == ["a.png", "c.png", "d.png"]
    assert f"{files['sub/b.png']}: Ann says ai, Bob says real" in err
    code, out, _ = dgsf("export", "photos", "--labels", "all.csv", "--all")
    assert (code, out) == (0, "all.csv\n")
    with (tmp_path / "all.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5
    code, _, err = dgsf("export", "--labels", "all.csv", "--reviewer", "Bob")
    assert code == 2 and "there already" in err
    assert dgsf("export", "--labels", "all.csv", "--reviewer", "Bob", "--force")[0] == 0
    assert (tmp_path / "all.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "x.txt"], "ends neither in .jsonl nor in .csv"),
        (["--labels", "x.csv"], "no image is labelled"),
        ([], "--labels"),
        (["gone", "--labels", "-"], "gone"),
    ],
)
def test_wrong_exports(arguments, message, dgsf, case, tmp_path):
    code, out, err = dgsf("export", *arguments)
    assert (code, out) == (2, "") and message in re.sub(r"\s+", " ", err)
    assert not list(tmp_path.glob("x.*"))


# dgsf apply


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_apply_and_undo(dgsf, case, files, tmp_path):
    before = tree(tmp_path)
    dgsf("label", case, "photos", "--as", "ai")
    dgsf("label", case, "photos/sub/b.png", "--as", "real")
    dgsf("label", case, "photos/sub/c.png", "--as", "unsure", "--reviewer", "Bob")
    code, out, err = dgsf("apply", "photos", "--move", "out", "--dry-run")
    assert code == 0 and "2 files would be moved" in err
    assert tree(tmp_path) == before
    expected = [
        f"moved: {files[name]} -> {tmp_path / 'out/ai' / name}"
        for name in ("a.png", "sub/deep/d.png")
    ]
    assert out.splitlines() == [line.replace("moved", "would be moved") for line in expected]
    code, out, err = dgsf("apply", "photos", "--move", "out")
    assert code == 0 and out.splitlines() == expected
    assert "c.png: Ann says ai, Bob says unsure" in err and "b.png" not in err
    code, out, err = dgsf("apply", case, "--copy", "out", "--as", "real", "--as", "unsure")
    assert code == 0 and "1 file copied" in err
    code, out, err = dgsf("apply", case, "--tag", "out", "--reviewer", "Bob", "--as", "unsure")
    assert code == 0 and "1 file tagged" in err
    assert (tmp_path / "out/sub/c.png.xmp").exists()
    code, out, err = dgsf("apply", case, "--undo", "--dry-run")
    assert out == f"would be taken back: {tmp_path / 'out/sub/c.png.xmp'}\n"
    for left in (2, 1, 0):
        code, out, err = dgsf("apply", case, "--undo")
        assert code == 0 and (f"{left} earlier runs" in err) == bool(left)
    assert out.splitlines()[-1] == f"taken back: {tmp_path / 'out/ai/a.png'} -> {files['a.png']}"
    assert tree(tmp_path) == before
    code, out, err = dgsf("apply", case, "--undo")
    assert (code, out) == (0, "") and "nothing to take back" in err


def test_refusals_are_listed_and_the_rest_goes_on(dgsf, case, files, tmp_path):
    dgsf("label", case, "photos", "--as", "ai")
    files["a.png"].write_bytes(b"edited")
    (tmp_path / "out/ai/sub").mkdir(parents=True)
    (tmp_path / "out/ai/sub/b.png").write_bytes(b"mine")
    code, out, err = dgsf("apply", "photos", "--move", "out")
    assert code == 2 and len(out.splitlines()) == 2
    assert f"not moved: {files['a.png']}: it is not what was labelled" in err
    assert "b.png is there already and is something else" in err
    assert "2 files moved, 2 refused" in err
    (tmp_path / "out/ai/sub/c.png").write_bytes(b"edited")
    code, out, err = dgsf("apply", "photos", "--undo")
    assert code == 2 and len(out.splitlines()) == 1
    assert f"not taken back: {tmp_path / 'out/ai/sub/c.png'}: it was changed since" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --move, --copy, --tag and --undo"),
        (["--move", "x", "--tag", "y"], "give one of"),
        (["--move", "x", "--undo"], "give one of"),
        (["--undo", "--as", "ai"], "--undo takes back a whole run"),
        (
            ["--move", "x", "--as", "none"],
            "'none' is not one of 'ai', 'real', 'unsure', 'unfit', 'flagged'",
        ),
        (["--move", "photos/a.png"], "not a folder"),
        (["--move", "x", "--reviewer", "Bob"], "Bob has labelled nothing"),
    ],
)
def test_wrong_applications(arguments, message, dgsf, case, tmp_path):
    dgsf("label", case, "photos", "--as", "ai")
    before = tree(tmp_path)
    code, out, err = dgsf("apply", case, *arguments)
    assert (code, out) == (2, "") and message in re.sub(r"\s+", " ", err)
    assert tree(tmp_path) == before


def test_a_settings_file_does_not_move_files(dgsf, case, tmp_path):
    dgsf("label", case, "photos", "--as", "ai")
    (tmp_path / "dgsf.toml").write_text("[apply]\nmove = 'x'\n")
    code, _, err = dgsf("apply", case, "--copy", "y")
    assert code == 2 and "no option 'move'" in err


def test_one_apply_at_a_time(dgsf, case, files, tmp_path):
    dgsf("label", case, "photos", "--as", "ai")
    dgsf("apply", case, "--copy", "out")
    before = tree(tmp_path)
    with Case.open(case) as opened, lock.alone(opened):
        # As a run that was stopped leaves it: that is no leftover.
        row = ledger.operations(opened, ledger.OperationState.DONE)[-1]
        ledger.mark(opened, row, ledger.OperationState.PLANNED)
        for what in (["--move", "away"], ["--undo"]):
            code, out, err = dgsf("apply", case, *what)
            assert (code, out) == (2, "") and "another dgsf apply is at work" in err
            assert "fg" in err
        assert [one.id for one in ledger.operations(opened, ledger.OperationState.PLANNED)] == [
            row.id
        ]
        assert dgsf("apply", case, "--move", "away", "--dry-run")[0] == 0
        assert tree(tmp_path) == before
    assert dgsf("apply", case, "--undo")[0] == 0
    assert tree(tmp_path).keys() == {f"photos/{name}" for name in files}


def test_one_apply_at_a_time_on_windows(dgsf, case, monkeypatch):
    held = []

    def locking(descriptor, mode, count):  # as Windows does it
        if held:
            raise PermissionError(errno.EACCES, "Permission denied")
        held.append(descriptor)

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    with Case.open(case) as opened, monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        with (
            lock.alone(opened),
            pytest.raises(CaseError, match="another dgsf apply is at work"),
            lock.alone(opened),
        ):
            pytest.fail("two at a time")
    assert len(held) == 1


def test_a_lock_that_cannot_be_had(dgsf, case):
    dgsf("label", case, "photos", "--as", "ai")
    case.with_name(case.name + ".lock").mkdir()
    code, out, err = dgsf("apply", case, "--copy", "out")
    assert (code, out) == (2, "") and ".lock" in err


def test_sidecars_whose_label_does_not_stand_are_listed(dgsf, case, files):
    dgsf("label", case, "photos/a.png", "photos/sub/b.png", "photos/sub/c.png", "--as", "ai")
    dgsf("apply", case, "--tag", "photos")
    dgsf("label", case, "photos/sub/b.png", "--as", "real")
    dgsf("label", case, "photos/sub/c.png", "--as", "none")
    for dry in (["--dry-run"], []):
        code, _, err = dgsf("apply", case, "--tag", "photos", *dry)
        assert code == 0 and "a.png.xmp says" not in err
        for name in ("b", "c"):
            assert f"{name}.png.xmp says ai, but that label has been taken back" in " ".join(
                err.split()
            )
    code, out, err = dgsf("apply", case, "--tag", "photos", "--as", "real")
    assert code == 0 and "b.png.xmp" in out and "b.png.xmp says" not in err
    dgsf("label", case, "photos/a.png", "--as", "real", "--reviewer", "Bob")
    _, _, err = dgsf("apply", case, "--tag", "photos", "--as", "unfit")
    assert "a.png.xmp says" in err and "b.png.xmp says" not in err
    _, _, err = dgsf("apply", case, "--tag", "photos", "--as", "unfit", "--reviewer", "Ann")
    assert "a.png.xmp says" not in err and "c.png.xmp says" not in err


def test_a_folder_that_cannot_be_removed_is_said(dgsf, case, tmp_path, monkeypatch):
    dgsf("label", case, "photos/a.png", "--as", "ai")
    dgsf("apply", case, "--copy", "out")

    def refusing(path, **named):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", refusing)
        code, _, err = dgsf("apply", case, "--undo")
        assert code == 2 and "the folder stays: permission denied" in " ".join(err.split())
        assert dgsf("apply", case, "--undo")[0] == 2
    code, _, err = dgsf("apply", case, "--undo")
    assert code == 0 and "nothing to take back" in err
    assert not (tmp_path / "out").exists()


# Killed

DYING = """
import errno, os, shutil, signal, sys
from pathlib import Path
from dgsforensics import cli
from dgsforensics.case import ledger
where, count, when, disks = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
del sys.argv[1:5]
link = os.link
def other_disk(source, target):
    if Path(source).parent != Path(target).parent:
        raise OSError(errno.EXDEV, "Invalid cross-device link")
    link(source, target)
if disks == "two":
    os.link = other_disk
places = {"link": os, "unlink": os, "mark": ledger, "copyfileobj": shutil, "mkdir": os}
work = getattr(places[where], where)
calls = 0
def dying(*arguments, **named):
    global calls
    calls += 1
    if calls == count and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = work(*arguments, **named)
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(places[where], where, dying)
cli.run()
"""
DEATHS = [
    *[("mkdir", 2, "before", "one"), ("link", 1, "before", "one"), ("link", 2, "after", "one")],
    *[("unlink", 3, "after", "one"), ("mark", 1, "before", "one"), ("mark", 2, "after", "one")],
    *[
        ("copyfileobj", 2, "after", "two"),
        ("link", 4, "after", "two"),
        ("unlink", 3, "after", "two"),
    ],
    ("unlink", 4, "before", "two"),
]


def die(death, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", DYING, *map(str, (*death, *arguments))],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("death", DEATHS, ids=lambda death: "-".join(map(str, death)))
@pytest.mark.parametrize("then", ["go on", "undo", "killed while undoing"])
def test_a_killed_run_goes_on_or_is_taken_back(death, then, dgsf, case, files, tmp_path):
    before = tree(tmp_path)
    dgsf("label", case, "photos", "--as", "ai")
    if then == "killed while undoing":
        dgsf("apply", case, "--move", "out")
        # Going back, the folders are there already.
        die(death if death[0] != "mkdir" else DEATHS[2], "apply", case, "--undo")
    else:
        die(death, "apply", case, "--move", "out")
    assert set(before.values()) <= set(tree(tmp_path).values())
    if then == "go on":
        code, _, err = dgsf("apply", case, "--move", "out")
        assert code == 0, err
        assert tree(tmp_path) == {
            name.replace("photos/", "out/ai/"): data for name, data in before.items()
        }
        assert {row["path"] for row in rows(dgsf("export", case, "--labels", "-")[1])} == {
            str(tmp_path / "out/ai" / name) for name in files
        }
        while "nothing to take back" not in err:
            code, _, err = dgsf("apply", case, "--undo")
            assert code == 0, err
    else:
        code, _, err = dgsf("apply", case, "--undo")
        assert code == 0, err
    assert tree(tmp_path) == before
    assert {row["path"] for row in rows(dgsf("export", case, "--labels", "-")[1])} == {
        str(path) for path in files.values()
    }


# dgsf case


def test_verify_prints_the_head_and_holds_it_against_the_log(dgsf, case, tmp_path):
    dgsf("label", case, "photos/a.png", "--as", "ai")
    code, out, err = dgsf("case", "verify", case)
    assert code == 0 and "decisions: 1," in out and "note the head elsewhere" in err
    assert "scores: 4, of 4 images" in out and "not covered" in err
    head = out.split()[-1]
    assert re.fullmatch("[0-9a-f]{64}", head)
    dgsf("label", case, "photos/sub", "--as", "real")
    code, out, err = dgsf("case", "verify", "photos", "--head", head.upper())
    assert code == 0 and "decisions: 4," in out and "note the head" not in err
    newest = out.split()[-1]
    code, out, err = dgsf("case", "verify", "--head", "0" * 63)
    assert code == 2 and "64 hexadecimal digits" in re.sub(r"\s+", " ", err)
    with closing(sqlite3.connect(case)) as db, db:
        db.execute("DROP TRIGGER decisions_are_kept")
        db.execute("DELETE FROM decision WHERE id = 4")
    assert dgsf("case", "verify", case)[0] == 0
    code, out, err = dgsf("case", "verify", case, "--head", newest)
    assert (code, out) == (2, "") and "cut off" in err
    with closing(sqlite3.connect(case)) as db, db:
        db.execute("DROP TRIGGER decisions_stay")
        db.execute("UPDATE decision SET judgement = 'real' WHERE id = 1")
    code, out, err = dgsf("case", "verify", case, "--head", head)
    assert (code, out) == (2, "") and "entry 1 of the log was changed" in err


def test_list_shows_every_case_and_names_the_unusable(dgsf, case, files, tmp_path):
    assert dgsf("label", case, "photos/sub", "--as", "ai")[0] == 0
    (location.folder() / "broken.sqlite3").write_bytes(b"no database at all, only text")
    code, out, _ = dgsf("case", "list")
    assert code == 0
    head, *lines = out.splitlines()
    assert head.split("  ")[0] == "last used (UTC)"
    [broken] = [line for line in lines if "UNUSABLE" in line]
    assert "broken.sqlite3" in broken
    [line] = [line for line in lines if "UNUSABLE" not in line]
    assert re.split(r"\s{2,}", line)[1:] == ["1", "4", "3", str(tmp_path / "photos"), str(case)]
    dgsf("apply", case, "--move", "elsewhere")
    assert str(tmp_path / "photos") in dgsf("case", "list")[1]


def test_list_without_and_with_an_empty_case(dgsf):
    assert len(dgsf("case", "list")[1].splitlines()) == 1
    with Case.open(location.folder() / "new.sqlite3"):
        pass
    line = dgsf("case", "list")[1].splitlines()[1]
    assert re.split(r"\s{2,}", line)[:5] == ["-", "0", "0", "0", "-"]


def test_log_shows_the_decisions_in_order(dgsf, case, files):
    dgsf("label", case, "photos/a.png", "--as", "ai", "--note", "a\x1b[31mb")
    dgsf("label", case, "photos/a.png", "--as", "none", "--reviewer", "Bob", "--note", "why")
    code, out, _ = dgsf("case", "log", case)
    assert code == 0 and "\x1b" not in out
    cells = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    digest = made_case.sha256(files["a.png"].read_bytes())[:12]
    assert cells[0][0] == "entry"
    unseen = "not seen: command line"
    place = str(files["a.png"])
    assert cells[1][2:] == ["Ann", "label", "ai", unseen, digest, place, "(a [31mb)"]
    assert cells[2][2:5] == ["Bob", "label", "-"]
    document = json.loads(dgsf("case", "log", "--json")[1])
    assert [d["judgement"] for d in document["decisions"]] == ["ai", None]
    assert document["decisions"][0]["shown"]["verdict"] == "not flagged"
    assert document["decisions"][0]["note"] == "a [31mb"


def test_a_vanished_reader_is_no_defect(dgsf, case, monkeypatch):
    dgsf("label", case, "photos", "--as", "ai")

    def gone(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("dgsforensics.cli.output.show", gone)
    assert dgsf("export", case, "--labels", "-")[0] == 2
