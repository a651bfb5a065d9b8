import dataclasses
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_clip
from dgsforensics.detector import checkpoint, folders
from dgsforensics.detector.config import DetectorConfig, HeadConfig, InputConfig, LoraConfig
from dgsforensics.detector.facts import ModelCard
from dgsforensics.detector.folders import file_name, sha256_of
from dgsforensics.errors import CheckpointError, ConfigError


def metadata(file):
    head = file.read_bytes()
    size = int.from_bytes(head[:8], "little")
    return json.loads(json.loads(head[8 : 8 + size])["__metadata__"]["dgsforensics"])


def rewrite(file, tensors=None, **changes):
    save_file(
        tensors or load_file(file),
        file,
        metadata={"dgsforensics": json.dumps(metadata(file) | changes)},
    )


def test_round_trip_with_adapters(tiny_backbone, tmp_path):
    config = tiny_clip.config(lora=LoraConfig(rank=2, blocks=(0,)), blocks=(1,))
    file = tiny_clip.write_detector(tmp_path, tiny_backbone, config)
    loaded = checkpoint.read(file)
    assert dataclasses.replace(loaded.config, backbone=config.backbone) == config
    assert loaded.config.backbone.sha256 == sha256_of(tiny_backbone)
    assert loaded.calibration == tiny_clip.calibration()
    assert loaded.card == ModelCard(limits=("a test",))
    assert len(loaded.sha256) == 64
    model = checkpoint.build_model(loaded, tiny_backbone)
    for name, value in checkpoint.trained_state(model).items():
        assert torch.equal(value, loaded.tensors[name])
    assert not list(tmp_path.glob("*.part"))


def test_config_survives_json():
    config = tiny_clip.config(lora=LoraConfig(blocks=(0, 1)), blocks=(0, 1), view="whole")
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"name": "x", "surplus": 1},
        {"name": "x", "input": {"view": "nose"}},
        {"name": "x", "input": {"size": 336}},
        {"name": "x", "head": {"blocks": [3, 1]}},
        {"name": "x", "lora": {"rank": 0}},
        {"name": "x", "backbone": "ViT"},
        {"name": None},
        {"name": "x", "backbone": {"name": 3}},
        {"name": "x", "input": {"mean": [0.5, 0.5]}},
        {"name": "x", "input": {"std": ["a", "b", "c"]}},
        {"name": "x", "input": {"view": "whole", "size": 224.5}},
        {"name": "x", "head": {"blocks": [-1]}},
        {"name": "x", "lora": {"alpha": "x"}},
        {"name": "x", "lora": {"rank": True}},
        [],
        None,
    ],
)
def test_wrong_configs_are_refused(broken):
    with pytest.raises(ConfigError):
        DetectorConfig.from_dict(broken)


def test_preprocessing_key_follows_the_input_only(monkeypatch):
    config = tiny_clip.config()
    other_input = tiny_clip.config(view="whole")
    assert config.preprocessing == dataclasses.replace(config, name="other").preprocessing
    assert config.preprocessing != other_input.preprocessing
    canonical = dataclasses.replace(config.input, canonical="standard")
    assert config.preprocessing != dataclasses.replace(config, input=canonical).preprocessing
    before = config.preprocessing
    monkeypatch.setattr("dgsforensics.detector.config.PREPROCESSING_VERSION", 99)
    assert config.preprocessing != before


def test_a_file_that_knows_of_no_canonical_form_keeps_its_key_and_its_meaning():
    config = DetectorConfig("x", input=InputConfig("whole"))
    old = config.to_dict()
    del old["input"]["canonical"]
    assert DetectorConfig.from_dict(old) == config
    assert config.preprocessing == "v3-whole-3bb54b0e"


def test_damaged_and_foreign_files(tiny_detector, tmp_path):
    data = tiny_detector.read_bytes()
    file = tmp_path / "x.safetensors"
    for bad in (b"", b"hello", data[:50], data[:-1], data[:8] + b"\xff" * 40 + data[48:]):
        file.write_bytes(bad)
        with pytest.raises(CheckpointError):
            checkpoint.read(file)
    file.write_bytes(pickle.dumps({"head.weight": 1}))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        checkpoint.read(file)
    save_file({"a": torch.ones(1)}, file)
    with pytest.raises(CheckpointError, match="not a detector"):
        checkpoint.read(file)
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoint.read(tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has layout 2, this version reads 1"),
        ({"config": {"name": "x", "y": 1}}, "has no field .y."),
        ({"calibration": {"temperature": 1}}, "damaged calibration"),
        ({"calibration": None}, "damaged calibration"),
        ({"config": []}, "expected an object"),
        ({"config": {"name": "x"}}, "which backbone weights"),
        ({"card": 3}, "model card is damaged"),
    ],
)
def test_metadata_that_makes_no_sense(tiny_detector, changes, message):
    rewrite(tiny_detector, **changes)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read(tiny_detector)


