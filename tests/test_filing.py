"""Files moved, copied, tagged and taken back: nothing lost, nothing overwritten."""

import errno
import os
import random
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import made_case
from dgsforensics import atomic
from dgsforensics.case import ledger, transfer
from dgsforensics.case.ledger import OperationKind, OperationState
from dgsforensics.case.store import Case
from dgsforensics.errors import UnreadableError, UsageError
from dgsforensics.judgements import Action, Decision, Judgement, ScoreSeen
from dgsforensics.records import Verdict
from dgsforensics.review import filing, labels, reversal, sidecar
from dgsforensics.review.filing import FilingResult
from dgsforensics.review.session import Review

AI = (Judgement.AI,)
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/elements/1.1/}"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return made_case.pictures(tmp_path / "photos")


@pytest.fixture
def case(files: dict[str, Path], tmp_path: Path) -> Iterator[Case]:
    with Case.open(made_case.write(tmp_path / "c.sqlite3", files)) as case:
        say(case, files["a.png"], Judgement.AI)
        say(case, files["sub/deep/d.png"], Judgement.AI)
        say(case, files["sub/b.png"], Judgement.REAL)
        yield case


def say(case: Case, path: Path, judgement: Judgement | None, reviewer: str = "Ann") -> None:
    review = Review(case, reviewer)
    review.label(labels.select(review.items, [str(path)]), judgement)


def run(
    case: Case,
    kind: OperationKind,
    folder: Path,
    wanted: tuple[Judgement, ...] = AI,
    dry: bool = False,
) -> list[FilingResult]:
    plan = filing.plan(case, kind, folder, labels.labelled(case), wanted)
    return list(filing.carry_out(case, plan, dry=dry))


