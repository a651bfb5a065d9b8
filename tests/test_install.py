"""The program starts wherever it stands: in a clone, built from it, and installed to be edited."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGED = ("dgsforensics", "trainer", "weights", "LICENSE", "README.md", "pyproject.toml")
LARGEST = 100_000_000
"""Bytes of a wheel, which is what package indexes take."""
LOAD = (
    "import dgsforensics; from dgsforensics import Detector; "
    "from dgsforensics.pictures import domain; domain.load(); "
    "print(dgsforensics.__file__, Detector.load().config.name)"
)


def run(command: list[str], folder: Path) -> str:
    # PYTHONPATH would bring in the copy that the tests run on.
    inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, f"{command} in {folder}: {done.stdout}{done.stderr}"
    return done.stdout


def build(hook: str, clone: Path, folder: Path) -> Path:
    """Return the wheel that the build back end makes, as pip asks it to."""
    code = f"import setuptools.build_meta as back; print(back.{hook}({str(folder)!r}))"
    return folder / run([sys.executable, "-c", code], clone).splitlines()[-1]


def install(wheel: Path, folder: Path) -> Path:
    """Return the Python of a new environment that has the wheel, and the libraries of this one."""
    venv.create(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], folder)
    site = run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
    )
    libraries = sysconfig.get_path("purelib")
    Path(site.strip(), "libraries.pth").write_text(libraries + "\n", encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for name in PACKAGED:
        source = ROOT / name
        if source.is_dir():
            copytree(source, folder / name, ignore=ignore_patterns("__pycache__"))
        else:
            (folder / name).write_bytes(source.read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("build_wheel", clone, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def built(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def editable(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = build("build_editable", clone, tmp_path_factory.mktemp("wheel"))
    return install(made, tmp_path_factory.mktemp("editable"))


def start(python: Path, list_in: Path, load_in: Path | None = None) -> Path:
    """Run both ways in, each from a folder; the package that was found."""
    listed = run([str(python), "-m", "dgsforensics", "models", "list"], list_in)
    assert "dgs-b16" in listed and "UNUSABLE" not in listed
    place, name = run([str(python), "-c", LOAD], load_in or list_in).rsplit(maxsplit=1)
    assert name == "dgs-b16"
    return Path(place).parent


def test_two_clones_are_not_mixed(editable: Path) -> None:
    code = "from dgsforensics import trainer, weights as w; "
    code += "print(trainer.__file__); print(w.__file__)"
    for place in run([str(editable), "-c", code], ROOT).splitlines():
        assert Path(place).parents[1].samefile(ROOT)


def test_a_clone_does_not_hold_itself(built: Path, clone: Path) -> None:
    code = "import dgsforensics as d, pkgutil; "
    code += "print(*(m.name for m in pkgutil.iter_modules(d.__path__)))"
    assert "dgsforensics" not in run([str(built), "-c", code], clone).split()


def test_it_starts_in_a_clone_beside_a_built_install(built: Path, clone: Path) -> None:
    assert start(built, clone).samefile(clone / "dgsforensics")


def test_it_starts_from_a_built_install(built: Path, tmp_path: Path) -> None:
    assert start(built, tmp_path).is_relative_to(built.parents[1])
    assert run([str(built.with_name("dgsf")), "--version"], tmp_path).startswith("dgsf ")


def test_it_starts_from_an_editable_install(editable: Path, clone: Path, tmp_path: Path) -> None:
    found = start(editable, list_in=clone, load_in=tmp_path)
    assert found.samefile(clone / "dgsforensics")
    assert run([str(editable.with_name("dgsf")), "--version"], clone).startswith("dgsf ")


def test_the_trainer_comes_along(built: Path, tmp_path: Path) -> None:
    code = "import dgsforensics.trainer as trainer; print(trainer.__file__)"
    place = Path(run([str(built), "-c", code], tmp_path).strip())
    assert place.is_relative_to(built.parents[1])


def test_the_wheel_carries_what_is_no_code(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    homes = {"dgsforensics": ROOT / "dgsforensics", "dgsforensics/weights": ROOT / "weights"}
    data = {
        f"{name}/{path.relative_to(home).as_posix()}"
        for name, home in homes.items()
        for path in home.rglob("*.*")
        if path.suffix not in (".py", ".pyc")
    }
    assert {Path(name).suffix for name in data} >= {".jinja", ".json", ".safetensors", ".toml"}
    assert data <= packed


def test_the_wheel_is_small_enough_to_be_uploaded(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST
