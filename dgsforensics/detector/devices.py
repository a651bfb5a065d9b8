"""Where a model runs, and what differs from device to device."""

from contextlib import AbstractContextManager

import torch

from dgsforensics.errors import DeviceError


def pick_device(name: str) -> torch.device:
    """Return the device meant by auto, cpu, cuda, cuda:N or mps; raises `DeviceError`."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no such device: {name}", "use auto, cpu, cuda or mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise DeviceError(f"device {name} is not available on this machine", "use --device auto")
    return device


def cudnn_without_tf32() -> AbstractContextManager[None]:
    """Turn TF32 off in cuDNN and nothing else: what `flags` is not told it sets to defaults of its
    own, cuDNN off among them.
    """
    cudnn = torch.backends.cudnn
    context: AbstractContextManager[None] = cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    )
    return context


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a smaller batch may fit; CPU allocators raise
    RuntimeError.
    """
    words = ("out of memory", "not enough memory", "allocate memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        word in str(error).lower() for word in words
    )
