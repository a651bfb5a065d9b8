"""The public face: an image to a `Prediction`, paths to a stream of `Prediction | Failure`.

The model is loaded when the first image needs it: what was scored before costs no torch.
"""

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dgsforensics.detector import folders, header
from dgsforensics.detector.calibration import Thresholds
from dgsforensics.detector.header import DetectorHeader
from dgsforensics.detector.intake import Intake, IntakeResult
from dgsforensics.detector.memory import MemoryBudget
from dgsforensics.detector.preparation import PreparedImage, prepare
from dgsforensics.detector.read_ahead import ahead
from dgsforensics.errors import (
    MORE_MEMORY,
    DeviceError,
    UnreadableError,
)
from dgsforensics.files import content
from dgsforensics.files.content import DEFAULT_LIMITS, Limits
from dgsforensics.files.memory import address_space
from dgsforensics.files.walk import find_files
from dgsforensics.pictures import decoder
from dgsforensics.pictures.decoder import Picture
from dgsforensics.records import EarlierScore, Failure, FileFacts, Prediction, Status

if TYPE_CHECKING:
    import torch

    from dgsforensics.detector.checkpoint import Checkpoint
    from dgsforensics.detector.forward import ForwardPass
    from dgsforensics.detector.model import DetectorModel

logger = logging.getLogger(__name__)

NO_SCORE = "the model gave no finite score"
MAX_AHEAD = 64
"""Inputs read ahead, twice over, where no batch size was asked for: enough for the largest."""
_NO_ROOM = re.compile("failed to map|allocate memory", re.IGNORECASE)
"""What the loader of libraries says where an address space is too small."""
MAX_PENDING = 256
"""Rows that may wait for a batch to fill; then it is run half empty."""
MAX_DELAY = 0.25
"""Seconds that rows without need of the model are gathered before they are handed on."""


