import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST = 320
"""Lines of a module."""
LAYERS = {
    "binomial": 0,
    "case": 0,
    "errors": 0,
    "evaluation": 0,
    "formats": 0,
    "provenance": 0,
    "records": 0,
    "review": 0,
    "wording": 0,
    "calibration": 1,
    "case.coverage": 1,
    "case.places": 1,
    "case.schema": 1,
    "config": 1,
    "devices": 1,
    "domain": 1,
    "files": 1,
    "groups": 1,
    "interrupts": 1,
    "patches": 1,
    "provenance.boxes": 1,
    "provenance.exif": 1,
    "provenance.generators": 1,
    "provenance.xmp": 1,
    "settings": 1,
    "window": 1,
    "folders": 2,
    "images": 2,
    "layouts": 2,
    "lora": 2,
    "provenance.c2pa": 2,
    "provenance.containers": 2,
    "request": 2,
    "placing": 2,
    "backbone": 3,
    "case.store": 3,
    "datasets": 3,
    "evaluation.tiers": 3,
    "model": 3,
    "provenance.claims": 3,
    "case.decisions": 4,
    "checkpoint": 4,
    "evaluation.scores": 4,
    "evaluation.slices": 4,
    "report": 4,
    "text": 4,
    "case.ledger": 5,
    "catalogue": 5,
    "detector": 5,
    "evaluation.metrics": 5,
    "progress": 5,
    "reference": 5,
    "review.history": 5,
    "review.sidecar": 5,
    "evaluation.bootstrap": 6,
    "explain": 6,
    "review.session": 6,
    "scanning": 6,
    "trainer": 6,
    "trainer.card": 6,
    "trainer.degrade": 6,
    "trainer.distributed": 6,
    "trainer.interrupts": 6,
    "trainer.journal": 6,
    "trainer.semantics": 6,
    "trainer.snapshot": 6,
    "trainer.splits": 6,
    "trainer.subjects": 6,
    "trainer.surgery": 6,
    "trainer.teacher": 6,
    "evaluation.charts": 7,
    "evaluation.output": 7,
    "listing": 7,
    "recalibration": 7,
    "review.agreement": 7,
    "review.labels": 7,
    "review.queries": 7,
    "review.relations": 7,
    "review.wording": 7,
    "trainer.augment": 7,
    "trainer.captions": 7,
    "trainer.contents": 7,
    "trainer.validation": 7,
    "tui": 7,
    "tui.decoding": 7,
    "calibrating": 8,
    "evaluation.page": 8,
    "evaluation.scorecard": 8,
    "review.dossier": 8,
    "review.filing": 8,
    "trainer.blip": 8,
    "trainer.config": 8,
    "trainer.data": 8,
    "trainer.features": 8,
    "trainer.gate": 8,
    "tui.keys": 8,
    "tui.viewport": 8,
    "evaluation.run": 9,
    "trainer.batches": 9,
    "trainer.plan": 9,
    "trainer.runfolder": 9,
    "tui.blocks": 9,
    "tui.choice": 9,
    "tui.dialogs": 9,
    "tui.evidence": 9,
    "tui.heat": 9,
    "tui.rows": 9,
    "tui.status": 9,
    "trainer.export": 10,
    "trainer.student": 10,
    "tui.graphics": 10,
    "trainer.stages": 11,
    "tui.drawing": 11,
    "trainer.run": 12,
    "tui.background": 12,
    "tui.picture": 12,
    "tui.viewer": 13,
    "tui.board": 14,
    "tui.app": 15,
    "cli.options": 20,
    "cli.output": 19,
    "cli.plainly": 20,
    "cli.apply": 21,
    "cli.calibrate": 21,
    "cli.case": 21,
    "cli.evaluate": 21,
    "cli.export": 21,
    "cli.label": 21,
    "cli.models": 21,
    "cli.review": 21,
    "cli.scan": 21,
    "cli.train": 21,
    "cli": 22,
    "__main__": 23,
    "__init__": 24,
}
"""A module imports from lower layers only; `__init__` is the door, which nobody inside uses."""
THIRD_PARTY = {
    "backbone": {"open_clip", "safetensors", "torch"},
    "calibrating": {"platformdirs", "safetensors"},
    "calibration": {"numpy"},
    "case.places": {"platformdirs"},
    "catalogue": {"safetensors", "torch"},
    "checkpoint": {"platformdirs", "safetensors", "torch"},
    "cli": {"typer"},
    "cli.apply": {"typer"},
    "cli.calibrate": {"typer"},
    "cli.case": {"typer"},
    "cli.evaluate": {"rich", "typer"},
    "cli.export": {"typer"},
    "cli.label": {"typer"},
    "cli.models": {"typer"},
    "cli.options": {"rich", "typer"},
    "cli.review": {"PIL", "typer"},
    "cli.scan": {"typer"},
    "cli.train": {"rich", "typer"},
    "detector": {"PIL", "numpy", "torch"},
    "devices": {"torch"},
    "domain": {"numpy"},
    "evaluation.bootstrap": {"numpy"},
    "evaluation.metrics": {"numpy"},
    "evaluation.output": {"rich"},
    "evaluation.run": {"PIL", "numpy"},
    "evaluation.scorecard": {"numpy"},
    "evaluation.scores": {"platformdirs"},
    "evaluation.tiers": {"PIL", "numpy"},
    "explain": {"numpy"},
    "groups": {"PIL", "numpy"},
    "images": {"PIL", "numpy", "pillow_heif", "rawpy"},
    "lora": {"open_clip", "torch"},
    "model": {"open_clip", "torch"},
    "patches": {"numpy"},
    "progress": {"rich"},
    "recalibration": {"numpy"},
    "reference": {"safetensors", "torch"},
    "report": {"rich"},
    "review.relations": {"numpy"},
    "review.wording": {"rich"},
    "scanning": {"PIL"},
    "settings": {"platformdirs"},
    "text": {"numpy", "open_clip", "safetensors", "torch"},
    "trainer.augment": {"PIL"},
    "trainer.batches": {"numpy", "torch"},
    "trainer.blip": {"PIL", "torch", "transformers"},
    "trainer.config": {"tomli_w"},
    "trainer.contents": {"PIL"},
    "trainer.degrade": {"PIL", "numpy"},
    "trainer.distributed": {"torch"},
    "trainer.export": {"torch"},
    "trainer.features": {"PIL", "numpy", "torch"},
    "trainer.gate": {"numpy"},
    "trainer.journal": {"torch"},
    "trainer.plan": {"torch"},
    "trainer.run": {"platformdirs", "torch"},
    "trainer.semantics": {"PIL"},
    "trainer.snapshot": {"torch"},
    "trainer.splits": {"numpy"},
    "trainer.stages": {"numpy", "torch"},
    "trainer.student": {"numpy", "torch"},
    "trainer.surgery": {"torch"},
    "trainer.teacher": {"numpy", "torch"},
    "trainer.validation": {"numpy"},
    "tui.app": {"textual"},
    "tui.blocks": {"PIL", "numpy", "rich", "textual"},
    "tui.board": {"textual"},
    "tui.decoding": {"PIL"},
    "tui.dialogs": {"rich", "textual"},
    "tui.drawing": {"PIL", "rich", "textual"},
    "tui.evidence": {"rich", "textual"},
    "tui.graphics": {"PIL", "rich", "textual", "textual_image"},
    "tui.heat": {"PIL", "numpy"},
    "tui.keys": {"textual"},
    "tui.picture": {"rich", "textual"},
    "tui.rows": {"rich", "textual"},
    "tui.status": {"textual"},
    "tui.viewer": {"textual"},
    "tui.viewport": {"PIL"},
    "window": {"numpy", "threadpoolctl"},
}
"""What each module may import from elsewhere; those not listed, nothing."""
DISTRIBUTIONS = {
    "PIL": "pillow",
    "open_clip": "open_clip_torch",
    "pillow_heif": "pillow-heif",
    "sklearn": "scikit-learn",
    "textual_image": "textual-image",
    "tomli_w": "tomli-w",
}
"""Where the name to install is not the name to import."""
WITHOUT_TORCH = {name for name in LAYERS if not name.startswith("trainer")} - {
    *("backbone", "catalogue", "checkpoint", "detector", "devices", "lora", "model", "reference"),
    *("calibrating", "evaluation.run", "explain", "listing", "scanning", "text"),
} | {"trainer", "trainer.captions", "trainer.degrade", "trainer.splits"}
"""These load neither torch nor open_clip, not even by what they import."""
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "core", "manager", "misc"}


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


