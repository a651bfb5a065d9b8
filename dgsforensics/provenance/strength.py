"""How much a claim is worth, and what it says of how the image was made."""

from collections.abc import Iterable
from enum import StrEnum

from dgsforensics.provenance.generators import says_captured, says_generated
from dgsforensics.records import Evidence, Label, Mark


class ClaimStrength(StrEnum):
    """What it would take to make a claim up, the most first."""

    SIGNED = "signed, signature not checked"
    """Stands in a C2PA manifest."""
    ASSERTED = "asserted, not signed"
    """Says how the image was made; anybody can write or remove it."""
    HINT = "hint"
    """Says something else, such as a camera; programs copy it from file to file."""


def strength(piece: Evidence) -> ClaimStrength:
    """Return how much a claim is worth; no signature is checked."""
    if piece.origin == "C2PA":
        return ClaimStrength.SIGNED
    made = piece.mark in (Mark.C2PA, Mark.SOURCE_TYPE, Mark.GENERATOR)
    return ClaimStrength.ASSERTED if made else ClaimStrength.HINT


def leaning(piece: Evidence) -> Label | None:
    """Return what a claim, if true, makes of the image; None where it says nothing of that."""
    match piece.mark:
        case Mark.GENERATOR:
            return Label.GENERATED
        case Mark.CAMERA:
            return Label.REAL
        case Mark.SOURCE_TYPE if says_generated(piece.value):
            return Label.GENERATED
        case Mark.SOURCE_TYPE if says_captured(piece.value):
            return Label.REAL
    return None


def leaning_to(claims: Iterable[Evidence], label: Label) -> list[Evidence]:
    """Return the claims that, if they are true, make an image that."""
    return [piece for piece in claims if leaning(piece) == label]
