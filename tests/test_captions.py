import json
import os
from pathlib import Path

import pytest
from hypothesis import given as prove
from hypothesis import strategies as st

from dgsforensics.datasets.labelled import Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label
from dgsforensics.trainer.captions import given
from dgsforensics.trainer.captions.given import read


def sample(
    path: Path | str,
    *,
    fake: bool = False,
    generator: str = "unknown",
    source: str = "unknown",
    caption: str | None = None,
) -> Sample:
    label = Label.GENERATED if fake else Label.REAL
    made_by = generator if fake else None
    return Sample(Path(path), label, made_by, source, "g", "ab", "photo", caption)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# What the data give


def test_the_caption_of_the_data_goes_first(tmp_path):
    table = write(tmp_path / "c.json", json.dumps({"a.jpg": "table a", "b.jpg": "table b"}))
    samples = [sample(tmp_path / "a.jpg", caption="data a"), sample(tmp_path / "b.jpg")]
    assert read(str(table), samples) == ["data a", "table b"]
    assert given.given(samples) == ["data a", None]


@pytest.mark.parametrize("blank", ["", " \t\n", "\u200b\ufeff", "\u3000"])
def test_blank_text_is_no_caption(tmp_path, blank):
    assert given.given([sample("a.jpg", caption=blank)]) == [None]
    write(tmp_path / "a.txt", blank)
    with pytest.raises(UsageError, match="1 of 1 images have no caption"):
        read("sidecar", [sample(tmp_path / "a.jpg", caption=blank)])


def test_captions_come_on_one_line():
    [caption] = given.given([sample("a", caption=" a\r\n cat\t\u2028on  a mat ")])
    assert caption == "a cat on a mat"


@pytest.mark.parametrize("text", ["a\0 \0c\0a\0t\0", "\ud800 cat", "caf\udce9", "\x1b[31mred"])
def test_damaged_text_names_its_image(text):
    with pytest.raises(UsageError, match=r"the caption of here/a\.jpg: damaged text"):
        read("folder", [sample("here/a.jpg", caption=text)])


@prove(st.text())
def test_a_caption_is_clean_missing_or_damaged(text):
    try:
        [caption] = given.given([sample("a", caption=text)])
    except UsageError as error:
        assert "damaged" in error.message
        return
    if caption is not None:
        assert caption == " ".join(caption.split())
        caption.encode()
        assert given.given([sample("a", caption=caption)]) == [caption]


def test_nothing_to_caption(tmp_path):
    for source in ("folder", "sidecar", str(tmp_path)):
        assert read(source, []) == []


# What is missing


def test_missing_captions_are_counted_and_the_first_are_named(tmp_path):
    samples = [sample(tmp_path / f"{i}.jpg", caption="there" if i == 3 else None) for i in range(9)]
    with pytest.raises(UsageError) as caught:
        read("sidecar", samples)
    message = caught.value.message
    assert "8 of 9 images have no caption" in message
    assert str(tmp_path / "0.jpg") in message and str(tmp_path / "5.jpg") in message
    assert "3.jpg" not in message and "6.jpg" not in message
    assert message.endswith("…")
    assert ".txt" in caught.value.hint


@pytest.mark.parametrize("name", ["gone", "gone.json", "notes.txt", "nul\0.json"])
def test_a_source_that_is_none(tmp_path, name):
    write(tmp_path / "notes.txt", "a cat")
    with pytest.raises(UsageError, match="no captions at") as caught:
        read(str(tmp_path / name), [sample(tmp_path / "a.jpg")])
    for word in ("folder", "sidecar", ".json", ".csv", "model"):
        assert word in caught.value.hint


# Sidecars


def test_sidecars_next_to_the_image(tmp_path):
    write(tmp_path / "a.txt", b"\xef\xbb\xbfby stem\n")
    write(tmp_path / "b.c.jpg.txt", "by name")
    write(tmp_path / "b.c.txt", "not this")
    write(tmp_path / "bare.txt", "no suffix")
    write(tmp_path / "d.jpg.txt", "")
    write(tmp_path / "d.txt", "the other is empty")
    samples = [sample(tmp_path / name) for name in ("a.jpg", "b.c.jpg", "bare", "d.jpg")]
    expected = ["by stem", "by name", "no suffix", "the other is empty"]
    assert read("sidecar", samples) == expected
    assert read("sidecar", samples[::-1]) == expected[::-1]


def test_sidecars_in_a_tree_that_mirrors_the_images(tmp_path):
    images, texts = tmp_path / "images", tmp_path / "texts"
    names = ["train/0_real/x", "train/1_fake/x", "train/1_fake/deep/y"]
    for name in names:
        write(texts / f"{name}.txt", name)
    samples = [sample(images / f"{name}.png") for name in names]
    assert read(str(texts), samples) == names
    # A part of the images, and a mirror of a folder further in.
    assert read(str(texts), samples[2:]) == names[2:]
    assert read(str(texts / "train"), samples) == names


