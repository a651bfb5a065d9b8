"""Closed choices: what an option may be. Check, message, help and completion come from here.

Apart from the rooms that act on them, for the command line must know them without loading those.
"""

from collections.abc import Iterable
from enum import StrEnum

from dgsforensics.judgements import Judgement
from dgsforensics.records import MADE, Evidence, Verdict


class DeviceName(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    """The first of CUDA, MPS and CPU that is there."""
    CPU = "cpu"
    CUDA = "cuda"
    """The first card that `CUDA_VISIBLE_DEVICES` leaves."""
    MPS = "mps"


class SliceBy(StrEnum):
    """How the figures of an evaluation are split up."""

    GENERATOR = "generator"
    SOURCE = "source"
    FORMAT = "format"
    SIZE = "size"


class Pick(StrEnum):
    """A kind of rows that can be asked for."""

    FLAGGED = "flagged"
    INCONCLUSIVE = "inconclusive"
    NOT_FLAGGED = "not-flagged"
    FAILED = "failed"
    """Without a score."""
    CLAIMS = "claims"
    """Of files that claim something of how they were made."""

    def takes(self, verdict: Verdict | None, evidence: Iterable[Evidence]) -> bool:
        """Tell whether a file with this verdict, None without a score, and these claims is one."""
        match self:
            case Pick.FAILED:
                return verdict is None
            case Pick.CLAIMS:
                return verdict is not None and any(piece.mark in MADE for piece in evidence)
            case _:
                return verdict is not None and verdict.replace(" ", "-") == self


class Order(StrEnum):
    """What a list is sorted by."""

    QUEUE = "queue"
    """What most needs a look first: flagged, inconclusive, what claims something of how it was
    made, the rest; each of them by score."""
    SCORE = "score"
    """Highest first; files without a score at the end."""
    NAME = "name"
    SIZE = "size"
    """Most pixels first."""
    FORMAT = "format"
    LABEL = "label"
    """Those without one first."""
    SCAN = "scan"
    """As they were scanned."""


class Graphics(StrEnum):
    """How pictures are drawn in a terminal."""

    AUTO = "auto"
    """The best that it can show."""
    KITTY = "kitty"
    SIXEL = "sixel"
    SEXTANTS = "sextants"
    """Characters of six parts, which not every font has."""
    BLOCKS = "blocks"
    """Quadrants, half blocks and eighths."""
    HALVES = "halves"
    TEXT = "text"


class Theme(StrEnum):
    """Colours of the screen."""

    DARK = "dark"
    LIGHT = "light"


class LabelName(StrEnum):
    """A judgement, or that there is none any more."""

    AI = Judgement.AI.value
    REAL = Judgement.REAL.value
    UNSURE = Judgement.UNSURE.value
    UNFIT = Judgement.UNFIT.value
    NONE = "none"


class FiledAs(StrEnum):
    """What files are chosen by: a label, or a verdict of the detector."""

    AI = Judgement.AI.value
    REAL = Judgement.REAL.value
    UNSURE = Judgement.UNSURE.value
    UNFIT = Judgement.UNFIT.value
    FLAGGED = "flagged"
    INCONCLUSIVE = "inconclusive"
    NOT_FLAGGED = "not-flagged"


class Method(StrEnum):
    """How a detector is trained."""

    AUTO = "auto"
    """Of a base detector and few images the head alone, else DGS."""
    DGS = "dgs"
    """LoRA under the gradient surgery of DGS-Net."""
    LORA = "lora"
    PROBE = "probe"
    """A linear head on the frozen tower."""


class Semantics(StrEnum):
    """What gradient surgery takes for the content of an image."""

    CAPTIONS = "captions"
    LOWPASS = "lowpass"
    NONE = "none"


class AugmentationName(StrEnum):
    """What happens to training images of both classes."""

    WEB = "web"
    FLIP = "flip"
    NONE = "none"


class Precision(StrEnum):
    """Of the tower while training."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class SplitBy(StrEnum):
    """What is held out whole."""

    AUTO = "auto"
    """Generators and sources where there are enough."""
    GENERATOR = "generator"
    SOURCE = "source"
    GROUP = "group"
