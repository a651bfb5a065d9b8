"""Everything that is known of one image under review, in words, by subject."""

from collections.abc import Iterator

from dgsforensics.judgements import Decision
from dgsforensics.review import phrases
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review
from dgsforensics.wording import chance, printable

Similar = tuple[Item, int] | None
"""The near-duplicate that looks most alike, and in how many of 64 bits it differs."""
EVERY_IMAGE = "The same for every image"
"""The title of the last section, a footnote."""


Line = tuple[str, str]
"""A name, empty where the value speaks for itself, and the value; fit for a terminal."""
_Lines = list[tuple[str, str | None]]


def describe(review: Review, item: Item, similar: Similar) -> Iterator[tuple[str, list[Line]]]:
    """Yield all that is known of an image, by subject; its own claims stand apart from the
    score."""
    for title, lines in _sections(review, item, similar):
        said = [(printable(name), printable(value)) for name, value in lines if value]
        if said:
            yield title, said


def _sections(review: Review, item: Item, similar: Similar) -> Iterator[tuple[str, _Lines]]:
    """Yield what decides first, and what is the same for every image of a scan last."""
    yield "Score", _score(item)
    if item.evidence:
        claims: _Lines = [
            (f"{piece.origin}, {piece.name}:", piece.value) for piece in item.evidence
        ]
        yield "What the file claims (easily removed or forged)", claims
    elif item.row.traits is None:
        again = "; dgsf scan --no-cache looks again" if item.verdict is not None else ""
        yield "What the file claims", [("", f"not looked at{again}")]
    else:
        yield "What the file claims", [("", "nothing; that proves nothing")]
    yield "Near-duplicates", _near(review, item, similar)
    if item.verdict is not None:
        yield "Limits", [("", item.row.reason)]
    yield "Decisions", [_decision(decision) for decision in review.decisions(item)]
    facts = item.row.facts
    yield (
        "File",
        [
            ("", str(item.path)),
            ("", ", ".join(filter(None, [facts.format, phrases.size(item), _bytes(facts.size)]))),
            ("frames", str(facts.frames) if (facts.frames or 1) > 1 else None),
            ("sha256", facts.sha256),
        ],
    )
    yield EVERY_IMAGE, _measured(item)


def _score(item: Item) -> _Lines:
    shown, scale, full = item.shown, item.scale, str(item.kind)
    if shown is None or scale is None:
        return [("", full), ("because:", item.row.reason)]
    probability = scale.calibration.probability
    upper, lower = scale.thresholds.upper, scale.thresholds.lower
    band = f"; inconclusive from {chance(probability(lower))}" if lower < upper else ""
    return [
        ("", f"{full}, probability {chance(shown.probability)}, logit {shown.logit:.3f}"),
        ("flagged from", f"{chance(shown.threshold)}{band}"),
    ]


def _near(review: Review, item: Item, similar: Similar) -> _Lines:
    found: _Lines = []
    if similar is not None:
        other, bits = similar
        label = review.judgement(other)
        found.append((f"{bits} of 64 bits differ:", str(other.path)))
        found.append(("", f"your label: {phrases.JUDGEMENTS[label]}" if label else None))
    if item.sha256 is not None:
        same = [other.path for other in review.copies(item.sha256) if other is not item]
        found += [("same content:", str(path)) for path in same[:5]]
        found.append(("", f"and {len(same) - 5} more copies" if len(same) > 5 else None))
    return found


def _measured(item: Item) -> _Lines:
    shown, scale = item.shown, item.scale
    if shown is None or scale is None:
        return []
    return [
        ("threshold:", scale.thresholds.origin),
        ("detector", f"{shown.model} {shown.model_sha256[:12]}"),
        ("", "A score is a signal, not proof."),
    ]


def _decision(decision: Decision) -> tuple[str, str]:
    label = phrases.JUDGEMENTS[decision.judgement] if decision.judgement else "no label"
    when = decision.time[:16].replace("T", " ")
    note = f": {decision.note}" if decision.note else ""
    return f"{decision.reviewer}, {when} UTC:", f"{label}{note}"


def _bytes(count: int | None) -> str | None:
    return None if count is None else phrases.amount(count)