def tree(root: Path) -> dict[str, bytes]:
    """Every file, and folders that are empty."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
        if not path.name.startswith("c.sqlite3")
    }


def refusals(outcomes: list[FilingResult]) -> list[str | None]:
    return [outcome.refused for outcome in outcomes]


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From one folder to another there is only copying."""
    link = os.link

    def refusing(source: Path, target: Path) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(source, target)

    monkeypatch.setattr(os, "link", refusing)


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links."""

    def refusing(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refusing)


@pytest.fixture(params=["rename", "other_disk", "no_links"])
def anyhow(request: pytest.FixtureRequest) -> None:
    """Each way in which a file can get to another name."""
    if request.param != "rename":
        request.getfixturevalue(request.param)


def test_moving_keeps_the_folders_and_the_case_follows(
    case: Case, files: dict[str, Path], tmp_path: Path, anyhow: None
) -> None:
    before = tree(tmp_path)
    os.chmod(files["a.png"], 0o640)
    os.utime(files["a.png"], ns=(10**18, 10**18 + 7))
    outcomes = run(case, OperationKind.MOVE, tmp_path / "out")
    assert refusals(outcomes) == [None, None]
    assert tree(tmp_path) == {
        "out/ai/a.png": before["photos/a.png"],
        "out/ai/sub/deep/d.png": before["photos/sub/deep/d.png"],
        "photos/sub/b.png": before["photos/sub/b.png"],
        "photos/sub/c.png": before["photos/sub/c.png"],
        "photos/sub/deep": b"",
    }
    status = (tmp_path / "out/ai/a.png").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18 + 7)
    assert {row.path for row in case.current()} >= {tmp_path / "out/ai/a.png"}
    assert all(path.exists() for image in labels.labelled(case) for path in image.paths)
    again = run(case, OperationKind.MOVE, tmp_path / "out")
    assert all(outcome.already for outcome in again)
    assert refusals(list(reversal.undo(case, dry=False))) == [None, None]
    assert tree(tmp_path) == before
    assert {row.path for row in case.current()} == set(files.values())


def test_copies_and_sidecars_are_deleted_again(
    case: Case, files: dict[str, Path], tmp_path: Path, anyhow: None
) -> None:
    before = tree(tmp_path)
    assert (
        refusals(run(case, OperationKind.COPY, tmp_path / "copies", (*AI, Judgement.REAL)))
        == [None] * 3
    )
    copied = tree(tmp_path)
    assert copied["copies/real/sub/b.png"] == before["photos/sub/b.png"]
    assert refusals(run(case, OperationKind.TAG, files["a.png"].parent)) == [None] * 2
    assert set(tree(tmp_path)) - set(copied) == {
        "photos/a.png.xmp",
        "photos/sub/deep/d.png.xmp",
    }
    assert all(outcome.already for outcome in run(case, OperationKind.TAG, files["a.png"].parent))
    assert len(reversal.runs(case)) == 2
    assert refusals(list(reversal.undo(case, dry=False))) == [None] * 2
    assert tree(tmp_path) == copied
    assert refusals(list(reversal.undo(case, dry=False))) == [None] * 3
    assert tree(tmp_path) == before
    assert reversal.runs(case) == [] == list(reversal.undo(case, dry=False))


def test_nothing_is_overwritten(
    case: Case, files: dict[str, Path], tmp_path: Path, anyhow: None
) -> None:
    for place in ("out/ai/a.png", "tags/a.png.xmp"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(b"mine")
    before = tree(tmp_path)
    for kind, folder in (
        (OperationKind.MOVE, "out"),
        (OperationKind.COPY, "out"),
        (OperationKind.TAG, "tags"),
    ):
        first, second = run(case, kind, tmp_path / folder)
        assert first.refused and "is something else" in first.refused
        assert second.refused is None
        list(reversal.undo(case, dry=False))
    assert tree(tmp_path) == before


def test_a_name_taken_at_the_last_moment_is_not_overwritten(tmp_path: Path, anyhow: None) -> None:
    source, target, part = (tmp_path / name for name in ("s", "t/t", "t/p"))
    target.parent.mkdir()
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    for act in (
        lambda: transfer.move(source, target, part, made_case.sha256(b"new")),
        lambda: transfer.copy(source, target, part, made_case.sha256(b"new")),
        lambda: atomic.write(b"new", target, part),
    ):
        with pytest.raises(FileExistsError):
            act()
        assert (source.read_bytes(), target.read_bytes()) == (b"new", b"old")
        assert not part.exists()


def test_an_identical_file_counts_as_done_and_stays_out_of_undo(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    there = tmp_path / "out/ai/a.png"
    there.parent.mkdir(parents=True)
    there.write_bytes(files["a.png"].read_bytes())
    before = tree(tmp_path)
    first, second = run(case, OperationKind.MOVE, tmp_path / "out")
    assert first.already and first.refused is None and not second.already
    assert files["a.png"].exists()
    list(reversal.undo(case, dry=False))
    assert tree(tmp_path) == before


def test_a_changed_or_missing_file_is_refused(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    files["a.png"].write_bytes(b"edited")
    files["sub/deep/d.png"].unlink()
    for dry in (True, False):
        for kind in (OperationKind.MOVE, OperationKind.COPY, OperationKind.TAG):
            first, second = run(case, kind, tmp_path / "out", dry=dry)
            assert first.refused == "it is not what was labelled: it was changed since"
            assert second.refused == "no such file or folder"
    assert files["a.png"].read_bytes() == b"edited"
    assert reversal.runs(case) == []


def test_links_are_not_followed(case: Case, files: dict[str, Path], tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    content = files["a.png"].read_bytes()
    files["a.png"].rename(away / "a.png")
    files["a.png"].symlink_to(away / "a.png")
    (tmp_path / "photos/sub/deep").rename(away / "deep")
    (tmp_path / "photos/sub/deep").symlink_to(away / "deep")
    for kind in (OperationKind.MOVE, OperationKind.COPY, OperationKind.TAG):
        outcomes = run(case, kind, tmp_path / "out")
        assert all(o.refused and "is a symbolic link" in o.refused for o in outcomes)
    assert (away / "a.png").read_bytes() == content and (away / "deep/d.png").exists()


def test_a_link_below_the_target_is_not_followed_but_the_target_may_be_one(
    case: Case, tmp_path: Path
) -> None:
    away, out = tmp_path / "away", tmp_path / "out"
    away.mkdir()
    out.mkdir()
    (out / "ai").symlink_to(away)
    outcomes = run(case, OperationKind.MOVE, out)
    assert all(o.refused and "is a symbolic link" in o.refused for o in outcomes)
    assert not any(away.iterdir())
    (tmp_path / "link").symlink_to(away)
    assert refusals(run(case, OperationKind.MOVE, tmp_path / "link")) == [None, None]
    assert (away / "ai/a.png").exists()
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not a folder"):
        run(case, OperationKind.MOVE, dangling)


def test_a_file_in_the_place_of_a_folder(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "ai").mkdir(parents=True)
    (out / "ai" / "sub").write_bytes(b"mine")
    first, second = run(case, OperationKind.COPY, out)
    assert first.refused is None and second.refused
    with pytest.raises(UsageError, match="not a folder"):
        run(case, OperationKind.COPY, out / "ai" / "sub")


def test_a_dry_run_changes_nothing_and_tells_the_truth(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "out/ai").mkdir(parents=True)
    (tmp_path / "out/ai/a.png").write_bytes(b"mine")
    before, rows = tree(tmp_path), ledger.operations(case, *OperationState)
    told = run(case, OperationKind.MOVE, tmp_path / "out", dry=True)
    assert (tree(tmp_path), ledger.operations(case, *OperationState)) == (before, rows)
    done = run(case, OperationKind.MOVE, tmp_path / "out")
    assert [(o.operation.target, o.refused) for o in told] == [
        (o.operation.target, o.refused) for o in done
    ]
    before, rows = tree(tmp_path), ledger.operations(case, *OperationState)
    told = list(reversal.undo(case, dry=True))
    assert (tree(tmp_path), ledger.operations(case, *OperationState)) == (before, rows)
    assert refusals(told) == refusals(list(reversal.undo(case, dry=False))) == [None]


def test_relabelled_files_move_on_by_the_path_they_had_at_first(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    before = tree(tmp_path)
    out = tmp_path / "out"
    run(case, OperationKind.MOVE, out)
    moved = out / "ai/sub/deep/d.png"
    say(case, moved, Judgement.REAL)
    both = (Judgement.AI, Judgement.REAL)
    outcomes = run(case, OperationKind.MOVE, out, both)
    assert [(o.operation.source, o.operation.target) for o in outcomes if not o.already] == [
        (moved, out / "real/sub/deep/d.png"),
        (files["sub/b.png"], out / "real/sub/b.png"),
    ]
    run(case, OperationKind.TAG, out, both)
    assert (out / "real/sub/b.png.xmp").exists() and (out / "ai/a.png.xmp").exists()
    run(case, OperationKind.COPY, tmp_path / "c", both)
    assert (tmp_path / "c/real/sub/deep/d.png").exists() and (tmp_path / "c/ai/a.png").exists()
    for _ in range(4):
        assert not any(refusals(list(reversal.undo(case, dry=False))))
    assert tree(tmp_path) == before


def test_what_cannot_be_taken_back_is_said_and_the_rest_is(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    content = files["sub/deep/d.png"].read_bytes()
    run(case, OperationKind.MOVE, tmp_path / "out")
    moved = tmp_path / "out/ai/a.png"
    original = moved.read_bytes()
    files["a.png"].write_bytes(b"another")
    d, a = reversal.undo(case, dry=False)
    assert d.refused is None and files["sub/deep/d.png"].read_bytes() == content
    assert a.refused == f"{files['a.png']} is there and is something else"
    assert (moved.read_bytes(), files["a.png"].read_bytes()) == (original, b"another")
    moved.write_bytes(b"edited")
    files["a.png"].unlink()
    [a] = reversal.undo(case, dry=False)
    assert a.refused == "it was changed since"
    assert moved.read_bytes() == b"edited"
    moved.write_bytes(original)
    assert refusals(list(reversal.undo(case, dry=False))) == [None]
    assert files["a.png"].read_bytes() == original
    assert reversal.runs(case) == []


def test_what_is_gone_is_said_once(case: Case, files: dict[str, Path], tmp_path: Path) -> None:
    run(case, OperationKind.TAG, tmp_path / "tags")
    (tmp_path / "tags/a.png.xmp").unlink()
    assert refusals(list(reversal.undo(case, dry=False))) == [None, "it is not there any more"]
    assert reversal.runs(case) == []
    run(case, OperationKind.MOVE, tmp_path / "out")
    (tmp_path / "out/ai/a.png").rename(files["a.png"])
    assert refusals(list(reversal.undo(case, dry=False))) == [None, None]


def test_a_copy_that_may_be_the_last_one_stays(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    run(case, OperationKind.COPY, tmp_path / "out")
    files["a.png"].unlink()
    d, a = reversal.undo(case, dry=False)
    assert d.refused is None and a.refused and "the copy is kept" in a.refused
    assert (tmp_path / "out/ai/a.png").exists()


def test_folders_that_were_there_or_are_in_use_stay(case: Case, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    run(case, OperationKind.MOVE, tmp_path / "out")
    (tmp_path / "out/ai/sub/mine.txt").write_bytes(b"x")
    list(reversal.undo(case, dry=False))
    assert (tmp_path / "out/ai/sub/mine.txt").exists()
    assert not (tmp_path / "out/ai/sub/deep").exists()
    (tmp_path / "out/ai/sub/mine.txt").unlink()
    assert (tmp_path / "out").exists()


def test_a_source_that_cannot_be_deleted_is_not_moved(
    case: Case,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    anyhow: None,
) -> None:
    before, unlink, replace = tree(tmp_path), os.unlink, os.replace

    def refuse(path: Path) -> None:
        if Path(path).is_relative_to(tmp_path / "photos"):
            raise PermissionError(errno.EACCES, "Permission denied")

    def refusing(path: Path) -> None:
        refuse(path)
        unlink(path)

    def refusing_too(source: Path, target: Path) -> None:
        refuse(source)
        replace(source, target)

    monkeypatch.setattr(os, "unlink", refusing)
    monkeypatch.setattr(os, "replace", refusing_too)
    assert refusals(run(case, OperationKind.MOVE, tmp_path / "out")) == ["permission denied"] * 2
    left = {name: data for name, data in tree(tmp_path).items() if not name.startswith("out")}
    assert left == before
    assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


def test_a_copy_that_comes_out_wrong_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_disk: None
) -> None:
    before = tree(tmp_path)

    def short(source: object, target: object, length: int) -> None:
        target.write(b"half")  # type: ignore[attr-defined]

    monkeypatch.setattr("shutil.copyfileobj", short)
    for kind in (OperationKind.MOVE, OperationKind.COPY):
        assert refusals(run(case, kind, tmp_path / "out")) == ["it changed while it was copied"] * 2
    assert {name: data for name, data in tree(tmp_path).items() if data} == before


@pytest.mark.parametrize("seed", range(12))
def test_no_content_is_ever_lost_and_undoing_all_gives_the_tree_back(
    seed: int, case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    draw = random.Random(seed)
    before = tree(tmp_path)
    for _ in range(8):
        image = draw.choice(labels.labelled(case))
        say(case, image.paths[0], draw.choice([Judgement.AI, Judgement.REAL, Judgement.UNFIT]))
        wanted = tuple(draw.sample(list(Judgement), 2))
        kind = draw.choice(
            [OperationKind.MOVE, OperationKind.MOVE, OperationKind.COPY, OperationKind.TAG]
        )
        if draw.random() < 0.3:
            list(reversal.undo(case, dry=False))
        else:
            run(case, kind, tmp_path / draw.choice(["x", "y", "photos/z"]), wanted)
        assert set(before.values()) <= set(tree(tmp_path).values())
        assert all(path.exists() for image in labels.labelled(case) for path in image.paths)
    while reversal.runs(case):
        assert not any(refusals(list(reversal.undo(case, dry=False))))
    assert tree(tmp_path) == before


# What others do meanwhile, and what was cut off


@pytest.mark.parametrize("disk", ["rename", "other_disk"])
def test_a_source_that_another_program_takes_away_is_moved_all_the_same(
    disk: str,
    case: Case,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if disk == "other_disk":
        request.getfixturevalue(disk)
    before, unlink = tree(tmp_path), os.unlink

    def late(path: Path) -> None:
        if Path(path).is_relative_to(tmp_path / "photos"):
            unlink(path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", late)
    assert refusals(run(case, OperationKind.MOVE, tmp_path / "out")) == [None] * 2
    monkeypatch.setattr(os, "unlink", unlink)
    assert set(before.values()) <= set(tree(tmp_path).values())
    assert refusals(list(reversal.undo(case, dry=False))) == [None] * 2
    assert tree(tmp_path) == before


@pytest.mark.parametrize("what", ["gone", "edited"])
def test_a_source_that_changes_while_the_copy_is_checked(
    what: str,
    case: Case,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    other_disk: None,
) -> None:
    source, target = files["a.png"], tmp_path / "out/ai/a.png"
    content, digest = source.read_bytes(), transfer.digest

    def late(path: Path) -> str:
        if path == source and target.exists():
            source.unlink() if what == "gone" else source.write_bytes(b"edited")
        return digest(path)

    monkeypatch.setattr(transfer, "digest", late)
    first, second = run(case, OperationKind.MOVE, tmp_path / "out")
    assert second.refused is None and target.read_bytes() == content
    if what == "gone":
        assert first.refused is None
    else:
        assert first.refused and str(target) in first.refused
        assert source.read_bytes() == b"edited"


@pytest.mark.parametrize("kind", [OperationKind.MOVE, OperationKind.COPY])
def test_undo_does_not_take_one_file_for_two(
    kind: OperationKind, case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    contents = {files[name].read_bytes() for name in ("a.png", "sub/deep/d.png")}
    run(case, kind, tmp_path / "out")
    (tmp_path / "photos").rename(tmp_path / "trash")
    for path in (tmp_path / "trash").rglob("*.png"):
        path.unlink()
    (tmp_path / "photos").symlink_to(tmp_path / "out/ai")
    outcomes = list(reversal.undo(case, dry=False))
    assert all(o.refused and "leads to the same file" in o.refused for o in outcomes)
    assert contents <= set(tree(tmp_path).values())


def test_undo_follows_no_link(case: Case, files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")  # given by name: that is no matter
    run(case, OperationKind.COPY, tmp_path / "out")
    (tmp_path / "disk/ai").rename(tmp_path / "backup")
    (tmp_path / "disk/ai").symlink_to(tmp_path / "backup")
    outcomes = list(reversal.undo(case, dry=False))
    assert all(o.refused and "is a symbolic link" in o.refused for o in outcomes)
    assert (tmp_path / "backup/a.png").exists() and (tmp_path / "backup/sub/deep/d.png").exists()
    (tmp_path / "disk/ai").unlink()
    (tmp_path / "backup").rename(tmp_path / "disk/ai")
    (tmp_path / "photos/sub").rename(tmp_path / "elsewhere")
    (tmp_path / "photos/sub").symlink_to(tmp_path / "elsewhere")
    d, a = reversal.undo(case, dry=False)
    assert d.refused and "is a symbolic link" in d.refused and a.refused is None
    (tmp_path / "photos/sub").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "photos/sub")
    assert refusals(list(reversal.undo(case, dry=False))) == [None]


@pytest.mark.parametrize("state", [OperationState.PLANNED, OperationState.UNDOING])
def test_settling_does_not_take_one_file_for_two(
    state: OperationState, case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    content = files["a.png"].read_bytes()
    run(case, OperationKind.MOVE, tmp_path / "out")
    for row in ledger.operations(case, OperationState.DONE):
        if row.kind != OperationKind.FOLDER:
            ledger.mark(case, row, state)
    (tmp_path / "photos").rename(tmp_path / "trash")
    (tmp_path / "photos").symlink_to(tmp_path / "out/ai")
    assert ledger.settle(case) == 2
    assert (tmp_path / "out/ai/a.png").read_bytes() == content
    assert (tmp_path / "out/ai/sub/deep/d.png").exists()


def interrupted_at(where: str, monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    """Ctrl-C in a call of `os`; where `killed`, nothing is cleaned up after it."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, where, interrupt)
    if killed:
        monkeypatch.setattr(atomic, "drop_empty", lambda taken, waiting: None)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("kind", [OperationKind.MOVE, OperationKind.COPY, OperationKind.TAG])