def test_a_text_of_the_same_name_elsewhere_is_not_taken(tmp_path):
    write(tmp_path / "texts" / "x.txt", "of another x")
    write(tmp_path / "texts" / "1_fake" / "x.txt", "of this x")
    samples = [sample(tmp_path / f"images/{folder}/x.png") for folder in ("0_real", "1_fake")]
    with pytest.raises(UsageError, match="1 of 2 images") as caught:
        read(str(tmp_path / "texts"), samples)
    assert "0_real" in caught.value.message
    assert "mirror" in caught.value.hint


def test_relative_paths_mean_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "texts" / "images" / "a.txt", "a cat")
    write(tmp_path / "c.json", json.dumps({"images/a.png": "a dog"}))
    assert read("texts", [sample("images/a.png")]) == ["a cat"]
    assert read("c.json", [sample("images/../images/a.png")]) == ["a dog"]


@pytest.mark.parametrize("content", ["café".encode("latin-1"), "a cat".encode("utf-16"), b"\xff"])
def test_a_sidecar_in_another_encoding_is_named(tmp_path, content):
    write(tmp_path / "a.txt", b"fine so far\n" + content)
    with pytest.raises(UsageError, match=r"a\.txt, line 2: not UTF-8"):
        read("sidecar", [sample(tmp_path / "a.jpg")])


def test_a_sidecar_in_utf_16_without_mark_is_named(tmp_path):
    write(tmp_path / "a.txt", "a cat".encode("utf-16-le"))
    with pytest.raises(UsageError, match=r"a\.txt: damaged text"):
        read("sidecar", [sample(tmp_path / "a.jpg")])


def test_names_that_are_no_text_or_too_long(tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    long = tmp_path / ("x" * 251 + ".jpg")
    try:
        write(odd.with_suffix(".txt"), "a cup")
    except OSError:
        pytest.skip("the system takes UTF-8 names only")
    assert read("sidecar", [sample(odd)]) == ["a cup"]
    write(long.with_suffix(".txt"), "a long name")
    assert read("sidecar", [sample(long)]) == ["a long name"]
    table = write(tmp_path / "c.json", json.dumps({"caf\udce9.jpg": "a table"}))
    assert read(str(table), [sample(odd)]) == ["a table"]


def test_a_folder_in_the_place_of_a_sidecar(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UsageError, match="no caption"):
        read("sidecar", [sample(tmp_path / "a.jpg")])


# Tables


def tables(folder: Path, rows: dict[str, str]) -> list[Path]:
    listed = [json.dumps({"path": k, "caption": v, "more": [1]}) for k, v in rows.items()]
    lines = "\r\n".join(f'"{k}",0,"{v}"' for k, v in rows.items())
    return [
        write(folder / "c.json", "\ufeff" + json.dumps(rows)),
        write(folder / "c.jsonl", "\ufeff" + "\n\n".join(listed) + "\n"),
        write(folder / "c.CSV", f"\ufeffpath, label,caption\r\n{lines}\r\n"),
    ]


def test_keys_are_absolute_relative_or_names(tmp_path):
    far = tmp_path / "far"
    rows = {
        str(far / "a.jpg"): "absolute, with comma",
        "sub/../sub/b.jpg": "relative",
        "c.jpg": "by name",
        "unused.jpg": "unused",
    }
    samples = [sample(far / "a.jpg"), sample(tmp_path / "sub/b.jpg"), sample(far / "deep/c.jpg")]
    for table in tables(tmp_path, rows):
        assert read(str(table), samples) == ["absolute, with comma", "relative", "by name"]


def test_a_name_that_several_images_have_means_none_of_them(tmp_path):
    samples = [sample(tmp_path / "0_real/x.jpg"), sample(tmp_path / "1_fake/x.jpg")]
    for table in tables(tmp_path, {"x.jpg": "which?"}):
        with pytest.raises(UsageError, match="2 of 2 images") as caught:
            read(str(table), samples)
        assert "a file name alone counts where one image has it" in caught.value.hint


def test_the_end_of_a_longer_path_is_no_name(tmp_path):
    for table in tables(tmp_path, {"/elsewhere/1_fake/x.jpg": "another x"}):
        with pytest.raises(UsageError, match="1 of 1 images"):
            read(str(table), [sample(tmp_path / "0_real/x.jpg")])


def test_an_exact_path_goes_before_a_name(tmp_path):
    rows = {"x.jpg": "by name", "sub/x.jpg": "by path"}
    for table in tables(tmp_path, rows):
        assert read(str(table), [sample(tmp_path / "sub/x.jpg")]) == ["by path"]


def test_a_table_that_contradicts_itself(tmp_path):
    write(tmp_path / "c.json", '{"a.jpg": "a cat", "./a.jpg": "a dog"}')
    write(tmp_path / "d.json", '{"a.jpg": "a cat", "a.jpg": "a dog"}')
    write(tmp_path / "c.csv", "path,caption\na.jpg,a cat\na.jpg,a dog\n")
    lines = [json.dumps({"path": "a.jpg", "caption": text}) for text in ("a cat", "a dog")]
    write(tmp_path / "c.jsonl", "\n".join(lines))
    for name, place in (
        ("c.json", r"c\.json, \./a\.jpg"),
        ("d.json", r"d\.json, a\.jpg"),
        ("c.csv", r"c\.csv, line 3"),
        ("c.jsonl", r"c\.jsonl, line 2"),
    ):
        with pytest.raises(UsageError, match=f"{place}: a second, different caption"):
            read(str(tmp_path / name), [sample(tmp_path / "a.jpg")])
    write(tmp_path / "c.csv", "path,caption\na.jpg,a cat\na.jpg,a  cat\n")
    assert read(str(tmp_path / "c.csv"), [sample(tmp_path / "a.jpg")]) == ["a cat"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", "", "not JSON"),
        ("c.json", '{"a": "b"', "not JSON"),
        ("c.json", "[" * 100_000, "not JSON"),
        ("c.json", '["a", "b"]', "not an object"),
        ("c.json", '[["a", "b"]]', "not an object"),
        ("c.json", '"text"', "not an object"),
        ("c.json", "null", "not an object"),
        ("c.json", '{"a": 3}', "the caption of a is not text"),
        ("c.json", '{"a": ["b"]}', "the caption of a is not text"),
        ("c.json", '{"a": {"b": "c"}}', "the caption of a is not text"),
        ("c.json", '{"a": "\\ud83d"}', r"c\.json, a: damaged text"),
        ("c.json", b'{\n"a": "\xe9"}', "line 2: not UTF-8"),
        ("c.jsonl", '{"path": "a", "caption": "b"}\nnonsense', "line 2: not JSON"),
        ("c.jsonl", '\n["a", "b"]', "line 2: not a JSON object"),
        ("c.jsonl", '{"caption": "b"}', "line 1: no path"),
        ("c.jsonl", '{"path": 3, "caption": "b"}', "line 1: no path"),
        ("c.jsonl", '{"path": "a", "caption": 3}', "line 1: the caption is not text"),
        ("c.jsonl", b'{"path": "a"}\n{"path": "\xff"}', "line 2: not UTF-8"),
        ("c.csv", "file,text\na,b\n", "line 1: no column path and no column caption"),
        ("c.csv", "path;caption\na;b\n", "line 1: no column path and no column caption"),
        ("c.csv", "path,caption\na,b\nc,a cat, sitting\n", "line 3: 3 cells, but 2 columns"),
        ("c.csv", "path,caption\na\n", "line 2: 1 cells, but 2 columns"),
        ("c.csv", 'path,caption\na,"b\nc,d\n', "line 2: "),
        ("c.csv", "path,caption\na,b\nc,d\0e\n", "line 3: damaged text"),
        ("c.csv", b"path,caption\na,b\nc,\xe9\n", "line 3: not UTF-8"),
    ],
)
def test_tables_that_are_damaged_say_where(tmp_path, name, content, message):
    table = write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message) as caught:
        read(str(table), [sample(tmp_path / "a")])
    assert name in caught.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", '{"a.jpg": null}'),
        ("c.json", '{"a.jpg": " "}'),
        ("c.json", "{}"),
        ("c.jsonl", '{"path": "a.jpg"}'),
        ("c.jsonl", ""),
        ("c.csv", 'path,caption\na.jpg,""\n'),
        ("c.csv", "path,caption\n"),
        ("c.csv", ""),
    ],
)
def test_tables_that_leave_a_caption_out(tmp_path, name, content):
    table = write(tmp_path / name, content)
    with pytest.raises(UsageError, match="1 of 1 images have no caption"):
        read(str(table), [sample(tmp_path / "a.jpg")])


