import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import encode, photo
from dgsforensics.datasets.labelled import ListedImage, Sample, as_sample, read, read_for_evaluation
from dgsforensics.errors import UsageError
from dgsforensics.records import Failure, Label

HASH = "0123456789abcdef" * 4
ROW = {"path": "a/b.jpg", "label": "fake", "sha256": HASH, "source": "here", "generator": "SD 1.4"}
REAL = {"path": "r.jpg", "label": "real"}
JPEG = encode(photo(16, 16), "JPEG")


def manifest(tmp_path: Path, *rows: object) -> Path:
    file = tmp_path / "manifest.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


def table(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "manifest.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def tree(root: Path, *places: str) -> Path:
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(JPEG)
    return root


def found(root: Path, **options) -> dict[str, ListedImage]:
    """What is listed in a folder, by path below it; one image of each class is added."""
    tree(root, "zz/0_real/r.jpg", "zz/1_fake/f.jpg")
    listed = {str(row.path.relative_to(root)): row for row in read(root, **options)}
    del listed["zz/0_real/r.jpg"], listed["zz/1_fake/f.jpg"]
    return listed


# Manifests


def test_a_full_row(tmp_path: Path) -> None:
    row = ROW | {"near_dup_group": 17, "style": "art", "split": "val", "caption": "A dog", "w": 3}
    assert read(manifest(tmp_path, REAL, row))[1] == ListedImage(
        path=tmp_path / "a/b.jpg",
        label=Label.GENERATED,
        generator="SD 1.4",
        source="here",
        caption="A dog",
        split="validation",
        sha256=HASH,
        group="17",
        style="art",
        origin=f"{tmp_path}/manifest.jsonl, line 2",
    )


def test_what_a_row_may_leave_out(tmp_path: Path) -> None:
    fake = {"path": "x", "label": "fake", "repo": "there"}
    names = ("generator", "source", "near_dup_group", "group", "style", "caption", "split")
    null = fake | dict.fromkeys(names) | {"sha256": None}
    blank = fake | dict.fromkeys(names, "  ") | {"sha256": ""}
    real, *fakes = read(manifest(tmp_path, REAL, fake, null, blank))
    assert (real.generator, real.source) == (None, "unknown")
    for listed in fakes:
        assert (listed.generator, listed.source, listed.style) == ("unknown", "there", "photo")
        assert listed.caption is listed.split is listed.sha256 is listed.group is None


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        *((label, Label.REAL) for label in ("real", "0_real", "0", 0, "Real ")),
        *((label, Label.GENERATED) for label in ("fake", "1_fake", "generated", "AI", "1", 1)),
    ],
)
def test_labels_by_their_names(tmp_path: Path, label: object, meant: Label) -> None:
    rows = read(manifest(tmp_path, REAL, ROW, ROW | {"label": label}))
    assert rows[2].label is meant
    assert rows[2].generator == ("SD 1.4" if meant == Label.GENERATED else None)


def test_undecided_labels_are_left_out_and_counted(tmp_path: Path) -> None:
    undecided = [ROW | {"label": label} for label in ("unsure", "unfit", " unfit ")]
    said: list[str] = []
    rows = read(manifest(tmp_path, REAL, *undecided, ROW | {"label": "ai"}), notice=said.append)
    assert [row.label for row in rows] == [Label.REAL, Label.GENERATED]
    assert said == [
        "1 image left out: labelled unsure.",
        "2 images left out: labelled unfit.",
    ]
    with pytest.raises(UsageError, match="1 image left out: labelled unsure"):
        read(manifest(tmp_path, REAL, undecided[0]))


def test_images_listed_elsewhere_come_after_and_count_as_a_class(tmp_path: Path) -> None:
    real, fake = read(manifest(tmp_path, REAL, ROW))
    assert read(manifest(tmp_path, REAL), also=[fake]) == [real, fake]
    with pytest.raises(UsageError, match="no generated images"):
        read(manifest(tmp_path, REAL), also=[real])


