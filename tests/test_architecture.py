"""The rules of the house: who stands on whose floor, and what may be done in which room."""

import ast
import copy
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 300
"""Lines of a module."""
FLOORS = (
    {
        "errors",
        "records",
        "judgements",
        "choices",
        "wording",
        "tables",
        "atomic",
        "console",
        "interrupts",
        "templates",
    },
    {"settings", "files"},
    {"pictures", "provenance", "datasets"},
    {"detector", "case"},
    {"scan", "review", "evaluation"},
    {"calibrate", "report", "trainer", "tui"},
    {"cli"},
    {"__main__"},
)
"""Rooms by floor, the lowest first: a room may use its own modules and those of lower floors."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
THIRD_PARTY = {
    "calibrate": {"numpy", "platformdirs", "safetensors"},
    "case": {"platformdirs"},
    "cli": {"rich", "typer"},
    "console": {"rich"},
    "detector": {
        "PIL",
        "numpy",
        "open_clip",
        "platformdirs",
        "safetensors",
        "threadpoolctl",
        "torch",
    },
    "evaluation": {"PIL", "numpy", "platformdirs", "rich"},
    "pictures": {"PIL", "numpy", "pillow_heif", "rawpy", "simplejpeg"},
    "report": {"PIL"},
    "review": {"numpy"},
    "scan": {"rich"},
    "settings": {"platformdirs"},
    "templates": {"jinja2", "markupsafe"},
    "trainer": {
        "PIL",
        "numpy",
        "platformdirs",
        "safetensors",
        "tomli_w",
        "torch",
        "transformers",
    },
    "tui": {"PIL", "numpy", "rich", "textual", "textual_image"},
}
"""What a room may import from elsewhere; those not listed, nothing."""
DISTRIBUTIONS = {
    "PIL": "pillow",
    "open_clip": "open_clip_torch",
    "pillow_heif": "pillow-heif",
    "sklearn": "scikit-learn",
    "textual_image": "textual-image",
    "tomli_w": "tomli-w",
    "markupsafe": "jinja2",  # its type for text that is markup already
}
"""Where the name to install is not the name to import."""
LIGHT = (
    FLOORS[0] | FLOORS[1] | {"pictures", "provenance", "datasets", "case", "review", "tui", "cli"}
)
"""Rooms that load neither torch nor open_clip, not even by what they import."""
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "core", "manager", "misc"}
POSIX = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
"""Modules that Windows does not have."""
SQL = re.compile(
    r"\b(SELECT .+ FROM|INSERT .*INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE)\b", re.S
)


def room(name: str) -> str:
    """The folder or module right under `dgsforensics` that a module belongs to."""
    return name.split(".")[0]


def modules() -> dict[str, Path]:
    """Module name under `dgsforensics` to file."""
    found = {}
    for folder, prefix in ((ROOT / "dgsforensics", ()), (ROOT / "trainer", ("trainer",))):
        for file in folder.rglob("*.py"):
            parts = (*prefix, *file.relative_to(folder).with_suffix("").parts)
            if parts[-1] == "__init__" and len(parts) > 1:
                parts = parts[:-1]
            found[".".join(parts)] = file
    return found


MODULES = modules()


def is_folder(name: str) -> bool:
    return name != "__init__" and MODULES[name].name == "__init__.py"


@cache
def source(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(tree: ast.AST, name: str) -> Iterator[str]:
    """Full names of all modules imported anywhere in a module; names from a module are dropped."""
    package = f"dgsforensics.{name}".split(".")
    if not is_folder(name):
        package = package[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                start = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*start, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{module}.{alias.name}".removeprefix("dgsforensics.")
                    yield f"dgsforensics.{inner}" if inner in MODULES else module


def ours(tree: ast.AST, name: str) -> set[str]:
    """The modules of this project that a module imports."""
    found = {m for m in imported(tree, name) if m.split(".")[0] in ("dgsforensics", "trainer")}
    return {m.removeprefix("dgsforensics.") if m != "dgsforensics" else "__init__" for m in found}


def third_party(tree: ast.AST, name: str) -> set[str]:
    roots = {module.split(".")[0] for module in imported(tree, name)}
    return roots - set(sys.stdlib_module_names) - {"dgsforensics", "trainer"}


def at_import(tree: ast.Module) -> ast.Module:
    """What is left when functions and `if TYPE_CHECKING` are cut away: what runs on import."""

    class Cut(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None: ...

        def visit_If(self, node: ast.If) -> ast.If | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else node

    return Cut().visit(copy.deepcopy(tree))  # the trees are shared


def uses(tree: ast.AST) -> Iterator[str]:
    """Dotted names that are called or raised."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
        elif isinstance(node, ast.Raise) and node.exc is not None:
            yield ast.unparse(node.exc).split("(")[0]


