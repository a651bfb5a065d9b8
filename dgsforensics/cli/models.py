"""`dgsf models`: the detectors at hand, in words, checked, brought in and taken out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgsforensics.cli import output
from dgsforensics.cli.options import (
    BackboneWeights,
    Debug,
    configure_logging,
    detector_names,
    interruptible,
)
from dgsforensics.errors import CheckpointError, ExitCode, UsageError

if TYPE_CHECKING:
    from dgsforensics.detector.calibration import Calibration
    from dgsforensics.detector.catalogue import CatalogueEntry
    from dgsforensics.detector.config import DetectorConfig

EPILOG = "Exit codes: 0 done · 2 wrong usage, or something is wrong · 130 interrupted."
SHORT = 12
"""Digits of a digest that are shown."""

app = typer.Typer(
    rich_markup_mode=None,
    help="List, check, import and export detectors.",
    no_args_is_help=True,
    epilog=EPILOG,
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE", help="Detector.", show_default=False, autocompletion=detector_names
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]


@app.command("list", epilog=EPILOG)
@interruptible()
def list_models(
    long: Annotated[bool, typer.Option("--long", help="Show digests in full.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the detectors known by name: those that come along, then your own."""
    configure_logging(debug=debug)
    from dgsforensics.detector import catalogue
    from dgsforensics.tables import to_json

    found = catalogue.entries()
    if as_json:
        output.show(to_json({"models": [_facts(entry) for entry in found]}))
        return
    digits = None if long else SHORT
    rows = [["name", "where", "backbone", "method", "calibrated on", "sha256"]]
    for entry in found:
        row = [entry.name, "bundled" if entry.bundled else "user"]
        if entry.checkpoint is not None and entry.problem is None:
            config, calibration = entry.checkpoint.config, entry.checkpoint.calibration
            row += [config.backbone.name, _method(config), _measured(calibration)]
            row.append(entry.checkpoint.sha256[:digits])
        else:
            row.append(f"UNUSABLE: {entry.problem}")
        rows.append(row)
    output.table(rows)


@app.command(epilog=EPILOG)
@interruptible()
def info(model: Model, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the model card: data, thresholds, figures, limits."""
    configure_logging(debug=debug)
    from dgsforensics.detector import card, checkpoint, folders
    from dgsforensics.tables import to_json

    path = folders.resolve(model)
    loaded = checkpoint.read(path)
    if not as_json:
        output.show(*card.plain(loaded).splitlines())
        return
    facts = {
        "name": loaded.config.name,
        "path": str(path),
        "sha256": loaded.sha256,
        "config": loaded.config.to_dict(),
        "calibration": loaded.calibration.to_dict(),
        "card": loaded.card.to_dict(),
    }
    try:
        output.show(to_json(facts))
    except ValueError as error:
        raise CheckpointError(f"{path.name}: its card holds a number that is none") from error


@app.command(epilog=EPILOG)
@interruptible()
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|FILE]...",
            help="Detectors.",
            show_default="all by name",
            autocompletion=detector_names,
        ),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="What the digest of the one detector must be.")
    ] = None,
    backbone_weights: BackboneWeights = None,
    debug: Debug = False,
) -> None:
    """Check detectors: digests, tensors, and that the backbone is there and the right one."""
    configure_logging(debug=debug)
    if sha256 is not None and (len(models or []) != 1 or not _is_digest(sha256)):
        raise UsageError("--sha256 takes the 64 hexadecimal digits of one detector, named here")
    from dgsforensics.detector import catalogue, folders

    if models:
        files = [(name, folders.resolve(name)) for name in models]
    else:
        files = [(entry.name, entry.path) for entry in catalogue.entries()]
    sound = True
    for name, path in files:
        wrong = catalogue.problems(path, sha256=sha256, backbone_weights=backbone_weights)
        output.show(*(f"{name}: {problem}" for problem in wrong or ["OK"]))
        sound &= not wrong
    raise typer.Exit(ExitCode.CLEAN if sound else ExitCode.ERROR)


@app.command("import", epilog=EPILOG)
@interruptible()
def import_model(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What that code saved.", show_default=False),
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call it.", show_default="that of the file"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to put it.", show_default="your own detectors"),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Its backbone, as open_clip calls it.",
            show_default="that of the reference code, ViT-L-14-quickgelu",
        ),
    ] = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Import a checkpoint of the reference code of DGS-Net, step 1 or step 2.

    Writes the detector, its card, and the tower it stands on. Nothing in the file is run.
    """
    configure_logging(debug=debug)
    from dgsforensics import console
    from dgsforensics.detector import card, catalogue, folders, import_dgsnet
    from dgsforensics.wording import printable

    name = file.stem if name is None else name
    folder = folders.user_folder() if out is None else out
    catalogue.check_name(name)
    catalogue.refuse_existing(catalogue.targets(name, folder), force=force)
    made, tower = import_dgsnet.read(file, name, backbone or import_dgsnet.BACKBONE)
    written = catalogue.install(made, tower, card.render(made), folder, force=force)
    output.show(*map(str, written))
    origin = made.card.origin
    adapters = f", adapters {origin['adapters']}" if "adapters" in origin else ""
    use = printable(name if out is None else written[0])
    console.notice(f"{origin['layout']}{adapters}; not calibrated; use it with --model {use}")


@app.command(epilog=EPILOG)
@interruptible()
def export(
    model: Model,
    out: Annotated[
        Path, typer.Option(metavar="FILE.safetensors", help="Where to write.", show_default=False)
    ],
    backbone_weights: BackboneWeights = None,
    force: Force = False,
    debug: Debug = False,
) -> None:
    """Write a detector for other programs: one file, adapters merged, names as in open_clip."""
    configure_logging(debug=debug)
    if out.suffix != ".safetensors":
        raise UsageError(f"--out: {out.name} does not end in .safetensors")
    from dgsforensics.detector import catalogue, checkpoint, folders

    loaded = checkpoint.read(folders.resolve(model))
    catalogue.export(loaded, out, backbone_weights=backbone_weights, force=force)
    output.show(str(out))


def _facts(entry: "CatalogueEntry") -> dict[str, Any]:
    """Return a row of the list as JSON types; what is not known is null."""
    loaded = entry.checkpoint
    return {
        "name": entry.name,
        "path": str(entry.path),
        "bundled": entry.bundled,
        "problem": entry.problem,
        "sha256": loaded and loaded.sha256,
        "backbone": loaded and loaded.config.backbone.name,
        "method": loaded and _method(loaded.config),
        "calibrated_on": loaded and _measured(loaded.calibration),
    }


def _method(config: "DetectorConfig") -> str:
    adapters = "" if config.lora is None else f"LoRA of rank {config.lora.rank}, "
    blocks = ", ".join(str(block + 1) for block in config.head.blocks)
    return f"{adapters}linear head" + (f" on blocks {blocks}" if blocks else "")


def _measured(calibration: "Calibration") -> str:
    if not calibration.measured:
        return "nothing"
    return f"{len(calibration.real)} real, {len(calibration.generated)} generated"


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text.lower()) <= set("0123456789abcdef")
