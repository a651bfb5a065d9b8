"""A case set down as it is: a copy, its report, and a manifest of hashes to hold later states to.

A hash shows a change to those who noted it elsewhere. It does not stop those who can write the
folder and make a new manifest; the SHA-256 of the manifest is what has to be noted.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dgsforensics.case import copying, transfer, verification
from dgsforensics.case.store import Case
from dgsforensics.detector import folders
from dgsforensics.errors import CaseError, UnreadableError, UsageError
from dgsforensics.files.content import is_there
from dgsforensics.report import document, page
from dgsforensics.report.facts import CaseReport
from dgsforensics.tables import to_json

SCHEMA = 1
"""Raised when a field of the manifest changes its meaning."""
MANIFEST = "manifest.json"
COPY = "case.sqlite3"
_AS_SCANNED = "as scanned"


@dataclass(frozen=True, slots=True)
class SealedCase:
    """What was set down."""

    manifest_sha256: str
    inputs: int
    """Files of the case that had been read."""
    differing: int
    """Of them, those that were no longer as scanned."""


@dataclass(frozen=True, slots=True)
class SealCheck:
    """A sealed folder held to its manifest."""

    manifest_sha256: str
    made: str
    head: str
    """Of the log of decisions then."""
    parts: int
    """Files in the folder that were looked at."""
    inputs: int
    """Files of the case that were looked at."""
    changes: tuple[str, ...]
    """Each a sentence: what is not as it was."""
    remarks: tuple[str, ...]
    """What could not be held to anything."""


def seal(case: Case, report: CaseReport, folder: Path) -> SealedCase:
    """Write a folder that is not there yet, whole or not at all; raises `DgsError` and OSError."""
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir()
    try:
        copying.copy(case, part / COPY)
        for name, content in (
            ("report.html", page.render(report)),
            ("report.json", document.render(report)),
        ):
            _write(part / name, content)
        inputs = list(_inputs(report))
        content = (to_json(_manifest(report, part, inputs)) + "\n").encode()
        _write(part / MANIFEST, content)
        if verification.verify(case) != report.verified:
            raise CaseError("the case was written to meanwhile", "seal it again")
        if os.path.lexists(folder):  # `rename` would take the place of an empty one
            raise UsageError(f"{folder} is there already", "name a folder that is not there yet")
        os.rename(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    differing = sum(one["when_sealed"] != _AS_SCANNED for one in inputs)
    return SealedCase(hashlib.sha256(content).hexdigest(), len(inputs), differing)


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _inputs(report: CaseReport) -> Iterator[dict[str, Any]]:
    for image in report.images:
        for path in image.paths:
            if (sha256 := image.row.facts.sha256) is not None:
                state = _state(path, sha256)
                size = image.row.facts.size
                yield {"path": str(path), "sha256": sha256, "size": size, "when_sealed": state}


def _state(path: Path, sha256: str) -> str:
    """What has become of a file."""
    try:
        return _AS_SCANNED if transfer.digest(path) == sha256 else "changed"
    except UnreadableError as error:
        return f"cannot be read: {error.message}" if is_there(path) else "gone"


def _manifest(report: CaseReport, folder: Path, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    parts = sorted(folder.iterdir())
    return {
        "schema": SCHEMA,
        "made": report.made,
        "tool_version": report.tool_version,
        "case": str(report.case),
        "log": asdict(report.verified.log),
        "files": [{"path": one.name, "sha256": transfer.digest(one)} for one in parts],
        "detectors": sorted(
            {
                (s.info.settings.model, s.info.settings.model_sha256, s.info.settings.weights)
                for s in report.scans
            }
        ),
        "settings": [
            {"scan": scan.info.id, **scan.info.settings.options.to_dict()} for scan in report.scans
        ],
        "inputs": inputs,
    }


def check(folder: Path) -> SealCheck:
    """Hold a sealed folder, and the files of the case where they lay, to the manifest.

    Raises `CaseError` where there is no manifest that can be read.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        told = json.loads(content)
        if told["schema"] != SCHEMA:
            raise ValueError(f"layout {told['schema']}, this version reads {SCHEMA}")
        made, head = str(told["made"]), str(told["log"]["head"])
        parts = {str(one["path"]): str(one["sha256"]) for one in told["files"]}
        inputs = [(Path(i["path"]), str(i["sha256"]), i["when_sealed"]) for i in told["inputs"]]
        detectors = [(str(name), str(sha256)) for name, sha256, _ in told["detectors"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CaseError(f"{folder}: no manifest that can be read ({error})", _NAME_IT) from error
    in_folder, beside = list(_changed_parts(folder, parts)), list(_changed_inputs(inputs))
    at_hand = {folders.sha256_of(path) for path in folders.available().values()}
    absent = [
        f"the detector {name} ({sha256[:12]}) is not at hand"
        for name, sha256 in detectors
        if sha256 not in at_hand
    ]
    return SealCheck(
        manifest_sha256=hashlib.sha256(content).hexdigest(),
        made=made,
        head=head,
        parts=len(parts),
        inputs=len(inputs),
        changes=(*in_folder, *beside),
        remarks=tuple(absent),
    )


_NAME_IT = "name a folder that dgsf case seal wrote"


def _changed_parts(folder: Path, parts: dict[str, str]) -> Iterator[str]:
    for name, sha256 in parts.items():
        if Path(name).name != name:
            yield f"{name}: a name that no seal gives"
        elif (state := _state(folder / name, sha256)) != _AS_SCANNED:
            yield f"{folder / name}: {state}"
        elif name == COPY and (wrong := _unsound(folder / name)):
            yield f"{folder / name}: {wrong}"
    for path in sorted(folder.iterdir()):
        if path.name not in (*parts, MANIFEST):
            yield f"{path}: was not sealed"


def _unsound(path: Path) -> str | None:
    """What is wrong inside a copy of a case; it is opened elsewhere, for opening writes."""
    with tempfile.TemporaryDirectory(prefix="dgsf-") as place:
        opened_at = Path(place, COPY)
        shutil.copyfile(path, opened_at)
        try:
            with Case.open(opened_at) as case:
                verification.verify(case)
        except CaseError as error:
            return error.message
    return None


def _changed_inputs(inputs: Sequence[tuple[Path, str, str]]) -> Iterator[str]:
    for path, sha256, then in inputs:
        now = _state(path, sha256)
        if now != then:
            yield f"{path}: {now}; {then} when it was sealed"
