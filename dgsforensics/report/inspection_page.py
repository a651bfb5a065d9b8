"""What an inspection found, as one page for a terminal and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dgsforensics.provenance.strength import strength
from dgsforensics.records import Failure, Prediction
from dgsforensics.report.document import SCHEMA, claim_fields
from dgsforensics.report.inspection import InspectedFiles, Inspection
from dgsforensics.report.statements import ALWAYS, NOT_CHECKED, moment
from dgsforensics.report.structure import FileStructure
from dgsforensics.review import phrases
from dgsforensics.scan.output import RunInfo, fields_of
from dgsforensics.tables import to_json
from dgsforensics.wording import chance

LIKE_THUMBNAIL = 12
"""Bits of its fingerprint in which a thumbnail may differ from the picture it was made of."""
_WIDTH = 50
"""Characters of the scale."""
_LEAST = 30
"""Characters of a line, however narrow the terminal."""

Line = tuple[str, str]
"""A name, empty where the value speaks for itself, and the value."""


def lines(found: InspectedFiles, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a page for each file, and at the end what holds for all.

    `width`: no line is longer, but for names and digests.
    """
    for number, one in enumerate(found.files):
        if number:
            yield ""
        yield str(one.row.path)
        yield from _shown(_sections(found, one), width)
    yield from _shown(_of_all(found), width)


def _shown(sections: Iterator[tuple[str, Sequence[Line]]], width: int | None) -> Iterator[str]:
    for title, said in sections:
        yield ""
        yield title
        column = max(len(name) for name, _ in said)
        for name, value in said:
            head = f"  {name:<{column}}  " if column else "  "
            yield from _wrapped(head, value, width)


def _wrapped(head: str, value: str, width: int | None) -> list[str]:
    """Return a value in lines, the first behind its name and the others below it."""
    room = None if width is None else max(_LEAST, width - len(head))
    if room is None or len(value) <= room:
        return [(head + value).rstrip()]
    parts = textwrap.wrap(value, room, break_on_hyphens=False, break_long_words=False)
    indents = [head, *(" " * len(head) for _ in parts[1:])]
    return [indent + part for indent, part in zip(indents, parts, strict=True)]


def _sections(found: InspectedFiles, one: Inspection) -> Iterator[tuple[str, Sequence[Line]]]:
    row = one.row
    if isinstance(row, Failure):
        yield "No score", [("", f"{row.status}: {row.reason}")]
    else:
        yield "Score", [*_score(row, found.run), *_scale(row, found.run)]
    if conflicts := one.conflicts:
        yield "Conflict", [("", line) for line in conflicts]
    yield "What the file claims (not part of the score)", _claims(row)
    yield "How the file is built", list(_built(one))
    yield "Hashes", list(_hashes(row))
    if found.case is not None:
        yield f"Alike in {found.case}", _alike(one)


def _of_all(found: InspectedFiles) -> Iterator[tuple[str, Sequence[Line]]]:
    """Yield what holds for every file."""
    yield "Limits", [("", line) for line in ALWAYS]
    if found.limits:
        title = f"Limits of {found.run.model}, as its card states them"
        yield title, [("", line) for line in found.limits]
    yield "Not checked", [("", what) for what, _ in NOT_CHECKED]


def _score(row: Prediction, run: RunInfo) -> Iterator[Line]:
    yield "verdict", str(row.verdict)
    yield "score", f"{chance(row.probability)} (logit {row.logit:.4f})"
    band = f", inconclusive from {chance(run.lower)}" if run.lower < run.threshold else ""
    yield "thresholds", f"flagged from {chance(run.threshold)}{band}"
    yield "chosen by", run.threshold_origin
    yield "detector", f"{run.model}, preprocessing {run.preprocessing}"
    yield "SHA-256 of it", run.model_sha256
    yield "limits", row.reason or "none of this picture"
    if row.origin is not None:
        yield "scored", f"{moment(row.origin.time)}, by dgsforensics {row.origin.tool_version}"
    else:
        yield "scored", f"now, by dgsforensics {run.tool_version}"


def _scale(row: Prediction, run: RunInfo) -> list[Line]:
    """Return the scale from 0 to 100 percent, and below it where the score stands."""
    drawn = "".join(phrases.zones(_WIDTH, run.lower, run.threshold, "-=#"))
    column = min(_WIDTH - 1, int(row.probability * _WIDTH))
    legend = "- not flagged  = inconclusive  # flagged"
    mark = f"{'':{3 + column}}^ {chance(row.probability)}"
    return [("scale", f"0% {drawn} 100%"), ("", mark), ("", legend)]


