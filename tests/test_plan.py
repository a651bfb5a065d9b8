import dataclasses
import json
from pathlib import Path

import pytest
import torch

import tiny_clip
from dgsforensics.detector import backbone, checkpoint, folders, text_tower
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.checkpoint import Checkpoint
from dgsforensics.detector.config import HeadConfig, InputConfig, LoraConfig
from dgsforensics.detector.folders import file_name, sha256_of
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import CheckpointError, ConfigError, DgsError
from dgsforensics.trainer import plan
from dgsforensics.trainer.config import TrainConfig

ADAPTERS = LoraConfig(rank=2, blocks=(0,))
SCRATCH = {"base": "none", "backbone": f"{tiny_clip.NAME}:file"}


@pytest.fixture
def adapted(tiny_backbone, tmp_path) -> Path:
    """A detector with adapters."""
    folder = tmp_path / "adapted"
    folder.mkdir()
    return tiny_clip.write_detector(folder, tiny_backbone, tiny_clip.config(ADAPTERS))


def rewrite(file: Path, **tensors: torch.Tensor | None) -> None:
    """Replace tensors of a detector file, or leave them out."""
    made = checkpoint.read(file)
    changed = made.tensors | {name.replace("__", "."): value for name, value in tensors.items()}
    kept = {name: value for name, value in changed.items() if value is not None}
    checkpoint.write(dataclasses.replace(made, tensors=kept), file)