def test_order_is_kept_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    rows = [ROW | {"path": f"{i}"} for i in range(5)]
    listed = read(manifest(tmp_path, b"", rows[3], b"  ", rows[1], rows[4], b"", REAL))
    assert [row.path.name for row in listed] == ["3", "1", "4", "r.jpg"]


def test_paths_are_relative_to_the_manifest_or_a_root(tmp_path: Path) -> None:
    file = manifest(tmp_path, ROW, REAL | {"path": "/there/r.jpg"})
    assert [row.path for row in read(file)] == [tmp_path / "a/b.jpg", Path("/there/r.jpg")]
    assert read(file, Path("/data"))[0].path == Path("/data/a/b.jpg")


def test_names_beyond_ascii(tmp_path: Path) -> None:
    raw = json.dumps(ROW | {"path": "Größe/日本語.jpg"}, ensure_ascii=False).encode()
    escaped = json.dumps(ROW | {"path": "Größe/日本語.jpg"}).encode()
    rows = read(manifest(tmp_path, raw, escaped, b"\xef\xbb\xbf" + raw, REAL))
    assert [row.path for row in rows[:3]] == [tmp_path / "Größe/日本語.jpg"] * 3


def test_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    rows = read(manifest(tmp_path, rb'{"path": "caf\udce9.jpg", "label": "real"}', ROW))
    assert os.fsencode(rows[0].path).endswith(b"/caf\xe9.jpg")


@pytest.mark.parametrize("gone", ["path", "label"])
def test_a_missing_field_is_named_with_its_line(tmp_path: Path, gone: str) -> None:
    row = {key: value for key, value in ROW.items() if key != gone}
    file = manifest(tmp_path, ROW, b"", row)
    with pytest.raises(UsageError) as caught:
        read(file)
    assert f"{file}, line 3: {gone}: " in caught.value.message


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"{", "JSON"),
        (b"nonsense", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"1" * 5000, "JSON"),
        (b"[]", "object"),
        (b"3", "object"),
        (b"null", "object"),
        (b'"text"', "object"),
        (b'{"path": "caf\xe9"}', "not UTF-8"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (json.dumps(ROW | {"label": "cat"}).encode(), "1_fake"),
        (json.dumps(ROW | {"label": 2}).encode(), "'2'"),
        (json.dumps(ROW | {"label": True}).encode(), "label"),
        (json.dumps(ROW | {"label": []}).encode(), "label"),
        (json.dumps(ROW | {"path": 3}).encode(), "path"),
        (json.dumps(ROW | {"path": None}).encode(), "path"),
        (json.dumps(ROW | {"path": ""}).encode(), "path"),
        (json.dumps(ROW | {"split": "other"}).encode(), "validation"),
        (json.dumps(ROW | {"sha256": "12ab"}).encode(), "64"),
        (json.dumps(ROW | {"sha256": "g" * 64}).encode(), "64"),
        (json.dumps(ROW | {"caption": ["a"]}).encode(), "caption"),
        (json.dumps(ROW | {"generator": 3}).encode(), "generator"),
        (json.dumps(ROW | {"group": 1.5}).encode(), "group"),
        (json.dumps(ROW | {"group": True}).encode(), "group"),
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path: Path, line: bytes, word: str) -> None:
    file = manifest(tmp_path, REAL, line, ROW)
    with pytest.raises(UsageError, match=r"manifest\.jsonl, line 2: ") as caught:
        read(file)
    assert word in caught.value.message.split("line 2: ")[1]


def test_a_digest_in_capitals(tmp_path: Path) -> None:
    assert read(manifest(tmp_path, REAL, ROW | {"sha256": HASH.upper()}))[1].sha256 == HASH


