"""`dgsf models` in this process: the bundled detector, a tiny one of the user's, imported ones."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tiny_clip
import tiny_reference
from conftest import photo
from dgsforensics.detector import catalogue, checkpoint, folders
from dgsforensics.detector.config import LoraConfig
from dgsforensics.detector.facts import ModelCard
from dgsforensics.detector.folders import file_name, sha256_of, weights_folder
from dgsforensics.detector.views import input_pixels
from dgsforensics.errors import CheckpointError
from dgsforensics.pictures.decoder import from_pil


@pytest.fixture(autouse=True, scope="module")
def _registered(tmp_path_factory):
    tiny_reference.register(tmp_path_factory.mktemp("architecture"))


@pytest.fixture
def dgsf(run_dgsf):
    return run_dgsf


@pytest.fixture
def mine(tiny_backbone, tmp_path):
    """A detector with adapters, its tower beside it, in the user's folder as `tiny`."""
    folder = folders.user_folder()
    folder.mkdir(parents=True)
    config = tiny_clip.config(lora=LoraConfig(rank=2, alpha=4))
    file = tiny_clip.write_detector(folder, tiny_backbone, config)
    shutil.copy(tiny_backbone, folder / file_name(sha256_of(tiny_backbone)))
    return file


@pytest.fixture
def last(tmp_path):
    """A merged step 2 checkpoint of the reference code."""
    file = tmp_path / "last.pth"
    torch.save(tiny_reference.step_two(merged=tiny_reference.SCALE), file)
    return file


