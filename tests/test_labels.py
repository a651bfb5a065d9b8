"""Labels given by name, and handed on: who agrees, which rows come out, what is trained on."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import made_case
from dgsforensics.case.decisions import Log
from dgsforensics.case.store import Case
from dgsforensics.datasets import labelled
from dgsforensics.errors import UsageError
from dgsforensics.judgements import Judgement, ScoreSeen
from dgsforensics.records import Label, Verdict
from dgsforensics.review import labels
from dgsforensics.review.labels import FIELDS, LabelledImage
from dgsforensics.review.session import Review


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return made_case.pictures(tmp_path / "photos")


@pytest.fixture
def case(files: dict[str, Path], tmp_path: Path) -> Iterator[Case]:
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        yield case


def say(
    case: Case,
    names: list[Path | str],
    judgement: Judgement | None,
    reviewer: str = "Ann",
    note: str | None = None,
) -> int:
    review = Review(case, reviewer)
    chosen = labels.select(review.items, list(map(str, names)))
    return review.label(chosen, judgement, note)


def exported(case: Case, *, every: bool = False, reviewer: str | None = None) -> list[dict]:
    return list(labels.rows(case, labels.labelled(case, reviewer), every=every))


# Giving


def test_a_label_is_written_with_what_was_shown(case: Case, files: dict[str, Path]) -> None:
    assert say(case, [files["a.png"]], Judgement.AI, note=" a hand ") == 1
    [decision] = Log(case).after()
    assert (decision.path, decision.judgement) == (files["a.png"], Judgement.AI)
    assert (decision.reviewer, decision.note) == ("Ann", "a hand")
    probability = decision.shown and decision.shown.probability
    assert probability == pytest.approx(0.1192029)
    assert decision.shown == ScoreSeen(
        "made-up", made_case.MODEL, -2.0, probability, 0.5, Verdict.NOT_FLAGGED
    )


def test_one_call_is_one_step_and_what_stands_is_not_written_again(
    case: Case, files: dict[str, Path]
) -> None:
    root = files["a.png"].parent
    assert say(case, [root / "sub", files["a.png"], root], Judgement.AI) == 4
    assert {d.step for d in Log(case).after()} == {1}
    assert say(case, [root], Judgement.AI) == 0
    assert say(case, [root], Judgement.AI, note="same") == 4
    assert say(case, [root], Judgement.REAL) == 4
    assert {d.note for d in Log(case).after(8)} == {"same"}
    assert say(case, [root], None, note="") == 4
    with pytest.raises(UsageError, match="no image is labelled"):
        labels.labelled(case)


@pytest.mark.parametrize(
    "odd", ["gone.png", "", "sub/b", "sub/b.png/x", "photos", "x\ny", "\udce9"]
)
def test_an_unknown_path_is_named_and_nothing_is_chosen(
    case: Case, files: dict[str, Path], odd: str
) -> None:
    wanted = files["a.png"].parent / odd if odd else files["a.png"].parents[2] / "elsewhere"
    with pytest.raises(UsageError) as caught:
        say(case, [files["a.png"], wanted], Judgement.AI)
    assert str(wanted) in caught.value.message
    assert Log(case).after() == []


def test_a_folder_is_not_a_beginning_of_a_name(tmp_path: Path) -> None:
    files = made_case.pictures(tmp_path / "p", ("one/a.png", "one.png", "one1/b.png", "on/c.png"))
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        chosen = labels.select(Review(case, "Ann").items, [str(tmp_path / "p" / "one") + "/"])
        assert [item.path for item in chosen] == [files["one/a.png"]]
        above = labels.select(Review(case, "Ann").items, ["/"])
        assert len(above) == 4


def test_paths_are_relative_to_where_one_is(
    case: Case, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files["sub/b.png"].parent)
    chosen = labels.select(Review(case, "Ann").items, ["../a.png", ".", "./deep/../b.png"])
    assert [item.path for item in chosen] == [
        files[name] for name in ("a.png", "sub/b.png", "sub/c.png", "sub/deep/d.png")
    ]


def test_by_digest(case: Case, files: dict[str, Path]) -> None:
    digest = made_case.sha256(files["sub/c.png"].read_bytes())
    items = Review(case, "Ann").items
    for name in (f"sha256:{digest}", f"sha256:{digest[:8].upper()}"):
        assert [item.path for item in labels.select(items, [name])] == [files["sub/c.png"]]
    for wrong in ("sha256:", f"sha256:{digest[:7]}", "sha256:zzzzzzzz", f"sha256:{digest}0"):
        with pytest.raises(UsageError, match=wrong):
            labels.select(items, [wrong])
    with pytest.raises(UsageError, match="not in the case"):
        labels.select(items, ["sha256:" + "0" * 64])


def test_an_ambiguous_digest(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    monkeypatch.setattr(labels, "DIGITS", 0)
    with pytest.raises(UsageError, match="more than one image begins so"):
        labels.select(Review(case, "Ann").items, ["sha256:"])


def test_copies_share_a_label_and_an_unread_file_has_none(tmp_path: Path) -> None:
    files = made_case.pictures(tmp_path / "p", ("a.png", "b.png", "empty.png"))
    files["b.png"].write_bytes(files["a.png"].read_bytes())
    files["empty.png"].write_bytes(b"")
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        assert say(case, [files["b.png"], files["a.png"]], Judgement.AI) == 1
        assert [row["path"] for row in exported(case)] == [
            str(files["a.png"]),
            str(files["b.png"]),
        ]
        assert say(case, [tmp_path], Judgement.REAL) == 1
        with pytest.raises(UsageError, match=r"empty\.png: could not be read"):
            say(case, [files["empty.png"]], Judgement.AI)


# What stands


def test_reviewers_agree_or_differ(case: Case, files: dict[str, Path]) -> None:
    both = [files["a.png"], files["sub/b.png"]]
    say(case, both, Judgement.AI, "Ann", "n1")
    say(case, both, Judgement.AI, "Bob", "n2")
    say(case, [files["sub/b.png"]], Judgement.UNSURE, "Bob")
    agreed, apart = labels.labelled(case)
    assert (agreed.judgement, agreed.reviewers) == (Judgement.AI, "Ann, Bob")
    assert apart.judgement is None
    assert str(apart) == f"{files['sub/b.png']}: Ann says ai, Bob says unsure"
    [row] = exported(case)
    assert (row["reviewer"], row["note"]) == ("Ann, Bob", "n1; n2")
    rows = exported(case, every=True)
    assert [(row["reviewer"], row["label"]) for row in rows] == [
        *[("Ann", "ai"), ("Bob", "ai"), ("Ann", "ai"), ("Bob", "unsure")],
    ]
    assert [row["label"] for row in exported(case, reviewer="Bob")] == ["ai", "unsure"]
    say(case, [files["sub/b.png"]], None, "Bob")
    assert [image.judgement for image in labels.labelled(case)] == [Judgement.AI] * 2


def test_a_reviewer_without_labels_is_named_with_those_that_have(
    case: Case, files: dict[str, Path]
) -> None:
    say(case, [files["a.png"]], Judgement.AI)
    with pytest.raises(UsageError, match="Bob has labelled nothing") as caught:
        labels.labelled(case, "Bob")
    assert caught.value.hint and "Ann" in caught.value.hint


def test_a_note_alone_is_no_label(case: Case, files: dict[str, Path]) -> None:
    say(case, [files["a.png"]], Judgement.AI)
    say(case, [files["sub/b.png"]], None, note="look again")
    assert [image.paths for image in labels.labelled(case)] == [(files["a.png"],)]


def test_what_lies_nowhere_is_counted(case: Case, files: dict[str, Path]) -> None:
    say(case, [files["a.png"], files["sub/b.png"]], Judgement.AI)
    files["a.png"].write_bytes(files["sub/c.png"].read_bytes())
    made_case.write(case.path, files)
    said: list[str] = []
    assert [image.paths for image in labels.labelled(case, notice=said.append)] == [
        (files["sub/b.png"],)
    ]
    assert said and said[0].startswith("1 labelled images left out")


# Handing on


def test_rows_have_the_fields_and_groups(case: Case, files: dict[str, Path]) -> None:
    say(case, [files["sub/b.png"]], Judgement.REAL)
    [row] = exported(case)
    assert tuple(row) == FIELDS
    assert (row["label"], row["verdict"]) == ("real", "inconclusive")
    # Made-up fingerprints of one bit are told apart only by being equal.
    assert row["near_dup_group"] == row["sha256"]
    with case.reading() as db:
        db.execute("UPDATE image SET fingerprint = -7")
        smallest = min(sha256 for (sha256,) in db.execute("SELECT sha256 FROM image"))
    assert smallest != row["sha256"]
    assert exported(case)[0]["near_dup_group"] == smallest
    with case.reading() as db:  # SQLite's numbers are signed, fingerprints are not
        db.execute("UPDATE image SET fingerprint = 7 WHERE sha256 <> ?", (row["sha256"],))
    assert exported(case)[0]["near_dup_group"] == row["sha256"]
    with case.reading() as db:
        db.execute("UPDATE image SET fingerprint = NULL")
    assert exported(case)[0]["near_dup_group"] is None


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_an_export_is_a_manifest(
    case: Case, files: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    for name, judgement in zip(files, Judgement, strict=True):
        say(case, [files[name]], judgement, note='=1+1, "quoted"\nand more')
    rows = exported(case)
    file = tmp_path / f"labels.{kind}"
    labels.save(labels.as_csv(rows) if kind == "csv" else labels.as_jsonl(rows), file, force=False)
    said: list[str] = []
    real, ai = sorted(labelled.read(file, notice=said.append), key=lambda row: -len(row.label))[
        ::-1
    ]
    assert (ai.label, ai.path) == (Label.GENERATED, files["a.png"])
    assert (real.label, real.path) == (Label.REAL, files["sub/b.png"])
    assert ai.sha256 == made_case.sha256(files["a.png"].read_bytes())
    assert sorted(said) == [
        "1 image left out: labelled unfit.",
        "1 image left out: labelled unsure.",
    ]


def test_odd_names_survive_json_and_are_refused_in_csv(tmp_path: Path) -> None:
    odd = [os.fsdecode(b"caf\xe9.png"), "a\nb\x1b[31m.png", "ä, \u2028.png"]
    try:
        files = made_case.pictures(tmp_path / "p", tuple(odd))
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        say(case, list(files.values()), Judgement.AI)
        rows = exported(case)
    content = labels.as_jsonl(rows)
    assert b"\x1b" not in content and content.count(b"\n") == 3
    back = {Path(json.loads(line)["path"]) for line in content.splitlines()}
    assert back == set(files.values())
    with pytest.raises(UsageError, match="UTF-8"):
        labels.as_csv(rows)
    kept = [row for row in rows if "\udce9" not in row["path"]]
    table = list(csv.DictReader(io.StringIO(labels.as_csv(kept).decode(), newline="")))
    assert [row["path"] for row in table] == [row["path"] for row in kept]


def test_a_cell_is_no_formula() -> None:
    row = dict.fromkeys(FIELDS) | {"path": "/x", "note": "=cmd()", "reviewer": "@a", "logit": -1.5}
    [cells] = csv.DictReader(io.StringIO(labels.as_csv([row]).decode()))
    assert (cells["note"], cells["reviewer"]) == ("'=cmd()", "'@a")
    assert (cells["logit"], cells["probability"]) == ("-1.5", "")


def test_a_file_is_replaced_by_force_only_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "labels.jsonl"
    labels.save(b"one", file, force=False)
    with pytest.raises(UsageError, match="there already"):
        labels.save(b"two", file, force=False)
    assert file.read_bytes() == b"one"
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    labels.save(b"two", link, force=True)
    assert file.read_bytes() == b"two" and link.is_symlink()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="no space left"):
        labels.save(b"three", file, force=True)
    assert file.read_bytes() == b"two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.jsonl", "link.jsonl"]
    for place in (tmp_path, tmp_path / "no" / "where.csv"):
        with pytest.raises(UsageError, match="cannot write"):
            labels.save(b"x", place, force=True)


def test_training_takes_ai_and_real(case: Case, files: dict[str, Path]) -> None:
    say(case, [files["a.png"]], Judgement.AI)
    say(case, [files["sub/b.png"]], Judgement.REAL)
    say(case, [files["sub/c.png"], files["sub/deep/d.png"]], Judgement.UNFIT)
    say(case, [files["sub/c.png"]], Judgement.AI, "Bob")
    said: list[str] = []
    listed = labels.training(case, said.append)
    assert [(row.path, row.label, row.generator) for row in listed] == [
        (files["a.png"], Label.GENERATED, "unknown"),
        (files["sub/b.png"], Label.REAL, None),
    ]
    assert listed[0].sha256 == made_case.sha256(files["a.png"].read_bytes())
    assert said == [
        "1 real and 1 generated images from the labels in c.sqlite3.",
        "1 image left out: reviewers differ.",
        "1 image left out: labelled unfit.",
    ]


def test_training_takes_a_copy_that_is_there(tmp_path: Path) -> None:
    files = made_case.pictures(tmp_path / "p", ("a.png", "b.png"))
    files["b.png"].write_bytes(files["a.png"].read_bytes())
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        say(case, [files["a.png"]], Judgement.AI)
        files["a.png"].unlink()
        assert [row.path for row in labels.training(case)] == [files["b.png"]]


def test_training_takes_a_file_that_is_as_it_was_and_counts_the_others(tmp_path: Path) -> None:
    files = made_case.pictures(tmp_path / "p", ("a.png", "b.png", "c.png", "d.png"))
    files["b.png"].write_bytes(files["a.png"].read_bytes())
    said: list[str] = []
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        say(case, [tmp_path / "p"], Judgement.AI)
        for name in ("a.png", "c.png"):
            files[name].write_bytes(b"edited")
        taken = labels.training(case, said.append)
        assert [row.path for row in taken] == [files["b.png"], files["d.png"]]
        assert "1 image left out: changed or gone since they were labelled." in said
        files["b.png"].unlink()
        files["d.png"].unlink()
        with pytest.raises(
            UsageError, match=r"nothing that is still there is .* 3 images left out"
        ):
            labels.training(case)


def test_nothing_to_train_on_is_said_with_the_reason(case: Case, files: dict[str, Path]) -> None:
    say(case, [files["a.png"].parent], Judgement.UNSURE)
    with pytest.raises(UsageError, match="4 images left out: labelled unsure"):
        labels.training(case)


def test_an_image_with_one_opinion_is_agreed() -> None:
    assert LabelledImage("a" * 64, (Path("/x"),), ()).judgement is None
