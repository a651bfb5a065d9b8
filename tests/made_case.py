"""A case file as a scan leaves it, made without a model."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from conftest import encode, photo
from dgsforensics.case.scans import ScanOptions, ScanSettings, StoredScale
from dgsforensics.case.store import Case
from dgsforensics.detector.calibration import Thresholds
from dgsforensics.files import content
from dgsforensics.records import (
    Evidence,
    Failure,
    FileFacts,
    Mark,
    Prediction,
    Status,
    Traits,
    Verdict,
)

MODEL = "m" * 64
SETTINGS = ScanSettings(
    "0.1",
    "made-up",
    MODEL,
    "v1",
    0.5,
    ScanOptions(scale=StoredScale(1.0, 0.0, -1, 0, "x")),
)
NAMES = ("a.png", "sub/b.png", "sub/c.png", "sub/deep/d.png")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pictures(folder: Path, names: tuple[str, ...] = NAMES) -> dict[str, Path]:
    """Small pictures that all differ, by their name below the folder."""
    files = {name: folder / name for name in names}
    for seed, path in enumerate(files.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(photo(24, 20, seed), "PNG"))
    return files


def write(case: Path, files: Mapping[str, Path]) -> Path:
    """One scan of these files: logits -2, -1, 0, ... in their order; an empty one is unreadable."""
    rows: list[Prediction | Failure] = []
    for i, path in enumerate(files.values()):
        data = content.read(path) if content.size_of(path) else b""
        if not data:
            rows.append(Failure(path, FileFacts(), Status.UNREADABLE, "empty file"))
            continue
        facts = FileFacts(sha256(data), len(data), "PNG", 24, 20, 1)
        logit = float(i - 2)
        verdict = Thresholds(-1, 0, "").verdict(logit)
        traits = Traits(1 << (i + 20), (Evidence(Mark.CAMERA, "EXIF", "camera", "Box"),))
        scored = Prediction(
            path, facts, logit, 0.5, Verdict(verdict), 0.5, "made-up", MODEL, traits=traits
        )
        rows.append(scored)
    with Case.open(case) as opened:
        scan = opened.begin_scan(SETTINGS)
        scan.record(rows)
        scan.finish()
    return case
