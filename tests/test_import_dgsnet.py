"""Imported checkpoints against a forward pass written out in NumPy, from the formulas alone."""

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import tiny_reference
from dgsforensics.detector import checkpoint, import_dgsnet
from dgsforensics.detector.backbone import build_clip
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.config import IMAGENET_MEAN, IMAGENET_STD
from dgsforensics.errors import CheckpointError, ConfigError
from tiny_reference import (
    BLOCKS,
    EMBED,
    NAME,
    RANK,
    SCALE,
    WIDTH,
    attentions,
    clip_shapes,
    expected_logit,
    pictures,
    step_one,
    step_two,
)


@pytest.fixture(autouse=True, scope="module")
def _registered(tmp_path_factory):
    tiny_reference.register(tmp_path_factory.mktemp("architecture"))


def imported(state, tmp_path):
    file = tmp_path / "last.pth"
    torch.save(state, file)
    return import_dgsnet.read(file, "mine", NAME)


def logits(made, tower, tmp_path, merge=False):
    weights = tmp_path / "tower.safetensors"
    save_file(tower, weights)
    assert made.config.backbone.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    model = checkpoint.build_model(made, weights)
    if merge:
        model.merge()
    with torch.no_grad():
        return model(torch.from_numpy(pictures())).tolist()


# What is read


def test_step_one_is_a_head_on_the_frozen_tower(tmp_path):
    state = step_one()
    made, tower = imported(state, tmp_path)
    assert made.config.lora is None
    expected = [expected_logit(state, pixels) for pixels in pictures()]
    assert logits(made, tower, tmp_path) == pytest.approx(expected, abs=1e-4)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("merged", [None, SCALE, 1.0, 0.6])
def test_step_two_adapts_once_merged_or_not(tmp_path, merged, merge):
    state = step_two(merged=merged)
    made, tower = imported(state, tmp_path)
    scale = merged or SCALE
    assert made.config.lora is not None
    assert made.config.lora.rank == RANK
    assert made.config.lora.scale == pytest.approx(scale, rel=1e-5)
    expected = [expected_logit(state, pixels, scale) for pixels in pictures()]
    assert logits(made, tower, tmp_path, merge) == pytest.approx(expected, abs=1e-4)
    for wrong in (0.0, 2 * scale):  # not at all, or twice
        other = [expected_logit(state, pixels, wrong) for pixels in pictures()]
        assert np.abs(np.subtract(other, expected)).max() > 0.01


def test_the_detector_is_what_the_method_says(tmp_path):
    made, tower = imported(step_two(), tmp_path)
    assert made.config.name == "mine"
    assert made.config.backbone.weights == "file"
    assert made.config.input.view == "patches"
    assert made.config.input.mean == IMAGENET_MEAN and made.config.input.std == IMAGENET_STD
    assert made.config.head.blocks == ()
    assert made.config.lora.alpha == 6 and made.config.lora.dropout == 0.8
    assert made.calibration == Calibration.none()
    assert set(made.tensors) == {"head.weight", "head.bias"} | {
        f"tower.transformer.resblocks.{n}.attn.{side}.{p}"
        for n in range(BLOCKS)
        for side in ("down", "up")
        for p in "qkv"
    }
    names = {key.removeprefix("visual.") for key, _ in clip_shapes() if key.startswith("visual.")}
    assert set(tower) == names


def test_the_card_says_where_it_came_from_and_what_it_lacks(tmp_path):
    for state, expected in (
        (step_one(), {"layout": "step 1"}),
        (step_two(), {"layout": "step 2", "adapters": "not merged, scale 2.449 assumed"}),
        (step_two(merged=1.0), {"adapters": "merged into the weights, scale 1"}),
    ):
        made, _ = imported(state, tmp_path)
        digest = hashlib.sha256((tmp_path / "last.pth").read_bytes()).hexdigest()
        assert made.card.origin.items() >= {"file": "last.pth", "sha256": digest}.items()
        assert made.card.origin.items() >= expected.items()
        assert any("Not calibrated" in limit for limit in made.card.limits)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    merged=st.none() | st.floats(0.05, 10),
    rank=st.integers(1, 8),
    spread=st.floats(0.01, 0.3),
    seed=st.integers(0, 5),
)
def test_any_scale_is_recovered(tmp_path, merged, rank, spread, seed):
    state = step_two(seed, merged, rank, spread)
    lora = imported(state, tmp_path)[0].config.lora
    assert lora.rank == rank
    assert lora.scale == pytest.approx(merged or 6 / rank**0.5, rel=1e-3)


