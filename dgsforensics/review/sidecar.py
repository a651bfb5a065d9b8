"""An XMP sidecar: the label of an image in a small file of its own, for picture managers.

The label is a keyword (`dc:subject`), which they show and search; who gave it, when, and what the
detector had said are properties in a namespace of ours.
"""

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from dgsforensics.records import Decision, Judgement
from dgsforensics.wording import printable

NAMESPACE = "urn:dgsforensics:review:1#"
_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:dgsf="{NAMESPACE}">
"""
_TAIL = """  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def render(decisions: Sequence[Decision]) -> bytes:
    """Return the sidecar of an image that these reviewers, one or more, gave the same label.

    The same decisions give the same bytes. The score is the one that was last on the screen.
    """
    last = decisions[-1]
    shown = next((decision.shown for decision in reversed(decisions) if decision.shown), None)
    properties = {"label": str(last.judgement), "time": last.time, "sha256": last.sha256}
    if shown is not None:
        properties |= {
            "verdict": str(shown.verdict),
            "probability": f"{shown.probability:.6g}",
            "threshold": f"{shown.threshold:.6g}",
            "model": shown.model,
            "modelSha256": shown.model_sha256,
        }
    lines = [_bag("dc:subject", [str(last.judgement)])]
    lines.append(_bag("dgsf:reviewer", [decision.reviewer for decision in decisions]))
    lines += [
        f"   <dgsf:{name}>{_text(value)}</dgsf:{name}>\n" for name, value in properties.items()
    ]
    return (_HEAD + "".join(lines) + _TAIL).encode()


def label_of(content: bytes) -> Judgement:
    """Return the label in a sidecar that `render` made; raises ValueError for anything else."""
    found = re.search(rb"<dgsf:label>(\w+)</dgsf:label>", content)
    if found is None:
        raise ValueError("not a sidecar of this program")
    return Judgement(found[1].decode())


def _bag(name: str, values: Sequence[str]) -> str:
    items = "".join(f"<rdf:li>{_text(value)}</rdf:li>" for value in values)
    return f"   <{name}><rdf:Bag>{items}</rdf:Bag></{name}>\n"


def _text(value: str) -> str:
    """Return text escaped for XML, without what XML must not hold, such as control characters."""
    return escape(printable(value))
