"""The few properties of an XMP packet that say where an image comes from.

The packet is streamed through expat, which is told the encoding and stopped at a document type:
so no entity is ever defined, whatever the packet is made of. A regular expression would have to
know attributes, elements, lists and escapes apart; a tree is lost where the packet breaks off.
Properties are known by their name without its prefix, for writers do not agree on prefixes.
"""

import logging
from xml.parsers import expat

MAX_BYTES = 1 << 20
"""What is read of one packet; the history in one may be endless."""
_MAX_VALUES = 500
PROPERTIES = {
    "CreatorTool",
    "MetadataDate",
    "softwareAgent",
    "Credit",
    "creator",
    "DigitalSourceType",
    "digitalSourceType",
    "digitalsourcetype",
    "AIGC",
    "AISystemUsed",
    "AIPromptInformation",
    "provenance",
}

_log = logging.getLogger(__name__)


def properties(packet: bytes) -> tuple[list[tuple[str, str]], bool]:
    """Return names out of `PROPERTIES` and values, each pair once; and whether the packet is
    damaged.
    """
    found: dict[tuple[str, str], None] = {}
    inside: list[str | None] = []  # for each open element the property that it belongs to
    text: list[str] = []

    def keep(name: str | None, value: str) -> None:
        if name and value.strip() and len(found) < _MAX_VALUES:
            found[name, value.strip()] = None

    def start(tag: str, attributes: dict[str, str]) -> None:
        text.clear()
        name = _local(tag)
        inside.append(name if name in PROPERTIES else inside[-1] if inside else None)
        for key, value in attributes.items():
            name = _local(key)
            keep(inside[-1] if name == "resource" else name if name in PROPERTIES else None, value)

    def end(_: str) -> None:
        keep(inside.pop(), "".join(text))
        text.clear()

    def characters(piece: str) -> None:
        if inside[-1]:
            text.append(piece)

    def refuse(*_: object) -> None:
        raise ValueError("a document type, which XMP has no use for")

    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    packet = packet.strip(b"\x00 \r\n\t")
    try:
        parser.Parse(packet[:MAX_BYTES], len(packet) <= MAX_BYTES)
    except (expat.ExpatError, ValueError):
        _log.debug("damaged XMP", exc_info=True)
        return list(found), True
    return list(found), False


def _local(name: str) -> str:
    return name.rpartition(":")[2]
