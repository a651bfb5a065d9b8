"""Where case files lie, and which one is meant."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from dgsforensics.case import location
from dgsforensics.case.location import default_path
from dgsforensics.case.store import Case
from dgsforensics.errors import UsageError


def test_the_case_file_of_some_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "My Photos (2024)"
    (folder / "sub").mkdir(parents=True)
    image = folder / "a.jpg"
    image.touch()
    (folder / "sub" / "b.jpg").touch()
    found = default_path([folder])
    digest = hashlib.sha256(bytes(folder)).hexdigest()[:12]
    assert found.name == f"my-photos-2024-{digest}.sqlite3"
    if sys.platform == "linux":
        assert found.parent == tmp_path / "data" / "dgsforensics" / "cases"
    assert not found.parent.exists()
    assert default_path([image]) == found
    assert default_path([image, folder / "sub" / "b.jpg"]) == found
    assert default_path([folder / "sub"]) != found
    monkeypatch.chdir(folder)
    assert default_path([Path(".")]) == found
    assert default_path([Path("sub/../")]) == found
    odd = default_path([Path(os.fsdecode(b"/nowhere/\xff/a.jpg"))])
    assert odd.name.startswith("case-") and odd.name.isascii()
    root = hashlib.sha256(b"/").hexdigest()[:12]
    assert default_path([Path("/")]).name == f"case-{root}.sqlite3"
    with pytest.raises(UsageError):
        default_path([])


def test_a_case_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    case = tmp_path / "any name.jpg"
    with Case.open(case):
        pass
    link = tmp_path / "link"
    link.symlink_to(case)
    assert location.is_case(case) and location.is_case(link)
    contents = {
        "empty.sqlite3": b"",
        "cut.sqlite3": b"SQLite format 3",
        "older.sqlite": b"SQLite format 2\0 and more",
        "text.sqlite3": b"a note about SQLite format 3\0",
        "picture.jpg": b"\xff\xd8\xff",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert not location.is_case(tmp_path / name), name


def test_what_cannot_be_looked_at_is_no_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path, tmp_path / "gone", Path("a\0b"), Path("x" * 5000)):
        assert not location.is_case(path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not location.is_case(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert not location.is_case(tmp_path / "pipe")
    with Case.open(tmp_path / "locked.sqlite3"):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "open", refuse)
    assert not location.is_case(tmp_path / "locked.sqlite3")


def made(folder: Path, age: float) -> Path:
    """The case file of a folder, last used so many seconds after the epoch."""
    path = default_path([folder])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (age, age))
    return path


def test_the_case_meant_is_a_file_a_folder_or_the_last_one_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    one, two, never = tmp_path / "one", tmp_path / "two", tmp_path / "never"
    for folder in (one, two, never):
        folder.mkdir()
    with pytest.raises(UsageError, match="no case file yet"):
        location.find(None)
    older, newer = made(one, 1000), made(two, 2000)
    assert location.known() == [newer, older]
    assert location.find(None) == newer
    assert location.find(one) == older
    assert location.find(older) == older
    log = older.with_name(older.name + "-wal")  # what SQLite writes before it writes the file
    log.touch()
    os.utime(log, (3000, 3000))
    assert location.find(None) == older
    with pytest.raises(UsageError, match="was not scanned"):
        location.find(never)
    with pytest.raises(UsageError, match="no such case file"):
        location.find(tmp_path / "gone")
