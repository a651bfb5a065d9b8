"""The record of a run: `metrics.jsonl`, an object a line; and TensorBoard where it is installed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dgsforensics import atomic


class Journal:
    """Appends records by step; a run that goes on replaces what it does again."""

    def __init__(self, folder: Path) -> None:
        """Keep the record in `folder`, opened when there is something to write."""
        self._folder = folder
        self._begun = False
        self._board: Any = None

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add a record; the first one drops those of its own step and later, of a run before."""
        file = self._folder / "metrics.jsonl"
        if not self._begun:
            self._begun = True
            _keep_before(step, file)
            self._board = _tensorboard(self._folder, step)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()


def _keep_before(step: int, file: Path) -> None:
    """Drop the records from `step` on, and a last line that was torn by a kill.

    A record that lacks its newline alone is whole, and stays.
    """
    kept = []
    for line in file.read_bytes().splitlines() if file.exists() else []:
        try:
            earlier = json.loads(line)["step"] < step
        except (ValueError, LookupError, TypeError):
            break
        if earlier:
            kept.append(line + b"\n")
    with atomic.replacing(file) as part:
        part.write_bytes(b"".join(kept))


def _tensorboard(folder: Path, step: int) -> Any:
    """Return a writer beside the record, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)