def everything(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def damage(file, **changes):
    """Write the detector anew with other tensors."""
    with safe_open(file, "pt") as stored:
        metadata = stored.metadata()
    save_file(load_file(file) | changes, file, metadata=metadata)


# list


def test_list_has_bundled_and_own_detectors_and_no_backbones(dgsf, mine):
    code, out, err = dgsf("models", "list")
    assert (code, err) == (0, "")
    head, bundled, own = out.splitlines()
    assert head.split()[:3] == ["name", "where", "backbone"]
    assert re.search(r"^dgs-b16 +bundled +ViT-B-16-quickgelu .*390 real", bundled)
    assert re.search(rf"^tiny +user +{tiny_clip.NAME} +LoRA of rank 2, linear head +300 real", own)
    assert own.endswith(f" {sha256_of(mine)[:12]}")
    assert dgsf("models", "list", "--long")[1].splitlines()[2].endswith(f" {sha256_of(mine)}")


def test_list_as_json(dgsf, mine):
    code, out, _ = dgsf("models", "list", "--json")
    models = {model["name"]: model for model in json.loads(out)["models"]}
    assert code == 0
    assert set(models) == {"dgs-b16", "tiny"}
    assert models["tiny"]["path"] == str(mine)
    assert models["tiny"]["sha256"] == sha256_of(mine)
    assert models["tiny"]["bundled"] is False and models["dgs-b16"]["bundled"] is True
    assert models["tiny"]["problem"] is None


def test_damaged_files_are_listed_with_the_reason(dgsf, mine):
    folder = mine.parent
    (folder / "empty.safetensors").write_bytes(b"")
    (folder / "cut.safetensors").write_bytes(mine.read_bytes()[:-7])
    (folder / "folder.safetensors").mkdir()
    (folder / "gone.safetensors").symlink_to(folder / "nowhere")
    save_file({"a": torch.ones(1)}, folder / "foreign.safetensors")
    shutil.copy(mine, folder / "dgs-b16.safetensors")
    code, out, err = dgsf("models", "list")
    assert (code, err) == (0, "")
    lines = out.splitlines()[1:]
    said = dict(line.split(None, 1) for line in lines if "UNUSABLE" in line)
    assert set(said) == {"empty", "cut", "folder", "gone", "foreign", "dgs-b16"}
    assert "cannot read" in said["folder"] and "cannot read" in said["gone"]
    assert "not a detector" in said["foreign"]
    assert "goes first" in said["dgs-b16"]
    assert any(line.startswith("tiny ") and "UNUSABLE" not in line for line in lines)
    rows = json.loads(dgsf("models", "list", "--json")[1])["models"]
    assert sum(row["problem"] is not None for row in rows) == 6
    assert dgsf("models", "verify")[0] == 2


def test_names_that_a_terminal_would_act_on(dgsf, mine):
    odd = Path(os.fsdecode(os.fsencode(mine.parent) + b"/caf\xe9\x1b[31m\n.safetensors"))
    try:
        shutil.copy(mine, odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    for command in ("list", "verify"):  # safetensors opens no such path; that is said
        _, out, _ = dgsf("models", command)
        assert "\x1b" not in out and "caf\\xe9\\x1b[31m\\n" in out and "not valid UTF-8" in out
    names = [model["name"] for model in json.loads(dgsf("models", "list", "--json")[1])["models"]]
    assert odd.stem in names


def test_a_listing_survives_a_locale_without_unicode(mine):
    shutil.copy(mine, mine.parent / "größe.safetensors")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "dgsforensics", "models", "list"],
        env=environment,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "größe".encode() in done.stdout


# info


def test_info_is_the_card_that_lies_beside_the_file(dgsf):
    code, out, err = dgsf("models", "info", "dgs-b16")
    assert (code, err) == (0, "")
    assert out.rstrip("\n") == (weights_folder() / "dgs-b16.md").read_text().rstrip("\n")


def test_info_of_a_card_that_lacks_most(dgsf, mine):
    code, out, _ = dgsf("models", "info", mine)
    assert code == 0
    assert "LoRA of rank 2" in out and "- a test" in out


def test_info_as_json(dgsf, mine):
    facts = json.loads(dgsf("models", "info", "tiny", "--json")[1])
    loaded = checkpoint.read(mine)
    assert facts["sha256"] == loaded.sha256 and facts["path"] == str(mine)
    assert facts["config"] == loaded.config.to_dict()
    assert facts["calibration"] == loaded.calibration.to_dict()
    assert facts["card"] == loaded.card.to_dict()


@pytest.mark.parametrize(
    ("card", "arguments", "message"),
    [
        ({"summary": 3}, [], "model card is damaged: summary has 3"),
        ({"origin": {"scale": float("nan")}}, ["--json"], "a number that is none"),
    ],
)
def test_info_of_a_damaged_card(dgsf, mine, card, arguments, message):
    loaded = checkpoint.read(mine)
    checkpoint.write(dataclasses.replace(loaded, card=ModelCard(others=card)), mine)
    code, out, err = dgsf("models", "info", "tiny", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_card_is_text_and_no_terminal_codes(dgsf, mine):
    loaded = checkpoint.read(mine)
    told = ModelCard(summary="fine\x1b]0;title\x07 and\nmore <b>")
    checkpoint.write(dataclasses.replace(loaded, card=told), mine)
    out = dgsf("models", "info", "tiny")[1]
    assert "\x1b" not in out and "\x07" not in out
    assert "fine\\x1b]0;title\\x07 and\nmore <b>" in out


# verify


def test_the_list_of_sums_is_that_of_the_bundled_files():
    files = sorted(weights_folder().glob("*.safetensors"))
    assert catalogue.sums(weights_folder()) == {path.name: sha256_of(path) for path in files}, (
        "renew it: cd weights && sha256sum *.safetensors > SHA256SUMS"
    )


def test_verify_all_by_default(dgsf, mine):
    assert dgsf("models", "verify") == (0, "dgs-b16: OK\ntiny: OK\n", "")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda file: damage(file, **{"head.weight": torch.full((1, 16), torch.nan)}), "damaged"),
        (lambda file: damage(file, **{"head.weight": torch.ones(1, 5)}), "wrong shape"),
        (lambda file: damage(file, surplus=torch.ones(1)), "do not fit"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "damaged"),
        (lambda file: file.write_bytes(b""), "damaged"),
        (lambda file: tower(file).unlink(), "from a file; give it with --backbone-weights"),
        (lambda file: tower(file).write_bytes(b"other"), "not the backbone"),
        (lambda file: tower(file).write_bytes(tower(file).read_bytes()[:-1]), "not the backbone"),
    ],
)
def test_verify_says_what_is_wrong(dgsf, mine, break_it, message):
    break_it(mine)
    code, out, err = dgsf("models", "verify", "tiny", "dgs-b16")
    assert (code, err) == (2, "")
    first, second = out.splitlines()
    assert first.startswith("tiny: ") and message in first
    assert second == "dgs-b16: OK"


def tower(detector):
    [file] = detector.parent.glob("backbone-*.safetensors")
    return file


def test_verify_against_sums(dgsf, mine, tmp_path):
    digest, sums = sha256_of(mine), mine.parent / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  other.safetensors\n{digest.upper()} *{mine.name}\n")
    assert dgsf("models", "verify", "tiny")[0] == 0
    sums.write_text(f"{'0' * 64}  {mine.name}\n")
    code, out, _ = dgsf("models", "verify", mine)
    assert code == 2 and "SHA256SUMS lists 0000" in out
    for text in (b"\xff\xfe\n", b"0123  tiny.safetensors\n", f"{digest}\n".encode()):
        sums.write_bytes(text)
        code, out, _ = dgsf("models", "verify", "tiny")
        assert code == 2 and "SHA256SUMS, line 1" in out
    sums.unlink()
    sums.mkdir()
    code, out, _ = dgsf("models", "verify", "tiny")
    assert code == 2 and "cannot read" in out


