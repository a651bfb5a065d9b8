"""`dgsf calibrate`: thresholds from a person's own photographs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgsforensics.choices import DeviceName
from dgsforensics.cli.options import (
    BackboneWeights,
    Batch,
    Debug,
    Device,
    Model,
    Quiet,
    Verbose,
    Workers,
    configure_logging,
    interruptible,
)
from dgsforensics.wording import counted

if TYPE_CHECKING:
    from dgsforensics.calibrate.photographs import FolderCount, Rate, Share
    from dgsforensics.calibrate.run import CalibrationResult

EPILOG = (
    "Exit codes: 0 written · 2 wrong usage, or a rate that so few photographs cannot promise: then "
    "nothing is written · 130 interrupted, run it again to go on."
)
SCHEMA = 1
"""Of the JSON document."""
FEW = 100
"""Images of a class below which a person is warned."""
_SHOWN = 20
"""Files without a score that are named on standard error; JSON names all."""


def calibrate(
    reals: Annotated[
        Path,
        typer.Argument(
            metavar="REALS",
            help="Folder of photographs of the kind you scan: not generated, all of them.",
            show_default=False,
        ),
    ],
    fakes: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FAKES]", help="Folder of generated images.", show_default="those it came with"
        ),
    ] = None,
    model: Model = None,
    fpr: Annotated[
        list[float] | None,
        typer.Option(
            metavar="RATE",
            help="A false-positive rate that has to be kept, e.g. 0.01; may be repeated.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What to call the calibrated detector, among your own.",
            show_default="MODEL-FOLDER",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.safetensors", help="Write it here instead.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    backbone_weights: BackboneWeights = None,
    device: Device = DeviceName.AUTO,
    batch: Batch = None,
    workers: Workers = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure a detector's thresholds on your own photographs.

    Writes a copy of the detector with the new calibration, for `dgsf scan --model NAME --fpr RATE`.
    Photographs alone give thresholds; with generated images the probability is fitted as well. A
    promise holds for photographs from the source of these, and for no others.
    """
    from dgsforensics import console
    from dgsforensics.calibrate import run
    from dgsforensics.cli import output
    from dgsforensics.detector import card
    from dgsforensics.tables import to_json
    from dgsforensics.wording import printable

    configure_logging(quiet=quiet, verbose=verbose, debug=debug)
    request = run.CalibrationRequest(
        reals=reals,
        fakes=fakes,
        model=model,
        rates=tuple(fpr or ()),
        out=out,
        name=name,
        force=force,
        backbone_weights=backbone_weights,
        device=device,
        batch=batch,
        workers=workers,
    )
    with interruptible():
        try:
            with console.stages(quiet) as tell:
                found = run.run(request, tell)
        except KeyboardInterrupt:
            if not quiet:
                kept = run.scores_path(reals)
                console.notice(f"scores so far are kept in {printable(kept)}")
            raise
        if not quiet:
            _remark(found)
        digest = run.write(found, card.render(found.made), force=force)
        if as_json:
            output.show(to_json(_document(found, digest)))
        else:
            _show(found)
        if not quiet:
            use = found.made.config.name if out is None else str(out)
            console.notice(printable(f"written to {found.path}; use it with --model {use}"))


def _remark(found: "CalibrationResult") -> None:
    """Tell on standard error what a person has to know."""
    from dgsforensics import console
    from dgsforensics.wording import printable

    if found.unread:
        console.notice(f"{counted(len(found.unread), 'file')} did not count:")
        for unread in found.unread[:_SHOWN]:
            console.notice(f"  {printable(unread.path)}: {printable(unread.reason)}")
        if len(found.unread) > _SHOWN:
            console.notice(f"  and {len(found.unread) - _SHOWN} more, which --json lists")
    for images, kind in _classes(found):
        if len(images.logits) < FEW:
            console.notice(
                f"only {len(images.logits)} {kind}: what is measured on them is uncertain, see the "
                "intervals"
            )


def _classes(found: "CalibrationResult") -> "list[tuple[FolderCount, str]]":
    fake = [] if found.generated is None else [(found.generated, "generated images")]
    return [(found.photographs, "photographs"), *fake]