def test_a_csv_caption_over_two_lines(tmp_path):
    table = write(tmp_path / "c.csv", 'path,caption\n\na.jpg,"a cat\non a ""mat"""\nb.jpg,b,c\n')
    with pytest.raises(UsageError, match="line 5: 3 cells"):
        read(str(table), [sample(tmp_path / "a.jpg")])
    write(table, table.read_text().replace("b,c", "b"))
    assert read(str(table), [sample(tmp_path / "a.jpg")]) == ['a cat on a "mat"']


def test_folder_names_fill_what_the_data_leave_out():
    samples = [
        sample("/d/cat/0_real/x.jpg"),
        sample("/d/cat/1_fake/x.jpg", fake=True),
        sample("/d/sdxl/1_fake/x.jpg", fake=True, generator="sdxl", caption="a dog"),
    ]
    assert read("folder", samples) == ["a photo of a cat", "a photo of a cat", "a dog"]


def test_a_folder_name_that_is_no_text_is_named():
    with pytest.raises(UsageError, match=r"/0/x\.jpg: damaged text"):
        read("folder", [sample("/d/caf\udce9/0/x.jpg"), sample("/d/cat/0/x.jpg")])


def test_images_without_a_folder_name_are_missing():
    samples = [sample("/home/jane/0_real/x.jpg"), sample("/home/jane/1_fake/x.jpg", fake=True)]
    with pytest.raises(UsageError, match="2 of 2 images have no caption") as caught:
        read("folder", samples)
    assert "named for what it shows" in caught.value.hint
