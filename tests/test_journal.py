import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dgsforensics.trainer.journal import Journal


@pytest.fixture(autouse=True)
def board(monkeypatch):
    """A TensorBoard that notes what it is told, wherever a real one is or is not installed."""
    calls = []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            calls.append(("open", folder, purge_step))

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def close(self):
            calls.append(("close",))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return calls


def note(folder: Path, *steps: int, kind: str = "step") -> Journal:
    """A run, or a part of one, that records these steps."""
    journal = Journal(folder)
    for step in steps:
        journal.write(kind, step, {"loss": step / 10})
    journal.close()
    return journal


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def steps(folder: Path) -> list[int]:
    return [record["step"] for record in records(folder)]


def test_a_record_is_an_object_a_line(tmp_path) -> None:
    journal = Journal(tmp_path)
    journal.write("step", 1, {"loss": 0.5, "text_loss": None, "epoch": 1})
    journal.write("epoch", 1, {"auroc": 0.75})
    assert records(tmp_path) == [
        {"kind": "step", "step": 1, "loss": 0.5, "text_loss": None, "epoch": 1},
        {"kind": "epoch", "step": 1, "auroc": 0.75},
    ]


def test_each_record_is_there_as_soon_as_it_is_written(tmp_path) -> None:
    journal = Journal(tmp_path)
    for step in (1, 2, 3):
        journal.write("step", step, {})
        assert steps(tmp_path) == list(range(1, step + 1))


def test_several_records_of_a_step_stay(tmp_path) -> None:
    note(tmp_path, 1, 2, 2, 3, 3)
    assert steps(tmp_path) == [1, 2, 2, 3, 3]


def test_a_run_that_goes_on_replaces_what_it_does_again(tmp_path) -> None:
    note(tmp_path, 1, 2, 3, 4, 5)
    journal = Journal(tmp_path)
    journal.write("step", 4, {"loss": -1.0})
    assert steps(tmp_path) == [1, 2, 3, 4]
    assert records(tmp_path)[-1]["loss"] == -1
    journal.write("step", 5, {"loss": -2.0})
    journal.write("step", 6, {"loss": -3.0})
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_a_run_that_goes_on_keeps_the_records_of_the_epoch_before(tmp_path) -> None:
    journal = note(tmp_path, 1, 2)
    journal.write("epoch", 2, {"auroc": 0.9})
    note(tmp_path, 3)
    assert [r["kind"] for r in records(tmp_path)] == ["step", "step", "epoch", "step"]


@pytest.mark.parametrize("first", [0, 1])
def test_a_run_that_starts_over_keeps_nothing(first, tmp_path) -> None:
    note(tmp_path, *range(first, 9))
    note(tmp_path, first)
    assert steps(tmp_path) == [first]


def test_opening_it_changes_nothing_until_there_is_something_to_write(tmp_path) -> None:
    note(tmp_path, 1, 2, 3)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    Journal(tmp_path).close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_without_records_there_is_no_file(tmp_path) -> None:
    Journal(tmp_path / "nowhere").close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "torn",
    [
        b'{"kind": "step", "step": 3, "lo',
        b'{"kind": "step", "st',
        b"{",
        b'{"kind": "step"}',
        b"\0\0\0\0\0\0\0\0",
        b"\xff\xfe\x80",
        b"3",
        b"null",
        b"[]",
        b'"step"',
        b'{"step": null}',
        b'{"step": "3"}',
        b"",
    ],
)
def test_what_a_kill_or_a_power_cut_left_of_the_last_line_is_dropped(torn, tmp_path) -> None:
    note(tmp_path, 1, 2)
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.write(torn)
    note(tmp_path, 3, 4)
    assert steps(tmp_path) == [1, 2, 3, 4]


def test_a_whole_last_line_without_its_end_is_kept(tmp_path) -> None:
    note(tmp_path, 1, 2)
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    note(tmp_path, 3)
    assert steps(tmp_path) == [1, 2, 3]


def test_names_of_any_script_survive_going_on(tmp_path) -> None:
    journal = Journal(tmp_path)
    name = "naïve\u2028\x1c\x85 写真\udce9"  # with line ends of `str.splitlines`
    journal.write("note", 1, {"text": name})
    note(tmp_path, 2)
    assert records(tmp_path)[0]["text"] == name


def test_no_half_rewritten_file_is_left(tmp_path) -> None:
    note(tmp_path, 1, 2)
    (tmp_path / "metrics.jsonl.part").write_text("of a run that was killed")
    note(tmp_path, 2)
    assert steps(tmp_path) == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


# TensorBoard


def test_figures_go_to_tensorboard_where_it_is_installed(tmp_path, board) -> None:
    journal = Journal(tmp_path)
    assert board == []
    journal.write("step", 7, {"loss": 0.5, "text_loss": None, "epoch": 1})
    journal.write("epoch", 8, {"auroc": 0.75})
    journal.close()
    assert board == [
        ("open", str(tmp_path), 7),
        ("step/loss", 0.5, 7),
        ("epoch/auroc", 0.75, 8),
        ("close",),
    ]


def test_without_tensorboard_the_record_is_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    note(tmp_path, 1, 2)
    assert steps(tmp_path) == [1, 2]
