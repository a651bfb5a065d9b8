"""The command in this process, on the tiny detector; `test_embedded.py` runs the real thing."""

import csv
import dataclasses
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from PIL.PngImagePlugin import PngInfo

from conftest import photo
from dgsforensics.detector import checkpoint
from dgsforensics.detector.calibration import Calibration
from dgsforensics.records import Verdict
from dgsforensics.scan.output import FIELDS


@pytest.fixture
def dgsf(on_tiny):
    return on_tiny


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(5):
        photo(260, 240, seed).save(folder / f"{seed}.png")
    return folder


def rows(out):
    return [json.loads(line) for line in out.splitlines()]


def test_jsonl_has_the_documented_fields_in_order(dgsf, folder):
    code, out, err = dgsf("scan", folder, "--jsonl", "--threshold", "0.999999")
    assert code == 0
    assert [list(row) for row in rows(out)] == [list(FIELDS)] * 5
    assert [Path(row["path"]).name for row in rows(out)] == [f"{n}.png" for n in range(5)]
    assert "5 files" in err
    documented = (Path(__file__).parents[1] / "docs" / "scan-output.md").read_text()
    assert all(f"`{field}`" in documented for field in FIELDS)


def test_formats_agree(dgsf, folder):
    by_line = rows(dgsf("scan", folder, "--jsonl")[1])
    document = json.loads(dgsf("scan", folder, "--json")[1])
    table = list(csv.DictReader(io.StringIO(dgsf("scan", folder, "--csv")[1])))
    assert [r["logit"] for r in document["results"]] == [r["logit"] for r in by_line]
    assert [float(r["logit"]) for r in table] == [r["logit"] for r in by_line]
    assert document["run"]["model"] == "tiny"
    assert document["run"]["threshold_origin"]
    assert document["summary"]["cached"] == 5
    assert document["interrupted"] is False


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "txt"])
def test_output_goes_to_a_file_by_suffix(dgsf, folder, tmp_path, suffix):
    target = tmp_path / f"report.{suffix}"
    _, out, _ = dgsf("scan", folder, "--output", target)
    assert out == ""
    assert "0.png" in target.read_text()
    assert not target.with_name(target.name + ".part").exists()


def test_exit_codes(dgsf, folder, tmp_path):
    assert dgsf("scan", folder, "--threshold", "0.999999")[0] == 0
    assert dgsf("scan", folder, "--threshold", "0.000001")[0] == 1
    assert dgsf("scan", folder, "--threshold", "0.000001", "--exit-zero")[0] == 0
    (folder / "broken.jpg").write_bytes(b"")
    assert dgsf("scan", folder, "--threshold", "0.999999")[0] == 2
    assert dgsf("scan", folder, "--threshold", "0.000001")[0] == 1
    assert dgsf("scan", tmp_path / "gone")[0] == 2


def test_interruption_reports_what_was_done(dgsf, folder, monkeypatch):
    from dgsforensics.detector.detector import Detector

    judge = Detector.judge
    done = []

    def interrupted(self, path, *rest, **more):
        done.append(path)
        if len(done) > 3:
            raise KeyboardInterrupt
        return judge(self, path, *rest, **more)

    monkeypatch.setattr(Detector, "judge", interrupted)
    code, out, err = dgsf("scan", folder, "--json", "--batch", 1)
    assert code == 130
    document = json.loads(out)
    assert document["interrupted"] is True
    assert len(document["results"]) == 3
    assert "interrupted after 3 files" in err
    monkeypatch.setattr(Detector, "judge", judge)
    _, out, err = dgsf("scan", folder, "--jsonl")
    assert [row["cached"] for row in rows(out)] == [True] * 3 + [False] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_still_ends_the_scan(dgsf, folder, monkeypatch):
    from dgsforensics.detector.detector import Detector

    judge = Detector.judge

    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))  # where the exception surfaces, to be ignored

    def interrupted(self, path, *rest, **more):
        Dropping()
        return judge(self, path, *rest, **more)

    monkeypatch.setattr(Detector, "judge", interrupted)
    code, _, err = dgsf("scan", folder, "--jsonl", "--batch", 1)
    assert code == 130
    assert "interrupted after 0 files" in err


def test_second_scan_runs_the_model_on_nothing(dgsf, folder, monkeypatch):
    first = rows(dgsf("scan", folder, "--jsonl")[1])
    assert not any(row["cached"] for row in first)
    (folder / "0.png").rename(folder / "renamed.png")

    def never(*_):
        raise AssertionError("the model ran")

    monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", never)
    code, out, err = dgsf("scan", folder, "--jsonl")
    second = rows(out)
    assert code in (0, 1), err
    assert all(row["cached"] for row in second)
    assert {row["sha256"]: row["logit"] for row in second} == {
        row["sha256"]: row["logit"] for row in first
    }
    assert "5 scored before" in err