def test_without_hard_links_an_interrupt_blocks_nothing(
    kind: OperationKind, killed: bool, case: Case, tmp_path: Path, no_links: None
) -> None:
    before = tree(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        interrupted_at("replace", patch, killed)
        with pytest.raises(KeyboardInterrupt):
            run(case, kind, tmp_path / "out")
    empty = [p for p in (tmp_path / "out").rglob("a.*") if p.stat().st_size == 0]
    assert len(empty) == killed
    ledger.settle(case)
    assert {name: data for name, data in tree(tmp_path).items() if data} == before
    assert refusals(run(case, kind, tmp_path / "out")) == [None] * 2
    if kind == OperationKind.MOVE:
        with pytest.MonkeyPatch.context() as patch:
            interrupted_at("replace", patch, killed)
            with pytest.raises(KeyboardInterrupt):
                list(reversal.undo(case, dry=False))
        ledger.settle(case)
    assert refusals(list(reversal.undo(case, dry=False))) == [None] * 2
    assert tree(tmp_path) == before


def test_folders_go_with_the_next_undo_when_one_was_cut_off(case: Case, tmp_path: Path) -> None:
    before = tree(tmp_path)
    run(case, OperationKind.COPY, tmp_path / "out")
    with pytest.MonkeyPatch.context() as patch:
        interrupted_at("rmdir", patch, killed=False)
        with pytest.raises(KeyboardInterrupt):
            list(reversal.undo(case, dry=False))
    assert (tmp_path / "out").exists() and reversal.runs(case) == []
    assert list(reversal.undo(case, dry=True)) == [] and (tmp_path / "out").exists()
    assert list(reversal.undo(case, dry=False)) == []
    assert tree(tmp_path) == before
    (tmp_path / "out").mkdir()  # not ours
    assert list(reversal.undo(case, dry=False)) == [] and (tmp_path / "out").exists()


def test_a_sidecar_of_ours_is_replaced_when_the_label_changed(
    case: Case, files: dict[str, Path], tmp_path: Path
) -> None:
    before, beside = tree(tmp_path), files["a.png"].parent
    one, other = beside / "a.png.xmp", beside / "sub/deep/d.png.xmp"
    run(case, OperationKind.TAG, beside)
    other.write_bytes(other.read_bytes() + b"mine")
    edited = other.read_bytes()
    for path in (files["a.png"], files["sub/deep/d.png"]):
        say(case, path, Judgement.REAL)
    wanted = (Judgement.AI, Judgement.REAL)
    for dry in (True, False):
        told = run(case, OperationKind.TAG, beside, wanted, dry=dry)
        assert {o.operation.target: o.refused is None for o in told} == {
            one: True,
            files["sub/b.png"].with_name("b.png.xmp"): True,
            other: False,
        }
        assert sidecar.label_of(one.read_bytes()) == (Judgement.AI if dry else Judgement.REAL)
    assert other.read_bytes() == edited
    assert refusals(list(reversal.undo(case, dry=False))) == [None] * 2
    assert not one.exists()
    other.unlink()
    assert refusals(list(reversal.undo(case, dry=False))) == ["it is not there any more"]
    assert tree(tmp_path) == before and reversal.runs(case) == []


def test_digests_refuse_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "gone", "x" * 300, "nul\0"):
        with pytest.raises(UnreadableError):
            transfer.digest(tmp_path / name)
    with pytest.raises(UnreadableError):
        transfer.digest(tmp_path)
    assert transfer.digest(tmp_path / "file") == made_case.sha256(b"x")


