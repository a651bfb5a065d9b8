"""What a scan leaves in the case of the rest of the folder."""

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
