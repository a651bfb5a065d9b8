import dataclasses
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import encode, photo
from dgsforensics.datasets import labelled
from dgsforensics.datasets.labelled import ListedImage, Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label
from dgsforensics.trainer import contents
from dgsforensics.trainer.data import Dataset, prepare, read_split, still_there, write_split

Add = Callable[..., ListedImage]


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """Writes a picture, or the bytes given, and lists it: generated if its name begins with f."""

    def one(name: str, content: bytes | int | None = None, **changes) -> ListedImage:
        path = tmp_path / name
        if content is None or isinstance(content, int):
            seed = zlib.crc32(name.encode()) if content is None else content
            content = encode(photo(64, 48, seed), "PNG")
        path.write_bytes(content)
        generated = name.startswith("f")
        listed = ListedImage(
            path=path,
            label=Label.GENERATED if generated else Label.REAL,
            generator="sd" if generated else None,
            source="sd" if generated else "unknown",
            caption=None,
            split=None,
            sha256=None,
            group=None,
            style="photo",
            origin=str(path),
        )
        return dataclasses.replace(listed, **changes)

    return one


def run(listed: list[ListedImage], **options) -> Dataset:
    defaults = {"share": 0.3, "by": "group", "seed": 0, "skip_unreadable": False}
    return prepare(listed, **(defaults | options))


def some(add: Add, count: int = 6) -> list[ListedImage]:
    return [add(f"{kind}{i}.png") for kind in "rf" for i in range(count)]


def names(part: list[Sample]) -> set[str]:
    return {sample.path.name for sample in part}


def test_what_becomes_of_the_images(add: Add) -> None:
    listed = some(add)
    listed[0] = dataclasses.replace(listed[0], caption="A dog", style="art", source="here")
    told: list[tuple[int, int]] = []
    dataset = run(listed, progress=lambda done, total: told.append((done, total)))
    samples = [*dataset.train, *dataset.validation]
    assert (len(dataset.train), len(dataset.validation)) == (8, 4)
    assert {sample.path for sample in samples} == {row.path for row in listed}
    for sample in samples:
        assert sample.sha256 == hashlib.sha256(sample.path.read_bytes()).hexdigest()
        assert sample.group == sample.sha256
        assert (sample.generator is None) == (sample.label == Label.REAL)
    [first] = [sample for sample in samples if sample.path.name == "r0.png"]
    assert (first.caption, first.style, first.source) == ("A dog", "art", "here")
    assert told == [(i, 12) for i in range(1, 13)]
    assert dataset.notes == [] and "2 of 6 real images" in dataset.split_by


def test_paths_become_absolute(add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = [dataclasses.replace(row, path=Path(row.path.name)) for row in some(add)]
    dataset = run(listed)
    assert all(sample.path.parent == tmp_path for sample in dataset.train)


def test_a_folder_from_end_to_end(tmp_path: Path) -> None:
    for place in ("real/flickr", "fake/sd", "test/1_fake"):
        (tmp_path / place).mkdir(parents=True)
        for i in range(4):
            photo(64, 48, len(place) + i).save(tmp_path / place / f"{i}.png")
    left_out: list[str] = []
    listed = labelled.read(tmp_path, notice=left_out.append)
    dataset = run(listed, notes=left_out)
    assert len(dataset.train) + len(dataset.validation) == 8
    assert dataset.notes == ["4 images left out: for testing."]


def test_the_digest_stands_for_contents_labels_and_parts(add: Add, tmp_path: Path) -> None:
    listed = some(add)
    first = run(listed)
    lines = [
        f"{sample.sha256},{sample.label},{part}\n"
        for part in ("train", "validation")
        for sample in getattr(first, part)
    ]
    assert first.digest == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert run(listed[::-1]).digest == first.digest
    renamed = []
    for row in listed:
        path = row.path.with_name(f"{row.path.stem}-moved")
        path.write_bytes(row.path.read_bytes())
        renamed.append(dataclasses.replace(row, path=path))
    assert run(renamed).digest == first.digest
    assert run(listed, share=0.5).digest != first.digest
    assert run([*listed, add("f-more.png")]).digest != first.digest


# What is refused


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"Minutes of the meeting\n", "not an image: looks like text"),
        (encode(photo(64, 48), "JPEG")[:800], "truncated"),
        (b"\x00\x00\x00\x18ftypheic", "'heic'|damaged|truncated"),
    ],
)
def test_unreadable_files_are_named_or_skipped(add: Add, content: bytes, reason: str) -> None:
    listed = [*some(add), add("f-bad.png", content)]
    with pytest.raises(UsageError, match=rf"1 image cannot be read: .*f-bad\.png: .*({reason})"):
        run(listed)
    dataset = run(listed, skip_unreadable=True)
    assert "f-bad.png" not in names(dataset.train) | names(dataset.validation)
    [note] = dataset.notes
    assert "Left out 1 image that cannot be read" in note and "f-bad.png" in note


