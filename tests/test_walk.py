import inspect
import os
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import gallery_bytes
from dgsforensics.files import walk
from dgsforensics.files.lists import read_list
from dgsforensics.files.walk import find_files
from dgsforensics.records import Failure, Status

JPEG = gallery_bytes()["plain.jpg"]
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Write a file below the working directory, which is a fresh folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, data: bytes = JPEG) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


def listed(*paths: str, **options: object) -> list[str]:
    """What `find_files` gives, failures as `path: status: reason`."""
    found = find_files([Path(path) for path in paths], **options)  # type: ignore[arg-type]
    return [
        f"{one.path}: {one.status}: {one.reason}" if isinstance(one, Failure) else str(one)
        for one in found
    ]


def test_order_is_depth_first_by_the_bytes_of_names(plant: Plant) -> None:
    names = ["a/b.jpg", "a/b/c.jpg", "a/b/Z.jpg", "a/a.jpg", "a/é.jpg", "a/z.jpg", "B.jpg", "_.jpg"]
    for name in random.Random(0).sample(names, len(names)):
        plant(name)
    assert listed(".") == [
        "B.jpg",
        "_.jpg",
        "a/a.jpg",
        "a/b/Z.jpg",
        "a/b/c.jpg",
        "a/b.jpg",
        "a/z.jpg",
        "a/é.jpg",
    ]
    assert listed("a/z.jpg", "B.jpg", "a/b") == ["a/z.jpg", "B.jpg", "a/b/Z.jpg", "a/b/c.jpg"]


def test_whole_gallery_is_found(gallery: dict[str, Path]) -> None:
    folder = gallery["plain.jpg"].parent
    expected = sorted(gallery.values(), key=lambda path: os.fsencode(path.name))
    assert list(find_files([folder])) == expected


def test_what_counts_as_a_picture_inside_a_folder(plant: Plant) -> None:
    plant("notes.txt", b"text")
    plant("film.mp4", b"\x00\x00\x00\x18ftypmp42" + bytes(40))
    plant("empty", b"")
    plant("README", b"text")
    plant("disguised.txt")
    plant("noname")
    plant("layers.psd", b"8BPS\x00\x01" + bytes(40))
    plant("empty.PNG", b"")
    plant("text.jpeg", b"text")
    plant("cut.heic", b"\x00\x00")
    assert listed(".") == [
        "cut.heic",
        "disguised.txt",
        "empty.PNG",
        "layers.psd",
        "noname",
        "text.jpeg",
    ]
    assert listed("notes.txt", "empty") == ["notes.txt", "empty"]


def test_hidden_counts_but_macos_shadows_do_not(plant: Plant) -> None:
    plant(".hidden/.x.jpg")
    plant("._photo.jpg", b"\x00\x05\x16\x07" + bytes(60))
    plant("._real.jpg")
    assert listed(".") == ["._real.jpg", ".hidden/.x.jpg"]
    assert listed("._photo.jpg") == ["._photo.jpg"]


def test_one_row_a_path(plant: Plant, tmp_path: Path) -> None:
    plant("a/1.jpg")
    plant("a/2.jpg")
    assert listed("a/2.jpg", "a", "./a/", "a/../a/1.jpg", str(tmp_path / "a")) == [
        "a/2.jpg",
        "a/1.jpg",
    ]
    assert len(listed("gone.jpg", "./gone.jpg")) == 1


def test_arguments_that_are_not_there(plant: Plant) -> None:
    assert listed("gone.jpg") == ["gone.jpg: unreadable: no such file or folder"]
    assert listed("a\0b")[0].startswith("a\0b: unreadable: not a valid path")
    assert listed() == []


