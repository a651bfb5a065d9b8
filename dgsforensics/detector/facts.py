"""What a detector file says of itself for people: where it came from, what it can do and cannot.

A card from elsewhere may lack any fact. What this version does not know is kept, and shown to
nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from dgsforensics.errors import ConfigError

_Kind = TypeVar("_Kind")
Row = Mapping[str, str | float | None]
"""Of a table: cells by what stands over them; int is a float here."""


@dataclass(frozen=True, slots=True)
class CardTable:
    """One table of results."""

    title: str
    note: str
    """How the figures came about."""
    rows: tuple[Row, ...]
    """All with the same keys."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """What a user measured the thresholds on."""

    base: str
    """Name of the detector that was never calibrated by a person."""
    sha256: str
    """Digest of the file of that one."""
    photographs: str
    generated: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about a detector; None and empty where nothing is said."""

    summary: str | None = None
    command: str | None = None
    """What made it."""
    versions: str | None = None
    """Of what it was made with."""
    options: str | None = None
    """Those of the training run, as TOML."""
    data: str | None = None
    """What it was trained on."""
    counts: tuple[Row, ...] = ()
    """Images by part."""
    origin: Mapping[str, str | float] = field(default_factory=dict)
    """Of an imported detector, by what the facts are called."""
    calibrated: Recalibration | None = None
    results: tuple[CardTable, ...] = ()
    limits: tuple[str, ...] = ()
    licence: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    """What another version said, as JSON types."""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain JSON types, without those that say nothing."""
        said: dict[str, Any] = {}
        for name in _TEXTS:
            if (text := getattr(self, name)) is not None:
                said[name] = text
        for name, rows in (("counts", self.counts), ("limits", self.limits)):
            if rows:
                said[name] = [dict(row) if isinstance(row, Mapping) else row for row in rows]
        if self.origin:
            said["origin"] = dict(self.origin)
        if (now := self.calibrated) is not None:
            said["calibrated"] = {
                "from": now.base,
                "sha256": now.sha256,
                "photographs": now.photographs,
                "generated": now.generated,
            }
        if self.results:
            said["results"] = [
                {"title": one.title, "note": one.note, "rows": [dict(row) for row in one.rows]}
                for one in self.results
            ]
        return said | dict(self.others)

    @classmethod
    def from_dict(cls, data: object) -> "ModelCard":
        """Read what `to_dict` wrote; raises `ConfigError` naming a fact of the wrong kind."""
        if not isinstance(data, dict):
            raise ConfigError("the model card is damaged: it is no object")
        known = {one.name for one in fields(cls)} - {"others"}
        now = data.get("calibrated")
        return cls(
            **{name: _text(data, name) for name in _TEXTS},
            counts=_rows(data.get("counts", []), "counts"),
            origin=_object(data.get("origin", {}), "origin"),
            calibrated=None if now is None else _recalibration(_object(now, "calibrated")),
            results=tuple(_table(one) for one in _list(data.get("results", []), "results")),
            limits=tuple(
                _is(str, one, "limits") for one in _list(data.get("limits", []), "limits")
            ),
            others={name: value for name, value in data.items() if name not in known},
        )


NO_FACTS = ModelCard()
_TEXTS = ("summary", "command", "versions", "options", "data", "licence")


def _is(kind: type[_Kind], value: object, name: str) -> _Kind:
    if not isinstance(value, kind):
        raise ConfigError(f"the model card is damaged: {name} has {value!r}")
    return value


def _text(data: Mapping[str, object], name: str) -> str | None:
    return _is(str, data[name], name) if name in data else None


def _list(value: object, name: str) -> list[Any]:
    return _is(list, value, name)


def _object(value: object, name: str) -> dict[str, Any]:
    return _is(dict, value, name)


def _rows(value: object, name: str) -> tuple[Row, ...]:
    rows = [_object(row, name) for row in _list(value, name)]
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ConfigError(f"the model card is damaged: {name} has rows of several kinds")
    return tuple(rows)


def _table(value: object) -> CardTable:
    table = _object(value, "results")
    title, note = (_is(str, table.get(name), "results") for name in ("title", "note"))
    return CardTable(title, note, _rows(table.get("rows"), "results"))


def _recalibration(told: Mapping[str, object]) -> Recalibration:
    names: Sequence[str] = ("from", "sha256", "photographs", "generated")
    return Recalibration(*(_is(str, told.get(name), "calibrated") for name in names))
