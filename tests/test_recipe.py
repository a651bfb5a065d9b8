"""The shipped detectors' options, and `dgsf train` from manifests of sources, on a tiny CLIP."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import tiny_clip
from conftest import photo
from dgsforensics import cli
from dgsforensics.detector import checkpoint
from dgsforensics.detector.backbone import build_tower
from dgsforensics.detector.folders import sha256_of
from dgsforensics.errors import ExitCode
from dgsforensics.trainer import config as options
from dgsforensics.trainer import plan, run
from dgsforensics.trainer.config import SourcesConfig, TrainConfig

WEIGHTS = Path(__file__).parent.parent / "weights"
SHIPPED = sorted(WEIGHTS.glob("*.toml"))
TEST = ("diary", "dreams")


def generated(seed: int):
    """A picture with a grid of the kind that upsampling leaves."""
    return photo(120, 110, seed).point(lambda value: value // 24 * 24)


def lay_out(folder: Path) -> list[Path]:
    """Two manifests of nine sources, and their images below `images`."""
    rows = []
    sources = [("camera", None), ("blog", None), ("diary", None), *((f"p{i}", None) for i in "ab")]
    sources += [("gallery", "sd"), ("dreams", "flux"), ("shop", "sd"), ("shop", "flux")]
    for number, (source, generator) in enumerate(sources):
        for i in range(8):
            seed = 100 * number + i
            path = Path(source) / f"{generator}-{i}.png"
            (folder / "images" / source).mkdir(parents=True, exist_ok=True)
            picture = generated(seed) if generator else photo(120, 110, seed)
            picture.save(folder / "images" / path)
            row = {"path": str(path), "label": "fake" if generator else "real", "repo": source}
            row |= {"generator": generator, "sha256": sha256_of(folder / "images" / path)}
            rows.append(row)
    made = []
    for name, part in (("one", rows[::2]), ("two", rows[1::2])):
        made.append(folder / f"{name}.jsonl")
        made[-1].write_text("".join(json.dumps(row) + "\n" for row in part))
    return made


RECIPE = f"""
method = "probe"
base = "none"
backbone = "{tiny_clip.NAME}:file"
draws = 3
first_as_is = true
[input]
view = "whole"
canonical = "standard"
[head]
blocks = [0, 1]
[sources]
exclude = ["pb"]
real = 6
generated = 5
cell_weight = 4
calibration = ["blog", "gallery"]
test = ["diary", "dreams"]
[card]
summary = "A tiny one."
"""


@pytest.fixture
def dgsf(tiny_backbone, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("DGSF_BACKBONE_WEIGHTS", str(tiny_backbone))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["dgsf", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code, out, err

    return call


def test_from_manifests_of_sources_to_a_detector_and_its_card_twice_alike(dgsf, tmp_path) -> None:
    manifests = lay_out(tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    made = []
    for name in ("first", "second"):
        out = tmp_path / name / "mine.safetensors"
        out.parent.mkdir()
        code, _, err = dgsf(
            *(
                "train",
                *manifests,
                "--root",
                "images",
                "--config",
                "recipe.toml",
                "--device",
                "cpu",
            ),
            *("--out", out, "--cache", tmp_path / f"{name}-cache"),
        )
        assert code == ExitCode.CLEAN, err
        made.append(out)
    assert made[0].read_bytes() == made[1].read_bytes()
    parts: dict[str, set[str]] = {}
    lines = (made[0].with_suffix(".training") / "split.jsonl").read_text().splitlines()
    for row in map(json.loads, lines[1:]):
        parts.setdefault(row["part"], set()).add(row["source"])
    assert parts == {
        "train": {"camera", "pa", "shop"},
        "validation": {"blog", "gallery"},
        "test": set(TEST),
    }
    source = checkpoint.read(made[0])
    assert source.config.input.canonical == "standard" and source.config.head.blocks == (0, 1)
    assert [part.name for part in source.calibration.sources] == ["blog"]
    assert len(source.calibration.real) == 6
    card = made[0].with_suffix(".md").read_text()
    assert card.startswith("# mine\n\nA tiny one.\n")
    assert "## Sources never seen\n" in card and "| dreams |" in card and "| flux |" in card
    for manifest in manifests:
        assert f"Listed in {manifest.name} (sha256 `{sha256_of(manifest)}`)" in card
    assert not list(tmp_path.rglob("unmeasured*"))


def test_one_manifest_may_have_one_class_but_not_all(dgsf, tmp_path) -> None:
    manifests = lay_out(tmp_path)
    rows = [line for file in manifests for line in file.read_text().splitlines(keepends=True)]
    for label, file in zip(("real", "fake"), manifests, strict=True):
        file.write_text("".join(row for row in rows if f'"label": "{label}"' in row))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    rest = ("--root", "images", "--config", "recipe.toml", "--device", "cpu")
    code, _, err = dgsf("train", manifests[0], *rest, "--out", "x.safetensors")
    assert code == ExitCode.ERROR and "no generated images" in err
    code, _, err = dgsf("train", *manifests, *rest, "--out", "x.safetensors")
    assert code == ExitCode.CLEAN, err


# What is shipped


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_options_that_are_shipped_make_a_plan(file, tmp_path) -> None:
    config = TrainConfig.from_dict(options.read(file))
    weights = tmp_path / "weights"
    weights.write_bytes(b"of these no more is read than the digest")
    planned = plan.make(config, file.stem, weights if config.backbone else None)
    assert planned.student.head == config.head and planned.student.input == config.input
    assert planned.student.lora is None and planned.student.input.canonical == "standard"


@pytest.mark.slow
def test_the_larger_tower_runs(tmp_path) -> None:
    """Its own blocks, draws and input, with random weights, on the few images of two batches."""
    config = TrainConfig.from_dict(options.read(WEIGHTS / "dgs-l14.toml"))
    name = str(config.backbone).partition(":")[0]
    tower = {key: torch.zeros(value.shape) for key, value in build_tower(name).state_dict().items()}
    for key, value in tower.items():
        if key.endswith("weight") or "embedding" in key:
            value.normal_(0, 0.02) if value.ndim > 1 else value.fill_(1)
    save_file(tower, tmp_path / "tower.safetensors")
    manifests = lay_out(tmp_path)
    small = SourcesConfig(
        exclude=("pa", "pb", "shop"), calibration=("blog", "gallery"), real=2, generated=2
    )
    config = dataclasses.replace(config, sources=small, draws=2, max_regression=1.0)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(file.read_text() for file in manifests))
    request = run.TrainRequest(
        data=(few,),
        root=tmp_path / "images",
        out=tmp_path / "large.safetensors",
        config=config,
        backbone_weights=tmp_path / "tower.safetensors",
        cache=tmp_path / "cache",
        device="cpu",
    )
    assert run.train(request, lambda *told: None) is not None
    head = checkpoint.read(tmp_path / "large.safetensors").tensors["head.weight"]
    assert head.shape == (1, 3 * 1024)