def test_verify_against_a_digest(dgsf, mine):
    digest = sha256_of(mine)
    assert dgsf("models", "verify", "tiny", "--sha256", digest.upper())[0] == 0
    code, out, _ = dgsf("models", "verify", "tiny", "--sha256", "0" * 64)
    assert code == 2 and f"its sha256 is {digest}" in out
    for arguments in (
        ["--sha256", digest],
        ["tiny", "dgs-b16", "--sha256", digest],
        ["tiny", "--sha256", digest[:-1]],
        ["tiny", "--sha256", "g" * 64],
    ):
        code, out, err = dgsf("models", "verify", *arguments)
        assert (code, out) == (2, "") and "64 hexadecimal digits" in err


def test_verify_takes_a_backbone_for_those_that_come_without(dgsf, mine, tiny_backbone):
    tower(mine).unlink()
    code, out, _ = dgsf("models", "verify", "--backbone-weights", tiny_backbone)
    assert (code, out) == (0, "dgs-b16: OK\ntiny: OK\n")


def test_verify_of_what_does_not_exist(dgsf):
    code, out, err = dgsf("models", "verify", "nosuch")
    assert (code, out) == (2, "") and "no detector 'nosuch'" in err


# import


def test_an_imported_detector_scans_and_gives_the_logit_of_the_formula(dgsf, last, tmp_path):
    code, out, err = dgsf(
        "models", "import", last, "--name", "dgs-l14", "--backbone", tiny_reference.NAME
    )
    assert code == 0, err
    folder = folders.user_folder()
    detector, card, weights = map(Path, out.splitlines())
    assert {detector, card, weights} == set(folder.iterdir())
    assert (detector.name, card.name) == ("dgs-l14.safetensors", "dgs-l14.md")
    assert weights.name == file_name(sha256_of(weights))
    assert "step 2, adapters merged into the weights, scale 2.449" in err
    assert "not calibrated" in err and "--model dgs-l14" in err
    assert dgsf("models", "verify", "dgs-l14")[:2] == (0, "dgs-l14: OK\n")
    assert dgsf("models", "info", "dgs-l14")[1].rstrip() == card.read_text().rstrip()
    assert "last.pth" in card.read_text()

    picture = tmp_path / "picture.png"
    photo(400, 300).save(picture)
    code, out, err = dgsf("scan", picture, "--model", "dgs-l14", "--jsonl", "--device", "cpu")
    row = json.loads(out)
    pixels, _ = input_pixels(checkpoint.read(detector).config.input, from_pil(photo(400, 300)))
    state = torch.load(last, weights_only=True)
    expected = tiny_reference.expected_logit(state, pixels, tiny_reference.SCALE)
    assert row["logit"] == pytest.approx(expected, abs=1e-4)
    assert code == (row["logit"] >= 0)
    assert "flagged from 50.0%, not calibrated" in re.sub(r"\s+", " ", err)
    _, _, err = dgsf("scan", picture, "--model", "dgs-l14", "--verbose", "--device", "cpu")
    assert "not calibrated, so its false-positive rate is unknown" in re.sub(r"\s+", " ", err)
    code, out, err = dgsf("scan", picture, "--model", "dgs-l14", "--fpr", "0.01", "-q")
    assert (code, out) == (2, "") and "not calibrated" in err


def test_import_into_a_folder_of_choice(dgsf, last, tmp_path):
    folder = tmp_path / "deep" / "er"
    arguments = ("models", "import", last, "--backbone", tiny_reference.NAME, "--out", folder)
    code, _, err = dgsf(*arguments)
    assert code == 0, err
    assert f"--model {folder / 'last.safetensors'}" in re.sub(r"\s+", " ", err)
    assert dgsf("models", "verify", folder / "last.safetensors")[0] == 0
    assert not folders.user_folder().exists()
    moved = tmp_path / "moved"
    folder.rename(moved)
    assert dgsf("models", "verify", moved / "last.safetensors")[0] == 0


