"""The state of a training run on disk, so that a killed one goes on where it was.

All that is random in a step is drawn from the seed and the step's number, so the state is what was
trained, the optimiser's memory and the number of steps; no generator has to be stored.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dgsforensics import atomic
from dgsforensics.detector.checkpoint import trained_state
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import CheckpointError, DgsError


@dataclass
class TrainState:
    """What a step changes."""

    step: int
    """How many were done."""
    model: DetectorModel
    text_head: nn.Linear
    optimiser: torch.optim.Optimizer

    @property
    def trained(self) -> list[nn.Parameter]:
        """Every parameter that the optimiser moves."""
        return [p for group in self.optimiser.param_groups for p in group["params"]]


def save(state: TrainState, file: Path, fingerprint: str) -> None:
    """Write the file at once or not at all; refuses a state with numbers that are not finite."""
    trained, text_head = trained_state(state.model), state.text_head.state_dict()
    memory = [value for kept in state.optimiser.state.values() for value in kept.values()]
    numbers = [*trained.values(), *text_head.values(), *filter(torch.is_tensor, memory)]
    if not all(bool(torch.isfinite(value).all()) for value in numbers):
        raise DgsError(f"step {state.step}: the weights are no longer finite", "try a lower lr")
    with atomic.replacing(file) as part:
        torch.save(
            {
                "fingerprint": fingerprint,
                "step": state.step,
                "trained": trained,
                "text_head": text_head,
                "optimiser": state.optimiser.state_dict(),
            },
            part,
        )


def restore(state: TrainState, file: Path, fingerprint: str) -> None:
    """Bring a state to where the file says; without a file nothing changes.

    Raises `CheckpointError` for a damaged file and for one of other data or options.
    """
    if not file.exists():
        return
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        if stored["fingerprint"] != fingerprint:
            raise CheckpointError(
                f"{file} belongs to a run with other data or options",
                "give the same ones again, or start over with --force instead of --resume",
            )
        trained: dict[str, Tensor] = stored["trained"]
        if trained.keys() != trained_state(state.model).keys():
            raise KeyError("trained")
        state.model.load_state_dict(trained, strict=False)
        state.text_head.load_state_dict(stored["text_head"])
        state.optimiser.load_state_dict(stored["optimiser"])
        state.step = int(stored["step"])
    except CheckpointError:
        raise
    except Exception as error:  # torch raises pickle, zip, runtime and EOF errors alike
        raise CheckpointError(
            f"{file} is damaged ({type(error).__name__})",
            "start over with --force instead of --resume",
        ) from error
