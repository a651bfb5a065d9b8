import copy

import pytest
import torch

import tiny_clip
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.config import BackboneConfig, LoraConfig
from dgsforensics.detector.lora import LoraAttention, add_lora, lora_state, merge_lora
from dgsforensics.detector.model import DetectorModel
from dgsforensics.errors import ConfigError

CONFIG = LoraConfig(rank=3, alpha=5, dropout=0.5)


@pytest.fixture
def tower(tiny_backbone):
    return load_backbone(BackboneConfig(tiny_clip.NAME, "file"), tiny_backbone)


@pytest.fixture
def image():
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def randomise(tower):
    for name, parameter in tower.named_parameters():
        if ".attn.up." in name:
            torch.nn.init.normal_(parameter, std=0.1)


def test_adding_lora_changes_nothing(tower, image):
    before = tower(image)
    add_lora(tower, CONFIG)
    tower.eval()
    assert torch.allclose(tower(image), before, atol=1e-5)


def test_the_adapted_attention_is_the_equation(tower):
    attention = copy.deepcopy(tower.transformer.resblocks[0].attn)
    adapted = LoraAttention(copy.deepcopy(attention), CONFIG).eval()
    for p in "qkv":
        torch.nn.init.normal_(adapted.up[p], std=0.2)
    delta = torch.cat([adapted.up[p] @ adapted.down[p] for p in "qkv"])
    with torch.no_grad():
        attention.in_proj_weight += 5 / 3**0.5 * delta  # alpha / sqrt(rank)
    x = torch.randn(2, 7, 32)
    expected = attention(x, x, x, need_weights=False)[0]
    assert torch.allclose(adapted(x)[0], expected, atol=1e-5)


def test_merged_equals_unmerged_and_merging_twice_is_once(tower, image):
    plain = tower(image)
    add_lora(tower, CONFIG)
    randomise(tower)
    tower.eval()
    unmerged = tower(image)
    assert not torch.allclose(unmerged, plain, atol=1e-2)
    merge_lora(tower)
    assert torch.allclose(tower(image), unmerged, atol=1e-4)
    once = copy.deepcopy(tower.state_dict())
    merge_lora(tower)
    assert all(torch.equal(value, once[name]) for name, value in tower.state_dict().items())
    assert not lora_state(tower)


def test_only_adapters_and_head_get_gradients(tower):
    model = DetectorModel(tiny_clip.config(lora=CONFIG), tower)
    randomise(tower)
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    model(pixels).sum().backward()
    with_gradient = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert with_gradient == {
        "head.weight",
        "head.bias",
        *(
            f"tower.transformer.resblocks.{block}.attn.{part}.{p}"
            for block in (0, 1)
            for part in ("down", "up")
            for p in "qkv"
        ),
    }


def test_dropout_acts_on_the_adapters_only_while_training(tower, image):
    add_lora(tower, CONFIG)
    randomise(tower)
    tower.train()
    assert not torch.equal(tower(image), tower(image))
    tower.eval()
    assert torch.equal(tower(image), tower(image))


def test_only_the_chosen_blocks_are_adapted(tower):
    add_lora(tower, LoraConfig(blocks=(1,)))
    assert {name.split(".")[2] for name in lora_state(tower)} == {"1"}


def test_scale():
    assert LoraConfig(rank=6, alpha=6).scale == pytest.approx(2.449, abs=1e-3)
    assert LoraConfig(rank=6, alpha=6, scaling="alpha/rank").scale == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [({"rank": 0}, "rank"), ({"dropout": 1.0}, "dropout"), ({"scaling": "x"}, "scaling")],
)
def test_wrong_values_name_the_field(values, field):
    with pytest.raises(ConfigError, match=rf"lora\.{field}"):
        LoraConfig(**values)


def test_a_block_that_is_not_there_or_is_taken(tower):
    with pytest.raises(ConfigError, match="5 is not one of 2 blocks"):
        add_lora(tower, LoraConfig(blocks=(5,)))
    add_lora(tower, LoraConfig(blocks=(0,)))
    with pytest.raises(ConfigError, match="adapted already"):
        add_lora(tower, LoraConfig(blocks=(0,)))