def test_a_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    text = (
        "\ufeffpath, Label?,label,caption,group,split,repo\r\n"
        'a b.jpg,x,0_real,"Two lines,\r\nand ""quotes""",7,train,here\r\n'
        "\r\n"
        "c.jpg,,AI,,,test,\r\n"
        "d.jpg,,1\r\n"
    )
    real, fake = read(table(tmp_path, text))
    assert real.path == tmp_path / "a b.jpg"
    assert (real.caption, real.group, real.split) == ('Two lines,\r\nand "quotes"', "7", "train")
    assert real.source == "here"
    assert (fake.path.name, fake.label, fake.caption) == ("d.jpg", Label.GENERATED, None)
    assert fake.origin == f"{tmp_path}/manifest.csv, line 6"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"path;label\na;real\n", "line 1: no column path and no column label"),
        (b"\nlabel\nreal\n", "line 2: no column path"),
        (b"path,label\na,real\nb,fake,x\n", "line 3: 3 cells, but 2 columns"),
        (b'path,label,caption\na,real,"x\ny"\nb,cat,\n', "line 4: label: 'cat'"),
        (b"path,label\na,real\nb,\n", "line 3: label: None"),
        (b"path,label\n,real\n", "line 2: path: "),
        (b"path,label\na,real\ncaf\xe9,fake\n", "line 3: not UTF-8"),
        (b'path,label,caption\na,real,\nb,fake,"x\nc,fake,y\n', "line 3: unexpected end"),
        (b"path,label\n" + b"a" * 200_000 + b",real\n", "line 2: field larger"),
    ],
)
def test_a_csv_that_is_damaged(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(table(tmp_path, text))
    assert f"manifest.csv, {message}" in caught.value.message


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "path": st.text(st.characters(codec="utf-8"), min_size=1),
                "label": st.sampled_from(["real", "fake"]),
                "caption": st.text(st.characters(codec="utf-8")),
            }
        ),
        max_size=5,
    )
)
def test_json_and_csv_say_the_same(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    folder = tmp_path_factory.mktemp("same")
    rows = [*rows, REAL | {"caption": ""}, ROW | {"caption": "x"}]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, ["path", "label", "caption"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    expected = [
        (folder / row["path"], row["label"], row["caption"].strip() or None) for row in rows
    ]
    for file in (table(folder, stream.getvalue()), manifest(folder, *rows)):
        label = {Label.REAL: "real", Label.GENERATED: "fake"}
        assert [(r.path, label[r.label], r.caption) for r in read(file)] == expected


def test_data_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "images.tar").write_bytes(b"x")
    for name, message in (
        ("missing.jsonl", "cannot read"),
        ("missing", "cannot read"),
        ("nul\0.csv", "cannot read"),
        ("images.tar", "neither a folder nor"),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            read(tmp_path / name)
        assert "0_real" in (caught.value.hint or "")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "json"])
def test_an_empty_manifest(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"manifest.{suffix}"
    file.write_bytes(b"")
    with pytest.raises(UsageError, match="no real and no generated images"):
        read(file)


# Folders


@pytest.mark.parametrize(
    ("place", "label", "name", "split"),
    [
        ("0_real/x.jpg", "real", "unknown", None),
        ("1_fake/x.jpg", "generated", "unknown", None),
        ("sdxl/1_fake/x.jpg", "generated", "sdxl", None),
        ("fake/sdxl/x.jpg", "generated", "sdxl", None),
        ("FAKE/SDXL/deep/x.jpg", "generated", "SDXL", None),
        ("progan/car/0_Real/x.jpg", "real", "progan", None),
        ("Generated/x.jpg", "generated", "unknown", None),
        ("ai/dalle/x.jpg", "generated", "dalle", None),
        ("real/camera/fake/edited/x.jpg", "generated", "camera", None),
        ("fake/ai/x.jpg", "generated", "unknown", None),
        ("fake/ai/sd/x.jpg", "generated", "sd", None),
        ("train/sdxl/1_fake/x.jpg", "generated", "sdxl", "train"),
        ("train/1_fake/sdxl/x.jpg", "generated", "sdxl", "train"),
        ("Val/real/x.jpg", "real", "unknown", "validation"),
        ("sdxl/valid/1_fake/x.jpg", "generated", "sdxl", "validation"),
        ("real/validation/flickr/x.jpg", "real", "flickr", "validation"),
        ("train/val/0_real/x.jpg", "real", "unknown", "validation"),
        ("a/train/b/1_fake/x.jpg", "generated", "b", None),
    ],
)
def test_what_folders_say(tmp_path: Path, place: str, label: str, name: str, split: str) -> None:
    [(found_place, listed)] = found(tree(tmp_path, place)).items()
    assert found_place == place
    assert listed == ListedImage(
        path=tmp_path / place,
        label=Label(label),
        generator=name if label == "generated" else None,
        source=name,
        caption=None,
        split=split,
        sha256=None,
        group=None,
        style="photo",
        origin=str(tmp_path / place),
    )


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "set",
        *("test/sdxl/1_fake/1.jpg", "sdxl/test/0_real/2.jpg", "real/TEST/3.jpg"),
        *("4.jpg", "sdxl/5.jpg", "not_real/6.jpg", "1/7.jpg"),
    )
    told: list[str] = []
    assert found(root, notice=told.append) == {}
    assert sorted(told) == [
        "3 images left out: for testing.",
        "4 images left out: outside any label folder.",
    ]