@pytest.mark.parametrize("there", ["last.safetensors", "last.md"])
def test_import_never_overwrites(dgsf, last, tmp_path, there):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / there).write_text("precious")
    arguments = ("models", "import", last, "--backbone", tiny_reference.NAME, "--out", folder)
    code, out, err = dgsf(*arguments)
    assert (code, out) == (2, "") and "--force" in err and there in err
    assert everything(folder) == {there: b"precious"}
    assert dgsf(*arguments, "--force")[0] == 0
    assert dgsf("models", "verify", folder / "last.safetensors")[0] == 0
    (folder / there).unlink()
    (folder / there).mkdir()
    code, _, err = dgsf(*arguments, "--force")
    assert code == 2 and "exists" in err


def test_a_tower_that_is_there_is_used_and_a_damaged_one_is_not(dgsf, last, tmp_path):
    folder = tmp_path / "out"
    arguments = ("models", "import", last, "--backbone", tiny_reference.NAME, "--out", folder)
    dgsf(*arguments)
    weights = next(folder.glob("backbone-*"))
    before = weights.stat().st_mtime_ns
    assert dgsf(*arguments, "--name", "second")[0] == 0
    assert weights.stat().st_mtime_ns == before
    weights.write_bytes(b"damaged")
    code, _, err = dgsf(*arguments, "--name", "third")
    assert code == 2 and weights.name in err
    assert weights.read_bytes() == b"damaged" and not (folder / "third.safetensors").exists()
    assert dgsf(*arguments, "--name", "third", "--force")[0] == 0
    assert dgsf("models", "verify", folder / "second.safetensors")[0] == 0


