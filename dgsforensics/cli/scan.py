"""`dgsf scan`: score images and list those that look generated."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dgsforensics.choices import DeviceName, Pick
from dgsforensics.cli.options import (
    BackboneWeights,
    Batch,
    Debug,
    Device,
    Fpr,
    Model,
    Quiet,
    Threshold,
    Verbose,
    Workers,
    command_line,
    configure_logging,
    interruptible,
    rank,
    unasked,
)
from dgsforensics.errors import ExitCode, UsageError
from dgsforensics.scan.selection import RowOrder


def scan(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Images, folders and archives; - for a list of them.",
            show_default=False,
        ),
    ] = None,
    files_from: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Read paths from a file or, with -, standard input."),
    ] = None,
    model: Model = None,
    backbone_weights: BackboneWeights = None,
    device: Device = DeviceName.AUTO,
    batch: Batch = None,
    workers: Workers = None,
    threshold: Threshold = None,
    fpr: Fpr = None,
    only: Annotated[
        list[Pick] | None,
        typer.Option(
            help="Show only these files; may be repeated.",
            show_default="all",
        ),
    ] = None,
    sort: Annotated[
        RowOrder | None,
        typer.Option(
            help="What needs a person first, or as the files are found.",
            show_default="score in a table, else path",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    paths_only: Annotated[bool, typer.Option("--paths", help="Paths only, one a line.")] = False,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="Paths only, a NUL behind each: for xargs -0.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write here; the suffix chooses the format."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the output file if it is there.")
    ] = False,
    case: Annotated[
        Path | None,
        typer.Option(
            envvar="DGSF_CASE",
            metavar="FILE",
            help="Case file.",
            show_default="one a folder, in the user's data",
        ),
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache", help="Score all again; without --case, keep no case file either."
        ),
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Leave out by name or by path; may be repeated.",
            show_default="nothing",
        ),
    ] = None,
    list_skipped: Annotated[
        bool, typer.Option("--list-skipped", help="Name each file that was left out.")
    ] = False,
    follow_symlinks: Annotated[
        bool, typer.Option("--follow-symlinks", help="Follow symbolic links inside folders.")
    ] = False,
    no_archives: Annotated[
        bool, typer.Option("--no-archives", help="Do not look into ZIP and TAR archives.")
    ] = False,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Refuse larger pictures.", show_default="250 million"
        ),
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="MB",
            help="Decode with no more memory than that in all.",
            show_default="half of what is free",
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001, metavar="SECONDS", help="Give up on a file after that.", show_default="30"
        ),
    ] = None,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 once the scan has run through.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Score images and list those that look generated.

    Results go to standard output, everything else to standard error. What was scored is kept: a
    second scan of the same images, in whatever folder, runs the model on nothing, an interrupted
    one goes on where it stopped. PATHS may be -, for a list of paths on standard input.
    """
    from dgsforensics.files.content import Limits
    from dgsforensics.scan import run
    from dgsforensics.scan.request import ScanRequest

    configure_logging(quiet=quiet, verbose=verbose, debug=debug)
    formats = {
        "as_json": as_json,
        "as_jsonl": as_jsonl,
        "as_csv": as_csv,
        "as_paths": paths_only or null,
    }
    chosen = _strongest(context, [name for name, on in formats.items() if on])
    limits = {"threshold": threshold, "fpr": fpr}
    cut = _strongest(context, [name for name, value in limits.items() if value is not None])
    if len(chosen) > 1:
        raise UsageError("choose one of --json, --jsonl, --csv and --paths")
    if not paths and files_from is None:
        raise UsageError("nothing to scan", "give images, folders or --files-from")
    if "-" in map(str, paths or []) and files_from is not None:
        raise UsageError("give - or --files-from, not both")

    memory = max_memory and max_memory * 1_000_000
    given: dict[str, Any] = {
        "max_pixels": max_pixels,
        "max_seconds": max_seconds,
        "max_memory": memory,
    }
    request = ScanRequest(
        paths=list(paths or []),
        files_from=files_from,
        model=model,
        backbone_weights=backbone_weights,
        device=device,
        batch=batch,
        workers=workers,
        threshold=threshold if "threshold" in cut else None,
        fpr=fpr if "fpr" in cut else None,
        case=case,
        use_cache=not no_cache,
        exclude=list(exclude or []),
        follow_symlinks=follow_symlinks,
        archives=not no_archives,
        limits=Limits(**{name: value for name, value in given.items() if value is not None}),
        command=command_line(),
    )
    form = run.OutputForm(
        format=chosen[0].removeprefix("as_") if chosen else None,
        output=output,
        force=force,
        only=tuple(only or ()),
        order=sort,
        null=null,
        list_skipped=list_skipped,
        tell_unused=rank(context, "exclude") == 3,
        settings=unasked(context),
        quiet=quiet,
        verbose=verbose or debug,
    )
    with interruptible():
        code = run.run(request, form)
    if exit_zero and code != ExitCode.INTERRUPTED:
        code = ExitCode.CLEAN
    raise typer.Exit(int(code))


def _strongest(context: typer.Context, given: list[str]) -> list[str]:
    """Return, of options that exclude each other, those asked for most strongly."""
    top = max((rank(context, name) for name in given), default=0)
    return [name for name in given if rank(context, name) == top]