class Detector:
    """A loaded detector. Not for use from several threads at once."""

    def __init__(
        self, source: "DetectorHeader | Checkpoint", load: "Callable[[], ForwardPass]"
    ) -> None:
        """Use `Detector.load` or `Detector.of`; `load` is called when the model is needed."""
        self.config = source.config
        self.calibration = source.calibration
        self.sha256 = source.sha256
        self._load_forward = load
        self.thresholds: Thresholds = self.calibration.thresholds()

    @classmethod
    def load(
        cls,
        name_or_path: str | Path | None = None,
        device: str = "auto",
        backbone_weights: Path | None = None,
    ) -> "Detector":
        """Load a detector by name or file (None: the default one) onto a device.

        `device` is auto, cpu, cuda (or cuda:1) or mps; `backbone_weights` stands in for the file
        that the detector names. Raises `CheckpointError` and `DeviceError`.
        """
        made = cls.waiting(header.read(folders.resolve(name_or_path)), device, backbone_weights)
        assert made.forward
        return made

    @classmethod
    def waiting(
        cls, source: DetectorHeader, device: str = "auto", backbone_weights: Path | None = None
    ) -> "Detector":
        """Return a detector that loads its model for the first image that needs it.

        What `load` raises for tensors, backbone or device is raised then.
        """

        def load() -> "ForwardPass":
            try:
                from dgsforensics.detector import forward
            except (ImportError, RuntimeError, OSError, MemoryError) as error:
                # Where one library finds no room, others fail for what it has not brought.
                if address_space() is not None or _NO_ROOM.search(str(error)):
                    raise DeviceError("not enough memory to load PyTorch", MORE_MEMORY) from error
                raise
            return forward.load(source.path, source.sha256, device, backbone_weights)

        return cls(source, load)

    @classmethod
    def of(cls, source: "Checkpoint", model: "DetectorModel", device: "torch.device") -> "Detector":
        """Return a detector of a model in memory, which it takes over."""
        from dgsforensics.detector.forward import ForwardPass

        loaded = ForwardPass(source, model, device)
        return cls(source, lambda: loaded)

    @cached_property
    def forward(self) -> "ForwardPass":
        """The model on its device; loads it where that was not done yet."""
        return self._load_forward()

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return "forward" in self.__dict__

    def score(
        self, image: str | Path | PIL.Image.Image, limits: Limits = DEFAULT_LIMITS
    ) -> Prediction:
        """Score one file or one open image; raises `ImageError` when there are no pixels.

        Of an open image nothing but the pixels is known: path and hash stay empty.
        """
        if isinstance(image, PIL.Image.Image):
            prepared = prepare(decoder.from_pil(image), self.config.input)
            path = Path()
        else:
            path = Path(image)
            prepared = prepare(
                decoder.decode(content.read(path, limits), limits), self.config.input
            )
        [logit] = self.logits(prepared.pixels[None])
        if not math.isfinite(logit):
            raise UnreadableError(NO_SCORE)
        return self.judge(path, prepared, logit)

    def scan(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        batch: int | None = None,
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Prediction | Failure]:
        """Score files and folders, in the order of `folders.find_files`; one bad file is one row.

        Decoding runs in `workers` threads ahead of the model, which sees `batch` images at a time.
        """
        given = [paths] if isinstance(paths, str | Path) else paths
        found = find_files([Path(path) for path in given])
        for rows in self.scan_batches(found, batch=batch, workers=workers, limits=limits):
            yield from rows

    def scan_batches(
        self,
        found: Iterable[Path | Failure],
        *,
        batch: int | None = None,
        workers: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        known: Callable[[str], EarlierScore | None] | None = None,
        alter: Callable[[Picture], Picture] | None = None,
    ) -> Iterator[list[Prediction | Failure]]:
        """Score what `walk.find_files` found, as `scan` does, in lists to be stored at once.

        `known` maps a SHA-256 to an earlier result, which is used instead of the model. `alter`
        makes another picture of each, which is scored in its place. Both are called from the
        decoding threads.
        """
        intake = Intake(self.config.input, limits, MemoryBudget(limits.max_memory), known, alter)
        size = batch or 0  # 0: what suits the device, known once the model is loaded
        threads = workers or min(4, os.cpu_count() or 1)

        def load(item: Path | Failure) -> IntakeResult:
            return item if isinstance(item, Failure) else intake.take(item)

        pending: list[tuple[Path, IntakeResult]] = []
        waiting, flushed = 0, time.monotonic()
        window = 2 * (batch or MAX_AHEAD) + threads
        for item, result in ahead(
            load, found, workers=threads, size=window, seconds=limits.max_seconds
        ):
            path = item.path if isinstance(item, Failure) else item
            if result is None:
                reason = f"took longer than {limits.max_seconds:g} s to read"
                facts = FileFacts(size=content.size_of(path))
                result = Failure(path, facts, Status.UNREADABLE, reason)
            pending.append((path, result))
            waiting += isinstance(result, PreparedImage)
            size = size or (self.batch_size(batch) if waiting else 0)
            idle = waiting == 0 and time.monotonic() - flushed > MAX_DELAY
            if 0 < waiting == size or idle or len(pending) >= max(MAX_PENDING, 4 * size):
                rows, size = self._flush(pending, size)
                yield rows
                pending, waiting, flushed = [], 0, time.monotonic()
        if pending:
            yield self._flush(pending, size)[0]

    def batch_size(self, batch: int | None) -> int:
        """Return images in a forward pass: as asked for, or (None) what suits the device."""
        if batch:
            return batch
        device = self.forward.device.type  # first, for it says why PyTorch cannot be loaded
        from dgsforensics.detector.forward import AUTO_BATCH

        return AUTO_BATCH[device]

    def logits(self, pixels: NDArray[np.uint8], batch: int | None = None) -> list[float]:
        """Return logits of (N, size, size, 3) uint8 inputs, padded to batches of `batch`, or N."""
        return self.forward.logits(pixels, batch or len(pixels))

    def _flush(
        self, pending: list[tuple[Path, IntakeResult]], size: int
    ) -> tuple[list[Prediction | Failure], int]:
        """Score what waits; also returns the batch size that fitted into memory."""
        fresh = [row.pixels for _, row in pending if isinstance(row, PreparedImage)]
        scores, size = self._logits_that_fit(fresh, size)
        logits = iter(scores)
        rows: list[Prediction | Failure] = []
        for path, row in pending:
            match row:
                case Failure():
                    rows.append(row)
                case EarlierScore():
                    judged = self.judge(path, row, row.logit)
                    rows.append(replace(judged, cached=True, traits=row.traits, origin=row.origin))
                case PreparedImage():
                    logit = next(logits)
                    if math.isfinite(logit):
                        judged = self.judge(path, row, logit)
                        with_what = self.forward.environment
                        rows.append(replace(judged, traits=row.traits, computed_with=with_what))
                    else:
                        rows.append(Failure(path, row.facts, Status.UNREADABLE, NO_SCORE))
                case _:
                    assert_never(row)
        return rows, size

    def _logits_that_fit(
        self, fresh: list[NDArray[np.uint8]], size: int
    ) -> tuple[list[float], int]:
        """Logits, halving the batch as often as memory asks for; and the size that fitted."""
        while fresh:
            try:
                return self.logits(np.stack(fresh), size), size
            except (MemoryError, RuntimeError) as error:
                self.forward.make_room(error, size)
                size //= 2
                logger.warning("out of memory: going on with batches of %d", size)
        return [], size

    def judge(self, path: Path, row: PreparedImage | EarlierScore, logit: float) -> Prediction:
        """Return what a logit amounts to, at the thresholds in force."""
        return Prediction(
            path=path,
            facts=row.facts,
            logit=logit,
            probability=self.calibration.probability(logit),
            verdict=self.thresholds.verdict(logit, row.domain),
            threshold=self.calibration.probability(self.thresholds.upper),
            model=self.config.name,
            model_sha256=self.sha256,
            reason=row.note,
            domain=row.domain,
            missing=row.missing,
        )
