"""What a scan leaves in the case of the rest of the folder."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from conftest import photo
from dgsforensics.case.store import Case
from dgsforensics.scan import job
from dgsforensics.scan.request import ScanRequest


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "trip").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "trip/c.png")):
        photo(240, 230, seed).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_only_a_scan_of_it_takes_what_is_gone_from_the_review(
    photos, tmp_path, tiny_detector, tiny_backbone, monkeypatch
):
    path = tmp_path / "case.sqlite3"
    monkeypatch.chdir(photos)

    def after(*paths, exclude=(), files_from=None):
        request = ScanRequest(
            [Path(path) for path in paths],
            files_from=files_from,
            model=str(tiny_detector),
            backbone_weights=tiny_backbone,
            device="cpu",
            workers=1,
            case=path,
            exclude=list(exclude),
        )
        with job.prepare(request).begun() as batches:
            list(batches)
        with Case.open(path) as case:
            return sorted(str(row.path.relative_to(photos)) for row in case.current())

    assert after(".") == ["a.png", "b.png", "trip/c.png"]
    (photos / "b.png").unlink()
    assert after("a.png") == ["a.png", "b.png", "trip/c.png"]
    assert after("trip") == ["a.png", "b.png", "trip/c.png"]
    assert after(photos, exclude=["trip"]) == ["a.png", "b.png", "trip/c.png"]
    (tmp_path / "list").write_text("a.png\n")
    assert after(files_from=str(tmp_path / "list")) == ["a.png", "b.png", "trip/c.png"]
    assert after("a.png", ".") == ["a.png", "trip/c.png"]
    with Case.open(path) as case:
        assert [scan.settings.options.folders for scan in case.scans()] == [
            (str(photos),),
            (),
            (str(photos / "trip"),),
            (str(photos),),
            (),
            (str(photos),),
        ]


@pytest.fixture
def packed(photos: Path) -> Path:
    """The same folder, where the trip is an archive."""
    with zipfile.ZipFile(photos / "trip.zip", "w") as archive:
        archive.write(photos / "trip" / "c.png", "c.png")
    shutil.rmtree(photos / "trip")
    return photos


def test_members_of_archives_are_scored_once_and_stay_in_the_review(packed, on_tiny, tmp_path):
    def scan(*arguments):
        _, out, err = on_tiny("scan", *arguments, "--case", tmp_path / "c.sqlite3", "--sort=path")
        with Case.open(tmp_path / "c.sqlite3") as case:
            rows = sorted(str(row.path.relative_to(packed)) for row in case.current())
        return out, err, rows

    everything = ["a.png", "b.png", "trip.zip/c.png"]
    out, err, rows = scan(packed, "--paths")
    assert out.splitlines() == [str(packed / name) for name in everything] and rows == everything
    assert "scored before" not in err
    out, err, rows = scan(packed / "trip.zip", "--json")
    [row] = json.loads(out)["results"]
    assert row["cached"] and row["path"] == str(packed / "trip.zip" / "c.png")
    out, err, _ = scan(packed / "trip.zip" / "c.png")
    assert len(out.splitlines()) == 1 and err == ""
    # Who does not look into archives does not know what is in them.
    out, err, rows = scan(packed, "--no-archives")
    assert "1 left out: 1 archive" in err and rows == everything
    with zipfile.ZipFile(packed / "trip.zip", "w") as archive:
        archive.write(packed / "a.png", "d.png")
    _, err, rows = scan(packed)
    assert "(3 scored before)" in err and rows == ["a.png", "b.png", "trip.zip/d.png"]
    (packed / "trip.zip").unlink()
    assert scan(packed)[2] == ["a.png", "b.png"]


def test_an_archive_has_a_case_and_keeps_it_when_it_is_renamed(packed, on_tiny, caplog):
    archive = packed / "trip.zip"
    on_tiny("scan", archive)
    code, _, err = on_tiny("label", archive, archive / "c.png", "--as", "ai", "--reviewer", "Ann")
    assert code == 0 and "1 image labelled ai" in err
    archive.rename(packed / "journey.zip")
    on_tiny("scan", packed / "journey.zip")
    assert f"{archive} was renamed" in caplog.text
    code, out, _ = on_tiny("export", packed / "journey.zip", "--labels", "-")
    assert json.loads(out)["path"] == str(packed / "journey.zip" / "c.png")
    code, out, _ = on_tiny("review", packed / "journey.zip", "--plain", stdin=b"q\n")
    assert code == 0 and "c.png" in out


def test_a_path_into_an_archive_that_is_not_there_is_an_error_before_anything_is_scored(
    packed, on_tiny
):
    for wrong in (packed / "trip.zip" / "x.png", packed / "a.png" / "x.png"):
        code, out, err = on_tiny("scan", packed / "a.png", wrong)
        assert (code, out) == (2, "") and f"{wrong}: no such file or folder" in err
