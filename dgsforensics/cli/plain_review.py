"""A review line by line: for screen readers, slow lines, and terminals without a cursor.

One image at a time is said in words, then one line is read: a key of the screen, a whole word, or
a note. Nothing is redrawn.
"""

import io
import sys
from collections.abc import Iterator

from dgsforensics import wording
from dgsforensics.choices import Order
from dgsforensics.errors import UsageError
from dgsforensics.judgements import Judgement, Showing, Sight
from dgsforensics.review import phrases, queries
from dgsforensics.review.dossier import describe
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review
from dgsforensics.wording import counted, printable

HELP = """Commands, each with Enter:
  1 or ai, 2 or real, 3 or unsure, 4 or unfit: label this image (unfit: not an image to judge)
  0 or none: take the label away
  t TEXT: write a note, t alone takes it away
  n: next, p: previous, u: next unlabelled, or a number (1 to 4 as 01 to 04): go there
  e: say the evidence
  z: undo, y: redo
  / QUERY: list what a filter asks for, / alone lists all
  ?: this help, q: quit"""
_UNSEEN = Sight(Showing.PLAIN)
"""What the log says of the picture."""
_WORDS: dict[str, Judgement | None] = {"0": None, "none": None}
_WORDS |= {str(number): label for number, label in enumerate(Judgement, 1)}
_WORDS |= {label.value: label for label in Judgement}


def review(review: Review, query: str, order: Order, *, advance: bool) -> None:
    """Read commands until the end of the input or `q`."""
    if isinstance(sys.stdin, io.TextIOWrapper):  # a stray byte in a note is no reason to stop
        sys.stdin.reconfigure(errors="backslashreplace")
    items = queries.listed(review, query, order)
    place = queries.resumed(review, items)
    what = printable(query) or "all"
    cut = f" {review.basis}." if review.basis else ""
    _say(f"{counted(len(items), 'image')}: {what}, by {order}.{cut} ? for help, q to quit.")
    while True:
        review.follow()
        if items:
            _say(_line(review, items, place))
        try:
            command, _, rest = input("> ").strip().partition(" ")
        except EOFError:
            _say("")
            return
        item = items[place] if items else None
        match command := command.casefold():
            case "":
                continue
            case "q":
                return
            case "?":
                _say(HELP)
            case "n":
                place = min(place + 1, max(0, len(items) - 1))
            case "p":
                place = max(place - 1, 0)
            case "u":
                found = queries.next_unlabelled(review, items, place)
                if found is None:
                    _say("every image listed has a label")
                else:
                    place = found
            case "z" | "y":
                changed = review.undo() if command == "z" else review.redo()
                _say(
                    f"{counted(len(changed), 'image')} changed"
                    if changed
                    else "there is no such step"
                )
                there = [i for i, item in enumerate(items) if item.sha256 in changed]
                place = there[0] if there else place
            case "/":
                try:
                    items, place = queries.listed(review, rest, order), 0
                    _say(counted(len(items), "image"))
                except UsageError as error:
                    _say(printable(error.message))
            case number if number.isdecimal() and number not in _WORDS:
                place = min(max(1, int(number)), max(1, len(items))) - 1
            case _ if item is None:
                _say("there is no image listed; / lists all, ? is help")
            case "e":
                _say(*_evidence(review, item))
            case word if word in ("t", *_WORDS) and item.sha256 is None:
                _say("this file could not be read, so there is nothing to label")
            case "t":
                review.note(item, rest, sight=_UNSEEN)
                _say("note written" if rest else "no note")
            case word if word in _WORDS:
                label = _WORDS[word]
                review.label([item], label, sight=_UNSEEN)
                _say(f"{printable(item.path.name)}: {label or 'no label'}")
                if advance and label:
                    place = min(place + 1, len(items) - 1)
            case _:
                _say(f"{printable(command)} is no command; ? is help")


def _line(review: Review, items: list[Item], place: int) -> str:
    """Return one image in a sentence."""
    item = items[place]
    chance = item.probability
    score = "" if chance is None else f", probability {wording.chance(chance)}"
    label = review.judgement(item)
    said = f", labelled {label}" if label else ", no label"
    note = f", note: {printable(review.note_of(item))}" if review.note_of(item) else ""
    name = phrases.place(item, str(review.root))
    return f"{place + 1} of {len(items)}: {name}, {item.kind}{score}{said}{note}"


def _evidence(review: Review, item: Item) -> Iterator[str]:
    for title, lines in describe(review, item, None):
        yield f"{title}:"
        yield from (f"  {name} {value}" if name else f"  {value}" for name, value in lines)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)