PRINTS = {"print", "Console", "typer.echo", "typer.secho", "rich.print"}
EXITS = {"sys.exit", "exit", "quit", "os._exit", "os.abort", "SystemExit", "typer.Exit"}
LOGS = {"logging.basicConfig", "logging.disable", "logging.config.dictConfig"}


def prints(tree: ast.AST) -> bool:
    return any(
        use in PRINTS or use.startswith(("sys.stdout.write", "sys.stderr.write"))
        for use in uses(tree)
    )


def exits(tree: ast.AST) -> bool:
    return bool(EXITS & set(uses(tree)))


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text that stands in a module, docstrings aside."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield from [node.value] if isinstance(node.value, str) else []


@cache
def arrows() -> dict[str, set[str]]:
    """By room, the other rooms that it imports from."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in MODULES:
        for other in ours(source(name), name):
            if room(other) != room(name):
                found[room(name)].add(room(other))
    return found


# The rules


def test_every_room_stands_on_a_floor() -> None:
    assert {room(name) for name in MODULES} == {*FLOOR, "__init__"}


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_imports_point_down(name: str) -> None:
    above = {other for other in arrows()[name] if FLOOR.get(other, len(FLOORS)) >= FLOOR[name]}
    # Rooms of the lowest floor may lean on each other where no circle comes of it (below).
    assert {other for other in above if FLOOR.get(other) != 0} == set()


def test_there_are_no_circles() -> None:
    among = {name: ours(source(name), name) - {name} for name in MODULES if name != "__init__"}
    try:
        TopologicalSorter(among).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_third_parties_have_their_rooms(name: str) -> None:
    found = set().union(*(third_party(source(m), m) for m in MODULES if room(m) == name))
    assert found == THIRD_PARTY.get(name, set())


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[<>=~\[]", line)[0].strip() for lines in lists for line in lines}
    needed = {name for name in MODULES for name in third_party(source(name), name)}
    assert {DISTRIBUTIONS.get(name, name) for name in needed} <= declared


def test_every_folder_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packaged = set(project["tool"]["setuptools"]["packages"])
    folders = {f"dgsforensics.{name}" for name in MODULES if is_folder(name)}
    assert packaged == {"dgsforensics", "dgsforensics.weights", *folders}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room(name) in LIGHT))
def test_light_rooms_do_not_lead_to_torch(name: str) -> None:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        tree = at_import(source(current))
        assert not {"torch", "open_clip"} & third_party(tree, current), f"by way of {current}"
        waiting += ours(tree, current) - seen


def test_only_the_command_train_knows_the_trainer() -> None:
    users = {name for name in MODULES if "trainer" in {room(m) for m in ours(source(name), name)}}
    assert {name for name in users if room(name) != "trainer"} == {"cli.train", "cli.trained"}


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) == "trainer"])
def test_trainer_modules_import_each_other_relatively(name: str) -> None:
    for node in ast.walk(source(name)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            full = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        else:
            continue
        for module in full:
            assert not f"{module}.".startswith(("dgsforensics.trainer.", "trainer."))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_of_posix_alone_is_needed_to_import_a_module(name: str) -> None:
    assert not POSIX & set(imported(at_import(source(name)), name))


def test_databases_are_a_matter_of_the_case() -> None:
    for name in MODULES:
        if room(name) != "case":
            assert "sqlite3" not in set(imported(source(name), name)), name
            assert not any(SQL.search(text) for text in texts(source(name))), name


def test_csv_is_a_matter_of_tables() -> None:
    users = {name for name in MODULES if "csv" in set(imported(source(name), name))}
    assert users == {"tables"}


def test_files_are_written_whole() -> None:
    for name in MODULES:
        for node in ast.walk(source(name)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                writes = node.func.attr in ("write_text", "write_bytes")
                place = ast.unparse(node.func.value)
                # A part takes the name of the file when it is whole.
                assert not writes or place in ("atomic", "part") or place.startswith("parts["), name


def test_only_these_print() -> None:
    printing = {name for name in MODULES if prints(source(name))}
    assert {name for name in printing if room(name) not in ("cli", "console")} <= {
        "scan.output",
        "evaluation.output",
    }


def test_only_the_command_line_exits_and_sets_up_logging() -> None:
    for name in MODULES:
        if room(name) != "cli":
            assert not exits(source(name)), name
            assert not LOGS & set(uses(source(name))), name


def test_one_type_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name in MODULES:
        for node in ast.walk(source(name)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_name_a_docstring_and_a_length_that_can_be_read(name: str) -> None:
    assert not FORBIDDEN_NAMES & set(name.split("."))
    assert ast.get_docstring(source(name))
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_the_readme_shows_the_tree() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = [part for part in text.split("```") if part.startswith("\nbenchmarks/")]
    shown = [line.split()[0] for line in block.splitlines() if line.startswith("  ")]
    listed = {room(name) for name in MODULES} - {"__init__", "__main__", "trainer"}
    there = {name: is_folder(name) for name in listed}
    assert shown == sorted(f"{name}/" if there[name] else f"{name}.py" for name in listed)


# The tests


OF_LIBRARIES = {
    "_post_mouse_events",  # Textual's pilot has no wheel
    "_compositor",  # and what is on its screen as text
    "_background_screens",
}
"""Names that tests have to take from a library that offers no others."""
UNTIL_THE_SCREEN_HAS_SEAMS = {"_row", "_explainer"}


@pytest.mark.parametrize("file", sorted((ROOT / "tests").glob("*.py")), ids=lambda file: file.stem)
def test_tests_use_public_names(file: Path) -> None:
    private = re.compile(r"_[a-z]\w*")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "os"):
            found = {node.attr} if private.fullmatch(node.attr) else set()
            assert found <= OF_LIBRARIES | UNTIL_THE_SCREEN_HAS_SEAMS, f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [alias.name for alias in node.names]
            assert not list(filter(private.fullmatch, names)), f"line {node.lineno}"


# The rules can be broken


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("pictures.domain", "from dgsforensics.detector import detector", {"detector.detector"}),
        ("pictures.domain", "from dgsforensics import Detector", {"__init__"}),
        ("pictures.domain", "import dgsforensics", {"__init__"}),
        ("pictures.domain", "import dgsforensics.detector.lora", {"detector.lora"}),
        ("pictures.domain", "from dgsforensics.detector.lora import LoraConfig", {"detector.lora"}),
        ("pictures.domain", "def f():\n    from dgsforensics import trainer", {"trainer"}),
        ("pictures.domain", "from dgsforensics.trainer.teacher import f", {"trainer.teacher"}),
        ("pictures.domain", "from .decoder import Picture", {"pictures.decoder"}),
        ("pictures.domain", "from ..detector.lora import x", {"detector.lora"}),
        ("pictures", "from .decoder import Picture", {"pictures.decoder"}),
        ("trainer.teacher", "from . import features", {"trainer.features"}),
        ("trainer.teacher", "from .features import extract", {"trainer.features"}),
        ("trainer.captions.blip", "from .given import read", {"trainer.captions.given"}),
        ("trainer.teacher", "import trainer.features", {"trainer.features"}),
        ("cli", "from dgsforensics.cli import scan", {"cli.scan"}),
        ("pictures.domain", "import os, numpy.linalg\nfrom PIL import Image", set()),
    ],
)
def test_imports_are_found_however_written(name: str, code: str, expected: set[str]) -> None:
    assert ours(ast.parse(code), name) == expected


def test_third_party_imports_are_found_however_written() -> None:
    code = "import os, numpy.linalg\ndef f():\n    from PIL import Image\n    import torch as t"
    assert third_party(ast.parse(code), "pictures.domain") == {"numpy", "PIL", "torch"}
    assert third_party(at_import(ast.parse(code)), "pictures.domain") == {"numpy"}
    guarded = "if TYPE_CHECKING:\n    import torch\nimport rich"
    assert third_party(at_import(ast.parse(guarded)), "pictures.domain") == {"rich"}


def test_sql_is_found() -> None:
    assert any(SQL.search(t) for t in texts(ast.parse("db.execute('SELECT a\\n FROM b')")))
    assert not any(SQL.search(t) for t in texts(ast.parse("'select a file from the list'")))


@pytest.mark.parametrize(
    "code", ["print(1)", "sys.stdout.write('')", "c = Console(stderr=True)", "typer.echo('')"]
)
def test_printing_is_found(code: str) -> None:
    assert prints(ast.parse(f"def f():\n    {code}"))
    assert not prints(ast.parse("logger.info('')\nconsole.print(1)\nstream.write('')"))


@pytest.mark.parametrize(
    "code", ["sys.exit(1)", "raise SystemExit", "raise typer.Exit(2)", "quit()"]
)
def test_exiting_is_found(code: str) -> None:
    assert exits(ast.parse(f"def f():\n    {code}"))
    assert not exits(ast.parse("raise ValueError(sys)\nstack.exit()"))


# What is loaded


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after some code."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit as end:\n    assert not end.code\n"
    script += "print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_after("import dgsforensics; dgsforensics.__version__")
    assert "dgsforensics" in loaded
    assert not loaded & {"torch", "open_clip", "numpy", "PIL", "rich", "textual", "typer"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["scan", "--help"],
        ["train", "--help"],
        ["eval", "--help"],
        ["calibrate", "--help"],
        ["models", "--help"],
        ["models", "list", "--help"],
        ["label", "--help"],
        ["report", "--help"],
        ["inspect", "--help"],
        ["export", "--help"],
        ["apply", "--help"],
        ["case", "verify", "--help"],
        ["--version"],
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    command = ["dgsf", *arguments]
    loaded = loaded_after(f"sys.argv = {command!r}; from dgsforensics.cli import main; main()")
    assert {"dgsforensics", "typer"} <= loaded
    assert not loaded & {"torch", "open_clip", "numpy", "PIL", "textual", "sklearn"}
