"""`dgsf review`: judge the images of a case in the terminal."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgsforensics.choices import DeviceName, Graphics, Order, Pick, Theme
from dgsforensics.cli.options import (
    BackboneWeights,
    Debug,
    Device,
    Model,
    Reviewer,
    command_line,
    configure_logging,
    interruptible,
    signature,
)
from dgsforensics.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dgsforensics.case.scans import ScanInfo
    from dgsforensics.review.scale import Scale
    from dgsforensics.review.session import Review
    from dgsforensics.scan.request import ScanRequest

EPILOG = (
    "Keys are shown with ?; [review.keys] in config.toml of your configuration folder changes "
    "them. Labels are written at once. Exit codes: 0 done · 2 wrong usage · 130 interrupted."
)
BUSY_SECONDS = 2.0
"""How long a key may wait for another process that writes into the case."""


@interruptible()
def review(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CASE|FOLDER]",
            help="A case file; or a folder, which is scanned meanwhile.",
            show_default="the case used last",
        ),
    ] = None,
    case: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With a folder: the case file that it is scanned into."),
    ] = None,
    reviewer: Reviewer = None,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind", help="Hide what others said of an image until you have labelled it."
        ),
    ] = False,
    query: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="QUERY",
            help="What to list, e.g. 'verdict:flagged label:none'; \"\" for all.",
            show_default="the queue",
        ),
    ] = None,
    queue: Annotated[
        list[Pick] | None,
        typer.Option(
            help="What to go through, in the order of the default; may be repeated.",
            show_default="flagged, inconclusive, claims",
        ),
    ] = None,
    sort: Annotated[Order, typer.Option(help="By what.")] = Order.QUEUE,
    advance: Annotated[
        bool, typer.Option("--advance/--stay", help="Go on to the next image after a label.")
    ] = True,
    graphics: Annotated[Graphics, typer.Option(help="How pictures are drawn.")] = Graphics.AUTO,
    theme: Annotated[Theme, typer.Option(help="Colours.")] = Theme.DARK,
    blind_labels: Annotated[
        bool,
        typer.Option(
            "--blind-labels", help="Label without waiting for the pictures; the log says so."
        ),
    ] = False,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain", help="Line by line, without a screen or a scan: for screen readers."
        ),
    ] = False,
    model: Model = None,
    backbone_weights: BackboneWeights = None,
    device: Device = DeviceName.AUTO,
    threshold: Annotated[
        float | None,
        typer.Option(
            envvar="DGSF_THRESHOLD", metavar="P", help="Flag from this probability, 0 to 1."
        ),
    ] = None,
    fpr: Annotated[
        float | None,
        typer.Option(envvar="DGSF_FPR", metavar="RATE", help="Flag at this false-positive rate."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out; may be repeated.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Judge images: list, picture, evidence, and a label for each.

    A folder is scanned while you review what is there already. Every label goes into the log of the
    case at once, with your name, the score you saw, and how long the picture was on the screen; a
    key that comes before the picture labels nothing.
    """
    configure_logging(debug=debug)
    if not plain and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "dgsf review needs a terminal", "use --plain, or dgsf label without a screen"
        )
    from dgsforensics.case import location
    from dgsforensics.case.store import Case
    from dgsforensics.files.content import is_there
    from dgsforensics.review.session import Review
    from dgsforensics.scan.request import ScanRequest

    meant = target is None or target.suffix == location.SUFFIX or location.is_case(target)
    scans = not plain and target is not None and is_there(target) and not meant
    if scans:
        assert target is not None
        path = location.default_path([target]) if case is None else case
    elif case is not None:
        raise UsageError("--case goes with a folder to scan", "or name the case file alone")
    else:
        path = location.find(target)
    request = ScanRequest(
        paths=[target] if scans and target is not None else [],
        model=model,
        backbone_weights=backbone_weights,
        device=device,
        threshold=threshold,
        fpr=fpr,
        case=path,
        exclude=list(exclude or []),
        command=command_line(),
    )
    with Case.open(path, busy=BUSY_SECONDS) as opened:
        last = opened.last_scan()
        scale_of = _scale_of(request, last)
        request = as_before(request, last)
        loaded = Review(opened, signature(reviewer), blind=blind, scale_of=scale_of)
        _tell_basis(loaded, last, asked=threshold is not None or fpr is not None)
        chosen = _query(loaded, query, queue, sort)
        if plain:
            from dgsforensics.cli import plain_review

            plain_review.review(loaded, *chosen, advance=advance)
            return
        looks = not blind_labels
        _show(loaded, chosen, request, scans, graphics, theme, advance=advance, looks=looks)


