"""`dgsf case seal`, and `dgsf case verify --sealed`: a case set down, and held to that later."""

from pathlib import Path
from typing import Annotated

import typer

from dgsforensics.cli import output
from dgsforensics.cli.options import Debug, configure_logging, interruptible
from dgsforensics.errors import CaseError, UsageError
from dgsforensics.wording import counted


@interruptible()
def seal(
    case: Annotated[
        Path, typer.Argument(metavar="CASE", help="Case file, or a folder that was scanned.")
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where to; it must not be there yet."),
    ],
    debug: Debug = False,
) -> None:
    """Set a case down: a copy, its report, and a manifest of hashes of these and of every picture.

    Note elsewhere the digest that is printed: with it `dgsf case verify --sealed FOLDER` shows
    later that nothing was changed.
    """
    configure_logging(debug=debug)
    from importlib.metadata import version

    from dgsforensics import console
    from dgsforensics.case import location
    from dgsforensics.case.recording import now
    from dgsforensics.case.store import Case
    from dgsforensics.report import facts
    from dgsforensics.report import seal as sealing

    if out.exists() or not out.absolute().parent.is_dir():
        raise UsageError(
            f"--out: {out} is there already, or lies in no folder", "name one that is not there yet"
        )
    made = now()
    try:
        with Case.open(location.find(case)) as opened:
            report = facts.gather(opened, version("dgsforensics"), made)
            sealed = sealing.seal(opened, report, out)
    except FileExistsError as error:
        raise UsageError(
            f"--out: {error.filename} is in the way", "another seal is being made, or was cut off"
        ) from error
    except OSError as error:
        raise UsageError(f"--out: cannot write {out}: {error.strerror}") from error
    output.show(str(out), f"SHA-256 of the manifest {sealed.manifest_sha256}")
    console.notice(f"{counted(sealed.inputs, 'picture')} in the manifest")
    if sealed.differing:
        console.notice(f"{sealed.differing} of them are not what was scanned; the manifest says so")
    console.notice("note the digest elsewhere: a hash stops nobody who can make a new manifest")


def verify_sealed(folder: Path, digest: str | None) -> None:
    """Hold a sealed folder to its manifest; `digest` is that of the manifest, noted earlier."""
    from dgsforensics import console
    from dgsforensics.report import seal as sealing

    found = sealing.check(folder)
    changes = list(found.changes)
    if digest is not None and digest != found.manifest_sha256:
        changes.insert(0, "the manifest is not the one whose digest was noted")
    for remark in found.remarks:
        console.notice(f"not checked: {remark}")
    if changes:
        output.show(*changes)
        raise CaseError(
            f"{folder}: {counted(len(changes), 'change')} since it was sealed, {found.made}",
            "go back to a copy of what is not as it was",
        )
    output.show(
        f"{folder}: as it was sealed, {found.made}",
        f"files: {found.parts}, and {counted(found.inputs, 'picture')} where they lay",
        f"head of the log {found.head}",
        f"SHA-256 of the manifest {found.manifest_sha256}",
    )
    if digest is None:
        console.notice("compare the digest with the one noted then, or give it with --head")