def test_arguments_may_be_a_stream(plant: Plant) -> None:
    plant("1.jpg")

    def stream() -> object:
        yield Path("1.jpg")
        raise AssertionError("read too far")

    assert next(find_files(stream())) == Path("1.jpg")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        (["*.png"], ["a/b/3.jpg", "a/b/thumbs/4.jpg", "a/thumbs/5.jpg"]),
        (["thumbs"], ["1.png", "a/2.png", "a/b/3.jpg"]),
        (["thumbs/"], ["1.png", "a/2.png", "a/b/3.jpg"]),
        (["a"], ["1.png"]),
        (["a/*"], ["1.png"]),
        (["a/*.png"], ["1.png", "a/b/3.jpg", "a/b/thumbs/4.jpg", "a/thumbs/5.jpg"]),
        (["/b/3.jpg"], ["1.png", "a/2.png", "a/b/3.jpg", "a/b/thumbs/4.jpg", "a/thumbs/5.jpg"]),
        (["a/**/thumbs"], ["1.png", "a/2.png", "a/b/3.jpg"]),
        (["**/b/thumbs/**"], ["1.png", "a/2.png", "a/b/3.jpg", "a/thumbs/5.jpg"]),
        (["**"], []),
        (["[1-3].*", "*/b"], ["a/thumbs/5.jpg"]),
        (["THUMBS", ""], ["1.png", "a/2.png", "a/b/3.jpg", "a/b/thumbs/4.jpg", "a/thumbs/5.jpg"]),
    ],
)
def test_exclude(plant: Plant, globs: list[str], left: list[str]) -> None:
    for name in ("1.png", "a/2.png", "a/b/3.jpg", "a/b/thumbs/4.jpg", "a/thumbs/5.jpg"):
        plant(name)
    assert listed(".", exclude=globs) == left
    deep = [f"deep/{name}" for name in left]
    os.mkdir("deep")
    for name in ("1.png", "a"):
        os.rename(name, f"deep/{name}")
    assert listed("deep", exclude=globs) == deep


