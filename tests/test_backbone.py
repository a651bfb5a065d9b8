import hashlib
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tiny_clip
from dgsforensics.detector.backbone import build_tower, load_backbone, locate_weights, read_tensors
from dgsforensics.detector.config import BackboneConfig
from dgsforensics.detector.folders import sha256_of
from dgsforensics.errors import CheckpointError, ConfigError

TINY = BackboneConfig(tiny_clip.NAME, "file")


def test_the_bundled_tower_is_dequantised_as_documented():
    path = locate_weights(BackboneConfig())
    tensors = read_tensors(path)
    with safe_open(path, "pt") as stored:
        name = "transformer.resblocks.3.mlp.c_fc.weight"
        row = stored.get_tensor(name)[5].float() * stored.get_tensor(f"{name}.scale")[5]
        column = stored.get_tensor("proj")[:, 7].float() * stored.get_tensor("proj.scale")[7]
    assert torch.equal(tensors[name][5], row)
    assert torch.equal(tensors["proj"][:, 7], column)
    assert len(tensors) == 152
    assert all(value.dtype == torch.float32 for value in tensors.values())


def test_a_tower_is_frozen_float32_and_whole(tiny_backbone):
    tower = load_backbone(TINY, tiny_backbone)
    assert not tower.training
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    stored = load_file(tiny_backbone)
    assert all(torch.equal(value, stored[name]) for name, value in tower.state_dict().items())


def test_half_precision_weights_are_widened(tiny_backbone, tmp_path):
    half = {name: value.half() for name, value in load_file(tiny_backbone).items()}
    save_file(half, tmp_path / "half.safetensors")
    tower = load_backbone(TINY, tmp_path / "half.safetensors")
    assert tower.proj.dtype == torch.float32


def test_the_image_tower_of_a_whole_clip_is_taken(tiny_backbone, tmp_path):
    whole = {f"visual.{name}": value for name, value in load_file(tiny_backbone).items()}
    whole["logit_scale"] = torch.ones(())
    save_file(whole, tmp_path / "clip.safetensors")
    torch.save(whole, tmp_path / "clip.pt")
    for file in ("clip.safetensors", "clip.pt"):
        tower = load_backbone(TINY, tmp_path / file)
        assert torch.equal(tower.proj, whole["visual.proj"])


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_keys_are_strict(tiny_backbone, tmp_path, change):
    tensors = load_file(tiny_backbone)
    if change == "missing":
        del tensors["ln_post.bias"]
    elif change == "extra":
        tensors["surplus"] = torch.ones(1)
    else:
        tensors["proj"] = torch.ones(3, 3)
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match="does not hold the image tower"):
        load_backbone(TINY, tmp_path / "odd.safetensors")


def test_another_file_than_the_one_trained_with_is_refused(tiny_backbone):
    config = BackboneConfig(tiny_clip.NAME, "file", "0" * 64)
    with pytest.raises(CheckpointError, match="not the backbone this detector was made with"):
        load_backbone(config, tiny_backbone)
    right = hashlib.sha256(tiny_backbone.read_bytes()).hexdigest()
    assert sha256_of(tiny_backbone) == right
    load_backbone(BackboneConfig(tiny_clip.NAME, "file", right), tiny_backbone)


def test_truncated_weights(tiny_backbone, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(tiny_backbone.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        read_tensors(cut)


def test_a_pickle_is_never_run(tmp_path):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"a": Trap()}))
    torch.save({"a": Trap()}, tmp_path / "trap2.pt")
    for file in ("trap.pt", "trap2.pt"):
        with pytest.raises(CheckpointError, match="neither safetensors nor"):
            read_tensors(tmp_path / file)
    assert not ran.exists()


def test_int8_without_scale(tmp_path):
    save_file({"proj": torch.zeros(2, 2, dtype=torch.int8)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="without a scale"):
        read_tensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BackboneConfig("ViT-L-14-quickgelu"), "no weights for ViT-L-14-quickgelu come with"),
        (BackboneConfig("ViT-L-14-quickgelu", "openai"), "neither in open_clip's cache nor"),
        (BackboneConfig("ViT-L-14-quickgelu", "nosuch"), "open_clip has no weights 'nosuch'"),
        (BackboneConfig("ViT-L-14-quickgelu", "file"), "from a file"),
    ],
)
def test_weights_that_are_not_there_say_what_to_do(config, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        locate_weights(config)
    assert caught.value.hint


def test_weights_of_another_activation_are_refused():
    with pytest.raises(ConfigError, match="another activation") as caught:
        locate_weights(BackboneConfig("ViT-L-14", "openai"))
    assert caught.value.hint == "use ViT-L-14-quickgelu"


def test_the_large_tower_is_built_without_storage():
    tower = build_tower("ViT-L-14-quickgelu")
    assert tower.proj.shape == (1024, 768)
    assert tower.proj.is_meta
    assert len(tower.transformer.resblocks) == 24


@pytest.mark.parametrize(
    "name", ["no-such-model", "RN50", "hf-hub:some/model", "local-dir:/tmp", "ViT-B/16", ""]
)
def test_towers_that_are_no_vit(name):
    with pytest.raises(ConfigError):
        build_tower(name)


def test_names_in_folders_go_by_digest_and_first_come(tmp_path):
    config = BackboneConfig(tiny_clip.NAME, "file", "ab" * 32)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / "backbone-abababababab.safetensors").touch()
    assert locate_weights(config, folders).parent == folders[0]
    (folders[0] / "backbone-abababababab.safetensors").unlink()
    assert locate_weights(config, folders).parent == folders[1]
    for nothing in ([], [tmp_path]):
        with pytest.raises(CheckpointError, match="from a file"):
            locate_weights(config, nothing)
    with pytest.raises(CheckpointError, match="from a file"):  # without a digest nothing is right
        locate_weights(BackboneConfig(tiny_clip.NAME, "file"), folders)


def test_a_state_dict_with_numbers_for_names(tmp_path):
    torch.save({1: torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="something other than named tensors"):
        read_tensors(tmp_path / "x.pt")