# Sidecars


def decision(reviewer: str, shown: ScoreSeen | None, number: int = 1) -> Decision:
    what = (Action.LABEL, Path("/x"), "a" * 64, Judgement.AI, "a note")
    return Decision(number, "2026-01-02T03:04:05.678+00:00", reviewer, number, *what, shown, "h")


def test_a_sidecar_is_well_formed_whatever_the_names() -> None:
    odd = '<A & "B"> ]]> \x00\x1b[31m\n\ufffe \ud800 \udce9 ü日'
    shown = ScoreSeen("m<", "f" * 64, 3.5, 0.97, 0.9, Verdict.FLAGGED)
    content = sidecar.render([decision(odd, None), decision("Bob", shown, 2)])
    root = ET.fromstring(content)
    assert [li.text for li in root.findall(f".//{DC}subject/{RDF}Bag/{RDF}li")] == ["ai"]
    ours = {
        element.tag.removeprefix(f"{{{sidecar.NAMESPACE}}}"): element.text
        for element in root.iter()
        if element.tag.startswith(f"{{{sidecar.NAMESPACE}}}")
    }
    assert ours["verdict"] == "flagged" and ours["probability"] == "0.97"
    assert ours["model"] == "m<" and ours["modelSha256"] == "f" * 64
    assert ours["time"] == "2026-01-02T03:04:05.678+00:00"
    names = [li.text for li in root.findall(f".//{{{sidecar.NAMESPACE}}}reviewer/{RDF}Bag/{RDF}li")]
    assert names[1] == "Bob" and names[0] and names[0].startswith('<A & "B"> ]]> \\x00')
    assert b"a note" not in content


