"""A case set down, and what is found when it is held to that later."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import made_case
from conftest import Run
from dgsforensics.case.decisions import Log
from dgsforensics.case.store import Case
from dgsforensics.judgements import Judgement
from dgsforensics.review.session import Review


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return made_case.write(tmp_path / "c.sqlite3", made_case.pictures(tmp_path / "photos"))


@pytest.fixture
def digest(case: Path, tmp_path: Path, run_dgsf: Run) -> str:
    """That of the manifest of a sealed case."""
    code, out, err = run_dgsf("case", "seal", case, "--out", tmp_path / "sealed")
    assert code == 0 and "4 pictures in the manifest" in err
    return out.split()[-1]


def test_what_was_sealed_is_as_it_was(case, digest, tmp_path, run_dgsf: Run) -> None:
    folder = tmp_path / "sealed"
    names = {"case.sqlite3", "manifest.json", "report.html", "report.json"}
    for _ in range(2):  # looking at it changes nothing
        code, out, _ = run_dgsf("case", "verify", "--sealed", folder, "--head", digest)
        assert code == 0 and "as it was sealed" in out and "4 pictures" in out and digest in out
        assert {path.name for path in folder.iterdir()} == names
    told = json.loads((folder / "manifest.json").read_text())
    assert told["detectors"] == [["made-up", made_case.MODEL, made_case.MODEL]]
    assert [one["when_sealed"] for one in told["inputs"]] == ["as scanned"] * 4
    with Case.open(shutil.copy(folder / "case.sqlite3", tmp_path / "again.sqlite3")) as copied:
        assert len(list(copied.current())) == 4


def rewrite(folder: Path, photos: Path) -> None:
    (folder / "report.html").write_text("another")


def remove(folder: Path, photos: Path) -> None:
    (folder / "report.json").unlink()


def add(folder: Path, photos: Path) -> None:
    (folder / "more.txt").write_text("more")


def change_picture(folder: Path, photos: Path) -> None:
    (photos / "a.png").write_bytes(b"another")


def lose_picture(folder: Path, photos: Path) -> None:
    (photos / "a.png").unlink()


def new_manifest(folder: Path, photos: Path) -> None:
    told = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(told | {"made": "2001"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rewrite, "report.html: changed"),
        (remove, "report.json: gone"),
        (add, "more.txt: was not sealed"),
        (change_picture, "a.png: changed; as scanned when it was sealed"),
        (lose_picture, "a.png: gone; as scanned when it was sealed"),
        (new_manifest, "the manifest is not the one whose digest was noted"),
    ],
)
def test_every_change_is_named(
    change: Callable[[Path, Path], None], said: str, digest, tmp_path, run_dgsf: Run
) -> None:
    change(tmp_path / "sealed", tmp_path / "photos")
    code, out, err = run_dgsf("case", "verify", "--sealed", tmp_path / "sealed", "--head", digest)
    assert code == 2 and said in out and "1 change since it was sealed" in err


def test_a_copy_with_a_changed_score_and_a_new_hash_is_found(digest, tmp_path, run_dgsf) -> None:
    import hashlib

    folder = tmp_path / "sealed"
    with sqlite3.connect(folder / "case.sqlite3") as db:
        db.execute("UPDATE score SET logit = 9")
    db.close()
    told = json.loads((folder / "manifest.json").read_text())
    told["files"][0]["sha256"] = hashlib.sha256((folder / "case.sqlite3").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(told))
    code, out, _ = run_dgsf("case", "verify", "--sealed", folder)
    assert code == 2 and "are not what was written" in out


def test_a_picture_that_was_gone_already_is_no_change(case, tmp_path, run_dgsf: Run) -> None:
    (tmp_path / "photos/a.png").unlink()
    _, _, err = run_dgsf("case", "seal", case, "--out", tmp_path / "sealed")
    assert "1 of them are not what was scanned" in err
    assert run_dgsf("case", "verify", "--sealed", tmp_path / "sealed")[0] == 0


def test_the_case_goes_on_and_the_seal_stays(case, digest, tmp_path, run_dgsf: Run) -> None:
    with Case.open(case) as opened:
        review = Review(opened, "ann")
        review.label(review.items[:1], Judgement.AI)
        assert len(Log(opened).after()) == 1
    assert run_dgsf("case", "verify", "--sealed", tmp_path / "sealed", "--head", digest)[0] == 0


@pytest.mark.parametrize("manifest", ["", "[]", '{"schema": 9}', '{"schema": 1, "files": 3}'])
def test_no_manifest_is_said(manifest: str, tmp_path: Path, run_dgsf: Run) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    code, _, err = run_dgsf("case", "verify", "--sealed", tmp_path)
    assert code == 2 and "no manifest that can be read" in err


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(case, tmp_path, run_dgsf) -> None:
    (tmp_path / "there").mkdir()
    assert run_dgsf("case", "seal", case, "--out", tmp_path / "there")[0] == 2
    with sqlite3.connect(case) as db:
        db.execute("UPDATE score SET logit = 9")
    code, _, err = run_dgsf("case", "seal", case, "--out", tmp_path / "sealed")
    assert code == 2 and "are not what was written" in err
    assert not list(tmp_path.glob("sealed*")) and not list((tmp_path / "there").iterdir())
    assert run_dgsf("case", "verify", case, "--sealed", tmp_path / "there")[0] == 2