def test_the_name_of_the_root_is_no_label(tmp_path: Path) -> None:
    root = tree(tmp_path / "1_fake", "a.jpg", "b/0_real/r.jpg")
    with pytest.raises(UsageError, match="no generated images; 1 image left out") as caught:
        read(root)
    assert "0_real" in (caught.value.hint or "")


def test_rows_for_testing_are_left_out_of_a_manifest(tmp_path: Path) -> None:
    told: list[str] = []
    rows = [REAL, ROW, ROW | {"split": "test"}, ROW | {"split": " Train"}]
    listed = read(manifest(tmp_path, *rows), notice=told.append)
    assert [row.split for row in listed] == [None, None, "train"]
    assert told == ["1 image left out: for testing."]


def test_sidecars_and_hidden_files(tmp_path: Path) -> None:
    root = tree(tmp_path, "fake/sd/x.png", "fake/sd/.hidden.jpg", "fake/sd/noname")
    for name in ("x.txt", "x.json", "captions.csv", "list.jsonl", "README.md", "X.TXT"):
        (root / "fake/sd" / name).write_text("a dog")
    tree(root, "fake/sd/picture.txt")  # by its suffix, whatever is in it
    assert sorted(found(root)) == ["fake/sd/.hidden.jpg", "fake/sd/noname", "fake/sd/x.png"]


def test_what_cannot_be_looked_into_is_an_error(tmp_path: Path) -> None:
    root = tree(tmp_path, "real/r.jpg", "fake/f.jpg")
    os.mkfifo(root / "fake" / "pipe.jpg")
    with pytest.raises(UsageError, match=r"fake/pipe\.jpg: not a regular file"):
        read(root)


def test_links_inside_are_not_followed_and_the_hint_says_so(tmp_path: Path) -> None:
    tree(tmp_path / "store", "a.jpg")
    root = tree(tmp_path / "set", "real/r.jpg")
    (root / "fake").symlink_to(tmp_path / "store")
    with pytest.raises(UsageError, match="no generated images") as caught:
        read(root)
    assert "ymbolic links" in (caught.value.hint or "")
    linked = tmp_path / "linked"
    linked.symlink_to(tree(tmp_path / "set2", "real/r.jpg", "fake/f.jpg"))
    assert {row.path for row in read(linked)} == {linked / "real/r.jpg", linked / "fake/f.jpg"}


def test_folder_names_that_are_not_utf8(tmp_path: Path) -> None:
    place = os.fsdecode(b"mod\xe8le\n/1_fake/x.jpg")
    [listed] = found(tree(tmp_path, place)).values()
    assert listed.generator == "mod\udce8le\n"


def test_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "0_real/r.jpg", "sd/1_fake/f.jpg")
    monkeypatch.chdir(tmp_path)
    assert [(row.path, row.source) for row in read(Path("."))] == [
        (Path("0_real/r.jpg"), "unknown"),
        (Path("sd/1_fake/f.jpg"), "sd"),
    ]


# For an evaluation


def for_evaluation(data: Path) -> tuple[list[ListedImage], list[str], list[Failure]]:
    told: list[str] = []
    failed: list[Failure] = []
    return read_for_evaluation(data, told.append, failed.append), told, failed


