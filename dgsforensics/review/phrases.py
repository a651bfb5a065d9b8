"""How verdicts, labels, sizes and claims are worded on the screen, with and without colour."""

from dgsforensics.judgements import PICTURED, Judgement, Sight
from dgsforensics.records import Mark
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review
from dgsforensics.wording import printable

JUDGEMENTS = {
    Judgement.AI: "AI",
    Judgement.REAL: "real",
    Judgement.UNSURE: "unsure",
    Judgement.UNFIT: "unfit",
}
MARKS = {
    Mark.C2PA: "C",
    Mark.SOURCE_TYPE: "T",
    Mark.GENERATOR: "G",
    Mark.CAMERA: "k",
    Mark.SOFTWARE: "s",
}
"""One letter each for a column; capitals bear on how the image was made."""


def scale(item: Item, width: int) -> str:
    """Return the score on a line from 0 to 100 % with both thresholds; "" where there is none.

    `width` is in cells, 20 at least: light is not flagged, darker inconclusive, darkest flagged.
    """
    shown, made = item.shown, item.scale
    if shown is None or made is None:
        return ""
    cells = width - len("0  100%")
    probability = made.calibration.probability
    lower, upper = (probability(cut) for cut in (made.thresholds.lower, made.thresholds.upper))
    # A cell is as its middle is, but a zone in which the score lies is never without a cell.
    line = zones(cells, lower, upper, "░▒▓")
    line[min(cells - 1, int(shown.probability * cells))] = "●"
    return f"0 {''.join(line)} 100%"


def zones(cells: int, lower: float, upper: float, signs: str) -> list[str]:
    """Return a scale from 0 to 1 in cells: by their middles below `lower`, below `upper`, beyond,
    each with its sign."""
    middles = ((cell + 0.5) / cells for cell in range(cells))
    return [signs[(place >= lower) + (place >= upper)] for place in middles]


def label(review: Review, item: Item) -> str:
    """Return the reviewer's label, whether others agree (= or ≠), and whether there is a note
    (+)."""
    mine = review.judgement(item)
    others = {d.judgement for d in review.decisions(item) if d.reviewer != review.reviewer}
    others.discard(None)
    text = JUDGEMENTS[mine] if mine else ""
    if others:
        text += "?" if mine is None else "=" if others == {mine} else "≠"
    return text + ("+" if review.note_of(item) else "")


def sight(seen: Sight | None) -> str:
    """Return how the picture was shown and for how long, or why it was not; - where nobody says."""
    if seen is None:
        return "-"
    if seen.showing not in PICTURED:
        return f"not seen: {seen.showing}"
    return f"{seen.showing} {seen.width}x{seen.height}, {seen.seconds:.1f} s"


def size(item: Item) -> str:
    """Return width and height in pixels."""
    facts = item.row.facts
    return f"{facts.width}x{facts.height}" if facts.width else ""


def amount(count: int | None) -> str:
    """Return a number of bytes, for people."""
    if count is None:
        return "unknown size"
    value, unit = float(count), "bytes"
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 999.5 or unit == "GB":  # from there on it would be rounded to 1000
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.95 else f"{value:.1f} {unit}"


def name(item: Item) -> str:
    """Return the file's name, fit for a terminal."""
    return printable(item.path.name)


def place(item: Item, root: str) -> str:
    """Return the path below a folder, whole where it is not below it, fit for a terminal."""
    path = item.path
    return printable(path.relative_to(root) if path.is_relative_to(root) else path)
