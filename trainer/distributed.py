"""Several processes on one training run, one for each GPU, as `torchrun` starts them.

Every process holds the whole model and takes its share of each batch. All losses are divided by the
size of the joint batch, so the gradients of the processes are summed, not averaged, and the surgery
sees in every row what it would see in a single process.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from dgsforensics.detector.devices import pick_device

_PATIENCE = timedelta(hours=24)
"""The first process prepares features while the others wait."""


@dataclass(frozen=True, slots=True)
class Group:
    """This process among those of the run."""

    rank: int = 0
    """0 is the one that prepares, writes and reports."""
    size: int = 1
    """How many there are."""

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1:
            return
        given = list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in given])
        dist.all_reduce(flat)
        start = 0
        for tensor in given:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """End the connection to the others."""
        if self.size > 1:
            dist.destroy_process_group()


def join(device: str) -> tuple[Group, torch.device]:
    """Return the group that the environment names, and this process's device; without `torchrun`:
    alone.

    Raises `DeviceError` when a GPU is asked for that is not there.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group(), pick_device(device)
    chosen = pick_device(device)
    if chosen.type == "cuda":
        chosen = pick_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=_PATIENCE)
    return Group(dist.get_rank(), size), chosen
