"""Which images of a review are listed, and in which order: one line of text, and one key.

    verdict:flagged label:none score:0.5..0.9 format:png holiday

Words must all hold; a leading `-` turns one round; quotation marks keep blanks together. A word
without a known name in front is looked for in path and note, in any case.
"""

import shlex
from collections.abc import Callable, Sequence

from dgsforensics.choices import Order, Pick
from dgsforensics.errors import UsageError
from dgsforensics.judgements import Judgement
from dgsforensics.records import Mark, Status, Verdict
from dgsforensics.review import phrases
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review

Test = Callable[[Item], bool]

NAMES = {
    "verdict": "flagged, inconclusive, not-flagged, unreadable or unsupported; several with commas",
    "only": "flagged, inconclusive, not-flagged, failed or claims: files of any of these kinds",
    "label": "ai, real, unsure, unfit, any or none",
    "score": "0.9.., ..0.2 or 0.5..0.9: the probability",
    "format": "jpeg, png, webp, ...",
    "claims": "c2pa, source-type, generator, camera or software, or the letter in the column",
    "camera": "part of its name",
    "software": "part of its name",
    "folder": "part of the path without the name",
    "differ": "yes or no: whether reviewers who labelled it say different things now",
}
"""What a word may ask for, and how."""


_FORMATS = {"jpg": "jpeg", "tif": "tiff"}
_ALIASES = {"mark": "claims"}
_KINDS = (*Verdict, Status.UNREADABLE, Status.UNSUPPORTED)
QUEUE = "only:flagged,inconclusive,claims"
"""What a review goes through unless something else is asked for."""


def listed(review: Review, query: str, order: Order, *, reverse: bool = False) -> list[Item]:
    """Return the images that a query asks for, sorted; raises `UsageError` for what it cannot
    mean."""
    test = parse(review, query)
    found = [item for item in review.items if test(item)]
    found.sort(key=_keys(review)[order])
    return found[::-1] if reverse else found


def parse(review: Review, query: str) -> Test:
    """Return what a query asks of an image."""
    try:
        words = shlex.split(query)
    except ValueError as error:
        raise UsageError(f"filter: {str(error).lower()}") from error
    tests = [_word(review, word) for word in words]
    return lambda item: all(test(item) for test in tests)


def _word(review: Review, word: str) -> Test:
    if word.startswith("-") and len(word) > 1:
        wanted = _word(review, word[1:])
        return lambda item: not wanted(item)
    name, colon, value = word.partition(":")
    name = _ALIASES.get(name, name)
    if not colon or name not in NAMES:
        text, kind = word.casefold(), _spaced(word)
        return lambda item: (
            item.kind == kind
            or text in str(item.path).casefold()
            or text in review.note_of(item).casefold()
        )
    if not value:
        raise UsageError(f"filter: {name}: is followed by {NAMES[name]}")
    values = value.casefold().split(",")
    match name:
        case "verdict":
            kinds = _known(name, [_spaced(text) for text in values], _KINDS)
            return lambda item: item.kind in kinds
        case "only":
            picks = list(map(Pick, _known(name, [_hyphened(text) for text in values], list(Pick))))
            return lambda item: any(pick.takes(item.verdict, item.evidence) for pick in picks)
        case "label":
            spoken = ["none" if text in ("no label", "no-label") else text for text in values]
            labels = _known(name, spoken, [*Judgement, "any", "none"])
            return lambda item: _has_label(review.judgement(item), labels)
        case "score":
            low, high = _range(value)
            return lambda item: item.probability is not None and low <= item.probability <= high
        case "format":
            kinds = [_FORMATS.get(value, value) for value in values]
            return lambda item: (item.row.facts.format or "").casefold() in kinds
        case "claims":
            letters = {letter.casefold(): mark.value for mark, letter in phrases.MARKS.items()}
            spoken = [letters.get(text, _spaced(text)) for text in values]
            marks = _known(name, spoken, list(Mark))
            return lambda item: any(mark in marks for mark in item.marks)
        case "camera" | "software":
            mark, part = Mark(name), value.casefold()
            return lambda item: part in (item.claim(mark) or "").casefold()
        case "folder":
            part = value.casefold()
            return lambda item: part in str(item.path.parent).casefold()
        case _:
            answers = _known(name, values, ["yes", "no"])
            said = {True: "yes", False: "no", None: ""}
            return lambda item: said[difference(review, item)] in answers


def resumed(review: Review, items: Sequence[Item]) -> int:
    """Return where a reviewer goes on: at the next image without a label after the one that was
    labelled last; at the first without one where that is not listed; at the start where nothing
    was labelled.
    """
    last = review.labelled_last
    if not last:
        return 0
    place = next((i for i, item in enumerate(items) if item.sha256 in last), None)
    found = next_unlabelled(review, items, -1 if place is None else place)
    return (place or 0) if found is None else found


def next_unlabelled(
    review: Review, items: Sequence[Item], place: int, direction: int = 1
) -> int | None:
    """Return where the next image without a label of the reviewer's is, round the end if need be.

    `direction` is 1 or -1. None when all that can be labelled are.
    """
    for step in range(1, len(items) + 1):
        there = (place + direction * step) % len(items)
        if review.judgement(items[there]) is None and items[there].sha256 is not None:
            return there
    return None


def difference(review: Review, item: Item) -> bool | None:
    """Return whether labels of an image differ as they are now; None with fewer than two."""
    labels = [d.judgement for d in review.decisions(item) if d.judgement is not None]
    return None if len(labels) < 2 else len(set(labels)) > 1


def _spaced(text: str) -> str:
    """A word as it is spelled everywhere else; in a filter a blank would end it."""
    return text.replace("-", " ").replace("_", " ")


def _hyphened(text: str) -> str:
    return text.replace("_", "-")


def _has_label(label: Judgement | None, wanted: Sequence[str]) -> bool:
    return ("none" if label is None else "any") in wanted or label in wanted


def _known(name: str, values: list[str], known: Sequence[str]) -> list[str]:
    if unknown := [value for value in values if value not in known]:
        raise UsageError(f"filter: {name}:{unknown[0]} is not known; {name}: takes {NAMES[name]}")
    return values


def _range(text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    try:
        start = float(low) if low else 0.0
        end = (float(high) if high else 1.0) if dots else start
        if not start <= end:  # the wrong way round, or nan
            raise ValueError(text)
    except ValueError:
        raise UsageError(f"filter: score: is followed by {NAMES['score']}") from None
    return start, end


def _keys(review: Review) -> dict[Order, Callable[[Item], tuple[object, ...]]]:
    def pixels(item: Item) -> int:
        return (item.row.facts.width or 0) * (item.row.facts.height or 0)

    def label(item: Item) -> str:
        return review.judgement(item) or ""

    def score(item: Item) -> float:
        return -1.0 if item.probability is None else item.probability

    stages = (Pick.FLAGGED, Pick.INCONCLUSIVE, Pick.CLAIMS)

    def stage(item: Item) -> int:
        found = (n for n, pick in enumerate(stages) if pick.takes(item.verdict, item.evidence))
        return next(found, len(stages))

    return {
        Order.QUEUE: lambda item: (stage(item), -score(item), item.index),
        Order.SCORE: lambda item: (-score(item), item.index),
        Order.NAME: lambda item: (str(item.path).casefold(), item.index),
        Order.SIZE: lambda item: (-pixels(item), item.index),
        Order.FORMAT: lambda item: (item.row.facts.format or "", -score(item), item.index),
        Order.LABEL: lambda item: (label(item), -score(item), item.index),
        Order.SCAN: lambda item: (item.index,),
    }
