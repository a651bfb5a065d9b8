"""The detectors at hand: what lies in their folders, whether it is whole, and what goes in or out.

Nothing that is there is overwritten unless `force` says so, and a file has its name only once it is
whole.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from dgsforensics import atomic
from dgsforensics.detector import checkpoint
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.folders import (
    belongs_to_another,
    file_name,
    sha256_of,
    user_folder,
    weights_folder,
)
from dgsforensics.errors import CheckpointError, DgsError, UsageError

SUMS = "SHA256SUMS"
"""Digests of the files beside it, as `sha256sum` writes them."""
_SUM = re.compile(rb"([0-9a-fA-F]{64}) [ *](.+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class CatalogueEntry:
    """A file in one of the two folders."""

    name: str
    path: Path
    bundled: bool
    """Whether it came with the package; else it is in the user's folder."""
    checkpoint: Checkpoint | None
    """What is in it; None when it cannot be read."""
    problem: str | None
    """Why it cannot be used, for people."""


def entries() -> list[CatalogueEntry]:
    """Return the bundled detectors, then the user's, by name; damaged ones too, with the reason."""
    found: list[CatalogueEntry] = []
    for folder, bundled in ((weights_folder(), True), (user_folder(), False)):
        for path in sorted(folder.glob("*.safetensors")):
            if belongs_to_another(path):
                continue
            loaded, problem = None, None
            try:
                loaded = checkpoint.read(path)
            except DgsError as error:
                problem = error.sentence
            if any(entry.name == path.stem for entry in found):
                problem = "a bundled detector has that name and goes first; rename this one"
            found.append(CatalogueEntry(path.stem, path, bundled, loaded, problem))
    return found


def problems(
    path: Path, *, sha256: str | None = None, backbone_weights: Path | None = None
) -> list[str]:
    """Return what is wrong with a detector file, for people; nothing, and it can be scanned with.

    Checked are its digest against `sha256` and the list of sums beside it, its tensors (names,
    shapes, finite values), and its backbone and that one's digest. `backbone_weights` stands in for
    the backbone of a detector that takes it from a file.
    """
    found = []
    try:
        digest = sha256_of(path)
        if sha256 is not None and digest != sha256.lower():
            found.append(f"its sha256 is {digest}, not the one given")
        listed = sums(path.parent).get(path.name)
        if listed not in (None, digest):
            found.append(f"its sha256 is {digest}, and {SUMS} lists {listed}")
        loaded = checkpoint.read(path)
        takes_file = loaded.config.backbone.weights == "file"
        checkpoint.build_model(loaded, backbone_weights if takes_file else None)
    except DgsError as error:
        found.append(error.sentence)
    return found


def sums(folder: Path) -> dict[str, str]:
    """Return the digest by file name, as the folder's list has it; none where there is no list."""
    try:
        lines = (folder / SUMS).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(f"cannot read {folder / SUMS}: {error.strerror}") from error
    listed = {}
    for number, line in enumerate(lines, 1):
        if (match := _SUM.fullmatch(line)) is None:
            raise CheckpointError(f"{SUMS}, line {number}: not a digest and a file name")
        listed[os.fsdecode(match[2])] = match[1].decode().lower()
    return listed


def check_name(name: str) -> None:
    """Raise `UsageError` when a detector cannot go by that name."""
    file = f"{name}.safetensors"
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} cannot be the name of a detector",
            "use up to 100 letters, digits, dots, dashes and underscores: --name NAME",
        )
    if belongs_to_another(Path(file)) or (weights_folder() / file).exists():
        raise UsageError(f"{name!r} comes with the package, or is kept for files of another kind")


def targets(made_as: str, folder: Path) -> tuple[Path, Path]:
    """Return where a detector and its card go."""
    return folder / f"{made_as}.safetensors", folder / f"{made_as}.md"


def install(
    made: Checkpoint, tower: dict[str, Tensor], card: str, folder: Path, *, force: bool = False
) -> list[Path]:
    """Write a detector, its card and its tower into a folder; returns their paths.

    The detector comes last and is never there without the tower. Raises `UsageError` when one of
    the files exists, or the folder cannot be written to.
    """
    digest = made.config.backbone.sha256
    assert digest is not None
    detector, text = targets(made.config.name, folder)
    weights = folder / file_name(digest)
    in_place = weights.is_file() and sha256_of(weights) == digest
    new = [*([] if in_place else [weights]), text, detector]
    refuse_existing(new, force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
            parts = {path: Path(scratch) / path.name for path in new}
            checkpoint.write(made, parts[detector])
            parts[text].write_text(card, encoding="utf-8")
            if not in_place:
                checkpoint.save(tower, parts[weights])
                if sha256_of(parts[weights]) != digest:
                    raise CheckpointError("the tower was not written as it was read", "try again")
            for path in new:
                atomic.finish(parts[path], path, os.replace)
    except (OSError, SafetensorError) as error:
        raise _cannot_write(folder, error) from error
    return [detector, text, weights]


def export(
    source: Checkpoint, out: Path, *, backbone_weights: Path | None = None, force: bool = False
) -> None:
    """Write a detector for other programs: the whole tower with the adapters merged, and the head.

    Float32, `visual.<name>` as open_clip has it, `head.weight`, `head.bias`; the configuration as
    JSON under `config` in the metadata. Raises `UsageError` when `out` exists or cannot be written.
    """
    refuse_existing([out], force=force)
    model = checkpoint.build_model(source, backbone_weights)
    model.merge()
    tensors = {f"visual.{name}": value for name, value in model.tower.state_dict().items()}
    tensors |= {f"head.{name}": value for name, value in model.head.state_dict().items()}
    try:
        checkpoint.save(tensors, out, {"config": json.dumps(source.config.to_dict())})
    except (OSError, SafetensorError) as error:
        raise _cannot_write(out, error) from error


def refuse_existing(paths: Iterable[Path], *, force: bool) -> None:
    """Raise `UsageError` for what is there already; with `force`, for folders only."""
    for path in paths:
        if os.path.lexists(path) and (path.is_dir() or not force):
            raise UsageError(f"{path} exists", None if path.is_dir() else "--force overwrites it")


def _cannot_write(path: Path, error: Exception) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UsageError(f"cannot write {path}: {reason}")