def _scale_of(request: "ScanRequest", last: "ScanInfo | None") -> "Callable[[ScanInfo], Scale]":
    """What stored logits mean: as in their scan or, where a threshold was asked for, by that.

    Raises `UsageError` where the detector that it would be read from is another one.
    """
    from dgsforensics.detector import folders, header
    from dgsforensics.review.scale import Scale

    if request.threshold is None and request.fpr is None:
        return Scale.of
    before = None if last is None else last.settings.options.detector
    source = header.read(folders.resolve(request.model or before))
    thresholds = source.calibration.thresholds(fpr=request.fpr, probability=request.threshold)
    cut = source.calibration.probability(thresholds.upper)

    def scale(scan: "ScanInfo") -> Scale:
        made = scan.settings
        if made.weights not in (source.weights_sha256, source.sha256):
            raise UsageError(
                f"scan {scan.id} was made with {made.model}, and {source.config.name} cannot say "
                "where to cut its scores",
                "name that detector with --model, or scan again first",
            )
        judged = replace(made, model=source.config.name, model_sha256=source.sha256, threshold=cut)
        return Scale(replace(scan, settings=judged), source.calibration, thresholds)

    return scale


def _tell_basis(review: "Review", last: "ScanInfo | None", *, asked: bool) -> None:
    """Say where the cut lies, and why there where nobody asked for it now."""
    from dgsforensics import console

    chosen = None if last is None else last.settings.options.probability
    explored = not asked and chosen is not None
    if review.basis and explored:
        console.notice(
            f"{review.basis}, as the last scan asked for; --fpr or --threshold cut elsewhere"
        )
    elif review.basis and asked:
        console.notice(review.basis)


def as_before(request: "ScanRequest", last: "ScanInfo | None") -> "ScanRequest":
    """Return what is not asked for is as in the scan before: a review must not judge anew by
    itself.
    """
    if last is None:
        return request
    options = last.settings.options
    asked = request.threshold is not None or request.fpr is not None
    return replace(
        request,
        threshold=request.threshold if asked else options.probability,
        fpr=request.fpr if asked else options.fpr,
        model=request.model or options.detector,
        exclude=request.exclude or list(options.exclude),
        archives=options.archives,
    )


def _query(
    review: "Review", query: str | None, queue: list[Pick] | None, sort: Order
) -> tuple[str, Order]:
    """Return what to list, and by what."""
    from dgsforensics.review import queries

    if queue:
        query = f"only:{','.join(queue)} {query or ''}".strip()
    elif query is None:
        query = queries.QUEUE if queries.listed(review, queries.QUEUE, Order.SCAN) else ""
    queries.parse(review, query)  # raises for what it cannot mean
    return query, sort


def _show(
    review: "Review",
    chosen: tuple[str, Order],
    request: "ScanRequest",
    scans: bool,
    graphics: Graphics,
    theme: Theme,
    *,
    advance: bool,
    looks: bool,
) -> None:
    from dgsforensics import settings
    from dgsforensics.pictures import pixel_limit
    from dgsforensics.tui import keys, terminal
    from dgsforensics.tui.app import ReviewApp
    from dgsforensics.tui.choice import Choice
    from dgsforensics.tui.graphics import choose

    pixel_limit.lift()
    keymap = keys.remapped(settings.table("review", "keys"))
    answer = terminal.ask()
    terminal.note(answer)
    app = ReviewApp(
        review,
        Choice(*chosen),
        renderer=choose(graphics, answer),
        keymap=keymap,
        theme=theme,
        advance=advance,
        looks=looks,
        request=request,
        scans=scans,
    )
    app.run()
    if app.return_code:  # Textual has shown why
        raise typer.Exit(ExitCode.ERROR)
