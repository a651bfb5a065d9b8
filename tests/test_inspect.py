"""One page on one file: how it is built, what it is like, and the command."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

import made_case
from conftest import Run, encode, photo
from dgsforensics.case import location
from dgsforensics.errors import ImageError
from dgsforensics.pictures import near_duplicates
from dgsforensics.provenance import exif
from dgsforensics.report import structure


def with_thumbnail(picture: Image.Image, small: Image.Image, **options: object) -> bytes:
    """A JPEG whose EXIF holds a small picture."""
    return encode(picture, "JPEG", exif=b"Exif\x00\x00" + tiff(encode(small, "JPEG")), **options)


def tiff(small: bytes, size: int | None = None) -> bytes:
    """EXIF with an empty first directory and a second one that names a small picture."""
    second = 8 + 2 + 4
    at = second + 2 + 2 * 12 + 4
    entries = ((513, at), (514, len(small) if size is None else size))
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = struct.pack("<2sHIHI", b"II", 42, 8, 0, second)
    return head + struct.pack("<H", 2) + body + struct.pack("<I", 0) + small


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 90, 100])
def test_the_quality_of_libjpeg_is_told_exactly(quality: int) -> None:
    built = structure.read(encode(photo(), "JPEG", quality=quality), "JPEG")
    assert built.quality == structure.JpegQuality(quality, True)


def test_other_tables_give_the_nearest_quality() -> None:
    table = [min(255, n + 1) for n in structure.read(encode(photo(), "JPEG"), "JPEG").tables[0]]
    found = structure.read(encode(photo(), "JPEG", qtables=[table, table]), "JPEG").quality
    assert found is not None and not found.exact and 1 <= found.quality <= 100


@pytest.mark.parametrize(("sampling", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_how_colours_are_sampled(sampling: int, name: str) -> None:
    built = structure.read(encode(photo(), "JPEG", subsampling=sampling), "JPEG")
    assert built.sampling == name
    assert structure.read(encode(photo().convert("L"), "JPEG"), "JPEG").sampling is None


def test_what_stands_behind_the_end() -> None:
    data = encode(photo(), "JPEG", progressive=True)
    built = structure.read(data + b"hidden", "JPEG")
    assert built.trailing == 6 and built.progressive
    assert structure.read(data, "JPEG").trailing == 0


def test_the_name_of_the_profile_or_that_it_is_damaged() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    built = structure.read(encode(photo(), "PNG", icc_profile=profile), "PNG")
    assert built.profile == "sRGB built-in" and built.profile_sha256
    built = structure.read(encode(photo(), "PNG", icc_profile=b"x" * 200), "PNG")
    assert built.profile == "" and built.remarks == ("the colour profile is damaged",)
    assert structure.read(encode(photo(), "PNG"), "PNG").profile is None


@pytest.mark.parametrize(
    "small",
    [
        photo(480, 320).resize((160, 107)),
        photo(480, 320).resize((160, 107)).rotate(90, expand=True),
        None,
    ],
    ids=["as it is", "turned", "with bars"],
)
def test_a_thumbnail_of_the_picture_looks_like_it(small: Image.Image | None) -> None:
    picture = photo(480, 320)
    if small is None:
        small = Image.new("RGB", (160, 120))
        small.paste(picture.resize((160, 107)), (0, 6))
    built = structure.read(with_thumbnail(picture, small), "JPEG")
    assert built.thumbnail is not None
    assert built.thumbnail.distance(near_duplicates.fingerprint(picture)) <= 6


def test_a_thumbnail_of_another_picture_does_not() -> None:
    other = photo(160, 107, seed=5)
    built = structure.read(with_thumbnail(photo(480, 320), other), "JPEG")
    assert built.thumbnail is not None
    assert built.thumbnail.distance(near_duplicates.fingerprint(photo(480, 320))) > 12


def test_damaged_thumbnails_are_said_to_be() -> None:
    assert exif.thumbnail(tiff(b"\xff\xd8", size=1 << 30)) is None
    assert exif.thumbnail(tiff(b"no JPEG")) is None
    data = encode(photo(), "JPEG", exif=b"Exif\x00\x00" + tiff(b"\xff\xd8\xff\xd9 and no pixels"))
    [remark] = structure.read(data, "JPEG").remarks
    assert "thumbnail cannot be read" in remark


@given(st.binary(max_size=60), st.integers(0, 60))
def test_no_bytes_stop_the_search_for_a_thumbnail(noise: bytes, at: int) -> None:
    good = tiff(encode(photo(8, 8), "JPEG"))
    exif.thumbnail(good[:at] + noise + good[at + len(noise) :])
    exif.thumbnail(noise)


def test_what_is_no_picture_has_no_structure() -> None:
    with pytest.raises(ImageError):
        structure.read(b"plain text", None)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A picture, its copy, the same smaller, another one; a case of them."""
    picture = photo(400, 300, seed=3)
    made = {
        "one.jpg": with_thumbnail(picture, photo(160, 120, seed=9)),
        "small.png": encode(picture.resize((200, 150)), "PNG"),
        "other.png": encode(photo(400, 300, seed=8), "PNG"),
    }
    made["copy.jpg"] = made["one.jpg"]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in made}


