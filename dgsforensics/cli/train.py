"""`dgsf train`: a detector for a person's own data."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgsforensics.choices import (
    AugmentationName,
    DeviceName,
    Method,
    Precision,
    Semantics,
    SplitBy,
)
from dgsforensics.cli import trained
from dgsforensics.cli.options import (
    BackboneWeights,
    Debug,
    Device,
    Quiet,
    Verbose,
    configure_logging,
    detector_names,
    interruptible,
    rank,
)
from dgsforensics.errors import ExitCode, UsageError

if TYPE_CHECKING:
    pass

EPILOG = (
    "Exit codes: 0 trained · 2 wrong usage or data, or the loss became infinite · 3 trained, but "
    "but the detector it started from is better · 130 interrupted, go on with --resume. "
    "Every option of a run can be given in a TOML file with --config; flags go before it. "
    "Several GPUs: torchrun --nproc-per-node=N -m dgsforensics train ..."
)
_OPTIONS = (
    *("base", "backbone", "method", "captions", "semantics", "augmentation", "epochs", "batch"),
    *("lr", "precision", "validation", "split_by", "skip_unreadable", "max_regression", "seed"),
)
"""Parameters below that are fields of `TrainConfig`."""


def train(
    context: typer.Context,
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folder with real/ and fake/ (or 0_real/, 1_fake/) at any depth, or a manifest "
            "(.jsonl, .csv) with path and label; or several. With --from-case it may be left out.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that the paths in a manifest are relative to.",
            show_default="the manifest's own",
        ),
    ] = None,
    from_case: Annotated[
        Path | None,
        typer.Option(
            metavar="CASE",
            help="Train on what was labelled in this case file, or in the case of a folder; with "
            "DATA on both.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Detector file to write.",
            show_default="named after DATA or CASE, in the user's data",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Options of the run.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE|none",
            help="Detector to go on from; none: from the pre-trained tower.",
            autocompletion=detector_names,
            show_default="the bundled detector",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME[:TAG]", help="With --base none: open_clip's model and weights."),
    ] = None,
    backbone_weights: BackboneWeights = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="Gradient surgery, plain LoRA, or a head on the frozen tower alone, which is what "
            "auto does with a base detector and fewer than 1,000 images.",
            show_default="auto",
        ),
    ] = None,
    semantics: Annotated[
        Semantics | None,
        typer.Option(
            help="What gradient surgery takes for the content of an image.",
            show_default="captions where given, else lowpass",
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|sidecar|folder|model|none",
            help="Captions: a file or folder, .txt beside the images, folder names, or made by a "
            "caption model.",
            show_default="none",
        ),
    ] = None,
    augmentation: Annotated[
        AugmentationName | None,
        typer.Option(
            help="What happens to training images of both classes.",
            show_default="web",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", show_default="3")] = None,
    batch: Annotated[
        int | None, typer.Option(metavar="N", help="Images a step.", show_default="32")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(metavar="RATE", help="Learning rate.", show_default="1e-4")
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="Of the tower while training.",
            show_default="bfloat16 on GPUs that have it",
        ),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of images held out.", show_default="0.2"),
    ] = None,
    split_by: Annotated[
        SplitBy | None,
        typer.Option(
            help="What is held out whole.",
            show_default="auto",
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave unreadable images out.")
    ] = False,
    max_regression: Annotated[
        float | None,
        typer.Option(
            metavar="LOSS",
            help="Reject the result when AUROC or r_acc fall by more; 1: never.",
            show_default="0.02",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", show_default="0")] = None,
    device: Device = DeviceName.AUTO,
    workers: Annotated[
        int, typer.Option(envvar="DGSF_WORKERS", min=1, metavar="N", help="Decoding threads.")
    ] = min(4, os.cpu_count() or 1),
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For frozen features and captions.",
            show_default="in the user's cache",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped or killed.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start over, and replace what is there.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train a detector on your own images.

    By default the bundled detector is adapted: what it was trained on is replayed, and the new one
    has to be no worse than it, neither on your images nor on those. The best of all is named, and
    what was trained is for `dgsf scan --model`.
    """
    configure_logging(quiet=quiet, verbose=verbose, debug=debug)
    from dgsforensics import console
    from dgsforensics.case import location
    from dgsforensics.detector import folders
    from dgsforensics.wording import printable

    try:
        from dgsforensics.trainer import config as options
        from dgsforensics.trainer import run
        from dgsforensics.trainer.runfolder import RunFolder
    except ModuleNotFoundError as error:
        raise UsageError(
            f"training needs the package {error.name}", "pip install 'dgsforensics[train]'"
        ) from error

    given = {name: context.params[name] for name in _OPTIONS}
    weak = {name: value for name, value in given.items() if rank(context, name) == 1}
    strong = {name: value for name, value in given.items() if rank(context, name) > 1}
    file = options.read(config) if config is not None else {}
    merged: dict[str, Any] = {**weak, **file, **strong}
    if merged.get("captions") == "none":
        del merged["captions"]
    named_after = data[0] if data else from_case
    if named_after is None:
        raise UsageError("nothing to train on", "give DATA, --from-case, or both")
    name = named_after.absolute().stem or "detector"
    request = run.TrainRequest(
        data=tuple(data or ()),
        root=root,
        case=from_case and location.find(from_case),
        out=out or folders.user_folder() / f"{name}.safetensors",
        config=options.TrainConfig.from_dict(merged),
        backbone_weights=backbone_weights,
        cache=cache,
        device=device,
        workers=workers,
        resume=resume,
        force=force,
        options=config,
    )
    with interruptible(), console.stages(quiet) as tell:
        try:
            outcome = run.train(request, tell)
        except KeyboardInterrupt:
            if RunFolder(request.out).options.exists():
                console.notice("the same command with --resume goes on from here")
            raise
    if outcome is None:  # one of several processes; the first one reports
        raise typer.Exit(ExitCode.CLEAN)
    choice = outcome.choice
    for note in outcome.notes if not quiet else []:
        console.notice(note)
    trained.show(choice)
    print(f"best: {printable(choice.best.name)}")
    print(f"written: {printable(outcome.written)}")
    if choice.best is choice.new:
        raise typer.Exit(ExitCode.CLEAN)
    console.notice(f"nothing was gained; go on using {printable(choice.best.name)}")
    raise typer.Exit(ExitCode.REJECTED)