def test_no_cache_leaves_no_case_file_and_case_names_one(dgsf, folder, tmp_path):
    dgsf("scan", folder, "--no-cache")
    assert not list(Path(os.environ["XDG_DATA_HOME"]).rglob("*.sqlite3"))
    case = tmp_path / "here.case"
    dgsf("scan", folder, "--case", case)
    assert case.exists()
    _, out, _ = dgsf("scan", folder, "--case", case, "--no-cache", "--jsonl")
    assert not any(row["cached"] for row in rows(out))


def test_a_changed_threshold_needs_no_new_scan(dgsf, folder):
    dgsf("scan", folder)
    _, out, _ = dgsf("scan", folder, "--jsonl", "--fpr", "0.5")
    assert all(row["cached"] for row in rows(out))


def test_a_bad_case_file_is_an_error_before_anything_is_scored(dgsf, folder, tmp_path):
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (x)")
    code, out, err = dgsf("scan", folder, "--case", foreign)
    assert (code, out) == (2, "")
    assert "another application" in err


def test_paths_from_standard_input_and_file(dgsf, folder, tmp_path):
    names = [folder / "3.png", folder / "1.png"]
    listed = b"\0".join(map(os.fsencode, names))
    _, out, _ = dgsf("scan", "--files-from", "-", "--jsonl", stdin=listed)
    assert [row["path"] for row in rows(out)] == list(map(str, names))
    (tmp_path / "list").write_bytes(listed.replace(b"\0", b"\n"))
    _, out, _ = dgsf("scan", "--files-from", tmp_path / "list", "--jsonl")
    assert [row["path"] for row in rows(out)] == list(map(str, names))


def test_exclude(dgsf, folder):
    _, out, _ = dgsf("scan", folder, "--jsonl", "--exclude", "[0-2].png")
    assert [Path(row["path"]).name for row in rows(out)] == ["3.png", "4.png"]


def test_a_folder_on_standard_input_and_an_empty_list(dgsf, folder):
    _, out, _ = dgsf("scan", "-", "--jsonl", stdin=os.fsencode(folder) + b"\n")
    assert len(rows(out)) == 5
    for cache in ([], ["--no-cache"]):
        code, out, err = dgsf("scan", "--files-from", "-", *cache)
        assert (code, out) == (2, "")
        assert "nothing to scan" in err and "list of files" in err


def test_output_follows_links_and_keeps_what_was_there(dgsf, folder, tmp_path, monkeypatch):
    target, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(target)
    dgsf("scan", folder, "--output", link)
    assert link.is_symlink()
    whole = target.read_text()
    assert len(whole.splitlines()) == 5
    assert dgsf("scan", folder, "--json", "--output", tmp_path)[0] == 2

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dgsforensics.detector.detector.Detector.scan_batches", interrupted)
    code, _, err = dgsf("scan", folder, "--output", target)
    assert code == 2 and "--force" in err
    code, _, err = dgsf("scan", folder, "--output", target, "--force")
    assert code == 130
    assert target.read_text() == whole
    assert "real.jsonl.part" in err


def test_a_device_stays_a_device_and_a_full_disk_is_said(dgsf, folder):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    code, _, err = dgsf("scan", folder, "--jsonl", "--output", "/dev/full")
    assert code == 2
    assert "cannot write" in err
    assert "No space left" in err
    assert Path("/dev/full").is_char_device()


