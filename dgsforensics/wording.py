"""Text for people: numbers in sentences, and names that a terminal may be shown."""

from collections.abc import Mapping
from pathlib import Path


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`; for nouns that take an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(counts: Mapping[str, int]) -> str:
    """Return `2 text, 1 PDF`: counts by kind, the most first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered)


def rate(share: float) -> str:
    """Return a share that somebody chose or counted, in percent: `1%`, `2.86%`."""
    return f"{100 * share:.3g}%"


def chance(share: float) -> str:
    """Return a probability for people; never 100 or 0 percent unless it is."""
    text = f"{share:.1%}"
    if text == "100.0%" and share < 1:
        return ">99.9%"
    return "<0.1%" if text == "0.0%" and share > 0 else text


def percent(share: float) -> str:
    """Return `chance` for a column, six characters."""
    return chance(share).rjust(6)


def printable(path: Path | str) -> str:
    """Return a name fit for a terminal or a CSV cell: stray bytes and control characters as
    escapes.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in str(path))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as `os.fsdecode` leaves it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
