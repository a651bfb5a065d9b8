"""Stage 2 on a tiny CLIP: against the hook form, and stopped, resumed, broken."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import tiny_clip
from conftest import photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.checkpoint import trained_state
from dgsforensics.detector.config import LoraConfig
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import CheckpointError, DgsError
from dgsforensics.records import Label
from dgsforensics.trainer import student
from dgsforensics.trainer.batches import Material, batches
from dgsforensics.trainer.config import SurgeryConfig, TrainConfig
from dgsforensics.trainer.distributed import Group
from dgsforensics.trainer.student import Step, fit

WIDTH = 16
CONFIG = TrainConfig(base="none", method="dgs", epochs=3, batch=5, lr=1e-2, draws=2)


def make_samples(folder: Path, count: int = 12) -> list[Sample]:
    made = []
    for i in range(count):
        path = folder / f"{i}.png"
        if not path.exists():
            photo(120, 100, i).save(path)
        label, generator = (Label.GENERATED, "g") if i % 3 else (Label.REAL, None)
        made.append(Sample(path, label, generator, "s", str(i), f"{i:064}", "photo"))
    return made


def make_material(samples: list[Sample], semantics: bool = True, draws: int = 2) -> Material:
    generator = torch.Generator().manual_seed(1)
    return Material(
        samples,
        np.ones(len(samples)),
        (torch.randn(1, WIDTH, generator=generator), torch.zeros(1)),
        torch.randn(draws, len(samples), WIDTH, generator=generator).numpy(),
        torch.randn(len(samples), WIDTH, generator=generator).numpy() if semantics else None,
    )


def make_model(backbone: Path, dropout: float = 0.0) -> DetectorModel:
    torch.manual_seed(7)
    config = tiny_clip.config(LoraConfig(rank=2, dropout=dropout))
    return DetectorModel(config, load_backbone(config.backbone, backbone))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return make_samples(tmp_path)


@pytest.fixture
def run(tiny_backbone, samples, tmp_path):
    """Train a new model; returns what was trained and the steps."""

    def start(config=CONFIG, material=None, dropout=0.0, tell=lambda step: None, name="state"):
        model = make_model(tiny_backbone, dropout)
        steps: list[Step] = []

        def note(step: Step) -> None:
            steps.append(step)
            tell(step)

        fit(
            model,
            material or make_material(samples),
            config,
            save_to=tmp_path / name,
            fingerprint="these",
            group=Group(),
            workers=2,
            tell=note,
        )
        return trained_state(model), steps

    return start


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one | other)


# The hook form: one loss, one backward, a hook on the features


def hook_step(model, text_head, teacher_head, batch, config) -> None:
    """What the released code does: gradients of everything trained, by one backward."""
    teacher = batch.teacher.clone().requires_grad_()
    loss = F.binary_cross_entropy_with_logits(teacher_head(teacher)[:, 0], batch.labels)
    (g_teacher,) = torch.autograd.grad(loss, teacher)
    text = batch.semantics.clone().requires_grad_()
    loss = F.binary_cross_entropy_with_logits(text_head(text)[:, 0], batch.labels)
    (g_text,) = torch.autograd.grad(loss, text)
    harm = F.relu(g_text) / (F.relu(g_text).norm(dim=1, keepdim=True) + 1e-6)

    features = model.features(batch.pixels)
    branch = features if config.surgery.order == "reference" else features * 1
    branch.register_hook(lambda g: g - (g * harm).sum(1, keepdim=True) * harm)
    helped = (features * torch.minimum(g_teacher, torch.zeros(()))).sum(1)
    help = helped.mean() if config.surgery.reduction == "reference" else helped.sum()
    total = (
        F.binary_cross_entropy_with_logits(model.head(branch)[:, 0], batch.labels)
        + F.binary_cross_entropy_with_logits(text_head(batch.semantics)[:, 0], batch.labels)
        + config.surgery.weight * help
    )
    total.backward()


@pytest.mark.parametrize("order", ["reference", "paper"])
@pytest.mark.parametrize("reduction", ["reference", "per_sample"])
def test_cut_at_the_features_it_trains_as_with_hooks(
    order, reduction, run, tiny_backbone, samples
) -> None:
    config = replace(
        CONFIG, epochs=1, batch=4, surgery=SurgeryConfig(0.7, order=order, reduction=reduction)
    )
    material = make_material(samples)
    found, steps = run(config, material)
    assert len(steps) == 3

    model = make_model(tiny_backbone).train()
    state = student.begin(model, config, torch.device("cpu"))
    teacher_head = student.frozen(material.teacher_head, torch.device("cpu"))
    for batch in batches(material, model, config, 0, Group(), 1):
        other = make_model(tiny_backbone).train()
        other.load_state_dict(model.state_dict())
        student.backward(other, state.text_head, teacher_head, batch, config)
        state.text_head.zero_grad()
        hook_step(model, state.text_head, teacher_head, batch, config)
        for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
            if one.requires_grad:
                assert torch.allclose(one.grad, two.grad, atol=1e-6, rtol=1e-5), name
        state.optimiser.step()
        state.optimiser.zero_grad()
    for name, value in trained_state(model).items():
        assert torch.allclose(found[name], value, atol=1e-5), name


def test_every_part_of_the_method_changes_the_result(run, samples) -> None:
    per_sample = SurgeryConfig(reduction="per_sample")
    results = {
        "dgs": run(CONFIG, name="a")[0],
        "lora": run(replace(CONFIG, method="lora"), name="b")[0],
        "no suppression": run(CONFIG, make_material(samples, semantics=False), name="c")[0],
        "no alignment": run(replace(CONFIG, surgery=SurgeryConfig(0)), name="d")[0],
        "per sample": run(replace(CONFIG, surgery=per_sample), name="e")[0],
        "paper order": run(replace(CONFIG, surgery=SurgeryConfig(order="paper")), name="f")[0],
    }
    names = list(results)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not same(results[one], results[other]), f"{one} = {other}"


def test_without_surgery_it_is_plain_fine_tuning(run, tiny_backbone, samples) -> None:
    config = replace(CONFIG, method="lora", epochs=1)
    material = make_material(samples)
    found, _ = run(config, material)
    model = make_model(tiny_backbone).train()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=config.lr)
    for batch in batches(material, model, config, 0, Group(), 1):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(model(batch.pixels), batch.labels).backward()
        optimiser.step()
    for name, value in trained_state(model).items():
        assert torch.allclose(found[name], value, atol=1e-5), name


def test_only_adapters_and_head_are_trained(run, tiny_backbone) -> None:
    model = make_model(tiny_backbone)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert names == set(trained_state(model))
    before = trained_state(model)
    after, _ = run()
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_it_learns(run, samples) -> None:
    config = replace(CONFIG, epochs=30, augmentation="none")  # in which nothing is random
    _, steps = run(config, make_material(samples, draws=1))
    assert np.mean([s.loss for s in steps[-6:]]) < 0.5 * np.mean([s.loss for s in steps[:6]])


def test_steps_are_told(run) -> None:
    _, steps = run()
    assert [step.step for step in steps] == list(range(1, 10))
    assert [step.epoch for step in steps] == [1] * 3 + [2] * 3 + [3] * 3
    assert {step.steps for step in steps} == {9}
    assert all(0 < step.removed <= 1 and step.added > 0 and step.text_loss > 0 for step in steps)
    _, steps = run(replace(CONFIG, method="lora"), name="other")
    assert all(step.removed == step.added == 0 and step.text_loss is None for step in steps)


# Stopping and going on


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 3, 4, 8])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not(run, at, monkeypatch) -> None:
    whole, steps = run(dropout=0.5, name="whole")
    monkeypatch.setattr(student, "SAVE_SECONDS", -1.0)

    def cut(step: Step) -> None:
        if step.step == at:
            raise Stop

    with pytest.raises(Stop):
        run(dropout=0.5, tell=cut, name="cut")
    again, rest = run(dropout=0.5, name="cut")
    assert rest[0].step <= at
    assert same(whole, again)
    assert [s.loss for s in rest] == [s.loss for s in steps[rest[0].step - 1 :]]


def test_dropout_is_there_and_follows_the_seed(run) -> None:
    config = replace(CONFIG, epochs=1)
    with_it, without = run(config, dropout=0.5, name="a")[0], run(config, name="b")[0]
    assert not same(with_it, without)
    assert same(with_it, run(config, dropout=0.5, name="c")[0])
    assert not same(with_it, run(replace(config, seed=1), dropout=0.5, name="d")[0])


def test_a_finished_run_has_nothing_left_to_do(run) -> None:
    first, _ = run()
    again, steps = run()
    assert steps == [] and same(first, again)


def test_ctrl_c_ends_between_two_steps_with_the_state_saved(run) -> None:
    whole, _ = run(name="whole")

    def press(step: Step) -> None:
        if step.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tell=press, name="pressed")
    again, steps = run(name="pressed")
    assert steps[0].step == 5
    assert same(whole, again)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_runs_outside_of_the_main_thread(run) -> None:
    result: list = []
    thread = threading.Thread(target=lambda: result.append(run()))
    thread.start()
    thread.join()
    assert len(result[0][1]) == 9


def test_a_state_of_other_data_is_refused(run, samples, tmp_path, tiny_backbone) -> None:
    run()
    with pytest.raises(CheckpointError, match="other data or options"):
        fit(
            make_model(tiny_backbone),
            make_material(samples),
            CONFIG,
            save_to=tmp_path / "state",
            fingerprint="those",
            group=Group(),
            workers=1,
            tell=lambda step: None,
        )


def test_a_loss_that_is_not_finite_stops_with_step_and_state(run, monkeypatch) -> None:
    real = student.backward

    def break_at_5(model, text_head, teacher_head, batch, config):
        if break_at_5.calls == 5:
            with torch.no_grad():
                model.head.weight.fill_(torch.nan)
        break_at_5.calls += 1
        return real(model, text_head, teacher_head, batch, config)

    break_at_5.calls = 1
    monkeypatch.setattr(student, "backward", break_at_5)
    with pytest.raises(DgsError, match="step 5: the loss is not finite") as caught:
        run()
    assert "state" in caught.value.hint
    monkeypatch.setattr(student, "backward", real)
    _, steps = run()  # goes on from the end of the first epoch, which was good
    assert steps[0].step == 4 and all(np.isfinite(step.loss) for step in steps)


def test_an_unreadable_image_stops_the_run(run, samples) -> None:
    material = make_material(samples)
    samples[5].path.write_bytes(b"no picture")
    with pytest.raises(DgsError):
        run(material=material)


# Several processes

WORKER = """
import sys
from pathlib import Path
import torch
import test_student as t
from dgsforensics.trainer import distributed
from dgsforensics.trainer.student import fit
from dgsforensics.detector.checkpoint import trained_state
from dataclasses import replace
import tiny_clip

folder = Path(sys.argv[1])
tiny_clip.register(folder)
group, device = distributed.join("cpu")
model = t.make_model(Path(sys.argv[2]))
losses = []
fit(
    model,
    t.make_material([s for s in t.make_samples(folder)]),
    t.CONFIG,
    save_to=folder / "shared-state",
    fingerprint="these",
    group=group,
    workers=1,
    tell=lambda step: losses.append(step.loss),
)
torch.save({"trained": trained_state(model), "losses": losses}, folder / f"rank-{group.rank}")
group.leave()
"""


def test_two_processes_train_as_one_with_the_joint_batch(
    run, samples, tiny_backbone, tmp_path
) -> None:
    alone, steps = run()
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path), str(tiny_backbone)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        found = torch.load(tmp_path / f"rank-{rank}", weights_only=True)
        assert found["losses"] == pytest.approx([s.loss for s in steps], abs=1e-5)
        for name, value in alone.items():
            # Adam divides by the size of a gradient: where that is tiny, rounding shows.
            assert torch.allclose(found["trained"][name], value, atol=1e-3), name