def test_an_evaluation_takes_what_is_not_for_training(tmp_path: Path) -> None:
    places = ("train/sd/1_fake/1.jpg", "val/sd/1_fake/2.jpg", "test/sd/1_fake/3.jpg")
    listed, told, _ = for_evaluation(tree(tmp_path, *places, "sd/1_fake/4.jpg"))
    found = {row.path.name: row.split for row in listed}
    assert found == {"2.jpg": "validation", "3.jpg": "test", "4.jpg": None}
    assert told == ["1 image left out: for training."]


def test_an_evaluation_of_a_manifest(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"split": "test"}, ROW | {"split": "train"}, REAL | {"label": "nature"}]
    listed, told, _ = for_evaluation(manifest(tmp_path, *rows))
    assert [row.split for row in listed] == [None, "test", None]
    assert [row.label for row in listed] == [Label.GENERATED, Label.GENERATED, Label.REAL]
    assert told == ["1 image left out: for training."]


def test_benchmarks_on_disk_for_training_and_for_evaluation(tmp_path: Path) -> None:
    genimage = tree(
        tmp_path / "GenImage",
        *("BigGAN/imagenet_ai_0419_biggan/train/ai/1.png",),
        *("BigGAN/imagenet_ai_0419_biggan/train/nature/2.JPEG",),
        *("BigGAN/imagenet_ai_0419_biggan/val/ai/3.png",),
        *("BigGAN/imagenet_ai_0419_biggan/val/nature/4.JPEG",),
    )
    trained = {row.path.name: (row.generator, row.source, row.split) for row in read(genimage)}
    assert trained == {
        "1.png": ("BigGAN", "BigGAN", "train"),
        "2.JPEG": (None, "BigGAN", "train"),
        "3.png": ("BigGAN", "BigGAN", "validation"),
        "4.JPEG": (None, "BigGAN", "validation"),
    }
    listed, told, _ = for_evaluation(genimage)
    assert [row.path.name for row in listed] == ["3.png", "4.JPEG"]
    assert told == ["2 images left out: for training."]
    univfd = tree(
        tmp_path / "UniversalFakeDetect",
        *("progan/train/0_real/1.png", "progan/train/1_fake/2.png", "progan/cat/1_fake/3.png"),
        *("diffusion_datasets/laion/0_real/4.png", "diffusion_datasets/dalle/1_fake/5.png"),
    )
    listed, told, _ = for_evaluation(univfd)
    assert {row.path.name: row.source for row in listed} == {
        **dict.fromkeys(("1.png", "2.png", "3.png"), "progan"),
        **{"4.png": "laion", "5.png": "dalle"},
    }
    assert told == []


def test_one_class_can_be_evaluated_and_none_cannot(tmp_path: Path) -> None:
    assert len(for_evaluation(tree(tmp_path / "a", "real/r.jpg"))[0]) == 1
    with pytest.raises(UsageError, match="no images; 1 image left out: for training") as caught:
        for_evaluation(tree(tmp_path / "b", "train/real/r.jpg"))
    assert "its own folder" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="no images"):
        for_evaluation(manifest(tmp_path))


def test_what_an_evaluation_cannot_look_into_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path, "real/r.jpg", "fake/f.jpg")
    os.mkfifo(root / "fake" / "pipe.jpg")
    listed, _, failed = for_evaluation(root)
    assert len(listed) == 2
    assert [failure.path.name for failure in failed] == ["pipe.jpg"]


# Samples


def test_a_sample_on_the_word_of_the_data(tmp_path: Path) -> None:
    row = ROW | {"caption": "A dog", "near_dup_group": 0}
    listed = read(manifest(tmp_path, row, ROW, REAL))
    path = tmp_path / "a/b.jpg"
    expected = Sample(path, Label.GENERATED, "SD 1.4", "here", "0", HASH, "photo", "A dog")
    assert as_sample(listed[0]) == expected
    assert as_sample(listed[1]).group == HASH
    with pytest.raises(UsageError, match=r"manifest\.jsonl, line 3: no sha256"):
        as_sample(listed[2])