@pytest.mark.parametrize("merged", [None, 1.0])
def test_half_precision_is_widened(tmp_path, merged):
    state = {key: value.half() for key, value in step_two(merged=merged).items()}
    made, tower = imported(state, tmp_path)
    assert all(v.dtype == torch.float32 for v in (*tower.values(), *made.tensors.values()))
    assert made.config.lora.scale == pytest.approx(merged or SCALE, rel=1e-2)
    made, tower = imported({key: value.half() for key, value in step_one().items()}, tmp_path)
    expected = [
        expected_logit({k: v.half() for k, v in step_one().items()}, pixels)
        for pixels in pictures()
    ]
    assert logits(made, tower, tmp_path) == pytest.approx(expected, abs=1e-4)


def test_rounding_of_merging_and_unmerging_is_no_merge(tmp_path):
    state = step_two()
    changed = False
    for stem in attentions():
        for p in "qkv":
            weight, before = (
                state[f"{stem}{p}_proj.weight"],
                state[f"{stem}{p}_proj.weight"].clone(),
            )
            delta = SCALE * state[f"{stem}{p}_proj.w_lora_B"] @ state[f"{stem}{p}_proj.w_lora_A"]
            for _ in range(4):
                weight += delta
                weight -= delta
            changed |= not torch.equal(weight, before)
    assert changed
    made, tower = imported(state, tmp_path)
    assert made.config.lora.alpha == 6
    assert torch.equal(
        tower["transformer.resblocks.0.attn.in_proj_weight"],
        state[
            "clip_model_frozen.clip_model_frozen.visual.transformer.resblocks.0.attn.in_proj_weight"
        ],
    )


def test_adapters_that_are_still_zero_are_unmerged(tmp_path):
    state = step_two()
    for key, value in state.items():
        if key.endswith("w_lora_B"):
            value.zero_()
    assert imported(state, tmp_path)[0].config.lora.alpha == 6


def test_a_safetensors_copy_is_read_alike(tmp_path):
    state = step_two(merged=SCALE)
    made, _ = imported(state, tmp_path)
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "copy.safetensors")
    copy, _ = import_dgsnet.read(tmp_path / "copy.safetensors", "mine", NAME)
    assert copy.config == made.config
    assert all(torch.equal(copy.tensors[name], value) for name, value in made.tensors.items())


def test_tensors_that_share_memory_are_read(tmp_path):
    state = step_one()
    whole = torch.cat([value.flatten() for value in state.values()])
    parts = whole.split([value.numel() for value in state.values()])
    views = {k: part.view(v.shape) for (k, v), part in zip(state.items(), parts, strict=True)}
    made, tower = imported(views, tmp_path)
    assert made.config == imported(state, tmp_path)[0].config
    save_file(tower, tmp_path / "tower.safetensors")