def test_tensors_that_do_not_fit(tiny_detector, tiny_backbone):
    tensors = load_file(tiny_detector)
    for change in (
        {"head.weight": tensors["head.weight"] * torch.nan},
        {"head.weight": torch.ones(1, 5)},
        {"surplus": torch.ones(1)},
    ):
        rewrite(tiny_detector, tensors | change)
        with pytest.raises(CheckpointError, match="tensor"):
            checkpoint.build_model(checkpoint.read(tiny_detector), tiny_backbone)


@pytest.mark.parametrize(
    "changes", [{"input": InputConfig("whole", size=448)}, {"head": HeadConfig((99,))}]
)
def test_a_config_that_does_not_fit_the_tower(tiny_detector, tiny_backbone, changes):
    loaded = checkpoint.read(tiny_detector)
    config = dataclasses.replace(loaded.config, **changes)
    with pytest.raises(ConfigError):
        checkpoint.build_model(dataclasses.replace(loaded, config=config), tiny_backbone)


def test_a_file_in_the_current_folder_does_not_pass_for_the_default(
    tiny_detector, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tiny_detector.rename(tmp_path / folders.DEFAULT)
    assert folders.resolve(None).parent != tmp_path
    assert folders.resolve(folders.DEFAULT).is_absolute()


def test_names_resolve_to_bundled_then_user_detectors(tiny_detector):
    folder = folders.user_folder()
    folder.mkdir(parents=True)
    mine = folder / "mine.safetensors"
    mine.write_bytes(tiny_detector.read_bytes())
    assert folders.resolve("mine") == mine
    assert folders.resolve(tiny_detector) == tiny_detector
    assert folders.resolve(None).name == f"{folders.DEFAULT}.safetensors"
    assert "clip-vit-b-16-image-int8" not in folders.available()
    with pytest.raises(CheckpointError, match="no detector 'nosuch'") as caught:
        folders.resolve("nosuch")
    assert "mine" in str(caught.value.hint)


def test_a_backbone_that_is_nowhere_is_asked_for(tiny_detector, tmp_path):
    loaded = checkpoint.read(tiny_detector)
    name = file_name(loaded.config.backbone.sha256)
    assert name == f"backbone-{loaded.config.backbone.sha256[:12]}.safetensors"
    with pytest.raises(CheckpointError, match="from a file") as caught:
        checkpoint.build_model(loaded)
    for expected in (name, str(tmp_path), str(folders.user_folder()), "--backbone-weights"):
        assert expected in caught.value.hint


@pytest.mark.parametrize("where", ["beside", "user"])
def test_a_backbone_by_its_own_name_is_used(tiny_detector, tiny_backbone, tmp_path, where):
    loaded = checkpoint.read(tiny_detector)
    folder = tmp_path if where == "beside" else folders.user_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / file_name(loaded.config.backbone.sha256)
    shutil.copy(tiny_backbone, file)
    assert checkpoint.locate_backbone(loaded) == file
    model = checkpoint.build_model(loaded)
    assert torch.equal(model.tower.proj, load_file(tiny_backbone)["proj"])
    assert file.stem not in folders.available()
    file.write_bytes(file.read_bytes()[:-4] + b"oops")
    with pytest.raises(CheckpointError, match="not the backbone this detector was made with"):
        checkpoint.build_model(loaded)


def test_a_failed_write_leaves_what_was_there(tiny_detector, monkeypatch):
    before = tiny_detector.read_bytes()
    loaded = checkpoint.read(tiny_detector)

    def torn(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", torn)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write(loaded, tiny_detector)
    assert tiny_detector.read_bytes() == before
    assert not list(tiny_detector.parent.glob("*.part"))


def test_metadata_nested_too_deep(tiny_detector):
    tensors = load_file(tiny_detector)
    save_file(tensors, tiny_detector, metadata={"dgsforensics": "[" * 200_000})
    with pytest.raises(CheckpointError, match="damaged metadata"):
        checkpoint.read(tiny_detector)
