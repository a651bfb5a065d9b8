"""An XMP sidecar: the label of an image in a small file of its own, for picture managers.

The label is a keyword (`dc:subject`), which they show and search; who gave it, when, and what the
detector had said are properties in a namespace of ours.
"""

import re
from collections.abc import Sequence

from dgsforensics import templates
from dgsforensics.judgements import Decision, Judgement

NAMESPACE = "urn:dgsforensics:review:1#"


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
    made = templates.page(
        "review/sidecar.xmp",
        namespace=NAMESPACE,
        label=str(last.judgement),
        reviewers=[decision.reviewer for decision in decisions],
        properties=properties,
    )
    return f"{made}\n".encode()


def label_of(content: bytes) -> Judgement:
    """Return the label in a sidecar that `render` made; raises ValueError for anything else."""
    found = re.search(rb"<dgsf:label>(\w+)</dgsf:label>", content)
    if found is None:
        raise ValueError("not a sidecar of this program")
    return Judgement(found[1].decode())