def test_a_file_name_that_is_not_utf8(tmp_path):
    file = tmp_path / "caf\udce9.pth"
    try:
        torch.save(step_one(), file.open("wb"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    made, _ = import_dgsnet.read(file, "mine", NAME)
    assert made.card.origin["file"] == "caf\\udce9.pth"
    json.dumps(made.card.to_dict()).encode()


def test_the_published_sizes():
    clip = build_clip(import_dgsnet.BACKBONE).state_dict()
    second = import_dgsnet.second_layout(clip, 6)
    assert len(clip) == 446
    assert len(import_dgsnet.first_layout(clip)) == 448
    assert len(second) == 1138
    stem = "clip_model.visual.transformer.resblocks.23.attn."
    assert second[f"{stem}q_proj.weight"].shape == (1024, 1024)
    assert second[f"{stem}k_proj.bias"].shape == (1024,)
    assert second[f"{stem}v_proj.w_lora_A"].shape == (6, 1024)
    assert second[f"{stem}v_proj.w_lora_B"].shape == (1024, 6)
    assert second[f"{stem}proj.weight"].shape == (1024, 1024)
    assert second["clip_model_frozen.img_frozen_fc.weight"].shape == (1, 768)


# What is refused


def test_adapters_merged_in_some_blocks_only(tmp_path):
    state, merged = step_two(), step_two(merged=SCALE)
    some = {k: merged[k] if "resblocks.1.attn.v_proj.weight" in k else v for k, v in state.items()}
    with pytest.raises(CheckpointError, match="neither merged into the weights nor unmerged"):
        imported(some, tmp_path)


@pytest.mark.parametrize("merged", [None, SCALE])
def test_one_weight_changed_is_neither(tmp_path, merged):
    state = step_two(merged=merged)
    state[f"{attentions()[1]}k_proj.weight"][3, 5] += 0.05
    with pytest.raises(CheckpointError, match=r"neither merged .*1\.attn\.k_proj\.weight"):
        imported(state, tmp_path)


def test_adapters_taken_out_of_weights_that_never_had_them(tmp_path):
    with pytest.raises(CheckpointError, match="neither merged"):
        imported(step_two(merged=-SCALE), tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        "clip_model.visual.proj",
        "clip_model.visual.transformer.resblocks.1.mlp.c_fc.weight",
        "clip_model.visual.transformer.resblocks.0.attn.q_proj.bias",
        "clip_model.visual.transformer.resblocks.0.attn.proj.weight",
    ],
)
def test_another_tensor_of_the_tower_changed_is_named(tmp_path, key):
    state = step_two(merged=SCALE)
    state[key].view(-1)[2] += 1e-3
    name = key.removeprefix("clip_model.visual.")
    with pytest.raises(CheckpointError, match=f"differs from the frozen one in {name}"):
        imported(state, tmp_path)


@pytest.mark.parametrize("make", [step_one, step_two])
def test_keys_are_strict(tmp_path, make):
    state = make()
    for key in (next(iter(state)), [k for k in state if ".visual." in k][-1]):
        with pytest.raises(CheckpointError, match=f"lacks tensors .*{key}"):
            imported({k: v for k, v in state.items() if k != key}, tmp_path)
    with pytest.raises(CheckpointError, match=r"has surplus tensors .*surplus"):
        imported(state | {"clip_model.surplus": torch.ones(1)}, tmp_path)


def test_adapters_without_their_other_half(tmp_path):
    state = step_two()
    del state[f"{attentions()[0]}q_proj.w_lora_A"]
    with pytest.raises(CheckpointError, match="lacks tensors"):
        imported(state, tmp_path)
    bare = {k: v for k, v in step_two().items() if "w_lora" not in k}
    with pytest.raises(CheckpointError, match="lacks tensors"):
        imported(bare, tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(3), r"is \(3,\), expected \(64, 16\)"),
        (torch.ones(WIDTH, EMBED, dtype=torch.int64), "not a plain tensor of floats"),
        (torch.ones(WIDTH, EMBED).to_sparse(), "not a plain tensor of floats"),
        (torch.ones(WIDTH, EMBED, device="meta"), "not a plain tensor of floats"),
        (torch.full((WIDTH, EMBED), torch.nan), "not finite"),
        (torch.full((WIDTH, EMBED), 1e300, dtype=torch.float64), "not finite"),
    ],
)
def test_tensors_that_cannot_be_used(tmp_path, value, message):
    key = "clip_model_frozen.visual.proj"
    with pytest.raises(CheckpointError, match=message) as caught:
        imported(step_one() | {key: value}, tmp_path)
    assert key in caught.value.message


@pytest.mark.parametrize("rank", [0, 1025])
def test_ranks_out_of_range(tmp_path, rank):
    state = step_two(rank=1)
    for key in [k for k in state if "w_lora_" in k]:
        state[key] = torch.zeros((rank, WIDTH) if key.endswith("A") else (WIDTH, rank))
    with pytest.raises((CheckpointError, ConfigError)):
        imported(state, tmp_path)


def test_another_architecture_says_which_option_to_use(tmp_path):
    torch.save(step_one(), tmp_path / "x.pth")
    with pytest.raises(CheckpointError) as caught:
        import_dgsnet.read(tmp_path / "x.pth", "mine")
    assert "ViT-L-14-quickgelu" in caught.value.hint and "--backbone" in caught.value.hint
    with pytest.raises(ConfigError, match="not a ViT"):
        import_dgsnet.read(tmp_path / "x.pth", "mine", "RN50")


@pytest.mark.parametrize(
    "content",
    [{}, {"fc.weight": torch.ones(1, 4)}, {1: torch.ones(1)}, {"a": 3}, [torch.ones(1)], None],
)
def test_foreign_files(tmp_path, content):
    with pytest.raises(CheckpointError):
        imported(content, tmp_path)


def test_damaged_and_hostile_files(tmp_path):
    file = tmp_path / "x.pth"
    torch.save(step_one(), file)
    data = file.read_bytes()
    for bad in (b"", b"hello", data[: len(data) // 2], data[:-1]):
        file.write_bytes(bad)
        with pytest.raises(CheckpointError):
            import_dgsnet.read(file, "mine", NAME)
    with pytest.raises(CheckpointError, match="cannot read"):
        import_dgsnet.read(tmp_path / "gone.pth", "mine", NAME)
    with pytest.raises(CheckpointError, match="cannot read"):
        import_dgsnet.read(tmp_path, "mine", NAME)
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    file.write_bytes(pickle.dumps(step_one() | {"img_fc.weight": Trap()}))
    with pytest.raises(CheckpointError):
        import_dgsnet.read(file, "mine", NAME)
    assert not ran.exists()
