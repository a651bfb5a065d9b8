"""Under which circumstances a scan was made, and what came of it beside the rows.

Both are stated in reports. Scans by older versions say neither.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

LISTED = 1000
"""Files passed over that are named; `ScanOptions.left_out` counts all of them."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who scanned, where, and by which command."""

    command: tuple[str, ...]
    """As typed; empty: not from the command line."""
    folder: str
    """Where it was typed, absolute; empty where that is gone."""
    operator: str | None
    """The login name; None where there is none."""
    host: str
    system: str
    """Operating system and processor."""

    def to_json(self) -> str:
        """Return one object; `from_json` is the inverse."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "Circumstances | None":
        """Read what `to_json` wrote; None for nothing and for what makes no sense."""
        match _loaded(text):
            case {
                "command": list(command),
                "folder": str(folder),
                "operator": str() | None as operator,
                "host": str(host),
                "system": str(system),
            }:
                return cls(tuple(map(str, command)), folder, operator, host, system)
        return None


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """What is known when a scan has run through."""

    device: str | None = None
    """Where the model ran; None: on nothing, for all was scored before."""
    batch: int | None = None
    """Images in a forward pass; None: there was none."""
    named: tuple[tuple[str, str], ...] = ()
    """Path and kind of the first `LISTED` files that were met and passed over."""

    def to_json(self) -> str:
        """Return one object; `from_json` is the inverse."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "ScanOutcome | None":
        """Read what `to_json` wrote; None for nothing and for what makes no sense."""
        match _loaded(text):
            case {
                "device": str() | None as device,
                "batch": int() | None as batch,
                "named": list(named),
            }:
                pairs = [pair for pair in named if isinstance(pair, list) and len(pair) == 2]
                files = tuple((str(path), str(kind)) for path, kind in pairs)
                return cls(device, batch, files)
        return None


def _loaded(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None