def test_excluded_folders_are_not_entered(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("secret/1.jpg")
    plant("2.jpg")
    entered: list[str] = []
    real = os.listdir
    monkeypatch.setattr(walk.os, "listdir", lambda path: entered.append(str(path)) or real(path))
    assert listed(".", exclude=["secret"]) == ["2.jpg"]
    assert entered == ["."]


def test_exclude_and_arguments(plant: Plant) -> None:
    plant("thumbs/1.jpg")
    plant("2.png")
    assert listed("thumbs", "2.png", exclude=["thumbs", "*.png"]) == ["thumbs/1.jpg"]


def test_links_inside_folders_are_passed_over_unless_asked_for(plant: Plant) -> None:
    plant("in/1.jpg")
    plant("out/2.jpg")
    os.symlink("../out", "in/folder")
    os.symlink("../out/2.jpg", "in/link.jpg")
    os.symlink("nowhere.jpg", "in/broken.jpg")
    assert listed("in") == ["in/1.jpg"]
    assert listed("in/link.jpg", "in/folder") == ["in/link.jpg", "in/folder/2.jpg"]
    assert listed("in/broken.jpg") == ["in/broken.jpg: unreadable: broken symbolic link"]
    assert listed("in", follow_symlinks=True) == [
        "in/1.jpg",
        "in/broken.jpg: unreadable: broken symbolic link",
        "in/folder/2.jpg",
        "in/link.jpg",
    ]


def test_a_loop_is_reported_once_and_not_followed(plant: Plant) -> None:
    plant("a/b/1.jpg")
    os.symlink("../..", "a/b/up")
    os.symlink("self", "a/self")
    found = listed("a", follow_symlinks=True)
    # `up` leads above the root, from where the walk comes back to `a`: that is the loop.
    assert found[0] == "a/b/1.jpg"
    assert found[1].startswith("a/b/up/a: unreadable: directory loop")
    assert found[2].startswith("a/self: unreadable: ")
    assert len(found) == 3
    assert listed("a") == ["a/b/1.jpg"]


def test_many_links_to_one_folder_cost_one_walk(plant: Plant) -> None:
    """Twenty levels of two links each would be a million walks."""
    plant("level20/1.jpg")
    for level in range(20):
        os.mkdir(f"level{level}")
        for name in ("x", "y"):
            os.symlink(f"../level{level + 1}", f"level{level}/{name}")
    found = listed("level0", follow_symlinks=True)
    assert found == ["level0" + "/x" * 20 + "/1.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_reported_and_never_opened(plant: Plant) -> None:
    plant("1.jpg")
    os.mkfifo("pipe.jpg")
    os.mkfifo("pipe")
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(listed(".", "pipe")), daemon=True)
    thread.start()
    thread.join(10)
    assert found == [
        "1.jpg",
        "pipe: unsupported: not a regular file (named pipe)",
        "pipe.jpg: unsupported: not a regular file (named pipe)",
    ]
    device = "/dev/null"
    assert listed(device) == [f"{device}: unsupported: not a regular file (character device)"]


@pytest.mark.skipif(IS_ROOT, reason="root may read everything")
def test_no_permission(plant: Plant) -> None:
    plant("locked/1.jpg")
    for name in ("a.jpg", "b", "c.txt"):
        plant(name).chmod(0)
    os.chmod("locked", 0)
    try:
        assert listed(".") == [
            "a.jpg",
            "b: unreadable: permission denied",
            "locked: unreadable: folder cannot be listed: permission denied",
        ]
    finally:
        os.chmod("locked", 0o700)


def test_refusals_by_the_system(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as root would see it, with the refusals acted."""
    plant("locked/1.jpg")
    for name in ("a.jpg", "b", "c.txt"):
        plant(name)
    real_list, real_open = os.listdir, os.open

    def refuse_list(path: Path) -> list[str]:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real_list(path)

    def refuse_open(path: str, *rest: int, **more: int) -> int:
        if Path(path).name in ("a.jpg", "b", "c.txt"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest, **more)

    monkeypatch.setattr(os, "listdir", refuse_list)
    monkeypatch.setattr(os, "open", refuse_open)
    assert listed(".") == [
        "a.jpg",
        "b: unreadable: permission denied",
        "locked: unreadable: folder cannot be listed: permission denied",
    ]


def test_a_file_that_vanishes_is_a_row(plant: Plant) -> None:
    plant("1.jpg")
    plant("2.jpg")
    walk = find_files([Path(".")])
    assert next(walk) == Path("1.jpg")
    os.remove("2.jpg")
    [gone] = walk
    assert isinstance(gone, Failure)
    assert (gone.status, gone.reason) == (Status.UNREADABLE, "no such file or folder")


def test_deeper_than_the_stack(plant: Plant) -> None:
    levels = 120
    plant("d/" * levels + "1.jpg")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        found = [str(path) for path in find_files([Path("d")])]
    finally:
        sys.setrecursionlimit(limit)
    assert found == ["d/" * levels + "1.jpg"]


def test_names_that_are_not_utf8(plant: Plant) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        plant(name)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    plant("a.jpg")
    assert listed(".") == ["a.jpg", name]
    assert listed(".", exclude=["caf*"]) == ["a.jpg"]
    assert list(read_list(b"caf\xe9.jpg\n")) == [Path(name)]


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        (b"", []),
        (b"a.jpg\nb c.jpg\n", ["a.jpg", "b c.jpg"]),
        (b"a.jpg\r\n\r\n  \nb.jpg", ["a.jpg", "b.jpg"]),
        (b"\xef\xbb\xbfa.jpg\n", ["a.jpg"]),
        (b"a.jpg\0with\nnewline.jpg\0\0", ["a.jpg", "with\nnewline.jpg"]),
        (b" leading.jpg\n", [" leading.jpg"]),
    ],
)
def test_read_list(data: bytes, paths: list[str]) -> None:
    assert list(read_list(data)) == [Path(path) for path in paths]