def _claims(row: Prediction | Failure) -> list[Line]:
    traits = row.traits if isinstance(row, Prediction) else None
    if traits is None:
        return [("", "not looked at")]
    if not traits.evidence:
        return [("", "nothing; that is no evidence of anything")]
    return [
        (f"{piece.origin}, {piece.name}", f"{piece.value} [{strength(piece)}]")
        for piece in traits.evidence
    ]


def _built(one: Inspection) -> Iterator[Line]:
    facts, built = one.row.facts, one.structure
    size = f"{facts.width} x {facts.height} pixels" if facts.width else None
    amount = None if facts.size is None else f"{phrases.amount(facts.size)} ({facts.size} bytes)"
    yield "container", ", ".join(filter(None, [facts.format or "unknown kind", size, amount]))
    if (facts.frames or 1) > 1:
        yield "frames", f"{facts.frames}; the first was scored"
    if built is None:
        yield "structure", f"not read: {one.problem}"
        return
    yield "pixels", built.mode + (", progressive or interlaced" if built.progressive else "")
    if built.quality is not None:
        exact = "the tables of libjpeg" if built.quality.exact else "estimated; other tables"
        yield "JPEG quality", f"{built.quality.quality} ({exact})"
        for number, table in enumerate(built.tables):
            rows = (table[at : at + 8] for at in range(0, 64, 8))
            yield f"quantisation {number}", " / ".join(" ".join(map(str, row)) for row in rows)
        yield "colours sampled", built.sampling or "not: one component, or four"
    if built.trailing:
        yield "behind the end", f"{built.trailing} bytes, not part of the picture"
    yield "colour profile", _profile(built)
    yield "thumbnail", _thumbnail(one, built)
    yield from (("remark", remark) for remark in built.remarks)


def _profile(built: FileStructure) -> str:
    if built.profile_sha256 is None:
        return "none"
    return f"{built.profile or 'without a name'}, SHA-256 {built.profile_sha256[:12]}"


def _thumbnail(one: Inspection, built: FileStructure) -> str:
    small = built.thumbnail
    if small is None:
        return "none"
    bits = _thumbnail_bits(one)
    size = f"{small.width} x {small.height} pixels"
    if bits is None:
        return f"{size}, not compared: the picture could not be read whole"
    like = "looks like the picture" if bits <= LIKE_THUMBNAIL else "DOES NOT LOOK LIKE THE PICTURE"
    return f"{size}, {like} ({bits} of 64 bits differ)"


def _thumbnail_bits(one: Inspection) -> int | None:
    if isinstance(one.row, Failure) or one.row.missing:
        return None
    traits = one.row.traits
    if one.structure is None or one.structure.thumbnail is None or traits is None:
        return None
    return one.structure.thumbnail.distance(traits.fingerprint)


def _hashes(row: Prediction | Failure) -> Iterator[Line]:
    yield "SHA-256", row.facts.sha256 or "not computed: the file was not read"
    traits = row.traits if isinstance(row, Prediction) else None
    known = "not computed" if traits is None else f"{traits.fingerprint:016x} (difference hash)"
    yield "perceptual", known


def _alike(one: Inspection) -> list[Line]:
    if one.alike is None:
        return [("", "not compared: the picture was not read")]
    if not one.alike:
        return [("", "nothing")]
    return [
        ("same content" if other.same else f"{other.bits} of 64 bits differ", str(other.path))
        for other in one.alike
    ]


def as_json(found: InspectedFiles) -> str:
    """Return one document; `docs/report.md` says what the fields mean."""
    told = {
        "schema": SCHEMA,
        "run": asdict(found.run),
        "case": None if found.case is None else str(found.case),
        "limits": list(ALWAYS),
        "detector_limits": list(found.limits),
        "not_checked": [what for what, _ in NOT_CHECKED],
        "images": [_fields(one) for one in found.files],
    }
    return to_json(told)


def _fields(one: Inspection) -> dict[str, Any]:
    row, built = one.row, one.structure
    traits = row.traits if isinstance(row, Prediction) else None
    return fields_of(row) | {
        "claims": None if traits is None else [claim_fields(piece) for piece in traits.evidence],
        "conflicts": one.conflicts,
        "perceptual_hash": None if traits is None else f"{traits.fingerprint:016x}",
        "structure": None if built is None else asdict(built),
        "structure_problem": one.problem,
        "thumbnail_bits": _thumbnail_bits(one),
        "alike": None
        if one.alike is None
        else [asdict(other) | {"path": str(other.path)} for other in one.alike],
    }
