"""What a file itself claims: the camera, the software, a generator's settings, its source.

Metadata are claims. They are removed by any upload and written by anybody, so they stand beside
the score and never in it; and absence proves nothing. Signatures of C2PA are not checked.

Only headers are read, never pixels. Nothing about a file is an error here: what is damaged is said
to be, and what is not understood is left out.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from dgsforensics.provenance import xmp
from dgsforensics.provenance.c2pa import Manifest, manifests
from dgsforensics.provenance.containers import Block, blocks
from dgsforensics.provenance.exif import ExifTag, Value, tags
from dgsforensics.provenance.generators import claims, is_generator, says_generated, source_type
from dgsforensics.records import Evidence, Mark

MAX_VALUE = 500
"""Characters of a value."""
MAX_PIECES = 60
"""Pieces of evidence of one file."""
_MAX_NAME = 60
_MAX_BLOCKS = 256
_MAX_OF_A_KIND = {"PNG text": 40, "JPEG comment": 10}
"""Blocks that are read; of other kinds 2. A hostile file must not keep us parsing for minutes."""
_RANKS: dict[Mark | None, int] = {mark: rank for rank, mark in enumerate(Mark)}
"""The strongest claims first."""

_log = logging.getLogger(__name__)


def read(data: bytes, format: str | None) -> list[Evidence]:
    """Return what a whole file claims about itself, the strongest claims first; never raises.

    `format` as `FileFacts` has it. At most `MAX_PIECES`, each on one line of printable characters,
    values no longer than `MAX_VALUE`. Camera and software are marked on the first to name them.
    """
    found: dict[Evidence, None] = {}
    for piece in islice(_pieces(data, format), 10 * MAX_PIECES):
        value = _line(piece.value, MAX_VALUE)
        if value.strip("-: 0"):  # cameras fill in what they do not know
            found[replace(piece, name=_line(piece.name, _MAX_NAME), value=value)] = None
    pieces = sorted(found, key=lambda piece: _RANKS.get(piece.mark, len(_RANKS)))
    return _once(pieces[:MAX_PIECES])


def _once(pieces: list[Evidence]) -> list[Evidence]:
    """Return the same with camera and software each marked once."""
    seen: set[Mark | None] = set()
    kept = []
    for piece in pieces:
        repeated = piece.mark in (Mark.CAMERA, Mark.SOFTWARE) and piece.mark in seen
        kept.append(replace(piece, mark=None) if repeated else piece)
        seen.add(piece.mark)
    return kept


def _line(text: str, longest: int) -> str:
    """Return one line of printable characters; a terminal must not be steered by a file."""
    head = text.lstrip()[: 4 * longest]
    words = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


def _pieces(data: bytes, format: str | None) -> Iterator[Evidence]:
    seen: Counter[str] = Counter()
    try:
        for block in islice(blocks(data, format), _MAX_BLOCKS):
            seen[block.origin] += 1
            if seen[block.origin] <= _MAX_OF_A_KIND.get(block.origin, 2):
                yield from _from_block(block)
            else:
                _log.debug("one more block of %s than is read", block.origin)
    except Exception:  # a scan must not stop for what a file claims
        _log.debug("the metadata of a damaged %s end early", format, exc_info=True)


def _from_block(block: Block) -> Iterator[Evidence]:
    try:
        yield from _READERS[block.origin](block)
    except Exception:
        _log.debug("damaged %s", block.origin, exc_info=True)
        yield Evidence(None, block.origin, "damaged", f"{block.origin} that cannot be read")


def _free(origin: str, name: str, text: str, mark: Mark | None = None) -> Iterator[Evidence]:
    """Yield a text that anything may stand in: what it says of a generator, or else itself."""
    claimed = claims(name, text)
    for key, value in claimed:
        yield Evidence(Mark.GENERATOR, origin, key, value)
    if not claimed:
        yield Evidence(mark, origin, name, text)


# EXIF


def _exif(block: Block) -> Iterator[Evidence]:
    found = tags(block.data)
    make, model = _text(found.get(ExifTag.MAKE)), _text(found.get(ExifTag.MODEL))
    if claims("make", make) or claims("model", model):  # ComfyUI keeps its graph there in WebP
        yield from _free("EXIF", "make", make)
        yield from _free("EXIF", "model", model)
    else:
        yield Evidence(Mark.CAMERA, "EXIF", "camera", _camera(make, model))
    for tag, name, mark in _EXIF_TEXTS:
        yield from _free("EXIF", name, _text(found.get(tag)), mark)
    yield from _free("EXIF", "user comment", _user_comment(found.get(ExifTag.USER_COMMENT)))
    yield Evidence(None, "EXIF", "exposure", _exposure(found))
    if ExifTag.GPS in found:
        yield Evidence(None, "EXIF", "GPS", "position recorded")


def _camera(make: str, model: str) -> str:
    """Make and model; the model alone where it repeats a word of the make."""
    repeated = {*make.lower().split()} & {*model.lower().split()}
    return model if repeated else f"{make} {model}".strip()


def _exposure(found: dict[int, Value]) -> str:
    parts = []
    for tag, form in _EXPOSURE:
        match found.get(tag):
            case (int() | float() as number, *_) if number > 0:
                parts.append(form(number))
    return ", ".join(parts)


def _seconds(time: float) -> str:
    return f"1/{1 / time:.0f} s" if time < 0.3 else f"{time:g} s"


def _text(value: Value | bytes | None) -> str:
    """Return UTF-8, or what else it was written in taken for Latin-1."""
    if not isinstance(value, bytes):
        return ""
    value = value.strip(b"\x00 \t\r\n")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _user_comment(value: Value | None) -> str:
    if not isinstance(value, bytes):
        return ""
    coded = value[:8] in _CODES
    body = (value[8:] if coded else value).rstrip(b"\x00")
    if value.startswith(b"UNICODE\x00") or 3 * body.count(0) > len(body):
        # Writers do not keep to the byte order of the file, so the zeros of Latin letters tell.
        big = body[::2].count(0) >= body[1::2].count(0)
        body += bytes(len(body) % 2)
        return body.decode("utf-16-be" if big else "utf-16-le", errors="replace")
    return _text(body)


_CODES = (b"UNICODE\x00", b"ASCII\x00\x00\x00", b"JIS\x00\x00\x00\x00\x00", bytes(8))
_EXIF_TEXTS = (
    (ExifTag.SOFTWARE, "software", Mark.SOFTWARE),
    (ExifTag.LENS, "lens", None),
    (ExifTag.TAKEN, "taken", None),
    (ExifTag.ARTIST, "artist", None),
    (ExifTag.COPYRIGHT, "copyright", None),
    (ExifTag.DESCRIPTION, "description", None),
)
_EXPOSURE: tuple[tuple[ExifTag, Callable[[float], str]], ...] = (
    (ExifTag.EXPOSURE_TIME, _seconds),
    (ExifTag.F_NUMBER, "f/{:g}".format),
    (ExifTag.ISO, "ISO {:g}".format),
    (ExifTag.FOCAL_LENGTH, lambda length: f"{round(length, 1):g} mm"),
)


# XMP, IPTC, texts


def _xmp(block: Block) -> Iterator[Evidence]:
    found, damaged = xmp.properties(block.data)
    agents = []
    for name, value in found:
        match name.lower():
            case "digitalsourcetype":
                yield Evidence(Mark.SOURCE_TYPE, "XMP", "source type", source_type(value))
            case "aigc" | "aisystemused" | "aipromptinformation":
                yield Evidence(Mark.GENERATOR, "XMP", _XMP_NAMES.get(name, name), value)
            case "provenance":
                if value.startswith("http"):
                    text = f"not in the file but said to be at {value}; not fetched"
                    yield Evidence(Mark.C2PA, "XMP", "manifest", text)
            case "softwareagent":
                agents.append(value)
            case "creatortool":
                yield from _free("XMP", "creator tool", value, Mark.SOFTWARE)
            case _:
                yield from _free("XMP", _XMP_NAMES.get(name, name), value)
    generators = [agent for agent in agents if is_generator(agent)]
    for mark, history in ((Mark.GENERATOR, generators), (None, agents)):
        yield Evidence(mark, "XMP", "history", ", ".join(history))
    if damaged:
        yield Evidence(None, "XMP", "damaged", "XMP that cannot be read to the end")


def _iptc(block: Block) -> Iterator[Evidence]:
    for records in _resources(block.data) if block.data[:4] == b"8BIM" else (block.data,):
        at = 0
        while records[at : at + 1] == b"\x1c" and at + 5 <= len(records):
            record, dataset = records[at + 1], records[at + 2]
            size = int.from_bytes(records[at + 3 : at + 5])
            name = _IPTC_NAMES.get(dataset) if record == 2 else None
            if name:
                mark = Mark.SOFTWARE if name == "program" else None
                yield from _free("IPTC", name, _text(records[at + 5 : at + 5 + size]), mark)
            at += 5 + size


def _resources(data: bytes) -> Iterator[bytes]:
    """Yield the IPTC records among the resources of Photoshop."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        kind, name = int.from_bytes(data[at + 4 : at + 6]), data[at + 6]
        at += 7 + name + (name + 1) % 2  # the name and its length fill an even number of bytes
        size = int.from_bytes(data[at : at + 4])
        if kind == 0x0404:
            yield data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2


