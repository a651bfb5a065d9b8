import hashlib

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import tiny_clip
from dgsforensics.detector import text_tower
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.config import BackboneConfig
from dgsforensics.detector.text_tower import load_text, refuse_without_text
from dgsforensics.errors import CheckpointError, ConfigError

TINY = BackboneConfig(tiny_clip.NAME, "file")
CAPTIONS = ["a cat on a mat", "two dogs", "", "a red bus in the rain", "two dogs", "naïve 犬 🐕"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_clip.write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def tower(clip):
    return load_text(TINY, clip)


def test_features_are_those_of_open_clip_before_normalisation(clip, tower):
    whole = open_clip.create_model(tiny_clip.NAME)
    whole.load_state_dict(load_file(clip), strict=True)
    tokens = open_clip.get_tokenizer(tiny_clip.NAME)(CAPTIONS)
    with torch.no_grad():
        expected = whole.eval().encode_text(tokens, normalize=False).numpy()
    found = tower.encode(CAPTIONS)
    assert found.shape == (6, 16) and found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(np.linalg.norm(found, axis=1), 1, atol=0.01)
    assert np.abs(found[0] - found[1]).max() > 0.1


def test_image_and_text_features_share_a_space_and_a_file(clip, tower):
    assert load_backbone(TINY, clip).output_dim == tower.dim


def test_features_do_not_depend_on_what_stands_beside_them(tower):
    many = [f"picture {i} of a {word}" for i in range(9) for word in ("cat", "boat", "tree")]
    reference = dict(zip(many, tower.encode(many, batch=4), strict=True))
    for part in (many[::-1], many[5:6], many[3:20:2], many[:3] * 3):
        for caption, row in zip(part, tower.encode(part, batch=4), strict=True):
            assert np.array_equal(row, reference[caption])


def test_other_batch_sizes_differ_by_rounding_only(tower):
    reference = tower.encode(CAPTIONS)
    for batch in (1, 2, 5):
        assert tower.encode(CAPTIONS, batch) == pytest.approx(reference, abs=1e-5)


def test_equal_captions_run_once(tower, monkeypatch):
    seen = []
    tokenise = tower.tokenise
    monkeypatch.setattr(tower, "tokenise", lambda part: seen.append(list(part)) or tokenise(part))
    rows = tower.encode(["b", "a", "b", "b"], batch=2)
    assert seen == [["b", "a"]]
    assert np.array_equal(rows[0], rows[2]) and np.array_equal(rows[0], rows[3])
    assert not np.array_equal(rows[0], rows[1])


def test_no_captions(tower):
    assert tower.encode([]).shape == (0, 16)


def test_what_lies_beyond_the_context_is_cut_off(tower):
    six = "one two three four five six"  # 8 tokens with start and end
    rows = tower.encode([six, f"{six} seven", f"{six} eight nine", "one two three four five"])
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[0], rows[2])
    assert not np.allclose(rows[0], rows[3], atol=1e-3)
    tokens = open_clip.get_tokenizer("ViT-B-16-quickgelu")(["word " * 500, "word"])
    assert tokens.shape == (2, 77)
    assert tokens[0, -1] == 49407


@given(caption=st.text(max_size=60))
def test_any_text_has_finite_features(tower, caption):
    assert np.isfinite(tower.encode([caption], batch=1)).all()


def test_a_tower_is_frozen_and_float32(clip, tmp_path):
    half = {name: value.half() for name, value in load_file(clip).items()}
    save_file(half, tmp_path / "half.safetensors")
    model = load_text(TINY, tmp_path / "half.safetensors", torch.device("cpu")).model
    assert not model.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in model.parameters())
    assert not any(name.startswith("visual") for name in model.state_dict())


def test_what_openai_archives_carry_along_is_no_weight(clip, tower, tmp_path):
    extras = {name: torch.tensor(8) for name in ("input_resolution", "context_length")}
    extras["vocab_size"] = torch.tensor(49408)
    tensors = load_file(clip)
    del tensors["logit_scale"]
    torch.save(tensors | extras, tmp_path / "clip.pt")
    refuse_without_text(TINY, tmp_path / "clip.pt")
    again = load_text(TINY, tmp_path / "clip.pt")
    assert np.array_equal(again.encode(CAPTIONS), tower.encode(CAPTIONS))


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_keys_are_strict(clip, tmp_path, change):
    tensors = load_file(clip)
    if change == "missing":
        del tensors["ln_final.bias"]
    elif change == "extra":
        tensors["surplus"] = torch.ones(1)
    else:
        tensors["text_projection"] = torch.ones(3, 3)
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match="does not hold the text tower"):
        load_text(TINY, tmp_path / "odd.safetensors")


def test_another_file_than_that_of_the_image_tower_is_refused(clip):
    with pytest.raises(CheckpointError, match="not the backbone"):
        load_text(BackboneConfig(tiny_clip.NAME, "file", "0" * 64), clip)
    right = hashlib.sha256(clip.read_bytes()).hexdigest()
    load_text(BackboneConfig(tiny_clip.NAME, "file", right), clip)


def test_files_without_a_text_tower_are_refused_by_their_header(
    clip, tiny_backbone, tmp_path, monkeypatch
):
    prefixed = {f"visual.{k}": v for k, v in load_file(tiny_backbone).items()}
    save_file(prefixed, tmp_path / "image.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(text_tower, "read_tensors", lambda path: pytest.fail("weights were read"))
        refuse_without_text(TINY, clip)
        for config, file in (
            (TINY, tiny_backbone),
            (TINY, tmp_path / "image.safetensors"),
            (BackboneConfig(), None),  # the bundled tower
        ):
            with pytest.raises(ConfigError, match="holds no text tower") as caught:
                refuse_without_text(config, file)
            assert "leave the captions out" in caught.value.hint
    torch.save(prefixed, tmp_path / "image.pt")
    for call in (refuse_without_text, load_text):
        with pytest.raises(ConfigError, match="holds no text tower"):
            call(TINY, tmp_path / "image.pt")


@pytest.mark.parametrize("call", [refuse_without_text, load_text])
def test_files_that_are_missing_or_damaged(clip, tmp_path, call):
    (tmp_path / "cut.safetensors").write_bytes(clip.read_bytes()[:-100])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("not a tensor in sight")
    for name in ("cut", "empty", "text", "missing"):
        with pytest.raises(CheckpointError):
            call(TINY, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError):
        call(TINY)


@pytest.mark.parametrize("call", [refuse_without_text, load_text])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-model", "no model 'no-such-model'"),
        ("roberta-ViT-B-32", "not CLIP's own"),
        ("coca_ViT-B-32", "not CLIP's own"),
        ("ViT-H-14-CLIPA", "tokenizer of ViT-H-14-CLIPA comes from the model hub"),
    ],
)
def test_models_whose_text_tower_or_tokenizer_is_out_of_reach(clip, call, name, message):
    with pytest.raises(ConfigError, match=message) as caught:
        call(BackboneConfig(name, "file"), clip)
    assert caught.value.hint