def test_a_flag_goes_before_a_variable_of_the_other_kind(dgsf, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dgsf.toml").write_text("[scan]\nfpr = 0.01\njsonl = true\n")
    code, out, err = dgsf("scan", folder, "--csv", "--threshold", "0.999999")
    assert code == 0
    assert out.startswith("schema,path")
    assert "--fpr (settings file), --jsonl (settings file)" in err
    assert "DGSF_MODEL (variable)" in err
    monkeypatch.setenv("DGSF_THRESHOLD", "0.000001")
    assert rows(dgsf("scan", folder)[1])[0]["verdict"] == "flagged"


def test_every_kind_of_file_is_a_row(dgsf, gallery):
    code, out, err = dgsf("scan", *gallery.values(), "--jsonl", "--threshold", "0.9999999")
    assert code == 2
    assert len(rows(out)) == len(gallery)
    assert "Traceback" not in err
    for row in rows(out):
        assert (row["verdict"] is None) == (row["status"] != "scored")
        assert row["status"] == "scored" or row["reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan"], "nothing to scan"),
        (["scan", "x"], "x: no such file or folder"),
        (["scan", "https://a.example/b.jpg"], "https://a.example/b.jpg is an address"),
        (["scan", "x", "--json", "--csv"], "choose one of"),
        (["scan", "x", "--batch", "0"], "--batch"),
        (["scan", "x", "--batch", "many"], "--batch"),
        (["scan", "x", "--threshold", "1.5"], "between 0 and 1"),
        (["scan", "x", "--fpr", "0"], "between 0 and 1"),
        (["scan", "x", "--fpr", "0.0001"], "cannot be promised"),
        (["scan", "x", "--fpr", "0.1", "--threshold", "0.5"], "not both"),
        (["scan", "x", "--output", "report.pdf"], "no format goes by the suffix"),
        (["scan", "x", "--files-from", "gone.txt"], "--files-from"),
        (["scan", "x", "--model", "nosuch"], "no detector 'nosuch'"),
        (["scan", "x", "--nosuch"], "No such option"),
        (["scan", "x", "--workers", "0"], "workers"),
        (["nosuch"], "No such command"),
    ],
)
def test_wrong_usage_is_explained_without_a_traceback(dgsf, arguments, message):
    code, out, err = dgsf(*arguments)
    assert code == 2
    assert out == ""
    assert message in re.sub(r"\s+", " ", err)
    assert "Traceback" not in err


