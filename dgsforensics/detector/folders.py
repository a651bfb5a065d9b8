"""Where detectors and their backbones lie, and by which names they go; nothing is loaded for it."""

import hashlib
import os
import re
from importlib.resources import files
from pathlib import Path

import platformdirs

from dgsforensics.errors import CheckpointError

DEFAULT = "dgs-b16"
"""The detector used when none is named."""
BUNDLED = {"ViT-B-16-quickgelu": "clip-vit-b-16-image-int8.safetensors"}
"""Backbones that come with the package, by open_clip name."""
_BACKBONE_FILE = re.compile(r"backbone-[0-9a-f]{12}\.safetensors")
"""As `file_name` makes them."""

REPLAY_SUFFIX = ".replay.safetensors"
"""Of what lies beside a detector for those who adapt it: features of images that it knows."""


def weights_folder() -> Path:
    """Return where the bundled weights lie."""
    return Path(str(files("dgsforensics.weights")))


def user_folder() -> Path:
    """Return where a person's own detectors are looked up by name."""
    return platformdirs.user_data_path("dgsforensics") / "models"


def available() -> dict[str, Path]:
    """Return detectors by name: the bundled ones, then those in the user's folder."""
    found: dict[str, Path] = {}
    for folder in (weights_folder(), user_folder()):
        for path in sorted(folder.glob("*.safetensors")):
            if not belongs_to_another(path):
                found.setdefault(path.stem, path)
    return found


def belongs_to_another(path: Path) -> bool:
    """Tell whether a file among detectors is none, but a backbone or a replay, by its name."""
    backbone = path.name in BUNDLED.values() or _BACKBONE_FILE.fullmatch(path.name) is not None
    return backbone or path.name.endswith(REPLAY_SUFFIX)


def file_name(sha256: str) -> str:
    """Return what a weights file that belongs to a detector is called, by its digest."""
    return f"backbone-{sha256[:12]}.safetensors"


def resolve(name_or_path: str | Path | None) -> Path:
    """Return the detector file meant by a name, a path, or None for the default.

    Raises `CheckpointError` where there is none.
    """
    known = available()
    name = DEFAULT if name_or_path is None else str(name_or_path)
    if name in known:  # before paths: a file in the current folder must not pass for the default
        return known[name]
    if name_or_path is not None and Path(name_or_path).is_file():
        return Path(name_or_path)
    raise CheckpointError(
        f"no detector {name!r}",
        f"known by name: {', '.join(known) or 'none'}; or give the path of a .safetensors file",
    )


def sha256_of(path: Path) -> str:
    """Return the hexadecimal digest of a file; raises `CheckpointError` if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