def test_a_sidecar_without_a_score() -> None:
    content = sidecar.render([decision("Ann", None)])
    assert b"probability" not in content and b"<rdf:li>ai</rdf:li>" in content


# Archives


@pytest.fixture
def packed(tmp_path: Path) -> Iterator[Case]:
    """A case of one picture in a folder and two in an archive beside it, all three labelled AI."""
    root = tmp_path / "photos"
    files = made_case.pictures(root, ("a.png", "sub/b.png", "sub/c.png"))
    with zipfile.ZipFile(root / "e.zip", "w") as archive:
        for name in ("sub/b.png", "sub/c.png"):
            archive.write(files.pop(name), name)
            (root / name).unlink()
            files[f"e.zip/{name}"] = root / "e.zip" / name
    with Case.open(made_case.write(tmp_path / "packed.sqlite3", files)) as case:
        for path in files.values():
            say(case, path, Judgement.AI)
        yield case


def test_members_are_copied_out_of_an_archive_and_taken_back(packed: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert all(result.refused is None for result in run(packed, OperationKind.COPY, out))
    copied = tree(out)
    names = {"ai/a.png", "ai/e.zip/sub/b.png", "ai/e.zip/sub/c.png"}
    assert {name for name in copied if (out / name).is_file()} == names
    with zipfile.ZipFile(tmp_path / "photos" / "e.zip") as archive:
        assert copied["ai/e.zip/sub/b.png"] == archive.read("sub/b.png")
    again = run(packed, OperationKind.COPY, out)
    assert [result.already for result in again] == [True] * 3
    assert [result.refused for result in reversal.undo(packed, dry=False)] == [None] * 3
    assert not out.exists()


def test_an_archive_is_never_changed(packed: Case, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    before = (root / "e.zip").read_bytes()
    for kind, folder in ((OperationKind.MOVE, tmp_path / "out"), (OperationKind.TAG, root)):
        for dry in (True, False):
            refused = [result.refused for result in run(packed, kind, folder, dry=dry)]
            assert sum(said is None for said in refused) == 1
            assert sum("archives are never changed" in str(said) for said in refused) == 2
    inside = run(packed, OperationKind.COPY, root / "e.zip" / "x")
    assert all(result.refused for result in inside)
    assert (root / "e.zip").read_bytes() == before


def test_members_that_are_gone_or_changed_are_not_copied(packed: Case, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    with zipfile.ZipFile(root / "e.zip", "w") as archive:
        archive.writestr("sub/b.png", b"something else")
    refused = [result.refused for result in run(packed, OperationKind.COPY, tmp_path / "out")]
    assert refused[0] is None and "changed since" in str(refused[1])
    assert "no such file in the archive" in str(refused[2])
    (root / "e.zip").unlink()
    refused = [result.refused for result in run(packed, OperationKind.COPY, tmp_path / "out")]
    assert refused[1:] == ["no such file or folder"] * 2