def test_a_defect_is_one_line_and_exit_code_2(dgsf, folder, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("made up")

    monkeypatch.setattr("dgsforensics.scan.job.find_files", broken)
    code, _, err = dgsf("scan", folder, fails=True)
    assert code == 2
    assert "internal error: ZeroDivisionError" in err
    assert "Traceback" not in err
    code, _, err = dgsf("scan", folder, "--debug", fails=True)
    assert code == 2
    assert "Traceback" in err


def test_settings_files_are_below_variables_and_flags(dgsf, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dgsf.toml").write_text("[scan]\nthreshold = 0.000001\nexit-zero = true\n")
    assert dgsf("scan", folder)[0] == 0
    assert rows(dgsf("scan", folder, "--jsonl")[1])[0]["verdict"] == Verdict.FLAGGED
    monkeypatch.setenv("DGSF_THRESHOLD", "0.999999")
    assert rows(dgsf("scan", folder, "--jsonl")[1])[0]["verdict"] != Verdict.FLAGGED
    (tmp_path / "dgsf.toml").write_text("[scan]\nbtach = 3\n")
    code, _, err = dgsf("scan", folder)
    assert code == 2
    assert "'btach'" in err


def test_a_settings_file_does_not_choose_what_is_written(dgsf, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dgsf.toml").write_text("[scan]\njson = true\n")
    assert json.loads(dgsf("scan", folder)[1])["results"]
    (tmp_path / "dgsf.toml").write_text("[scan]\noutput = 'x.json'\n")
    code, _, err = dgsf("scan", folder)
    assert code == 2
    assert "no option 'output'" in err


def test_names_are_not_markup(dgsf, folder, tmp_path):
    case = tmp_path / "[red]x[/y].case"
    code, _, err = dgsf("scan", folder, "--case", case, "-v")
    assert code in (0, 1)
    assert "[red]x[/y].case" in err


def test_quiet_says_nothing_on_standard_error(dgsf, folder):
    _, out, err = dgsf("scan", folder, "-q")
    assert err == ""
    assert len(out.splitlines()) == 6


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_an_empty_folder_is_no_clean_one(dgsf, tmp_path, quiet):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    code, out, err = dgsf("scan", tmp_path / "empty", *quiet)
    assert (code, out) == (2, "")
    assert "nothing to scan: no pictures in" in err and "1 left out: 1 text" in err
    assert dgsf("scan", tmp_path / "empty", "--exit-zero")[0] == 0
    document = json.loads(dgsf("scan", tmp_path / "empty", "--json")[1])
    assert document["results"] == [] and document["summary"]["left_out"] == {"text": 1}


def test_the_package_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "dgsforensics", "--version"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"dgsf \d+\.\d+\.\d+\n", done.stdout)


def test_a_detector_without_calibration_is_scanned_with_at_one_half(dgsf, folder, tiny_detector):
    loaded = checkpoint.read(tiny_detector)
    checkpoint.write(dataclasses.replace(loaded, calibration=Calibration.none()), tiny_detector)
    _, out, err = dgsf("scan", folder, "--jsonl")
    assert "flagged from 50.0%" in err and "not calibrated" in err
    assert "inconclusive from" not in err
    for row in rows(out):
        assert row["threshold"] == 0.5
        assert row["verdict"] == ("flagged" if row["logit"] >= 0 else "not flagged")
    code, out, err = dgsf("scan", folder, "--fpr", "0.1")
    assert (code, out) == (2, "") and "not calibrated" in err


def test_version(dgsf):
    code, out, _ = dgsf("--version")
    assert code == 0
    assert re.fullmatch(r"dgsf \d+\.\d+\.\d+\n", out)


def test_help_states_the_exit_codes(dgsf):
    code, out, _ = dgsf("scan", "--help")
    assert code == 0
    assert "130 interrupted" in re.sub(r"\s+", " ", out)


# What to act on


def never(*_):
    raise AssertionError("the model ran")


def test_content_is_known_in_any_folder_and_under_any_calibration(
    dgsf, folder, tiny_detector, tmp_path, monkeypatch
):
    (folder / "sub").mkdir()
    (folder / "0.png").rename(folder / "sub" / "0.png")
    png = PngInfo()
    png.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1")
    photo(240, 250, 9).save(folder / "sub" / "made.png", pnginfo=png)
    first = {row["sha256"]: row for row in rows(dgsf("scan", folder, "--jsonl")[1])}
    monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", never)
    part = rows(dgsf("scan", folder / "sub", "--jsonl")[1])
    assert [row["cached"] for row in part] == [True, True]
    assert [claim["kind"] for claim in part[1]["claims"]][:1] == ["generator"]
    assert part[1]["claims"] == first[part[1]["sha256"]]["claims"]
    loaded = checkpoint.read(tiny_detector)
    other = dataclasses.replace(loaded, calibration=Calibration(2.0, 0.5, (), (), "nothing"))
    checkpoint.write(other, tmp_path / "other.safetensors")
    again = rows(dgsf("scan", folder, "--jsonl", "--model", tmp_path / "other.safetensors")[1])
    assert all(row["cached"] for row in again)
    assert [row["logit"] for row in again] == [first[row["sha256"]]["logit"] for row in again]
    assert [row["probability"] for row in again] != [
        first[row["sha256"]]["probability"] for row in again
    ]


def test_an_edited_score_is_found_and_made_again(dgsf, folder, caplog):
    before = rows(dgsf("scan", folder, "--jsonl")[1])
    data = Path(os.environ["XDG_DATA_HOME"]) / "dgsforensics"
    [case] = (data / "cases").glob("*.sqlite3")
    assert dgsf("case", "verify", case)[0] == 0
    for file in (case, data / "scores.sqlite3"):
        with sqlite3.connect(file) as db:
            db.execute("UPDATE score SET logit = 9 WHERE sha256 = ?", (before[0]["sha256"],))
    code, out, err = dgsf("case", "verify", case)
    assert (code, out) == (2, "") and "the scores of 1 image are not what was written" in err
    _, out, _ = dgsf("scan", folder, "--jsonl")
    assert [row["cached"] for row in rows(out)] == [False] + [True] * 4
    assert [row["logit"] for row in rows(out)] == [row["logit"] for row in before]
    assert "does not fit its hash" in caplog.text
    assert dgsf("case", "verify", case)[0] == 0


def test_a_renamed_folder_keeps_its_labels(dgsf, folder, monkeypatch, caplog):
    monkeypatch.setenv("DGSF_REVIEWER", "Ann")
    dgsf("scan", folder)
    dgsf("label", folder, folder / "1.png", "--as", "ai")
    renamed = folder.rename(folder.with_name("renamed"))
    monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", never)
    assert dgsf("scan", renamed, "--jsonl")[0] in (0, 1)
    assert f"{folder} was renamed" in caplog.text
    [label] = rows(dgsf("export", renamed, "--labels", "-")[1])
    assert label["path"] == str(renamed / "1.png")
    assert str(folder) not in dgsf("case", "list")[1].replace(str(renamed), "")


def test_rows_are_picked_and_sorted(dgsf, folder):
    (folder / "broken.jpg").write_bytes(b"")
    scores = {row["path"]: row["probability"] for row in rows(dgsf("scan", folder, "--jsonl")[1])}
    order = sorted((p for p in scores if scores[p] is not None), key=lambda p: -scores[p])
    cut = str((scores[order[1]] + scores[order[2]]) / 2)
    everything = ["scan", folder, "--threshold", cut]
    _, out, _ = dgsf(*everything, "--sort", "score", "--jsonl")
    listed = [row["path"] for row in rows(out)]
    assert listed[:2] == order[:2] and sorted(listed) == sorted(scores)
    flagged = [row["path"] for row in rows(out) if row["verdict"] == "flagged"]
    code, out, err = dgsf(*everything, "--only", "flagged", "--paths")
    assert (code, sorted(out.splitlines())) == (1, sorted(flagged))
    assert "6 files" in err
    _, out, _ = dgsf(*everything, "--only", "failed", "--only", "flagged", "-0")
    assert set(out.split("\0")) == {*flagged, str(folder / "broken.jpg"), ""}
    assert rows(dgsf(*everything, "--only", "claims", "--jsonl")[1]) == []


def test_one_file_is_one_line(dgsf, folder):
    _, out, err = dgsf("scan", folder / "0.png")
    assert len(out.splitlines()) == 1 and err == ""
    assert out.endswith(f"{folder / '0.png'}\n")


def test_what_is_left_out_is_said_by_kind(dgsf, folder, monkeypatch):
    (folder / "notes.txt").write_text("no picture")
    (folder / "a.pdf").write_bytes(b"%PDF-1.4\n")
    (folder / "link.png").symlink_to(folder / "0.png")
    (folder / "sub").mkdir()
    photo(240, 230, 8).save(folder / "sub" / "x.png")
    _, _, err = dgsf("scan", folder)
    assert "3 left out: 1 PDF, 1 link, 1 text" in err
    monkeypatch.chdir(folder.parent)
    for glob in ("pictures/sub", "pictures/sub/", "./pictures/sub/*", "sub/*", folder / "sub"):
        _, out, err = dgsf("scan", "pictures", "--exclude", glob, "--jsonl", "--list-skipped")
        assert len(rows(out)) == 5, glob
        assert "1 excluded" in err and "pictures/sub" in err and "matched nothing" not in err
    _, out, err = dgsf("scan", "pictures", "--exclude", "pictures/sob", "--json", "--list-skipped")
    assert "--exclude pictures/sob matched nothing" in err
    kinds = {file["path"]: file["kind"] for file in json.loads(out)["left_out"]}
    assert kinds["pictures/notes.txt"] == "text" and kinds["pictures/link.png"] == "link"


def test_a_mistyped_path_beside_a_good_one_stops_everything(dgsf, folder, monkeypatch):
    monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", never)
    code, out, err = dgsf("scan", folder, folder / "9.png")
    assert (code, out) == (2, "")
    assert f"{folder / '9.png'}: no such file or folder; nothing was scanned" in err
    assert dgsf("case", "list")[1].count("\n") == 1


def test_a_picture_on_standard_input_is_one_clear_error(dgsf, folder):
    code, out, err = dgsf("scan", "-", stdin=(folder / "0.png").read_bytes())
    assert (code, out) == (2, "")
    assert "standard input holds a picture (PNG), not a list of paths" in err


def test_files_go_where_their_verdict_says(dgsf, folder, tmp_path):
    dgsf("scan", folder, "--threshold", "0.000001")
    code, _, _ = dgsf("apply", folder, "--copy", tmp_path / "out", "--as", "flagged")
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "out" / "flagged").iterdir()) == [
        f"{n}.png" for n in range(5)
    ]
    assert dgsf("apply", folder, "--copy", tmp_path / "out", "--as", "not-flagged")[1] == ""
    assert dgsf("apply", folder, "--tag", tmp_path / "out", "--as", "flagged")[0] == 2
    assert dgsf("apply", folder, "--undo")[0] == 0
    assert not (tmp_path / "out" / "flagged").exists()


def test_a_review_is_cut_where_it_was_asked_to_be(dgsf, folder, monkeypatch):
    monkeypatch.setenv("DGSF_REVIEWER", "Ann")
    dgsf("scan", folder, "--threshold", "0.000001")
    _, out, err = dgsf("review", folder, "--plain", stdin=b"q\n")
    assert "5 images: only:flagged,inconclusive,claims" in out
    assert "as the last scan asked for" in err
    _, out, err = dgsf("review", folder, "--plain", "--threshold", "0.999999", stdin=b"1\nq\n")
    assert "5 images: all" in out and "flagged from >99.9%" in out
    [decision] = json.loads(dgsf("case", "log", folder, "--json")[1])["decisions"]
    assert decision["shown"]["verdict"] == "not flagged"
    assert decision["shown"]["threshold"] == pytest.approx(0.999999)
    code, _, err = dgsf("review", folder, "--plain", "--fpr", "0.1", "--model", "dgs-b16")
    assert code == 2 and "cannot say where to cut its scores" in re.sub(r"\s+", " ", err)


def test_help_keeps_what_stands_in_brackets(dgsf):
    assert "[review.keys] in config.toml" in re.sub(r"\s+", " ", dgsf("review", "--help")[1])
