"""Parts of an evaluation set, each with the images of both classes that its figures come from.

A generator is seen against the real images of the sources that its own images are from, where each
of these sources has some, for size and codec then tell little; otherwise against all real images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from dgsforensics.choices import SliceBy
from dgsforensics.datasets.labelled import UNKNOWN, ListedImage
from dgsforensics.records import FileFacts, Label

ALL = "all"
"""Name of the slice with everything in it."""
_SIZES = ((512, "below 512"), (1024, "512 to 1023"), (2048, "1024 to 2047"))
_LARGEST = "2048 and more"


@dataclass(frozen=True, slots=True)
class SliceImage:
    """An image of the set whose content is known."""

    listed: ListedImage
    facts: FileFacts
    group: str
    """Images of one group are near-duplicates, as the data give it, else the same content."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the set."""

    name: str
    real_of: Literal["slice", "source", "set"]
    """Where its real images are from: the slice itself, the generator's sources, the whole set."""
    rows: tuple[int, ...]
    """Positions among the entries, ascending."""


def cut(entries: Sequence[SliceImage], by: SliceBy) -> list[Slice]:
    """Return the whole set, then its parts in the order of their names, sizes ascending."""
    whole = Slice(ALL, "slice", tuple(range(len(entries))))
    if by == SliceBy.GENERATOR:
        return [whole, *_by_generator(entries)]
    name_of: dict[SliceBy, Callable[[SliceImage], str]] = {
        SliceBy.SOURCE: lambda entry: entry.listed.source,
        SliceBy.FORMAT: lambda entry: entry.facts.format or UNKNOWN,
        SliceBy.SIZE: _size,
    }
    parts: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        parts.setdefault(name_of[by](entry), []).append(i)
    sizes = [name for _, name in _SIZES] + [_LARGEST]
    names = [n for n in sizes if n in parts] if by == SliceBy.SIZE else sorted(parts)
    return [whole, *(Slice(name, "slice", tuple(parts[name])) for name in names)]


def _by_generator(entries: Sequence[SliceImage]) -> list[Slice]:
    generated: dict[str, list[int]] = {}
    real: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        if entry.listed.label == Label.GENERATED:
            generated.setdefault(entry.listed.generator or UNKNOWN, []).append(i)
        else:
            real.setdefault(entry.listed.source, []).append(i)
    every = [i for rows in real.values() for i in rows]
    found = []
    for name, rows in sorted(generated.items()):
        sources = {entries[i].listed.source for i in rows}
        own = UNKNOWN not in sources and sources <= real.keys()
        against = [i for source in sources for i in real[source]] if own else every
        found.append(Slice(name, "source" if own else "set", tuple(sorted([*rows, *against]))))
    return found


def _size(entry: SliceImage) -> str:
    longest = max(entry.facts.width or 0, entry.facts.height or 0)
    return next((name for limit, name in _SIZES if longest < limit), _LARGEST)
