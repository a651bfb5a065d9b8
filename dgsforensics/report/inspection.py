"""One file looked at from all sides: score, claims, how it is built, what in a case is like it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgsforensics.case import contents
from dgsforensics.case.store import Case
from dgsforensics.errors import ImageError, UsageError
from dgsforensics.files import content
from dgsforensics.pictures.near_duplicates import ALIKE
from dgsforensics.records import Failure, Prediction
from dgsforensics.report import structure
from dgsforensics.report.facts import card_limits, claim_conflicts
from dgsforensics.report.structure import FileStructure
from dgsforensics.scan.job import prepare
from dgsforensics.scan.output import RunInfo
from dgsforensics.scan.request import ScanRequest

MAX_ALIKE = 10
"""Images named that look alike."""


@dataclass(frozen=True, slots=True)
class AlikeImage:
    """An image of a case that looks like the one inspected."""

    path: Path
    bits: int
    """Of 64 bits of the fingerprints, how many differ."""
    same: bool
    """Whether it is the same content."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """All about one file."""

    row: Prediction | Failure
    structure: FileStructure | None
    problem: str | None
    """Why there is no structure."""
    alike: tuple[AlikeImage, ...] | None
    """The most alike first; None where no case was looked into, or nothing is known to compare."""

    @property
    def conflicts(self) -> list[str]:
        """Sentences on claims and score that contradict each other."""
        if isinstance(self.row, Failure) or self.row.traits is None:
            return []
        return claim_conflicts(self.row.traits.evidence, self.row.verdict)


@dataclass(frozen=True, slots=True)
class InspectedFiles:
    """Files that were inspected, and with what."""

    run: RunInfo
    case: Path | None
    """Where images that look alike were looked for."""
    limits: tuple[str, ...]
    """Of the detector, as its card states them."""
    files: tuple[Inspection, ...]


def inspect(request: ScanRequest, case: Path | None) -> InspectedFiles:
    """Score files, or take the scores that are kept, and look at each; raises `DgsError`.

    No case is made of it; `case` is the one in which to look for images that look alike.
    """
    if found := [path for path in request.paths if content.is_folder(path)]:
        raise UsageError(f"{found[0]} is a folder", f"name files, or scan it: dgsf scan {found[0]}")
    job = prepare(request)
    known = None if case is None else _known(case)
    with job.begun() as batches:
        rows = [row for batch in batches for row in batch]
    limits = card_limits().get(job.info.model_sha256, ())
    return InspectedFiles(job.info, case, limits, tuple(_looked_at(row, known) for row in rows))


_Known = tuple[dict[str, int], list[tuple[Path, str | None]]]
"""Fingerprints by content, and where contents lie."""


def _known(case: Path) -> _Known:
    with Case.open(case) as opened:
        return contents.fingerprints(opened), contents.locations(opened)


def _looked_at(row: Prediction | Failure, known: _Known | None) -> Inspection:
    built, problem = None, None
    try:
        built = structure.read(content.read(row.path), row.facts.format)
    except ImageError as error:
        problem = error.message
    alike = None
    if known is not None and isinstance(row, Prediction) and row.traits is not None:
        alike = tuple(_alike(row, row.traits.fingerprint, *known))[:MAX_ALIKE]
    return Inspection(row, built, problem, alike)


def _alike(
    row: Prediction,
    fingerprint: int,
    fingerprints: dict[str, int],
    places: Sequence[tuple[Path, str | None]],
) -> Iterator[AlikeImage]:
    own = row.path.absolute()
    found = []
    for path, sha256 in places:
        if path != own and sha256 is not None and sha256 in fingerprints:
            bits = (fingerprint ^ fingerprints[sha256]).bit_count()
            if bits <= ALIKE:
                found.append(AlikeImage(path, bits, sha256 == row.facts.sha256))
    yield from sorted(found, key=lambda one: (not one.same, one.bits, one.path))
