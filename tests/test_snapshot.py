import copy
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import tiny_clip
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.checkpoint import trained_state
from dgsforensics.detector.config import LoraConfig
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import CheckpointError, DgsError
from dgsforensics.trainer.snapshot import TrainState, restore, save


@pytest.fixture
def new(tiny_backbone):
    """A state at step 0; with another seed other numbers."""

    def make(seed: int = 0, lora: LoraConfig | None = LoraConfig(rank=2)) -> TrainState:  # noqa: B008
        torch.manual_seed(seed)
        config = tiny_clip.config(lora)
        model = DetectorModel(config, load_backbone(config.backbone, tiny_backbone))
        text_head = nn.Linear(16, 1)
        trained = [p for p in model.parameters() if p.requires_grad]
        return TrainState(
            0, model, text_head, torch.optim.Adam([*trained, *text_head.parameters()], lr=1e-2)
        )

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state"


def step(state: TrainState, seed: int) -> None:
    """One step along a gradient that depends on the seed and the weights."""
    generator = torch.Generator().manual_seed(seed)
    for p in state.trained:
        p.grad = torch.randn(p.shape, generator=generator) + p.detach()
    state.optimiser.step()
    state.optimiser.zero_grad()
    state.step += 1


def numbers(state: TrainState) -> dict[str, torch.Tensor]:
    """Everything that a step changes, by name."""
    found = {f"model.{k}": v.clone() for k, v in trained_state(state.model).items()}
    found |= {f"text.{k}": v.clone() for k, v in state.text_head.state_dict().items()}
    for i, memory in state.optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{i}.{k}": torch.as_tensor(v).clone() for k, v in memory.items()}
    return found | {"step": torch.tensor(state.step)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_restored_state_goes_on_bit_for_bit(new, file) -> None:
    state = new()
    for i in range(3):
        step(state, i)
    save(state, file, "f")
    again = new(seed=1)
    assert not same(numbers(again), numbers(state))
    restore(again, file, "f")
    assert again.step == 3
    assert same(numbers(again), numbers(state))
    for i in range(3, 6):
        step(state, i)
        step(again, i)
    assert same(numbers(again), numbers(state))


def test_the_frozen_tower_is_not_in_it(new, file) -> None:
    state = new()
    step(state, 0)
    save(state, file, "f")
    stored = torch.load(file, weights_only=True)
    assert stored["trained"].keys() == trained_state(state.model).keys()
    frozen = {n for n, p in state.model.named_parameters() if not p.requires_grad}
    assert not frozen & stored["trained"].keys()


def test_without_a_file_nothing_changes(new, file) -> None:
    state = new()
    before = numbers(state)
    restore(state, file, "f")
    assert same(numbers(state), before)


def test_saving_changes_nothing_and_later_steps_do_not_change_the_file(new, file) -> None:
    state = new()
    step(state, 0)
    before = numbers(state)
    save(state, file, "f")
    assert same(numbers(state), before)
    step(state, 1)
    again = new(seed=1)
    restore(again, file, "f")
    assert same(numbers(again), before)


# Kills


def test_a_later_save_replaces_the_earlier_one(new, file, tmp_path) -> None:
    state = new()
    for i in range(2):
        step(state, i)
        save(state, file, "f")
    again = new(seed=1)
    restore(again, file, "f")
    assert again.step == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("where", ["save", "fsync", "replace"])
def test_killed_while_writing_the_last_good_state_stays(where, new, file, monkeypatch) -> None:
    state = new()
    step(state, 0)
    save(state, file, "f")
    good = numbers(state)
    step(state, 1)

    def torn(data, part):
        part.write_bytes(b"PK\x03\x04 half of it")
        raise KeyboardInterrupt

    def kill(*_):
        raise KeyboardInterrupt

    owner = torch if where == "save" else os
    monkeypatch.setattr(owner, where, torn if where == "save" else kill)
    with pytest.raises(KeyboardInterrupt):
        save(state, file, "f")
    monkeypatch.undo()
    again = new(seed=1)
    restore(again, file, "f")
    assert same(numbers(again), good)
    save(state, file, "f")  # what is left of the torn one is in nobody's way
    restore(again, file, "f")
    assert again.step == 2


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_file_is_damaged(part, new, file) -> None:
    state = new()
    step(state, 0)
    save(state, file, "f")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        restore(new(), file, "f")
    assert "--force" in str(caught.value.hint)


# Foreign files


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "content",
    [
        b"no state",
        b"\x89PNG\r\n\x1a\n",
        pickle.dumps({"fingerprint": "f", "step": 1}, protocol=2),
    ],
    ids=["text", "png", "pickle"],
)
def test_foreign_bytes_are_refused(content, new, file) -> None:
    file.write_bytes(content)
    state = new()
    before = numbers(state)
    with pytest.raises(CheckpointError, match="state is damaged"):
        restore(state, file, "f")
    assert same(numbers(state), before)