def _show(found: "CalibrationResult") -> None:
    """Print the result for people, within 80 columns."""
    from dgsforensics.cli import output

    for images, kind in _classes(found):
        output.show(
            f"{len(images.logits)} {kind} count, of {images.files} files in {images.folder} "
            f"({images.unread} without a score, {images.outside} out of domain, "
            f"{images.copies} copies, "
            f"{images.near_duplicates} near-duplicates)"
        )
    output.show("")
    head = ["rate", "from", "logit", "flagged", "95 %", "promise", "confident"]
    head += [] if found.generated is None else ["found", "95 %"]
    output.table([head, *(_row(rate, len(found.photographs.logits)) for rate in found.rates)])
    output.show(
        "",
        "rate: of new photographs from the same source at most that share is flagged, on average",
        "over calibrations. 95 %: the share that this one may really flag. promise, confident:",
        "photographs it takes for the rate; and, with none flagged, for the interval to end at it.",
        "",
        _default(found),
        _probabilities(found),
    )


def _row(rate: "Rate", photographs: int) -> list[str]:
    first = f"{100 * rate.rate:g}%"
    if rate.cut is None:
        return [
            first,
            f"cannot be promised with {photographs} images: it takes {rate.promised_from}",
        ]
    cells = [first, f"{rate.cut.probability:.3f}", f"{rate.cut.logit:.3f}"]
    cells += [*_share(rate.cut.flagged), str(rate.promised_from), str(rate.confident_from)]
    return cells if rate.cut.found is None else [*cells, *_share(rate.cut.found)]


def _share(share: "Share") -> tuple[str, str]:
    return f"{share.hits}/{share.count}", f"{100 * share.low:.1f}-{100 * share.high:.1f}%"


def _default(found: "CalibrationResult") -> str:
    calibration = found.made.calibration
    cut = calibration.thresholds()
    lower, upper = calibration.probability(cut.lower), calibration.probability(cut.upper)
    band = f", inconclusive from {lower:.3f}" if cut.lower < cut.upper else ""
    return f"A scan without --fpr flags from {upper:.3f}{band}: {cut.origin}."


def _probabilities(found: "CalibrationResult") -> str:
    match _kind(found):
        case "fitted":
            return "Probabilities and the lower end of the band were fitted on both folders."
        case "kept":
            return (
                "Probabilities and the lower end of the band are those of the calibration before: "
                "only the rates above are of these photographs. Give generated images to fit both."
            )
    return (
        "Probabilities are the plain sigmoid and mean nothing, and there is no inconclusive band: "
        "the detector had no calibration. Give generated images to fit both."
    )


def _kind(found: "CalibrationResult") -> str:
    """Return what the probabilities are."""
    if found.generated is not None:
        return "fitted"
    return "kept" if found.base.calibration.generated else "unmeasured"


def _document(found: "CalibrationResult", digest: str) -> dict[str, Any]:
    """Return everything, as JSON types."""
    from dataclasses import asdict
    from importlib.metadata import version

    calibration = found.made.calibration
    cut = calibration.thresholds()
    return {
        "schema": SCHEMA,
        "tool_version": version("dgsforensics"),
        "base": found.base.config.name,
        "base_sha256": found.base.sha256,
        "model": found.made.config.name,
        "model_sha256": digest,
        "file": str(found.path),
        "measured_on": calibration.measured_on,
        "probabilities": _kind(found),
        "temperature": calibration.temperature,
        "intercept": calibration.intercept,
        "default": {
            "threshold": calibration.probability(cut.upper),
            "lower": calibration.probability(cut.lower),
            "origin": cut.origin,
        },
        "photographs": _counts(found.photographs),
        "generated": None if found.generated is None else _counts(found.generated),
        "rates": [asdict(rate) for rate in found.rates],
        "unread": [asdict(unread) for unread in found.unread],
    }


def _counts(images: "FolderCount") -> dict[str, Any]:
    return {
        "folder": images.folder,
        "files": images.files,
        "unread": images.unread,
        "outside": images.outside,
        "copies": images.copies,
        "near_duplicates": images.near_duplicates,
        "used": len(images.logits),
    }