def make(weights: Path | None, **options) -> plan.TrainPlan:
    """A plan is made of headers and digests: whatever it refuses, it refuses before loading."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (backbone, text_tower):
            patch.setattr(room, "read_tensors", lambda *_: pytest.fail("weights were read"))
        return plan.make(TrainConfig(**options), "new", weights)


# From scratch


def test_from_scratch_it_is_what_the_options_say(tiny_backbone) -> None:
    options = {"input": InputConfig("whole"), "head": HeadConfig((0,)), "lora": LoraConfig(rank=3)}
    made = make(tiny_backbone, **SCRATCH, **options)
    assert made.base is None and made.prior is None
    assert made.backbone_file == tiny_backbone
    assert made.student.name == "new"
    assert made.student.backbone.name == tiny_clip.NAME
    assert made.student.backbone.sha256 == sha256_of(tiny_backbone)
    assert made.student.input == options["input"] and made.student.head == options["head"]
    assert made.student.lora == options["lora"]
    assert made.frozen == dataclasses.replace(made.student, lora=None)


def test_from_scratch_the_defaults_are_those_of_dgs_net(tiny_backbone) -> None:
    student = make(tiny_backbone, **SCRATCH).student
    assert student.input == InputConfig("patches", 224) and student.head == HeadConfig(())
    assert student.lora == LoraConfig(6, 6.0, 0.8, "alpha/sqrt(rank)", None)


@pytest.mark.parametrize(
    ("head", "adapted_blocks"), [((), None), ((0,), (0,)), ((1,), (0, 1)), ((0, 1), (0, 1))]
)
def test_blocks_that_the_head_reads_through_are_adapted(
    head, adapted_blocks, tiny_backbone
) -> None:
    made = make(tiny_backbone, **SCRATCH, head=HeadConfig(head))
    assert made.student.lora.blocks == adapted_blocks


def test_without_a_backbone_it_is_the_bundled_one() -> None:
    made = make(None, base="none")
    assert made.student.backbone.weights == "bundled"
    assert made.student.backbone.sha256 == sha256_of(made.backbone_file)
    assert made.backbone_file.parent == folders.weights_folder()


def test_a_probe_has_no_adapters(tiny_backbone) -> None:
    made = make(tiny_backbone, **SCRATCH, method="probe")
    assert made.student.lora is None and made.student == made.frozen


@pytest.mark.parametrize("name", ["ViT-B-16-quickgelu", "ViT-B-16-quickgelu:openai"])
def test_a_backbone_without_a_tag_is_that_of_openai(name, tiny_backbone) -> None:
    weights = make(tiny_backbone, base="none", backbone=name).student.backbone
    assert (weights.name, weights.weights) == ("ViT-B-16-quickgelu", "openai")


def test_from_scratch_nothing_is_given_to_start_with(tiny_backbone) -> None:
    assert make(tiny_backbone, **SCRATCH).start == {}


# From a base


def test_a_frozen_base_gives_tower_view_and_prior(tiny_detector, tiny_backbone) -> None:
    made = make(tiny_backbone, base=str(tiny_detector))
    stored = checkpoint.read(tiny_detector)
    assert made.base.sha256 == stored.sha256
    assert made.frozen == dataclasses.replace(stored.config, name="new")
    assert made.student.lora == LoraConfig()
    weight, bias = made.prior
    assert torch.equal(weight, stored.tensors["head.weight"])
    assert torch.equal(bias, stored.tensors["head.bias"])
    assert made.start.keys() == {"head.weight", "head.bias"}
    assert torch.equal(made.start["head.weight"], weight)


def test_a_frozen_base_may_get_other_adapters(tiny_detector, tiny_backbone) -> None:
    made = make(tiny_backbone, base=str(tiny_detector), lora=ADAPTERS)
    assert made.student.lora == ADAPTERS


def test_a_base_with_adapters_is_gone_on_from(adapted, tiny_backbone) -> None:
    for lora in (None, ADAPTERS):
        made = make(tiny_backbone, base=str(adapted), lora=lora)
        assert made.student.lora == ADAPTERS and made.frozen.lora is None
        assert made.prior is None  # its head reads another tower than the teacher's
        started = made.start
        stored = checkpoint.read(adapted).tensors
        assert started.keys() == stored.keys()
        assert all(torch.equal(started[name], stored[name]) for name in stored)


def test_the_default_is_the_bundled_detector() -> None:
    made = make(None)
    assert made.base.config.name == folders.DEFAULT
    assert made.student.backbone == made.base.config.backbone
    assert made.student.input == made.base.config.input
    assert made.student.lora.blocks == tuple(range(made.base.config.head.blocks[-1] + 1))


def test_the_backbone_may_lie_beside_the_base(adapted, tiny_backbone) -> None:
    beside = adapted.with_name(file_name(sha256_of(tiny_backbone)))
    beside.write_bytes(tiny_backbone.read_bytes())
    assert make(None, base=str(adapted)).backbone_file == beside


def test_what_a_student_starts_with_fits_it(adapted, tiny_backbone) -> None:
    made = make(tiny_backbone, base=str(adapted))
    model = DetectorModel(made.student, load_backbone(made.student.backbone, made.backbone_file))
    started = made.start
    plan.apply(started, model)
    for name, value in checkpoint.trained_state(model).items():
        assert torch.equal(value, started[name])
    with pytest.raises(ConfigError, match="surplus"):
        plan.apply({"surplus": torch.ones(1)}, model)


# Refused before anything large is loaded


def test_a_probe_cannot_go_on_from_adapters(adapted, tiny_backbone) -> None:
    with pytest.raises(ConfigError, match="has adapters") as caught:
        make(tiny_backbone, base=str(adapted), method="probe")
    assert "lora or dgs" in str(caught.value.hint)


@pytest.mark.parametrize(
    "lora", [LoraConfig(), LoraConfig(rank=2), dataclasses.replace(ADAPTERS, dropout=0.1)]
)
def test_other_adapters_than_the_base_has_are_refused(lora, adapted, tiny_backbone) -> None:
    with pytest.raises(ConfigError, match="not those of the options") as caught:
        make(tiny_backbone, base=str(adapted), lora=lora)
    assert "[lora]" in str(caught.value.hint)


def test_captions_need_a_head_on_the_output(tiny_backbone, tmp_path) -> None:
    options = {**SCRATCH, "head": HeadConfig((0, 1)), "captions": "sidecar"}
    with pytest.raises(ConfigError, match="reads blocks 0, 1") as caught:
        make(tiny_backbone, **options)
    assert "leave the captions out" in str(caught.value.hint)
    assert make(tiny_backbone, **{**options, "captions": None})  # what the hint advises
    base = tiny_clip.write_detector(tmp_path, tiny_backbone, tiny_clip.config(blocks=(1,)))
    with pytest.raises(ConfigError, match="reads blocks 1"):
        make(tiny_backbone, base=str(base), captions="sidecar")
    assert make(tiny_backbone, **options, method="lora")  # which has no use for them
    assert make(tiny_backbone, **SCRATCH, head=HeadConfig((0, 1)), semantics="lowpass")


def test_captions_need_a_text_tower(tiny_backbone, tmp_path) -> None:
    with pytest.raises(ConfigError, match="no text tower"):
        make(tiny_backbone, **SCRATCH, captions="sidecar")
    whole = tiny_clip.write_clip(tmp_path)
    assert make(whole, **SCRATCH, captions="sidecar").backbone_file == whole


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"head": HeadConfig((2,))}, "head.blocks"),
        ({"head": HeadConfig((0, 99))}, "head.blocks"),
        ({"input": InputConfig("whole", size=448)}, "input.size 448"),
        ({"lora": LoraConfig(blocks=(2,))}, "lora.blocks: 2"),
        ({"lora": LoraConfig(blocks=(-1,))}, "lora.blocks: -1"),
        ({"lora": LoraConfig(blocks=(1, 1))}, "adapted already"),
        ({"backbone": "no-such-model:file"}, "no model 'no-such-model'"),
        ({"backbone": "RN50:file"}, "not a ViT"),
        ({"backbone": ":file"}, "no model ''"),
    ],
)
def test_what_the_tower_has_not_is_refused(options, told, tiny_backbone) -> None:
    with pytest.raises(ConfigError, match=told):
        make(tiny_backbone, **{**SCRATCH, **options})


def test_adapters_for_a_base_must_fit_its_tower(tiny_detector, tiny_backbone) -> None:
    with pytest.raises(ConfigError, match=r"lora\.blocks: 7"):
        make(tiny_backbone, base=str(tiny_detector), lora=LoraConfig(blocks=(7,)))


@pytest.mark.parametrize(
    "changes",
    [
        {"head__weight": torch.full((1, 16), torch.nan)},
        {"head__weight": torch.ones(1, 5)},
        {"head__weight": None},
        {"head__bias": torch.tensor([torch.inf])},
        {"surplus": torch.ones(1)},
        {"tower__transformer__resblocks__0__attn__up__q": torch.ones(3, 3)},
        {"tower__transformer__resblocks__0__attn__up__q": None},
        {"tower__transformer__resblocks__1__attn__up__q": torch.ones(32, 2)},
    ],
)
def test_a_damaged_base_is_refused(changes, adapted, tiny_backbone) -> None:
    rewrite(adapted, **changes)
    with pytest.raises(CheckpointError, match="tensor"):
        make(tiny_backbone, base=str(adapted))


def test_adapters_in_a_base_that_says_it_has_none_are_refused(tiny_detector, tiny_backbone) -> None:
    rewrite(tiny_detector, tower__transformer__resblocks__0__attn__up__q=torch.ones(32, 6))
    with pytest.raises(CheckpointError, match="do not fit"):
        make(tiny_backbone, base=str(tiny_detector))


def test_another_backbone_than_the_base_was_made_with_is_refused(tiny_detector, tmp_path) -> None:
    other = tiny_clip.write_backbone(tmp_path, seed=1)
    with pytest.raises(CheckpointError, match="not the backbone"):
        make(other, base=str(tiny_detector))


@pytest.mark.parametrize("base", ["none", "a base"])
def test_a_backbone_that_is_not_there_is_told(base, tiny_detector, tmp_path) -> None:
    options = SCRATCH if base == "none" else {"base": str(tiny_detector)}
    with pytest.raises(CheckpointError, match="cannot read"):
        make(tmp_path / "gone.safetensors", **options)
    with pytest.raises(CheckpointError, match="from a file"):
        make(None, **options)


@pytest.mark.parametrize(
    ("base", "content"), [("nosuch", None), ("", None), ("x.safetensors", b"no detector")]
)
def test_a_base_that_is_none_is_told(base, content, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(base).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"no detector '{base}'|{base} is damaged"):
        make(None, base=base)


@pytest.mark.parametrize("tag", ["nosuch", "openai:x"])
def test_a_tag_that_open_clip_does_not_know_is_told(tag) -> None:
    with pytest.raises(DgsError, match="no weights"):
        make(None, base="none", backbone=f"ViT-B-16-quickgelu:{tag}")


def test_options_are_judged_before_files_are_looked_for(adapted, tmp_path) -> None:
    """The mistake that can be mended at the keyboard comes first."""
    with pytest.raises(ConfigError, match="has adapters"):
        make(tmp_path / "gone", base=str(adapted), method="probe")


def test_a_plan_says_nothing_that_cannot_be_written_down(tiny_detector, tiny_backbone) -> None:
    made = make(tiny_backbone, base=str(tiny_detector))
    again = type(made.student).from_dict(json.loads(json.dumps(made.student.to_dict())))
    assert again == made.student
    file = tiny_detector.with_name("again.safetensors")
    tensors = {"head.weight": torch.zeros(1, 16), "head.bias": torch.zeros(1)}
    checkpoint.write(Checkpoint(made.frozen, made.base.calibration, tensors), file)
    assert checkpoint.read(file).config == made.frozen