def test_one_page_and_no_case(on_tiny: Run, files: dict[str, Path]) -> None:
    code, out, _ = on_tiny("inspect", files["one.jpg"], "--threshold", "0.999999")
    assert code == 0
    for said in (
        *("not flagged", "flagged from", "chosen by", "false-positive rate", "0% ---"),
        *("400 x 300 pixels", "75 (the tables of libjpeg)", "4:2:0", "DOES NOT LOOK LIKE"),
        *("nothing; that is no evidence", "SHA-256", "difference hash", "not proof"),
        "signatures of C2PA manifests",
    ):
        assert said in out, said
    assert "Alike in" not in out
    assert not list(location.folder().glob("*")) and location.scores().exists()


def test_it_is_scored_once_and_alike_images_are_named(on_tiny: Run, files, tmp_path) -> None:
    on_tiny("scan", files["one.jpg"].parent, "--case", tmp_path / "c.sqlite3", "--exit-zero")
    code, out, _ = on_tiny("inspect", files["one.jpg"], "--case", tmp_path / "c.sqlite3", "--json")
    told = json.loads(out)
    [image] = told["images"]
    assert code == (1 if image["verdict"] == "flagged" else 0)
    assert image["cached"] and image["structure"]["sampling"] == "4:2:0"
    assert image["thumbnail_bits"] > 12 and len(image["perceptual_hash"]) == 16
    found = [(Path(other["path"]).name, other["same"]) for other in image["alike"]]
    assert found == [("copy.jpg", True), ("small.png", False)]
    assert told["run"]["case"] is None and "signatures of C2PA manifests" in told["not_checked"]


def test_what_cannot_be_read_has_a_page_too(on_tiny: Run, files, tmp_path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    code, out, _ = on_tiny("inspect", tmp_path / "text.jpg")
    assert code == 2 and "No score" in out and "unsupported: not an image" in out
    assert "structure  not read" in out
    code, _, err = on_tiny("inspect", tmp_path)
    assert code == 2 and "is a folder" in err


def test_what_a_file_claims_against_the_score_is_a_conflict(on_tiny: Run, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("parameters", "a cat\x1b[31m\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1")
    photo(300, 200).save(tmp_path / "a.png", pnginfo=info)
    code, out, _ = on_tiny("inspect", tmp_path / "a.png", "--threshold", "0.999999")
    assert code == 0 and "Conflict" in out and "the detector did not flag it" in out
    assert "[asserted, not signed]" in out and "\x1b" not in out


def test_the_case_is_left_as_it_is(on_tiny: Run, files, tmp_path: Path) -> None:
    case = made_case.write(tmp_path / "c.sqlite3", made_case.pictures(tmp_path / "p"))
    before = case.read_bytes()
    on_tiny("inspect", files["one.jpg"], "--case", case)
    assert case.read_bytes() == before
