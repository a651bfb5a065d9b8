import json
from pathlib import Path

import pytest

from dgsforensics.datasets import Sample, read_manifest
from dgsforensics.errors import UsageError
from dgsforensics.records import Label

ROW = {"path": "a/b.jpg", "label": "fake", "sha256": "ab", "source": "here", "generator": "SD 1.4"}


def manifest(tmp_path: Path, *rows: object) -> Path:
    file = tmp_path / "manifest.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


def read(file: Path) -> list[Sample]:
    return list(read_manifest(file, Path("/data")))


def test_a_full_row(tmp_path: Path) -> None:
    row = ROW | {"near_dup_group": 17, "style": "art", "width": 3}
    assert read(manifest(tmp_path, row)) == [
        Sample(
            path=Path("/data/a/b.jpg"),
            label=Label.GENERATED,
            generator="SD 1.4",
            source="here",
            group="17",
            sha256="ab",
            style="art",
        )
    ]


def test_what_a_row_may_leave_out(tmp_path: Path) -> None:
    row = {"path": "x", "label": "real", "sha256": "cd", "repo": "there"}
    null = row | {"generator": None, "source": None, "near_dup_group": None, "style": None}
    expected = Sample(Path("/data/x"), Label.REAL, None, "there", "cd", "cd", "photo")
    assert read(manifest(tmp_path, row, null)) == [expected, expected]


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("real", Label.REAL),
        ("0_real", Label.REAL),
        ("fake", Label.GENERATED),
        ("1_fake", Label.GENERATED),
        ("generated", Label.GENERATED),
        ("ai", Label.GENERATED),
    ],
)
def test_labels_by_their_names(tmp_path: Path, label: str, meant: Label) -> None:
    [sample] = read(manifest(tmp_path, ROW | {"label": label}))
    assert sample.label is meant


def test_order_is_kept_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    rows = [ROW | {"path": f"{i}"} for i in range(5)]
    found = read(manifest(tmp_path, b"", rows[3], b"  ", rows[1], rows[4], b""))
    assert [sample.path.name for sample in found] == ["3", "1", "4"]


def test_names_beyond_ascii(tmp_path: Path) -> None:
    raw = json.dumps(ROW | {"path": "Größe/日本語.jpg"}, ensure_ascii=False).encode()
    escaped = json.dumps(ROW | {"path": "Größe/日本語.jpg"}).encode()
    for sample in read(manifest(tmp_path, raw, escaped, b"\xef\xbb\xbf" + raw)):
        assert sample.path == Path("/data/Größe/日本語.jpg")


@pytest.mark.parametrize("gone", ["path", "label", "sha256", "source"])
def test_a_missing_field_is_named_with_its_line(tmp_path: Path, gone: str) -> None:
    row = {key: value for key, value in ROW.items() if key != gone}
    file = manifest(tmp_path, ROW, b"", row)
    with pytest.raises(UsageError) as caught:
        read(file)
    assert f"{file}, line 3" in caught.value.message
    assert ("repo" if gone == "source" else gone) in caught.value.message


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"nonsense",
        b"[]",
        b"3",
        b"null",
        b'"text"',
        json.dumps(ROW | {"label": "cat"}).encode(),
        json.dumps(ROW | {"label": []}).encode(),
        json.dumps(ROW | {"path": 3}).encode(),
        json.dumps(ROW | {"path": None}).encode(),
        b'{"path": "caf\xe9"}',
        b"\xff\xfe\x00",
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path: Path, line: bytes) -> None:
    file = manifest(tmp_path, ROW, line)
    with pytest.raises(UsageError, match=r"manifest\.jsonl, line 2"):
        read(file)


def test_samples_come_before_the_bad_line_is_reached(tmp_path: Path) -> None:
    rows = read_manifest(manifest(tmp_path, ROW, b"nonsense"), Path("/data"))
    assert next(rows).sha256 == "ab"
    with pytest.raises(UsageError):
        next(rows)


def test_a_manifest_out_of_reach(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read(file)


def test_an_empty_manifest(tmp_path: Path) -> None:
    assert read(manifest(tmp_path)) == []
