"""Closed choices: one list each for the check, the message, the help and the completion."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import click
import pytest
import typer

from dgsforensics import choices, cli
from dgsforensics.scan.selection import Pick, RowOrder
from dgsforensics.trainer.config import TrainConfig

CLOSED = {
    ("scan", "--only"): Pick,
    ("scan", "--sort"): RowOrder,
    ("scan", "--device"): choices.DeviceName,
    ("review", "--device"): choices.DeviceName,
    ("review", "--sort"): choices.Order,
    ("review", "--graphics"): choices.Graphics,
    ("review", "--theme"): choices.Theme,
    ("train", "--device"): choices.DeviceName,
    ("train", "--method"): choices.Method,
    ("train", "--semantics"): choices.Semantics,
    ("train", "--augmentation"): choices.AugmentationName,
    ("train", "--precision"): choices.Precision,
    ("train", "--split-by"): choices.SplitBy,
    ("eval", "--device"): choices.DeviceName,
    ("eval", "--by"): choices.SliceBy,
    ("calibrate", "--device"): choices.DeviceName,
    ("label", "--as"): choices.LabelName,
    ("apply", "--as"): choices.FiledAs,
}
DETECTORS = (
    *("scan --model", "review --model", "eval --model", "calibrate --model", "train --base"),
    *("models info", "models verify", "models export"),
)


def options() -> Iterator[tuple[tuple[str, str], click.Parameter]]:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        for parameter in command.params:
            yield (name, parameter.opts[0]), parameter


def test_every_closed_choice_is_an_enumeration() -> None:
    found = {
        where: parameter.type.choices
        for where, parameter in options()
        if isinstance(parameter.type, click.Choice)
    }
    assert {where: list(map(str, names)) for where, names in found.items()} == {
        where: list(map(str, kind)) for where, kind in CLOSED.items()
    }


def test_no_other_option_lists_what_it_takes() -> None:
    lists = {where for where, p in options() if str(p.metavar or "").islower() and "|" in p.metavar}
    assert lists == set()


@pytest.mark.parametrize(("command", "option"), CLOSED)
def test_what_is_not_on_the_list_is_refused(command, option, monkeypatch, capfd) -> None:
    monkeypatch.setattr(sys, "argv", ["dgsf", command, option, "odd"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    out, err = capfd.readouterr()
    assert exit.value.code == 2 and out == ""
    assert "'odd' is not one of" in err and option in err


def test_training_takes_the_same_in_a_file() -> None:
    hints = get_type_hints(TrainConfig)
    for (command, option), kind in CLOSED.items():
        name = option.removeprefix("--").replace("-", "_")
        if command == "train" and name in hints:
            kinds = [hints[name], *get_args(hints[name])]  # the latter of `Literal[...] | None`
            spelled = {text for each in kinds for text in get_args(each) if isinstance(text, str)}
            assert spelled == set(kind), name


def complete(words: str) -> tuple[list[str], set[str]]:
    """What a shell is offered for the last of these words, and the modules loaded for it."""
    code = "import sys; sys.argv = ['dgsf']\nfrom dgsforensics.cli import main\n"
    code += "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"_DGSF_COMPLETE": "complete_bash", "COMP_WORDS": f"dgsf {words}"}
        | {"COMP_CWORD": str(len(words.split(" "))), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    return done.stdout.split(), set(done.stderr.split())


def test_completion_knows_the_choices() -> None:
    assert complete("review --sort s")[0] == ["score", "size", "scan"]


def test_completion_knows_the_detectors_and_loads_nothing_heavy(tmp_path: Path) -> None:
    found, loaded = complete("scan --model dgs")
    assert "dgs-b16" in found and "dgsforensics.detector.folders" in loaded
    assert not loaded & {"torch", "open_clip", "numpy", "PIL", "textual"}
    for where, parameter in options():
        if " ".join(where).rstrip() in DETECTORS:
            assert [item.value for item in names(parameter)] == ["dgs-b16"], where


def names(parameter: click.Parameter) -> list[click.shell_completion.CompletionItem]:
    context = click.Context(click.Command("x"))
    return parameter.shell_complete(context, "dgs")
