"""The program does without what is not everywhere: the trainer, and modules of POSIX alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import made_case
import tiny_clip
import tiny_reference
from conftest import photo

pytestmark = pytest.mark.slow

COMMANDS = """
import json, sys
for name in {blocked!r}:
    sys.modules[name] = None  # as if it were not installed
from pathlib import Path
import tiny_clip, tiny_reference
from dgsforensics import cli
tiny_clip.register(Path("models"))
tiny_reference.register(Path("models"))
for arguments in {commands!r}:
    sys.argv = ["dgsf", *arguments]
    try:
        cli.main()
    except SystemExit as exit:
        print(f"exit {{exit.code}}: {{' '.join(arguments)}}", file=sys.stderr)
print("\\nloaded " + json.dumps(sorted(name for name in sys.modules if sys.modules[name])))
"""
IMPORTS = """
import sys
import torch, open_clip, textual.app, textual.widgets, PIL.Image  # what they need is their affair
for name in {blocked!r}:
    sys.modules[name] = None
import importlib
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.startswith("dgsforensics.")))
"""
POSIX = ("fcntl", "grp", "pwd", "resource", "termios", "tty")


def fresh(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, which finds this package and the tests' modules."""
    here = Path(__file__).parent
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{here.parent}{os.pathsep}{here}"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what every command needs: a detector, pictures with labels, a case."""
    (tmp_path / "models").mkdir()
    backbone = tiny_clip.write_backbone(tmp_path / "models")
    tiny_clip.write_detector(tmp_path, backbone, tiny_clip.config())
    tiny_reference.register(tmp_path / "models")
    torch.save(tiny_reference.step_one(), tmp_path / "step1.pth")
    for label, seeds in (("real", range(25)), ("fake", range(25, 29))):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for seed in seeds:
            photo(96, 64, seed).save(folder / f"{seed}.png")
    pictures = made_case.pictures(tmp_path / "photos")
    for name in ("c.sqlite3", "other.sqlite3"):
        made_case.write(tmp_path / name, pictures)
    monkeypatch.setenv("DGSF_BACKBONE_WEIGHTS", str(backbone))
    return tmp_path


def test_every_command_but_train_does_without_the_trainer(home: Path) -> None:
    from dgsforensics.cli import app

    detector, photos = ["--model", "tiny.safetensors"], "photos/a.png"
    runs = {
        ("scan", "data/real", *detector, "--jsonl", "--exit-zero"): 0,
        ("review", "c.sqlite3", "--plain", "--reviewer", "Ann"): 0,
        ("label", "c.sqlite3", photos, "--as", "ai", "--reviewer", "Ann"): 0,
        ("export", "c.sqlite3", "--labels", "labels.csv"): 0,
        ("apply", "c.sqlite3", "--copy", "sorted"): 0,
        ("report", "c.sqlite3", "--html", "report.html", "--csv", "report.csv"): 0,
        ("inspect", photos, *detector, "--case", "c.sqlite3", "--json"): 0,
        ("eval", "data", *detector, "--html", "page.html"): 0,
        ("calibrate", "data/real", *detector, "--out", "mine.safetensors"): 0,
        ("case", "list"): 0,
        ("case", "verify", "c.sqlite3"): 0,
        ("case", "log", "c.sqlite3"): 0,
        ("case", "seal", "c.sqlite3", "--out", "sealed"): 0,
        ("case", "show", "c.sqlite3"): 0,
        ("case", "merge", "c.sqlite3", "other.sqlite3"): 0,
        ("case", "rm", "other.sqlite3", "--yes"): 0,
        ("case", "move", "c.sqlite3", "moved.sqlite3"): 0,
        ("models", "list"): 0,
        ("models", "info", "dgs-b16"): 0,
        ("models", "verify", "tiny.safetensors"): 0,
        ("models", "import", "step1.pth", "--backbone", tiny_reference.NAME): 0,
        ("models", "export", "tiny.safetensors", "--out", "whole.safetensors"): 0,
        ("train", "data"): 2,
    }
    groups = {
        group.name: group.typer_instance.registered_commands for group in app.registered_groups
    }
    names = {(c.name or c.callback.__name__,) for c in app.registered_commands if c.callback}
    for group, commands in groups.items():
        names |= {(str(group), c.name or c.callback.__name__) for c in commands if c.callback}
    assert {run[: 2 if run[0] in groups else 1] for run in runs} == names

    code = COMMANDS.format(blocked=["dgsforensics.trainer"], commands=list(map(list, runs)))
    done = fresh(code, home)
    assert done.returncode == 0, done.stderr
    ends = [line for line in done.stderr.splitlines() if line.startswith("exit ")]
    assert ends == [f"exit {code}: {' '.join(run)}" for run, code in runs.items()], done.stderr
    assert "internal error" not in done.stderr
    assert "training needs the package dgsforensics.trainer" in done.stderr
    loaded = json.loads(done.stdout.rsplit("\nloaded ", 1)[1])
    assert "dgsforensics.calibrate.run" in loaded and "dgsforensics.trainer" not in loaded


def test_nothing_of_posix_alone_is_needed_to_import_it(tmp_path: Path) -> None:
    root, names = Path(__file__).parents[1], []
    for folder in ("dgsforensics", "trainer"):
        for file in sorted((root / folder).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            inside = parts if folder == "dgsforensics" else ("dgsforensics", *parts)
            names.append(".".join(part for part in inside if part != "__init__"))
    names.remove("dgsforensics.__main__")  # the command itself
    done = fresh(IMPORTS.format(blocked=POSIX, modules=names), tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"dgsforensics.tui.app", "dgsforensics.trainer.run"} <= set(done.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="limits on address space are Linux's affair")
@pytest.mark.parametrize("megabytes", [600, 1500, 3000])
def test_an_address_space_too_small_for_pytorch_is_an_error_with_a_hint(
    megabytes: int, home: Path
) -> None:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20},) * 2)"
    command = ["dgsf", "scan", "photos/a.png", "--model", "tiny.safetensors"]
    run = fresh(
        f"{limit}; import sys; sys.argv = {command!r}; from dgsforensics import cli; cli.run()",
        home,
    )
    assert "internal error" not in run.stderr and "Traceback" not in run.stderr, run.stderr
    if run.returncode == 2:  # with fewer libraries PyTorch takes less
        assert "not enough memory to load PyTorch" in run.stderr and "ulimit -v" in run.stderr
    else:
        assert megabytes == 3000 and run.returncode in (0, 1), run.stderr
