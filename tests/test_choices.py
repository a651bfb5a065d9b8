"""Closed choices: one list each for the check, the message, the help and the completion."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import get_args, get_type_hints

import pytest
from typer.models import ArgumentInfo, ParameterInfo

from dgsforensics import choices, cli
from dgsforensics.scan.selection import RowOrder
from dgsforensics.trainer.config import TrainConfig

CLOSED = {
    ("scan", "--only"): choices.Pick,
    ("scan", "--sort"): RowOrder,
    ("scan", "--device"): choices.DeviceName,
    ("review", "--device"): choices.DeviceName,
    ("review", "--queue"): choices.Pick,
    ("review", "--sort"): choices.Order,
    ("review", "--graphics"): choices.Graphics,
    ("review", "--theme"): choices.Theme,
    ("inspect", "--device"): choices.DeviceName,
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
DETECTORS = {
    *("scan --model", "review --model", "eval --model", "calibrate --model", "train --base"),
    "inspect --model",
    *("models info model", "models verify models", "models export model"),
}
"""Options and arguments that complete the names of detectors."""


def parameters() -> Iterator[tuple[str, str, set[type], ParameterInfo]]:
    """Command, option or argument, the types in its annotation, and what Typer is told of it."""
    groups = [("", cli.app), *((f"{g.name} ", g.typer_instance) for g in cli.app.registered_groups)]
    for prefix, app in groups:
        for command in app.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            hints = get_type_hints(command.callback, include_extras=True)
            for parameter, hint in hints.items():
                for info in getattr(hint, "__metadata__", ()):
                    flag = f"--{parameter.replace('_', '-')}"
                    if isinstance(info, ArgumentInfo):
                        flag = parameter
                    else:  # Typer takes the first name for a default until the app runs
                        declared = (info.default, *(info.param_decls or ()))
                        names = [x for x in declared if isinstance(x, str) and x[:1] == "-"]
                        flag = names[0] if names else flag
                    yield prefix + name, flag, types(get_args(hint)[0]), info


def types(hint: object) -> set[type]:
    """The plain types in an annotation."""
    found = {hint} if isinstance(hint, type) else set()
    return found.union(*map(types, get_args(hint)))


def test_every_closed_choice_is_an_enumeration() -> None:
    found = {}
    for command, flag, kinds, info in parameters():
        for kind in kinds:
            if issubclass(kind, StrEnum):
                found[command, flag] = kind
                assert info.metavar is None, f"{command} {flag}: the list is said twice"
        assert not re.fullmatch(r"[a-z0-9-]+([|,][a-z0-9-]+)+", info.metavar or ""), flag
    assert found == CLOSED


@pytest.mark.parametrize(("command", "option"), CLOSED)
def test_what_is_not_on_the_list_is_refused(command, option, monkeypatch, capfd) -> None:
    monkeypatch.setattr(sys, "argv", ["dgsf", command, option, "odd"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    out, err = capfd.readouterr()
    assert exit.value.code == 2 and out == ""
    said = " ".join(re.sub("[│╭╰─╮╯]", " ", err).split())
    listed = ", ".join(map(repr, map(str, CLOSED[command, option])))
    assert option in said and f"'odd' is not one of {listed}" in said


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


def test_completion_knows_the_detectors_and_loads_nothing_heavy() -> None:
    found, loaded = complete("scan --model dgs")
    assert found == ["dgs-b16"] and "dgsforensics.detector.folders" in loaded
    assert not loaded & {"torch", "open_clip", "numpy", "PIL", "textual"}
    completed = {f"{command} {flag}" for command, flag, _, i in parameters() if i.autocompletion}
    assert completed == DETECTORS
