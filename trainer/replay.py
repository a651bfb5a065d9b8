"""What a detector was trained on, kept as numbers: it is replayed when the detector is adapted.

A file beside the detector, `NAME.replay.safetensors`, holds frozen features of some images of each
source, in half precision, with label, source and generator. No picture is in it, and none can be
made of it that shows more than what the picture was of. Rows with a logit were held out: the
detector never saw them, and the forgetting gate asks how it and its successor do on them.

    features (N, D) float16 · label (N,) uint8, 1 for generated · logit (N,) float32, NaN: not held
    content (N, 32) uint8, sha256 of the file
    source, generator, group (N,) int32 into the lists of names in the metadata; generator -1: none
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import checkpoint
from dgsforensics.detector.config import DetectorConfig
from dgsforensics.detector.folders import REPLAY_SUFFIX, weights_folder
from dgsforensics.errors import CheckpointError
from dgsforensics.records import Label

from . import splits

FORMAT = 1
"""Version of the layout."""
_KEY = "dgsforensics.replay"


@dataclass(frozen=True)
class Replay:
    """Images that a detector knows."""

    samples: list[Sample]
    """What is known of each; the paths lead nowhere."""
    features: NDArray[np.float32]
    """(N, D) of the pre-trained tower."""
    logits: NDArray[np.float64]
    """(N,) of the detector, for what was held out of its training; NaN for what was not."""

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        if not len(self.samples) == len(self.features) == len(self.logits):
            raise ValueError("a replay needs a sample, features and a logit a row")

    @property
    def held(self) -> NDArray[np.bool_]:
        """(N,) what the detector never saw, by which forgetting is judged."""
        known: NDArray[np.bool_] = np.isfinite(self.logits)
        return known

    def part(self, chosen: NDArray[np.bool_]) -> "Replay":
        """Return the chosen rows alone."""
        samples = [sample for sample, wanted in zip(self.samples, chosen, strict=True) if wanted]
        return Replay(samples, self.features[chosen], self.logits[chosen])

    def with_logits(self, logits: NDArray[np.float64]) -> "Replay":
        """Return the same rows as another detector has them, (N,)."""
        return Replay(self.samples, self.features, logits)


def sample(
    samples: Sequence[Sample],
    features: NDArray[np.float32],
    logits: NDArray[np.float64],
    fitted: int,
    held: int,
) -> Replay:
    """Return at most so many images of each source of photographs and of each generator in each
    source: `fitted` of those that were fitted to, which have no logit, and `held` of those that
    were held out; `features` (N, D), `logits` (N,)."""
    out = np.isfinite(logits)
    place = {sample.sha256: i for i, sample in enumerate(samples)}
    chosen: list[int] = []
    for part, most in ((~out, fitted), (out, held)):
        rows = [samples[i] for i in np.flatnonzero(part).tolist()]
        chosen += [place[row.sha256] for row in splits.capped(rows, most, most)]
    return Replay([samples[i] for i in chosen], features[chosen], logits[chosen])


def joined(first: Replay | None, second: Replay) -> Replay:
    """Return the rows of both; what is in both is taken from the second."""
    if first is None:
        return second
    again = {sample.sha256 for sample in second.samples}
    first = first.part(np.array([s.sha256 not in again for s in first.samples], dtype=bool))
    return Replay(
        first.samples + second.samples,
        np.concatenate([first.features, second.features]),
        np.concatenate([first.logits, second.logits]),
    )


def beside(detector: Path) -> Path:
    """Return where the replay of a detector file lies."""
    return detector.with_suffix(REPLAY_SUFFIX)


def write(replay: Replay, config: DetectorConfig, file: Path) -> None:
    """Write the file at once or not at all; `config` says whose features these are."""
    names: dict[str, list[str | None]] = {
        "source": [sample.source for sample in replay.samples],
        "generator": [sample.generator for sample in replay.samples],
        "group": [sample.group for sample in replay.samples],
    }
    lists = {kind: sorted({n for n in found if n is not None}) for kind, found in names.items()}
    tensors = {
        "features": torch.from_numpy(replay.features).half(),
        "logit": torch.from_numpy(replay.logits).float(),
        "label": torch.tensor(
            [s.label == Label.GENERATED for s in replay.samples], dtype=torch.uint8
        ),
        "content": torch.tensor(
            [list(bytes.fromhex(s.sha256)) for s in replay.samples], dtype=torch.uint8
        ).reshape(-1, 32),
    }
    for kind, found in names.items():
        number = {name: i for i, name in enumerate(lists[kind])}
        ids = [-1 if name is None else number[name] for name in found]
        tensors[kind] = torch.tensor(ids, dtype=torch.int32)
    meta = json.dumps({"format": FORMAT, "space": space(config), **lists})
    checkpoint.save(tensors, file, {_KEY: meta})


def read(file: Path, config: DetectorConfig) -> Replay | None:
    """Return what is in the file; None when its features are those of another tower or input.

    Raises `CheckpointError` when it is damaged or of a later version.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            meta = json.loads((stored.metadata() or {})[_KEY])
            if meta["format"] != FORMAT:
                raise CheckpointError(
                    f"{file.name} has layout {meta['format']}, this version reads {FORMAT}",
                    "update dgsforensics",
                )
            if meta["space"] != space(config):
                return None
            tensors = {key: stored.get_tensor(key).numpy() for key in stored.keys()}  # noqa: SIM118
        names = {
            kind: [None if i < 0 else str(meta[kind][i]) for i in tensors[kind].tolist()]
            for kind in ("source", "generator", "group")
        }
        contents = [bytes(row).hex() for row in tensors["content"].tolist()]
        samples = [
            Sample(
                path=Path(content),
                label=Label.GENERATED if generated else Label.REAL,
                generator=generator,
                source=source or "",
                group=group or "",
                sha256=content,
                style="photo",
            )
            for content, generated, generator, source, group in zip(
                contents,
                tensors["label"].tolist(),
                names["generator"],
                names["source"],
                names["group"],
                strict=True,
            )
        ]
        features = tensors["features"].astype(np.float32)
        if features.ndim != 2 or not np.isfinite(features).all():
            raise ValueError("features that are not finite")
        return Replay(samples, features, tensors["logit"].astype(np.float64))
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(
            f"{file.name}, by which forgetting is judged, is damaged ({error!r})",
            "put the right file there, or remove it: forgetting is then not judged",
        ) from error


def find(detector: Path, config: DetectorConfig, *, adapted: bool) -> Replay | None:
    """Return what a detector knows: from the file beside it, else from a bundled one that fits.

    The latter is for detectors that differ from the bundled one in head or thresholds; where a
    detector is `adapted`, in its tower, nothing of it is held out, for its logits are not known.
    `config` is that of the frozen tower. None: there is no file, or its features are of another
    tower or input.
    """
    own = beside(detector)
    for file in (own, *sorted(weights_folder().glob(f"*{REPLAY_SUFFIX}"))):
        if file.is_file() and (found := read(file, config)) is not None:
            if adapted and file != own:
                return found.with_logits(np.full(len(found.logits), np.nan))
            return found
    return None


def space(config: DetectorConfig) -> str:
    """Return the name of the space that features lie in: tower, input and what the head reads."""
    fields = config.to_dict()
    text = json.dumps([fields[name] for name in ("backbone", "input", "head")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