def source(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported(tree: ast.AST, name: str) -> Iterator[str]:
    """Full names of all modules imported anywhere in a module; names from a module are dropped."""
    package = f"dgsforensics.{room(name)}" if is_folder(room(name)) else "dgsforensics"
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                parents = package.split(".")
                start = parents[: len(parents) - node.level + 1] if node.level else []
                module = ".".join([*start, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{module}.{alias.name}".removeprefix("dgsforensics.")
                    yield f"dgsforensics.{inner}" if inner in LAYERS else module


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

    return Cut().visit(tree)


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


# The rules


def test_every_module_has_a_layer() -> None:
    assert set(MODULES) == set(LAYERS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_strictly_down(name: str) -> None:
    for other in ours(source(name), name):
        assert other in LAYERS, f"{name} imports {other}, which has no layer"
        assert LAYERS[other] < LAYERS[name], f"{name} imports {other}"


@pytest.mark.parametrize("name", MODULES)
def test_third_party_imports_are_the_allowed_ones(name: str) -> None:
    assert third_party(source(name), name) == THIRD_PARTY.get(name, set())


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {line.split(">")[0].split("[")[0].strip() for lines in lists for line in lines}
    needed = {name for name in MODULES for name in third_party(source(name), name)}
    assert {DISTRIBUTIONS.get(name, name) for name in needed} <= declared


def test_every_folder_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packaged = set(project["tool"]["setuptools"]["packages"])
    folders = {f"dgsforensics.{name}" for name in MODULES if is_folder(name)}
    assert packaged == {"dgsforensics", "dgsforensics.weights", *folders}


@pytest.mark.parametrize("name", sorted(WITHOUT_TORCH))
def test_light_modules_do_not_lead_to_torch(name: str) -> None:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        tree = at_import(source(current))
        assert not {"torch", "open_clip"} & third_party(tree, current), f"by way of {current}"
        waiting += ours(tree, current) - seen


def test_the_case_file_and_the_report_know_records_and_errors_only() -> None:
    store, schema = source("case.store"), source("case.schema")
    assert ours(store, "case.store") <= {"errors", "records", "case.coverage", "case.schema"}
    assert ours(source("case.coverage"), "case.coverage") <= {"records"}
    assert ours(schema, "case.schema") <= {"errors", "records"}
    assert ours(source("report"), "report") <= {"errors", "records"}


@pytest.mark.parametrize("name", MODULES)
def test_inference_does_not_know_the_trainer(name: str) -> None:
    if room(name) not in ("cli", "trainer"):
        assert not any(room(other) == "trainer" for other in ours(source(name), name))


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


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if room(name) not in ("cli", "report", "progress"))
)
def test_only_cli_report_and_progress_print(name: str) -> None:
    assert not prints(source(name))


@pytest.mark.parametrize("name", sorted(name for name in MODULES if room(name) != "cli"))
def test_only_cli_exits_and_sets_up_logging(name: str) -> None:
    assert not exits(source(name))
    assert not LOGS & set(uses(source(name)))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_named_for_what_lives_there(name: str) -> None:
    assert not FORBIDDEN_NAMES & set(name.split("."))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_can_be_read_in_one_sitting(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(source(name))


# The rules can be broken


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("images", "from dgsforensics import detector", {"detector"}),
        ("images", "from dgsforensics import Detector", {"__init__"}),
        ("images", "import dgsforensics", {"__init__"}),
        ("images", "import dgsforensics.detector", {"detector"}),
        ("images", "from dgsforensics.detector import Detector", {"detector"}),
        ("images", "def f():\n    from dgsforensics import trainer", {"trainer"}),
        ("images", "from dgsforensics.trainer.teacher import fit_head", {"trainer.teacher"}),
        ("images", "from .detector import Detector", {"detector"}),
        ("trainer.teacher", "from . import features", {"trainer.features"}),
        ("trainer.teacher", "from .features import extract", {"trainer.features"}),
        ("trainer.teacher", "from ..detector import Detector", {"detector"}),
        ("trainer.teacher", "import trainer.features", {"trainer.features"}),
        ("cli", "from dgsforensics.cli import scan", {"cli.scan"}),
        ("cli.scan", "from .options import rank", {"cli.options"}),
        ("cli.scan", "from dgsforensics.cli.options import rank", {"cli.options"}),
        ("cli.scan", "from ..detector import Detector", {"detector"}),
        ("images", "import os, numpy.linalg\nfrom PIL import Image", set()),
    ],
)
def test_imports_are_found_however_written(name: str, code: str, expected: set[str]) -> None:
    assert ours(ast.parse(code), name) == expected


def test_third_party_imports_are_found_however_written() -> None:
    code = "import os, numpy.linalg\ndef f():\n    from PIL import Image\n    import torch as t"
    assert third_party(ast.parse(code), "images") == {"numpy", "PIL", "torch"}
    assert third_party(at_import(ast.parse(code)), "images") == {"numpy"}
    guarded = "if TYPE_CHECKING:\n    import torch\nimport rich"
    assert third_party(at_import(ast.parse(guarded)), "images") == {"rich"}


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