def test_code_in_a_file_is_never_run(new, file, tmp_path) -> None:
    bomb = Bomb(tmp_path / "went off")
    for dump in (lambda: file.write_bytes(pickle.dumps(bomb, 2)), lambda: torch.save(bomb, file)):
        dump()
        with pytest.raises(CheckpointError, match="state is damaged"):
            restore(new(), file, "f")
    assert not bomb.folder.exists()


@pytest.mark.parametrize("stored", [{}, [], 3, None, {"fingerprint": "f"}, "f"])
def test_files_of_torch_that_are_no_states_are_refused(stored, new, file) -> None:
    torch.save(stored, file)
    with pytest.raises(CheckpointError, match="state is damaged"):
        restore(new(), file, "f")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("step"),
        lambda s: s.update(step="three"),
        lambda s: s["trained"].pop("head.bias"),
        lambda s: s["trained"].update(surplus=torch.ones(1)),
        lambda s: s["trained"].update({"head.weight": torch.ones(1, 5)}),
        lambda s: s["text_head"].pop("bias"),
        lambda s: s["text_head"].update(weight=torch.ones(1, 5)),
        lambda s: s["optimiser"].pop("param_groups"),
        lambda s: s["optimiser"]["param_groups"][0]["params"].pop(),
        lambda s: s.update(trained=None),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, new, file) -> None:
    state = new()
    step(state, 0)
    save(state, file, "f")
    stored = torch.load(file, weights_only=True)
    change(stored)
    torch.save(stored, file)
    with pytest.raises(CheckpointError, match="state is damaged"):
        restore(new(), file, "f")


def test_a_state_of_another_model_is_refused(new, file) -> None:
    save(new(), file, "f")
    for lora in (None, LoraConfig(rank=3), LoraConfig(rank=2, blocks=(0,))):
        with pytest.raises(CheckpointError):
            restore(new(lora=lora), file, "f")


def test_a_state_of_other_data_or_options_is_refused_and_kept(new, file) -> None:
    state = new()
    step(state, 0)
    save(state, file, "these")
    data = file.read_bytes()
    other = new(seed=1)
    before = numbers(other)
    with pytest.raises(CheckpointError, match="other data or options") as caught:
        restore(other, file, "those")
    assert "--force" in str(caught.value.hint)
    assert same(numbers(other), before)
    assert file.read_bytes() == data


def test_a_folder_in_its_place_is_refused(new, file) -> None:
    file.mkdir()
    with pytest.raises(CheckpointError):
        restore(new(), file, "f")


# Numbers that are none


def break_weights(state: TrainState, value: float) -> None:
    state.model.head.weight.data[0, 3] = value


def break_adapter(state: TrainState, value: float) -> None:
    next(p for n, p in state.model.named_parameters() if ".up." in n).data[0, 0] = value


def break_text_head(state: TrainState, value: float) -> None:
    state.text_head.bias.data[0] = value


def break_memory(state: TrainState, value: float) -> None:
    memory = state.optimiser.state[state.model.head.weight]
    memory["exp_avg_sq"][0, 0] = value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("spoil", [break_weights, break_adapter, break_text_head, break_memory])
def test_a_state_with_numbers_that_are_none_is_never_saved(spoil, value, new, file) -> None:
    state = new()
    step(state, 0)
    save(state, file, "f")
    good = file.read_bytes()
    bad = copy.copy(state)
    step(bad, 1)
    spoil(bad, value)
    with pytest.raises(DgsError, match=r"step 2: .* no longer finite") as caught:
        save(bad, file, "f")
    assert "lr" in str(caught.value.hint)
    assert file.read_bytes() == good