def test_a_failed_import_leaves_nothing(dgsf, last, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    arguments = ("models", "import", last, "--backbone", tiny_reference.NAME, "--out", folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        code, out, err = dgsf(*arguments)
    assert (code, out) == (2, "") and "No space left on device" in err
    assert not list(folder.iterdir())

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", interrupted)
        code, out, err = dgsf(*arguments)
    assert (code, out) == (130, "") and "interrupted" in err
    assert not list(folder.iterdir())

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", lambda tensors, path, *_: path.write_bytes(b"else"))
        code, _, err = dgsf(*arguments)
    assert code == 2 and "not written as it was read" in err
    assert not list(folder.iterdir())
    code, _, err = dgsf(*arguments[:-1], last)  # a file where the folder should be
    assert code == 2 and "cannot write" in err


def test_import_of_what_is_no_checkpoint(dgsf, tmp_path):
    for content in (b"", b"hello", b"\x80\x05K\x01.", os.urandom(500)):
        (tmp_path / "x.pth").write_bytes(content)
        code, out, err = dgsf("models", "import", tmp_path / "x.pth")
        assert (code, out) == (2, "") and "x.pth" in err
    assert dgsf("models", "import", tmp_path / "gone.pth")[0] == 2
    assert not folders.user_folder().exists()


@pytest.mark.parametrize(
    "name",
    [
        *("", "../x", "a/b", ".hidden", "-x", "a b", "x\n", "ü", "x" * 101),
        *("dgs-b16", "clip-vit-b-16-image-int8", "backbone-0123456789ab"),
    ],
)
def test_names_that_are_refused(dgsf, last, name):
    arguments = ("--backbone", tiny_reference.NAME, f"--name={name}")
    code, out, err = dgsf("models", "import", last, *arguments)
    assert (code, out) == (2, "")
    assert "cannot be the name" in err or "comes with the package" in err
    assert not folders.user_folder().exists()


def test_names_that_are_taken_as_they_are():
    for name in ("dgs-l14", "v1.2_final", "A", "backbone-x", "9"):
        catalogue.check_name(name)


# export


@pytest.mark.parametrize("blocks", [(), (0, 1)])
def test_an_export_gives_the_same_logit_through_plain_open_clip(
    dgsf, tiny_backbone, tmp_path, blocks
):
    config = tiny_clip.config(lora=LoraConfig(rank=2, alpha=4), blocks=blocks)
    file = tiny_clip.write_detector(tmp_path, tiny_backbone, config)
    out = tmp_path / "plain.safetensors"
    arguments = ("--out", out, "--backbone-weights", tiny_backbone)
    code, said, err = dgsf("models", "export", file, *arguments)
    assert (code, said, err) == (0, f"{out}\n", "")
    with safe_open(out, "pt") as stored:
        written = json.loads(stored.metadata()["config"])
    assert written == checkpoint.read(file).config.to_dict()

    tensors = load_file(out)
    assert all(value.dtype == torch.float32 for value in tensors.values())
    clip = open_clip.create_model(tiny_clip.NAME).eval()
    found = clip.load_state_dict(
        {key: value for key, value in tensors.items() if not key.startswith("head.")}, strict=False
    )
    assert not found.unexpected_keys
    assert not any(key.startswith("visual.") for key in found.missing_keys)
    pixels = torch.from_numpy(tiny_reference.pictures())
    mean, std = (torch.tensor(written["input"][key]).view(3, 1, 1) for key in ("mean", "std"))
    image = (pixels.permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.no_grad():
        if blocks:
            tokens = clip.visual.forward_intermediates(
                image, indices=list(blocks), output_extra_tokens=True, output_fmt="NLC"
            )["image_intermediates_prefix"]
            features = torch.cat([token[:, 0] for token in tokens], dim=1)
        else:
            features = clip.encode_image(image)
        logits = features @ tensors["head.weight"].T + tensors["head.bias"]
        expected = checkpoint.build_model(checkpoint.read(file), tiny_backbone)(pixels)
    assert logits[:, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert expected.std() > 1e-3


def test_an_export_of_the_bundled_detector_is_its_tower_in_float32(dgsf, tmp_path):
    out = tmp_path / "b16.safetensors"
    assert dgsf("models", "export", "dgs-b16", "--out", out)[0] == 0
    tensors = load_file(out)
    assert len(tensors) == 152 + 2
    assert torch.equal(tensors["head.weight"], load_file(folders.resolve(None))["head.weight"])
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    other = tmp_path / "other"
    other.touch()
    assert out.stat().st_mode == other.stat().st_mode


def test_export_never_overwrites(dgsf, mine, tmp_path):
    out = tmp_path / "plain.safetensors"
    out.write_text("precious")
    code, said, err = dgsf("models", "export", "tiny", "--out", out)
    assert (code, said) == (2, "") and "--force" in err
    assert out.read_text() == "precious"
    assert dgsf("models", "export", "tiny", "--out", out, "--force")[0] == 0
    assert "visual.proj" in load_file(out)


def test_export_that_cannot_be_written(dgsf, mine, tmp_path, monkeypatch):
    code, _, err = dgsf("models", "export", "tiny", "--out", tmp_path / "x.bin")
    assert code == 2 and "does not end in .safetensors" in err
    code, _, err = dgsf("models", "export", "tiny", "--out", tmp_path / "no" / "x.safetensors")
    assert code == 2 and "cannot write" in err
    (tmp_path / "f.safetensors").mkdir()
    code, _, err = dgsf("models", "export", "tiny", "--out", tmp_path / "f.safetensors", "--force")
    assert code == 2 and "exists" in err

    def torn(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", torn)
    out = tmp_path / "y.safetensors"
    code, _, err = dgsf("models", "export", "tiny", "--out", out)
    assert code == 2 and "No space left" in err
    assert not list(tmp_path.glob("y*"))


def test_an_export_is_no_detector_but_a_backbone(dgsf, tiny_detector, tiny_backbone, tmp_path):
    out = tmp_path / "plain.safetensors"
    dgsf("models", "export", tiny_detector, "--out", out, "--backbone-weights", tiny_backbone)
    with pytest.raises(CheckpointError, match="not a detector"):
        checkpoint.read(out)


# In common


def test_a_settings_file_cannot_set_anything_here(dgsf, mine, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "dgsf.toml"
    settings.write_text("[models]\n[scan]\nfpr = 0.05\n")
    assert dgsf("models", "list")[0] == 0
    for text in ("[models]\njson = true\n", "[models.list]\njson = true\n", "[models.import]\n"):
        settings.write_text(text)
        code, out, err = dgsf("models", "list")
        assert (code, out) == (2, "") and "models has no option" in err
    for text in ("models = 3\n", "[list]\njson = true\n"):
        settings.write_text(text)
        assert dgsf("models", "list")[0] == 2


@pytest.mark.parametrize("command", ["list", "info", "verify", "import", "export"])
def test_help_states_the_exit_codes(dgsf, command):
    code, out, _ = dgsf("models", command, "--help")
    assert code == 0
    assert "0 done" in re.sub(r"\s+", " ", out)


def test_models_alone_shows_the_commands(dgsf):
    code, out, err = dgsf("models")
    assert code == 2
    assert all(name in out + err for name in ("list", "info", "verify", "import", "export"))


@pytest.mark.parametrize("command", ["info dgs-b16", "list", "verify dgs-b16"])
def test_a_reader_that_goes_away_is_no_traceback(command):
    pipe = f"{sys.executable} -m dgsforensics models {command} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said(unbuffered):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "dgsforensics", "models", "list"]
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert done.returncode == 2
    assert done.stderr == "dgsf: cannot write the results: No space left on device\n"