def test_files_that_are_gone(add: Add, tmp_path: Path) -> None:
    listed = some(add)
    folder = add("x.png")
    folder.path.unlink()
    folder.path.mkdir()
    odd = dataclasses.replace(add("y.png"), path=tmp_path / "nul\0", origin="list.csv, line 9")
    listed[3].path.unlink()
    with pytest.raises(UsageError, match="3 images cannot be read") as caught:
        run([*listed, folder, odd])
    assert "r3.png: no such file" in caught.value.message
    assert "x.png: not a regular file (folder)" in caught.value.message
    assert "(list.csv, line 9): not a valid path" in caught.value.message


def test_only_the_first_of_many_problems_are_named(add: Add) -> None:
    listed = [add(f"r{i:02}.png", b"") for i in range(25)]
    with pytest.raises(UsageError, match="25 images cannot be read") as caught:
        run(listed)
    assert caught.value.message.count("empty file") == 20
    assert caught.value.message.endswith("; and 5 more")


def test_a_file_that_hangs_is_unreadable(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = some(add)
    real = contents.look
    monkeypatch.setattr(contents, "PATIENCE", 0.2)

    def look(path: Path):
        if path.name == "r2.png":
            time.sleep(3)
        return real(path)

    monkeypatch.setattr(contents, "look", look)
    with pytest.raises(UsageError, match=r"r2\.png: took longer than 0\.2 s to read"):
        run(listed)


def test_content_that_is_not_what_the_data_say(add: Add) -> None:
    listed = some(add)
    true = hashlib.sha256(listed[0].path.read_bytes()).hexdigest()
    listed[0] = dataclasses.replace(listed[0], sha256=true)
    run(listed)
    wrong = dataclasses.replace(listed[1], sha256=true, origin="list.csv, line 7")
    cut = add("f-cut.png", b"\x89PNG\r\n\x1a\n", sha256="0" * 64)
    with pytest.raises(UsageError, match="2 files are not those") as caught:
        run([listed[0], wrong, *listed[2:], cut], skip_unreadable=True)
    assert "list.csv, line 7" in caught.value.message
    assert "f-cut.png" in caught.value.message and "r0.png" not in caught.value.message


def test_the_same_content_under_both_labels(add: Add) -> None:
    twins = [add(name, seed) for seed in (900, 901) for name in (f"f{seed}.png", f"r{seed}.png")]
    again = add("f900-again.png", 900)
    with pytest.raises(UsageError, match="labelled real and generated") as caught:
        run([*some(add), *twins, again])
    message = caught.value.message
    assert message.count(" and ") == 3  # the label, and one for each of the two pairs
    assert message.index("r900.png") < message.index("r901.png")
    assert "f900-again.png" in message or "f900.png" in message


def test_the_same_content_in_both_given_parts(add: Add) -> None:
    listed = some(add)
    a, b = add("r-a.png", 77, split="train"), add("r-b.png", 77, split="validation")
    with pytest.raises(UsageError, match=r"for training and for validation: .*r-a\.png and .*r-b"):
        run([*listed, a, b])


def test_copies_under_one_label_are_used_once(add: Add) -> None:
    listed = [*some(add), add("r-b.png", 55), add("r-a.png", 55), add("r-c.png", 55)]
    dataset = run([*listed, listed[0]])
    used = names(dataset.train) | names(dataset.validation)
    assert "r-a.png" in used and not {"r-b.png", "r-c.png"} & used
    assert len(dataset.train) + len(dataset.validation) == 13
    assert dataset.notes == ["3 copies were left out: the same content is used once."]


def test_nothing_listed() -> None:
    with pytest.raises(UsageError, match="no real image"):
        run([])


# Groups


def test_near_duplicates_share_a_group_named_by_content(add: Add) -> None:
    picture = photo(128, 96, 5)
    kinds = [encode(picture, "JPEG", quality=q) for q in (60, 80)] + [encode(picture, "PNG")]
    listed = [*some(add), *(add(f"r-{i}.jpg", kind) for i, kind in enumerate(kinds))]
    dataset = run(listed)
    versions = [s for s in dataset.train + dataset.validation if s.path.name.startswith("r-")]
    assert len(versions) == 3
    assert {s.group for s in versions} == {min(s.sha256 for s in versions)}


def test_a_given_group_is_kept_and_widened(add: Add) -> None:
    picture = photo(128, 96, 5)
    one = add("r-1.png", encode(picture, "PNG"), group="trip")
    near = add("r-2.jpg", encode(picture, "JPEG", quality=80))
    other = add("r-3.png", 4, group="trip")
    # A copy that is left out still tells what belongs together.
    copy, linked = add("r-9.png", 4, group="walk"), add("r-4.png", 8, group="walk")
    dataset = run([*some(add), one, near, other, copy, linked])
    groups = {s.path.name: s.group for s in dataset.train + dataset.validation}
    assert {groups[f"r-{n}"] for n in ("1.png", "2.jpg", "3.png", "4.png")} == {"trip"}
    assert list(groups.values()).count("trip") == 4


# Splits that the data give


def given(add: Add) -> list[ListedImage]:
    return [
        add(f"{kind}-{part}{i}.png", split=part)
        for kind in "rf"
        for part in ("train", "validation")
        for i in range(2)
    ]


def test_given_parts_are_kept(add: Add) -> None:
    dataset = run([*given(add), add("r-rest.png")])
    assert names(dataset.validation) == {f"{k}-validation{i}.png" for k in "rf" for i in (0, 1)}
    assert names(dataset.train) == {f"{k}-train{i}.png" for k in "rf" for i in (0, 1)} | {
        "r-rest.png"
    }
    assert dataset.split_by == "Training and validation as the data give them."
    assert dataset.notes == []


def test_rows_all_for_training_are_split(add: Add) -> None:
    dataset = run([dataclasses.replace(row, split="train") for row in some(add)])
    assert len(dataset.validation) == 4


def test_validation_marked_and_the_rest_not(add: Add) -> None:
    listed = [add(f"{kind}-v.png", split="validation") for kind in "rf"]
    dataset = run([*some(add), *listed])
    assert names(dataset.validation) == {"r-v.png", "f-v.png"}
    assert len(dataset.train) == 12


def test_near_duplicates_across_given_parts_leave_training(add: Add) -> None:
    picture = photo(128, 96, 5)
    a = add("r-a.png", encode(picture, "PNG"), split="train")
    b = add("r-b.jpg", encode(picture, "JPEG", quality=80), split="validation")
    dataset = run([*given(add), a, b])
    assert "r-a.png" not in names(dataset.train) and "r-b.jpg" in names(dataset.validation)
    [note] = dataset.notes
    assert note.startswith("1 near-duplicates of images for validation were dropped")


def test_an_unmarked_copy_does_not_pull_a_validation_image_into_training(add: Add) -> None:
    marked = add("r-z.png", 66, split="validation")
    dataset = run([*given(add), add("r-a.png", 66), marked])
    assert "r-z.png" in names(dataset.validation)
    assert "r-a.png" not in names(dataset.train)


def test_given_parts_need_both_classes(add: Add) -> None:
    listed = [row for row in given(add) if "f-validation" not in row.path.name]
    with pytest.raises(UsageError, match="no generated image is left for validation"):
        run(listed)
    everything = [dataclasses.replace(row, split="validation") for row in some(add)]
    with pytest.raises(UsageError, match="no real image is left for training"):
        run(everything)
    bad = [add(f"{kind}-v.png", b"", split="validation") for kind in "rf"]
    with pytest.raises(UsageError, match="no real image is left for validation"):
        run([*some(add), *bad], skip_unreadable=True)


# Written down


def odd(tmp_path: Path) -> Dataset:
    def sample(name: bytes, label: Label, **changes) -> Sample:
        path = tmp_path / os.fsdecode(name)
        encoded = encode(photo(32, 32, len(name)), "PNG")
        path.write_bytes(encoded)
        digest = hashlib.sha256(encoded).hexdigest()
        plain = Sample(path, label, None, "unknown", digest, digest, "photo")
        return dataclasses.replace(plain, **changes)

    train = [
        sample(b"caf\xe9\n\x1b[31m.png", Label.REAL, caption='Größe, "quoted"\n日本語'),
        sample(b"a.png", Label.GENERATED, generator="caf\udce9", source="x", group="17"),
    ]
    validation = [sample(b" b.png", Label.REAL), sample(b"longer.png", Label.GENERATED)]
    lines = [f"{s.sha256},{s.label},train\n" for s in train]
    lines += [f"{s.sha256},{s.label},validation\n" for s in validation]
    digest = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    return Dataset(train, validation, "Held out: some.", ["one\n", "two"], digest)


def test_a_split_survives_the_round_trip(tmp_path: Path) -> None:
    dataset, file = odd(tmp_path), tmp_path / "split.jsonl"
    write_split(dataset, file)
    back = read_split(file)
    assert back == dataset
    assert os.fsencode(back.train[0].path).endswith(b"/caf\xe9\n\x1b[31m.png")
    assert all(isinstance(s.path, Path) and isinstance(s.label, Label) for s in back.train)
    lines = file.read_bytes().splitlines()
    assert len(lines) == 5 and json.loads(lines[0])["digest"] == dataset.digest
    still_there(back)
    write_split(back, file)
    assert file.read_bytes().splitlines() == lines
    assert not list(tmp_path.glob("*.part"))


def test_what_prepare_makes_survives_the_round_trip(add: Add, tmp_path: Path) -> None:
    dataset = run(some(add), notes=["caf\udce9 left out"])
    assert dataset.notes == ["caf\\xe9 left out"]
    write_split(dataset, tmp_path / "split.jsonl")
    assert read_split(tmp_path / "split.jsonl") == dataset


def test_a_split_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, file = odd(tmp_path), tmp_path / "split.jsonl"
    write_split(dataset, file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    shorter = dataclasses.replace(dataset, train=dataset.train[:1])
    with pytest.raises(UsageError, match="No space left"):
        write_split(shorter, file)
    assert file.read_bytes() == before and not list(tmp_path.glob("*.part"))


def test_a_split_that_cannot_be_written(tmp_path: Path) -> None:
    dataset = odd(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for place in ("folder", "missing/split.jsonl", "file/split.jsonl"):
        with pytest.raises(UsageError, match="cannot write"):
            write_split(dataset, tmp_path / place)
    assert not list(tmp_path.glob("*.part"))


def damaged(lines: list[bytes]) -> dict[str, list[bytes]]:
    head = json.loads(lines[0])
    row = json.loads(lines[2])

    def changed(base: dict, **changes: object) -> bytes:
        return json.dumps(base | changes).encode()

    return {
        "empty": [],
        "cut off": [*lines[:-1], lines[-1][:20]],
        "a row missing": lines[:-1],
        "no head": lines[1:],
        "foreign": [b'{"format": "other"}', *lines[1:]],
        "head is a list": [b"[]", *lines[1:]],
        "head without notes": [
            json.dumps({k: v for k, v in head.items() if k != "notes"}).encode(),
            *lines[1:],
        ],
        "row is a number": [*lines[:2], b"3", *lines[3:]],
        "row is a list": [*lines[:2], b"[]", *lines[3:]],
        "label changed": [*lines[:2], changed(row, label="real"), *lines[3:]],
        "unknown label": [*lines[:2], changed(row, label="cat"), *lines[3:]],
        "unknown part": [*lines[:2], changed(row, part="test"), *lines[3:]],
        "part changed": [*lines[:2], changed(row, part="validation"), *lines[3:]],
        "path is a number": [*lines[:2], changed(row, path=3), *lines[3:]],
        "one field too many": [*lines[:2], changed(row, colour="red"), *lines[3:]],
        "not UTF-8": [*lines[:2], b'{"path": "\xff"}', *lines[3:]],
        "binary": [b"\x00\x01\x02"],
        "deep": [lines[0], b"[" * 100_000],
    }


@pytest.mark.parametrize("name", damaged([b"{}"] * 5))
def test_a_damaged_split_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "split.jsonl"
    write_split(odd(tmp_path), file)
    file.write_bytes(b"\n".join(damaged(file.read_bytes().splitlines())[name]) + b"\n")
    with pytest.raises(UsageError, match=r"split\.jsonl, line \d: not a split") as caught:
        read_split(file)
    assert caught.value.hint == "start over with --force instead of --resume"


def test_a_split_out_of_reach(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_split(file)


def test_files_that_changed_since_are_named(tmp_path: Path) -> None:
    dataset = odd(tmp_path)
    dataset.train[1].path.write_bytes(b"something else")
    dataset.validation[0].path.unlink()
    dataset.validation[1].path.write_bytes(b"")
    with pytest.raises(UsageError, match="3 images are not as they were") as caught:
        still_there(dataset)
    message = caught.value.message
    assert "a.png: changed" in message and " b.png: no such file" in message
    assert "longer.png: empty file" in message and "caf" not in message


def test_the_order_of_the_bytes_is_what_counts_not_the_time(tmp_path: Path) -> None:
    dataset = odd(tmp_path)
    for sample in dataset.train:
        os.utime(sample.path, (1, 1))
    still_there(dataset)


def test_an_image_is_compared_as_it_is_shown(add: Add) -> None:
    """Turned by EXIF and transparent files are fingerprinted as the detector sees them."""
    picture = photo(120, 80, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    listed = [*some(add), add("r-a.png", encode(picture, "PNG")), add("r-b.jpg", turned)]
    dataset = run(listed)
    both = {s.group for s in dataset.train + dataset.validation if s.path.name[:2] == "r-"}
    assert len(both) == 1
