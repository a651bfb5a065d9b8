"""Archives as folders: their members found and read, and what hostile ones cannot do."""

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import encode, photo
from dgsforensics.errors import UnreadableError, UnsupportedError
from dgsforensics.files import content
from dgsforensics.files.archives import ArchiveLimits, harmless
from dgsforensics.files.candidates import WalkReport
from dgsforensics.files.walk import find_files
from dgsforensics.records import Failure, Status

PICTURES = [encode(photo(24, 20, seed), "JPEG", quality=90) for seed in range(4)]
SMALL = ArchiveLimits(members=5, unpacked=50_000, ratio=10, harmless=4_000)
Files = Iterable[tuple[str, bytes]]


def zipped(path: Path, files: Files, method: int = zipfile.ZIP_STORED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files:
            with warnings.catch_warnings(action="ignore"):  # of two members with one name
                archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def tarred(path: Path, files: Files, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def named(*names: str) -> list[tuple[str, bytes]]:
    return list(zip(names, PICTURES * len(names), strict=False))


def found(*paths: Path, **options: object) -> tuple[list[str], dict[str, str]]:
    """What is listed below the folder of the first, failures with their reason; what is left
    out."""
    report = WalkReport()
    base = paths[0].parent
    rows = []
    for row in find_files(paths, report=report, **options):  # type: ignore[arg-type]
        if isinstance(row, Failure):
            rows.append(f"{row.path.relative_to(base).as_posix()}: {row.status}: {row.reason}")
        else:
            rows.append(row.relative_to(base).as_posix())
    out = {file.path.relative_to(base).as_posix(): file.kind for file in report.left_out}
    return rows, out


MAKERS: dict[str, Callable[[Path, Files], Path]] = {
    "a.zip": zipped,
    "a.CBZ": lambda path, files: zipped(path, files, zipfile.ZIP_DEFLATED),
    "a.tar": tarred,
    "a.tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "a.tgz": lambda path, files: tarred(path, files, "w:gz"),
    "a.tar.xz": lambda path, files: tarred(path, files, "w:xz"),
    "a.Tar.Bz2": lambda path, files: tarred(path, files, "w:bz2"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_archive_is_read_as_a_folder(name: str, tmp_path: Path) -> None:
    files = [*named("img/b.jpg", "img/a.jpg", "noname"), ("notes.txt", b"text"), ("in.zip", b"PK")]
    archive = MAKERS[name](tmp_path / "box" / name, files)
    listed = [f"box/{name}/{member}" for member in ("img/b.jpg", "img/a.jpg", "noname")]
    left_out = {f"box/{name}/notes.txt": "text", f"box/{name}/in.zip": "nested archive"}
    assert found(tmp_path / "box") == (listed, left_out)
    assert found(archive)[0] == [path.removeprefix("box/") for path in listed]
    assert [content.read(tmp_path / path) for path in listed] == PICTURES[:3]
    assert content.size_of(archive / "img" / "a.jpg") == len(PICTURES[1])
    assert content.is_folder(archive) and content.is_folder(archive / "img")
    assert not content.is_folder(archive / "img" / "a.jpg")
    assert content.is_there(archive / "img") and content.is_there(archive / "img" / "a.jpg")
    assert not content.is_there(archive / "img" / "c.jpg")
    assert [path.name for path in tmp_path.rglob("*")] == ["box", name]  # nothing was unpacked


def test_one_member_and_a_folder_of_an_archive_can_be_named(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "e.zip", named("img/a.jpg", "img/sub/b.jpg", "img2/c.jpg"))
    assert found(archive / "img")[0] == ["img/a.jpg", "img/sub/b.jpg"]
    assert found(archive / "img/sub/b.jpg")[0] == ["b.jpg"]
    assert found(archive / "nothing")[0] == ["nothing: unreadable: no such file in the archive"]
    assert found(archive, archive / "img")[0] == [
        "e.zip/img/a.jpg",
        "e.zip/img/sub/b.jpg",
        "e.zip/img2/c.jpg",
    ]


def test_archives_are_files_like_others_where_that_is_wanted(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "box" / "e.zip", named("a.jpg"))
    assert found(tmp_path / "box", archives=None) == ([], {"box/e.zip": "archive"})
    assert found(archive, archives=None)[0] == ["e.zip"]


def test_globs_see_members_as_they_are_printed(tmp_path: Path) -> None:
    box = tmp_path / "box"
    zipped(box / "e.zip", named("img/a.jpg", "img/b.jpg", "c.png"))
    assert found(box, exclude=["img"]) == (["box/e.zip/c.png"], {"box/e.zip/img": "excluded"})
    assert found(box, exclude=["e.zip/img/*"])[0] == ["box/e.zip/c.png"]
    assert found(box, exclude=[f"{box}/e.zip/c.png"])[1] == {"box/e.zip/c.png": "excluded"}
    assert found(box, exclude=["*.zip"]) == ([], {"box/e.zip": "excluded"})


def test_office_documents_and_pictures_named_like_archives_are_what_they_are(
    tmp_path: Path,
) -> None:
    box = tmp_path / "box"
    zipped(box / "letter.docx", named("word/media/a.jpg"))
    (box / "really.zip").write_bytes(PICTURES[0])
    (box / "other.zip").write_bytes(b"Rar!\x1a\x07\x00")
    (box / "film.rar").write_bytes(b"Rar!\x1a\x07\x00")
    (box / "._e.zip").write_bytes(b"\x00\x05\x16\x07" + bytes(50))
    rows, left_out = found(box)
    assert rows == [
        "box/other.zip: unreadable: named like an archive, and is none that is read",
        "box/really.zip",
    ]
    assert left_out == {
        "box/._e.zip": "macOS shadow",
        "box/film.rar": "archive",
        "box/letter.docx": "archive",
    }


# Names


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("../../etc/a.jpg", "(..)/(..)/etc/a.jpg"),
        ("/etc/a.jpg", "etc/a.jpg"),
        ("./x//a.jpg", "x/a.jpg"),
        ("", "(no name)"),
        ("/", "(no name)"),
        ("a\nb.jpg", "a\nb.jpg"),
        ("a\0b.jpg", "a(0)b.jpg"),
    ],
)
def test_names_stay_below_the_archive(stored: str, shown: str, tmp_path: Path) -> None:
    assert harmless(stored) == shown
    place = os.path.abspath(tmp_path / "e.zip" / shown)
    assert place == str(tmp_path / "e.zip" / shown)


@pytest.mark.parametrize("make", [zipped, tarred])
def test_hostile_names_are_read_under_the_names_they_are_shown_with(
    make: Callable[[Path, Files], Path], tmp_path: Path
) -> None:
    names = ["../up.jpg", "up.jpg", "/up.jpg", "up.jpg", "up (2).jpg"]
    path = make(tmp_path / ("e.zip" if make is zipped else "e.tar"), named(*names))
    members = [member for member in find_files([path]) if isinstance(member, Path)]
    shown = ["(..)/up.jpg", "up.jpg", "up (2).jpg", "up (3).jpg", "up (2) (2).jpg"]
    assert [member.relative_to(path).as_posix() for member in members] == shown
    assert [content.read(member) for member in members] == [*PICTURES, PICTURES[0]]


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.jpg")
    tar = tarred(tmp_path / "t.tar", [(odd, PICTURES[0])])
    assert [os.fsencode(path)[-8:] for path in find_files([tar])] == [b"caf\xe9.jpg"]  # type: ignore[arg-type]
    assert content.read(tar / odd) == PICTURES[0]
    # As macOS writes them: UTF-8, and no word of that.
    mac = zipped(tmp_path / "m.zip", [("caf\u00e9.jpg", PICTURES[0])])
    bare = mac.read_bytes().replace(b"\x00\x08\x00\x00", b"\x00\x00\x00\x00")
    mac.write_bytes(bare)
    with zipfile.ZipFile(mac) as archive:
        assert archive.namelist() != ["caf\u00e9.jpg"]
    assert found(mac)[0] == ["m.zip/caf\u00e9.jpg"]
    # Says that it is UTF-8, and is not.
    bad = zipped(tmp_path / "b.zip", [("caf\u00e9.jpg", PICTURES[0])])
    bad.write_bytes(bad.read_bytes().replace("\u00e9".encode(), b"\xe9\xe9"))
    assert found(bad)[0] == ["b.zip: unreadable: damaged ZIP archive: a name in it is not UTF-8"]


# Links, passwords, ways to compress


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    tar = tmp_path / "t.tar"
    with tarfile.open(tar, "w") as archive:
        for name, kind in (("s.jpg", tarfile.SYMTYPE), ("h.jpg", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("pipe.jpg")
        info.type = tarfile.FIFOTYPE
        archive.addfile(info)
    zip_ = tmp_path / "z.zip"
    with zipfile.ZipFile(zip_, "w") as made:
        link = zipfile.ZipInfo("s.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        made.writestr(link, "/etc/passwd")
    expected = {"t.tar/s.jpg": "link", "t.tar/h.jpg": "link", "t.tar/pipe.jpg": "special file"}
    assert found(tar) == ([], expected)
    assert found(zip_) == ([], {"z.zip/s.jpg": "link"})


def _patched(path: Path, offset: int, flags: int) -> None:
    """Change 16 bits at an offset from where the flags stand in both headers of one member."""
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    for place in (6 + offset, central + 8 + offset):
        data[place : place + 2] = struct.pack("<H", flags)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "value", "said"),
    [(0, 1, "encrypted"), (2, 12, "(bzip2)"), (2, 14, "(LZMA)"), (2, 77, "(method 77)")],
)
def test_members_that_cannot_be_read_are_rows(
    offset: int, value: int, said: str, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "e.zip", named("a.jpg", "b.jpg"))
    _patched(path, offset, value)
    assert found(path)[0] == ["e.zip/a.jpg", "e.zip/b.jpg"]
    with pytest.raises(UnsupportedError) as caught:
        content.read(path / "a.jpg")
    assert said in caught.value.message and caught.value.hint is not None
    assert content.read(path / "b.jpg") == PICTURES[1]
    text = zipped(tmp_path / "f.zip", [("notes.txt", b"text"), ("noname", PICTURES[0])])
    _patched(text, offset, value)
    assert found(text) == (["f.zip/noname"], {"f.zip/notes.txt": "not readable"})


# Damage


def damaged_zip(path: Path) -> str:
    zipped(path, named("a.jpg", "b.jpg", "c.jpg"))
    data = path.read_bytes()
    path.write_bytes(data.replace(PICTURES[1], bytes(len(PICTURES[1]))))
    return "b.jpg"


def test_damage_in_one_member_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "e.zip"
    hurt = damaged_zip(path)
    assert found(path)[0] == ["e.zip/a.jpg", "e.zip/b.jpg", "e.zip/c.jpg"]
    with pytest.raises(UnreadableError, match="a wrong check sum"):
        content.read(path / hurt)
    assert content.read(path / "c.jpg") == PICTURES[2]


def test_an_archive_without_its_end_is_one_row(tmp_path: Path) -> None:
    path = zipped(tmp_path / "e.zip", named("a.jpg"))
    path.write_bytes(path.read_bytes()[:-30])
    said = "damaged ZIP archive: its end is missing, which lists what it holds"
    assert found(path)[0] == [f"e.zip: unreadable: {said}"]


@pytest.mark.parametrize("name", ["t.tar", "t.tar.gz", "t.tar.xz", "t.tar.bz2"])
def test_what_comes_before_the_end_of_a_cut_archive_is_read(name: str, tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(300_000)
    suffix = name.removeprefix("t.tar").removeprefix(".")
    files = [*named("a.jpg", "b.jpg"), ("c.jpg", noise), *named("d.jpg")]
    path = tarred(tmp_path / name, files, f"w:{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    rows, _ = found(path)
    reason = f"{name}: unreadable: the TAR archive breaks off"
    if suffix == "bz2":  # 900 kB at a time: all of it is lost
        assert rows == [reason]
        return
    assert rows == [f"{name}/a.jpg", f"{name}/b.jpg", f"{name}/c.jpg", reason]
    assert content.read(path / "b.jpg") == PICTURES[1]
    with pytest.raises(UnreadableError, match=r"breaks off|the archive holds"):
        content.read(path / "c.jpg")
    with pytest.raises(UnreadableError, match="not in the archive as far as"):
        content.read(path / "d.jpg")


def test_a_header_that_makes_no_sense_does_not_end_the_list_without_a_word(tmp_path: Path) -> None:
    path = tarred(tmp_path / "t.tar", named("a.jpg", "b.jpg", "c.jpg"))
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        at = archive.getmember("b.jpg").offset
    data[at : at + 512] = b"\xff" * 512
    path.write_bytes(data)
    said = "damaged TAR archive: a header that makes no sense"
    assert found(path)[0] == ["t.tar/a.jpg", f"t.tar: unreadable: {said}"]
    # Cut behind a member: nothing is missing but the mark of the end.
    path.write_bytes(data[:at])
    assert found(path)[0] == ["t.tar/a.jpg", "t.tar: unreadable: the TAR archive breaks off"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_no_damage_ends_in_anything_but_rows(
    make: Callable[[Path, Files], Path], tmp_path: Path
) -> None:
    suffix = ".zip" if make is zipped else ".tar"
    files = [*named("a.jpg", "img/b.jpg"), ("n.txt", b"x" * 700), ("p" * 150, PICTURES[2])]
    whole = make(tmp_path / f"whole{suffix}", files).read_bytes()
    rng = random.Random(7)
    for number in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 4, 40))):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((1, 2, 4))] = rng.randbytes(rng.choice((1, 2, 4)))
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(data[: rng.choice((len(data), len(data), rng.randrange(len(data))))])
        for row in find_files([path]):
            if isinstance(row, Failure):
                assert row.status in (Status.UNREADABLE, Status.UNSUPPORTED) and row.reason
                continue
            try:
                content.read(row)
            except (UnreadableError, UnsupportedError) as error:
                assert error.message


# Limits


def test_a_bomb_is_a_row_and_what_lies_beside_it_is_read(tmp_path: Path) -> None:
    files = [*named("a.jpg"), ("zeros.bmp", bytes(1 << 20)), *named("b.jpg")]
    path = zipped(tmp_path / "e.zip", files, zipfile.ZIP_DEFLATED)
    limits = ArchiveLimits(ratio=10, harmless=4_000)
    rows, left_out = found(path, archives=limits)
    assert rows == ["e.zip/a.jpg", "e.zip/zeros.bmp", "e.zip/b.jpg"] and left_out == {}
    gz = tarred(tmp_path / "t.tar.gz", files, "w:gz")
    rows, _ = found(gz, archives=limits)
    assert rows[0] == "t.tar.gz/a.jpg"
    assert rows[1].startswith("t.tar.gz: unreadable: unpacks to more than")


def bomb(path: Path, size: int) -> Path:
    """A ZIP archive whose one member is said to have so many bytes."""
    zipped(path, [("zeros.bmp", bytes(1000)), *named("b.jpg")], zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


def test_sizes_that_are_promised_are_not_believed(tmp_path: Path) -> None:
    path = bomb(tmp_path / "e.zip", 900 << 20)
    assert found(path)[0] == ["e.zip/zeros.bmp", "e.zip/b.jpg"]
    with pytest.raises(UnreadableError, match="unpacks to more than"):
        content.read(path / "zeros.bmp")
    assert content.read(path / "b.jpg") == PICTURES[0]
    small = bomb(tmp_path / "f.zip", 200 << 20)
    tracemalloc.start()
    with pytest.raises(UnreadableError):
        content.read(small / "zeros.bmp")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    with pytest.raises(UnreadableError, match="more than the limit"):
        content.read(path / "b.jpg", content.Limits(max_bytes=100))


def test_members_are_counted(tmp_path: Path) -> None:
    path = zipped(tmp_path / "e.zip", named(*"abcdefg"))
    rows, _ = found(path, archives=SMALL)
    assert rows[:5] == [f"e.zip/{name}" for name in "abcde"]
    assert rows[5:] == ["e.zip: unreadable: holds more than 5 files"]


def test_a_list_of_members_has_a_size_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "e.zip"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *([0] * 16))
    data = entry * ((17 << 20) // len(entry))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 65535, 65535, len(data), 4, 0)
    path.write_bytes(b"PK\x03\x04" + data + end)
    assert found(path)[0] == ["e.zip: unreadable: its list of members has 18 MB"]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_header_of_a_gigabyte_is_not_read(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    path = tmp_path / "t.tar.gz"
    path.write_bytes(compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20)))
    tracemalloc.start()
    assert "a header of a size that makes no sense" in found(path)[0][0]
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_many_members_of_one_name_take_no_time(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    path.write_bytes(tarfile.TarInfo("a.jpg").tobuf() * 3_000 + bytes(1024))
    started = time.monotonic()
    rows, _ = found(path)
    assert rows[0] == "t.tar/a.jpg" and rows[-1] == "t.tar/a (3000).jpg"
    assert time.monotonic() - started < 8


# Use


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz"])
def test_members_are_read_by_several_threads_and_in_any_order(suffix: str, tmp_path: Path) -> None:
    files = [(f"{i}.jpg", random.Random(i).randbytes(3000 + i)) for i in range(60)]
    make = MAKERS[f"a.{suffix}"]
    path = make(tmp_path / f"a.{suffix}", files)
    listed = list(find_files([path]))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(content.read, listed)) == [data for _, data in files]  # type: ignore[arg-type]
    shuffled = random.Random(1).sample(files, len(files))
    assert all(content.read(path / name) == data for name, data in shuffled)


def test_an_archive_that_is_replaced_or_gone_is_noticed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "e.zip", named("a.jpg", "b.jpg"))
    assert content.read(path / "b.jpg") == PICTURES[1]
    path.unlink()
    zipped(path, [("a.jpg", PICTURES[3])])
    assert content.read(path / "a.jpg") == PICTURES[3]
    assert not content.is_there(path / "b.jpg")
    with pytest.raises(UnreadableError, match="no such file in the archive"):
        content.read(path / "b.jpg")
    path.unlink()
    assert not content.is_there(path / "a.jpg")
    with pytest.raises(UnreadableError, match="no such file or folder"):
        content.read(path / "a.jpg")


def test_empty_archives_and_names_too_long_for_a_disk(tmp_path: Path) -> None:
    empty = zipped(tmp_path / "e.zip", [])
    assert found(empty) == ([], {"e.zip": "empty"})
    assert found(tarred(tmp_path / "t.tar", [])) == ([], {"t.tar": "empty"})
    name = "/".join(["x" * 300] * 20) + ".jpg"
    path = tarred(tmp_path / "l.tar", [(name, PICTURES[0])])
    assert found(path)[0] == [f"l.tar/{name}"]
    assert content.read(path / name) == PICTURES[0]
