"""What a detector file says of itself: configuration, calibration, card. Read without torch.

A scan of what was scored before needs no more than this. Two digests name a detector: that of the
file, which a report states, and that of the numbers that make a logit, by which scores are kept.
The latter leaves out calibration, card and name, so a calibrated copy shares its original's scores.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.config import DetectorConfig
from dgsforensics.detector.facts import NO_FACTS, ModelCard
from dgsforensics.detector.folders import sha256_of
from dgsforensics.errors import CheckpointError, ConfigError

FORMAT = 1
"""Version of the layout of metadata and tensors."""
METADATA_KEY = "dgsforensics"
"""Under which the metadata of a safetensors file hold all else, as JSON."""


@dataclass(frozen=True)
class DetectorHeader:
    """A detector without its tensors."""

    config: DetectorConfig
    calibration: Calibration
    sha256: str
    """Digest of the file."""
    weights_sha256: str
    """Digest of what decides a logit once the input is made: tensors, backbone, head, adapters."""
    path: Path
    card: ModelCard = NO_FACTS


def read(path: Path) -> DetectorHeader:
    """Read a detector file but for its tensors.

    Raises `CheckpointError` when it is missing, foreign or damaged.
    """
    digest = sha256_of(path)
    try:
        with safe_open(path, framework="np") as stored:  # checks the layout of the file
            text = (stored.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or not a safetensors file ({error})",
            "a detector file is written by dgsforensics; other formats have to be converted",
        ) from error
    if text is None:
        raise CheckpointError(
            f"{path.name} is a safetensors file, but not a detector of dgsforensics"
        )
    try:
        meta = json.loads(text)
        version, config, calibration = meta["format"], meta["config"], meta["calibration"]
        told = meta.get("card", {})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path.name}: damaged metadata ({error!r})") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path.name} has layout {version}, this version reads {FORMAT}",
            "update dgsforensics" if isinstance(version, int) and version > FORMAT else None,
        )
    try:
        made = DetectorConfig.from_dict(config)
        if made.backbone.sha256 is None:  # a digest has to stand for all weights
            raise CheckpointError(f"{path.name} does not say which backbone weights it needs")
        weights, card = _weights_digest(path, made), ModelCard.from_dict(told)
        return DetectorHeader(made, Calibration.from_dict(calibration), digest, weights, path, card)
    except ConfigError as error:
        raise CheckpointError(f"{path.name}: {error.message}", error.hint) from error


def _weights_digest(path: Path, config: DetectorConfig) -> str:
    """SHA-256 over the bytes of the tensors, by name, and what the configuration adds to them."""
    adapters = None if config.lora is None else asdict(config.lora)
    if adapters is not None:
        del adapters["dropout"]  # of the training only
    backbone = config.backbone.name, config.backbone.sha256
    decisive = json.dumps([backbone, asdict(config.head), adapters], sort_keys=True)
    digest = hashlib.sha256(decisive.encode())
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
            for name in sorted(entries.keys() - {"__metadata__"}):
                entry = entries[name]
                start, end = entry["data_offsets"]
                digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
                file.seek(8 + length + start)
                digest.update(file.read(end - start))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()
