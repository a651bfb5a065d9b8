"""What C2PA manifests say: who wrote them and which steps made the image. Nothing is verified.

A manifest store is a tree of JUMBF boxes (ISO 19566-5) around CBOR (RFC 8949): store, manifests,
and in each a claim and assertions. The last manifest is the active one; those before it belong to
its ingredients, e.g. to the image before it was converted. https://spec.c2pa.org
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from dgsforensics.files.boxes import boxes

_MAX_MANIFESTS = 8
_MAX_ASSERTIONS = 4
"""Lists of actions in one manifest; there should be one."""
_MAX_CBOR = 1 << 15
"""Bytes of one claim or one list of actions: a hostile byte costs a microsecond."""
_MAX_DEPTH = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ManifestAction:
    """One action that a manifest records; empty strings where it does not say."""

    agent: str
    """The software that did it."""
    source_type: str
    """What came of it, usually the address of an IPTC term."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest of a store."""

    generator: str
    """The claim generator, i.e. what wrote the manifest; empty if that is not readable."""
    steps: tuple[ManifestAction, ...]


def manifests(data: bytes) -> list[Manifest] | None:
    """Return the manifests of a store, the active one last; None for other JUMBF boxes."""
    for label, start, stop in _labelled(data, 0, len(data)):
        if label == b"c2pa":
            inner = list(_labelled(data, start, stop))[-_MAX_MANIFESTS:]
            return [_manifest(data, start, stop) for _, start, stop in inner]
    return None


def _manifest(data: bytes, start: int, stop: int) -> Manifest:
    inner = {label: (first, last) for label, first, last in _labelled(data, start, stop)}
    generator = ""
    for label in (b"c2pa.claim", b"c2pa.claim.v2"):
        if label in inner:
            generator = _generator(_map(data, *inner[label]))
    steps: list[ManifestAction] = []
    assertions = _labelled(data, *inner.get(b"c2pa.assertions", (0, 0)))
    actions = (place for place in assertions if place[0].startswith(b"c2pa.actions"))
    for _, first, last in islice(actions, _MAX_ASSERTIONS):
        steps += _steps(_map(data, first, last))
    return Manifest(generator, tuple(steps))


def _generator(claim: dict[str, object]) -> str:
    info = claim.get("claim_generator_info")
    if isinstance(info, list) and info:
        info = info[0]
    if named := _software(info):
        return named
    return _text(claim.get("claim_generator"))


def _steps(assertion: dict[str, object]) -> Iterator[ManifestAction]:
    actions = assertion.get("actions")
    for action in actions if isinstance(actions, list) else ():
        if isinstance(action, dict):
            agent, source_type = action.get("softwareAgent"), action.get("digitalSourceType")
            yield ManifestAction(_software(agent) or _text(agent), _text(source_type))


def _software(info: object) -> str:
    """Name and version out of a generator info map."""
    if not isinstance(info, dict):
        return ""
    return f"{_text(info.get('name'))} {_text(info.get('version'))}".strip()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


# Boxes


def _labelled(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Label, start and end of the content of each superbox, without its description box."""
    for kind, start, end in boxes(data, at, stop):
        if kind != b"jumb":
            continue
        for inner, first, last in islice(boxes(data, start, end), 1):
            # 16 bytes of content type, a byte of toggles, the label up to a zero
            if inner == b"jumd" and last > first + 17 and data[first + 16] & 2:
                yield data[first + 17 : last].partition(b"\x00")[0], last, end


def _map(data: bytes, start: int, stop: int) -> dict[str, object]:
    """Return the first CBOR box as a map; empty when there is none or it is damaged."""
    for kind, first, last in boxes(data, start, stop):
        if kind == b"cbor":
            try:
                value, _ = _cbor(data[first : min(last, first + _MAX_CBOR)], 0, 0)
            except (IndexError, ValueError):
                _log.debug("damaged or oversized CBOR in a C2PA manifest", exc_info=True)
                break
            return value if isinstance(value, dict) else {}
    return {}


def _cbor(data: bytes, at: int, depth: int) -> tuple[object, int]:
    """Return one item and the offset behind it; only texts, lists and maps matter here.

    Of a map the entries under texts are kept. Raises `IndexError` or `ValueError`.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    open_ended = info == 31 and major in (4, 5)
    if info >= 28 and not open_ended:
        raise ValueError("a kind of item that C2PA does not use")
    count = info
    if 24 <= info < 28:
        width = 1 << (info - 24)
        count, at = int.from_bytes(data[at : at + width]), at + width
    match major:
        case 2 | 3:
            if at + count > len(data):
                raise IndexError("a string breaks off")
            piece = data[at : at + count]
            return (piece if major == 2 else piece.decode(errors="replace")), at + count
        case 4 | 5:
            items: list[object] = []
            wanted = count * (major - 3)
            while data[at] != 0xFF if open_ended else len(items) < wanted:
                item, at = _cbor(data, at, depth + 1)
                items.append(item)
            at += open_ended
            if major == 4:
                return items, at
            pairs = zip(items[::2], items[1::2], strict=False)
            return {key: value for key, value in pairs if isinstance(key, str)}, at
        case 6:
            return _cbor(data, at, depth + 1)
    return None, at
