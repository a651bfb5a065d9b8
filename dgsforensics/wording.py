"""Text for people: numbers in sentences, and names that a terminal may be shown."""

from pathlib import Path


def counted(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`; for nouns that take an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(path: Path | str) -> str:
    """Return a name fit for a terminal or a CSV cell: stray bytes and control characters as
    escapes.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in str(path))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, as `os.fsdecode` leaves it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
