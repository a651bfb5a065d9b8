"""What reviewers decide of images, and what they saw when they did."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dgsforensics.records import Verdict


class Judgement(StrEnum):
    """What a reviewer says an image is."""

    AI = "ai"
    REAL = "real"
    UNSURE = "unsure"
    UNFIT = "unfit"
    """Not an image to judge: a drawing, a document, a screenshot."""


class Action(StrEnum):
    """What a reviewer did to write a decision down."""

    LABEL = "label"
    NOTE = "note"
    UNDO = "undo"
    REDO = "redo"


class Showing(StrEnum):
    """How a picture was shown to a reviewer, or why it was not."""

    KITTY = "kitty"
    SIXEL = "sixel"
    SEXTANTS = "sextants"
    BLOCKS = "blocks"
    HALVES = "halves"
    TEXT = "text"
    BLIND = "blind"
    """Not looked at: the reviewer had asked to label without."""
    PLAIN = "plain"
    """Said in a line of text."""
    COMMAND = "command line"
    """Named on the command line."""
    GROUP = "group"
    """Not looked at: labelled with the group of another image."""
    UNREADABLE = "unreadable"
    """There was no picture to be seen: the file is gone or damaged."""
    HIDDEN = "hidden"
    """Not on the screen, or not yet; of notes, for which nobody has to look."""


PICTURED = (
    *(Showing.KITTY, Showing.SIXEL, Showing.SEXTANTS, Showing.BLOCKS, Showing.HALVES),
    Showing.TEXT,
)
"""The showings in which a picture was on the screen."""


@dataclass(frozen=True, slots=True)
class ScoreSeen:
    """The score that a reviewer saw when deciding."""

    model: str
    model_sha256: str
    logit: float
    probability: float
    threshold: float
    """The probability from which an image was flagged."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Sight:
    """What a reviewer had before the eyes when deciding."""

    showing: Showing
    width: int = 0
    """Displayed pixels that the picture took on the screen, in characters the parts of them that
    have a colour of their own; 0, as the next two, where it was not shown."""
    height: int = 0
    seconds: float = 0.0
    """For how long it had been on the screen when the key came."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log: from here on, this reviewer's label and note for this image."""

    id: int
    """Counts from 1 through the whole log."""
    time: str
    """ISO 8601, UTC."""
    reviewer: str
    step: int
    """The id of the first entry of what one keypress or command wrote."""
    action: Action
    path: Path
    """Where the image lay when it was judged."""
    sha256: str
    """Of the image: the label belongs to the content, wherever it lies."""
    judgement: Judgement | None
    """None: no label, or no longer."""
    note: str
    shown: ScoreSeen | None
    """None for an image without a score."""
    hash: str
    """Digest over this entry and the hash of the one before."""
    sight: Sight | None = None
    """None: of an older version, or a step taken back or done again."""
