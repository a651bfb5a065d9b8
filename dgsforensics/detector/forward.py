"""The network on its device: uint8 inputs in, logits out. What of a detector takes torch to have.

The forward pass always runs on a full batch of one fixed shape, padded where images are missing:
on one machine and for one batch size the same bytes then give the same logit, bit for bit, whatever
stands beside them. Other batch sizes and other machines differ by rounding.
"""

import logging
import time
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dgsforensics.detector import checkpoint
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.devices import cudnn_without_tf32, is_out_of_memory, pick_device
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import MORE_MEMORY, CheckpointError, DeviceError

logger = logging.getLogger(__name__)

AUTO_BATCH = {"cpu": 4, "mps": 16, "cuda": 64}
"""Images in a forward pass when nobody says otherwise. On a CPU larger ones are no faster."""


class ForwardPass:
    """A model in memory, ready to run. Not for use from several threads at once."""

    def __init__(self, source: Checkpoint, model: DetectorModel, device: torch.device) -> None:
        self.checkpoint = source
        self.device = device
        model.merge()
        self.model = model.to(device).eval()

    @cached_property
    def environment(self) -> str:
        """What logits are computed with, for people: libraries, device, precision."""
        device = str(self.device)
        if self.device.type == "cuda":
            device += f" ({torch.cuda.get_device_name(self.device)})"
        kinds = sorted({str(part.dtype).removeprefix("torch.") for part in self.model.parameters()})
        libraries = f"torch {torch.__version__}, Pillow {version('pillow')}"
        return f"{libraries}, {device}, {' and '.join(kinds)}"

    def logits(self, pixels: NDArray[np.uint8], batch: int) -> list[float]:
        """Return the logits of (N, size, size, 3) uint8 inputs, in padded batches of `batch`."""
        result: list[float] = []
        for start in range(0, len(pixels), batch):
            part = torch.zeros((batch, *pixels.shape[1:]), dtype=torch.uint8)
            rows = pixels[start : start + batch]
            part.numpy()[: len(rows)] = rows
            # TF32 in the first convolution would make scores depend on the graphics card.
            with torch.inference_mode(), cudnn_without_tf32():
                logits = self.model(part.to(self.device)).float().cpu()  # (batch,)
            result += logits[: len(rows)].tolist()
        return result

    def make_room(self, error: Exception, batch: int) -> None:
        """Free what is not needed, so that a smaller batch may fit.

        Raises the error where it says nothing of memory, and `DeviceError` where one image was
        too many.
        """
        if not is_out_of_memory(error):
            raise error
        if batch == 1:
            raise DeviceError("not enough memory to run the detector", MORE_MEMORY) from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def load(path: Path, sha256: str, device: str, backbone_weights: Path | None) -> ForwardPass:
    """Load a detector file whose header was read before onto a device.

    `sha256` is what the header said. Raises `CheckpointError`, also where the file has changed
    since, and `DeviceError`.
    """
    began = time.monotonic()
    chosen = pick_device(device)
    source = checkpoint.read(path)
    if source.sha256 != sha256:
        raise CheckpointError(f"{path} was replaced meanwhile", "start again")
    try:
        made = ForwardPass(source, checkpoint.build_model(source, backbone_weights), chosen)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise DeviceError("not enough memory to load the detector", MORE_MEMORY) from error
        raise
    logger.info("loaded %s in %.1f s", source.config.name, time.monotonic() - began)
    return made