def _png_text(block: Block) -> Iterator[Evidence]:
    text = _text(block.data)
    if block.name.lower() in _PNG_NAMES:
        mark = Mark.SOFTWARE if block.name.lower() == "software" else None
        yield from _free("PNG text", block.name, text, mark)
    else:
        for name, value in claims(block.name, text):
            yield Evidence(Mark.GENERATOR, "PNG text", name, value)


def _jpeg_comment(block: Block) -> Iterator[Evidence]:
    yield from _free("JPEG comment", "comment", _text(block.data))


_XMP_NAMES = {
    "MetadataDate": "metadata date",
    "Credit": "credit",
    "AISystemUsed": "AI system",
    "AIPromptInformation": "prompt",
}
_IPTC_NAMES = {65: "program", 80: "by-line", 110: "credit", 115: "source", 116: "copyright"}
_PNG_NAMES = {
    *("software", "author", "artist", "title", "description", "copyright", "comment", "source"),
    *("creation time", "disclaimer"),
}


# C2PA


def _c2pa(block: Block) -> Iterator[Evidence]:
    store = manifests(block.data)
    if store is None:
        return
    generator = store[-1].generator if store else ""
    value = "present, signature not checked" + (f"; written by {generator}" if generator else "")
    yield Evidence(Mark.C2PA, "C2PA", "manifest", value)
    for place, manifest in enumerate(reversed(store)):
        yield from _steps(manifest, " of an ingredient" if place else "")


def _steps(manifest: Manifest, whose: str) -> Iterator[Evidence]:
    if is_generator(manifest.generator):
        yield Evidence(Mark.GENERATOR, "C2PA", f"claim generator{whose}", manifest.generator)
    for step in manifest.steps:
        source = source_type(step.source_type)
        yield Evidence(Mark.SOURCE_TYPE, "C2PA", f"source type{whose}", source)
        generated = says_generated(step.source_type) or is_generator(step.agent)
        mark = Mark.GENERATOR if generated else None
        yield Evidence(mark, "C2PA", f"software{whose}", step.agent)


_READERS: dict[str, Callable[[Block], Iterator[Evidence]]] = {
    "EXIF": _exif,
    "XMP": _xmp,
    "IPTC": _iptc,
    "C2PA": _c2pa,
    "PNG text": _png_text,
    "JPEG comment": _jpeg_comment,
}
