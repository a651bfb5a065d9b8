"""The real command and the real detector, in processes of their own, on generated pictures."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import photo
from dgsforensics import Detector
from dgsforensics.detector import folders
from dgsforensics.detector.backbone import load_backbone, locate_weights
from dgsforensics.detector.folders import sha256_of
from dgsforensics.records import Prediction
from rendered import gallery

pytestmark = pytest.mark.slow

DGSF = [sys.executable, "-m", "dgsforensics", "scan"]


def dgsf(*arguments, **options):
    return subprocess.run(
        [*DGSF, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options
    )


@pytest.fixture(scope="module")
def detector():
    return Detector.load(device="cpu")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(12):
        photo(320, 256, seed).save(folder / f"{seed:02}.jpg", quality=90)
    return folder


def test_the_file_names_its_backbone_and_carries_its_card(detector):
    loaded = detector.forward.checkpoint
    assert loaded.config.backbone.sha256 == sha256_of(locate_weights(loaded.config.backbone))
    assert loaded.card.limits
    card = folders.resolve(None).with_suffix(".md").read_text()
    assert loaded.config.name in card


def test_the_logit_is_the_head_on_the_features_of_the_tower(detector):
    """Against a plain forward pass through open_clip's own blocks, written out."""
    import torch

    from dgsforensics.detector.views import input_pixels
    from dgsforensics.pictures.decoder import from_pil

    config = detector.config
    picture = from_pil(photo(320, 256, 1))
    pixels = input_pixels(config.input, picture)[0]
    tower = load_backbone(config.backbone)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor(config.input.mean), torch.tensor(config.input.std)
    x = tower.conv1((image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1))
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([tower.class_embedding.expand(1, 1, -1), x], 1) + tower.positional_embedding
    x = tower.ln_pre(x)
    tokens = []
    for block in tower.transformer.resblocks:
        x = block(x)
        tokens.append(x[:, 0])
    blocks = config.head.blocks
    output = tower.ln_post(x[:, 0]) @ tower.proj
    features = torch.cat([tokens[b] for b in blocks], 1) if blocks else output
    head = detector.forward.checkpoint.tensors
    expected = (features @ head["head.weight"].T + head["head.bias"]).item()
    assert detector.score(photo(320, 256, 1)).logit == pytest.approx(expected, abs=1e-3)


def test_bit_for_bit_the_same_and_batches_within_rounding(detector, folder):
    rows = {batch: list(detector.scan([folder], batch=batch)) for batch in (8, 1)}
    again = list(detector.scan(sorted(folder.iterdir(), reverse=True), batch=8, workers=1))
    assert all(isinstance(row, Prediction) for row in rows[8])
    assert [r.logit for r in reversed(again)] == [r.logit for r in rows[8]]
    single, full = (np.array([r.logit for r in rows[batch]]) for batch in (1, 8))
    assert np.abs(single - full).max() <= 1e-4


def test_flat_and_tiny_pictures_are_scored(detector):
    for image in (Image.new("RGB", (1, 1)), Image.new("RGB", (400, 300), "white")):
        assert np.isfinite(detector.score(image).logit)


def test_scan_of_a_folder_and_of_the_same_again(folder):
    (folder / "notes.txt").write_text("not a picture")
    first = dgsf(folder, "--jsonl")
    assert first.returncode in (0, 1), first.stderr
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows] == [f"{n:02}.jpg" for n in range(12)]
    assert not any(row["cached"] for row in rows)
    second = dgsf(folder, "--jsonl", "-q")
    assert second.stderr == ""
    again = [json.loads(line) for line in second.stdout.splitlines()]
    assert all(row["cached"] for row in again)
    assert [row["logit"] for row in again] == [row["logit"] for row in rows]


def test_no_graphic_is_flagged_and_the_reason_is_said(tmp_path):
    folder = tmp_path / "graphics"
    folder.mkdir()
    for name, image in gallery(640, 480).items():
        image.save(folder / f"{name}.png")
        image.save(folder / f"{name}.jpg", quality=60)
        image.save(folder / f"{name}.webp", quality=80)
    cuts = ("--fpr", "0.01"), ("--fpr", "0.2"), ("--threshold", "0.001")
    for options in cuts:  # all but the first from the case file
        result = dgsf(folder, "--jsonl", *options)
        assert result.returncode == 0, result.stderr
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert len(rows) == 3 * len(gallery())
        for row in rows:
            assert row["verdict"] in ("inconclusive", "not flagged"), row["path"]
            assert row["reason"].startswith("out of domain: "), row["path"]


def test_a_killed_scan_resumes_and_loses_no_finished_row(folder):
    process = subprocess.Popen(
        [*DGSF, str(folder), "--jsonl", "--batch", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    finished = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    result = dgsf(folder, "--jsonl", "--batch", "1")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 12
    assert all(row["cached"] for row in rows[:3])
    assert [row["logit"] for row in rows[:3]] == [row["logit"] for row in finished]
    assert not rows[-1]["cached"]


def test_ctrl_c_ends_with_130_and_what_was_done(folder):
    process = subprocess.Popen(
        [*DGSF, str(folder), "--jsonl", "--batch", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert b"interrupted after" in err


def test_two_scans_at_once_share_a_case_file(folder, tmp_path):
    case = tmp_path / "shared.case"
    command = [*DGSF, str(folder), "--case", str(case), "--jsonl", "-q"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert all(process.returncode in (0, 1) for process in processes)
    logits = [[json.loads(line)["logit"] for line in out.splitlines()] for out in outputs]
    assert logits[0] == logits[1]
    assert len(logits[0]) == 12


def test_a_reader_that_goes_away_is_no_traceback(folder):
    pipe = f"{sys.executable} -m dgsforensics scan {folder} --jsonl --batch 1 | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe], capture_output=True, text=True, timeout=300
    )
    assert result.returncode in (0, 1)  # as with a reader
    assert len(result.stdout.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_nothing_is_written_into_the_scanned_folder(folder):
    before = sorted(os.listdir(folder))
    dgsf(folder, "--no-cache", "-q")
    assert sorted(os.listdir(folder)) == before


def test_rows_and_bar_share_a_terminal(folder):
    """Standard output and error on one pseudo-terminal: every row stands on a line of its own."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    command = [*DGSF, str(folder), "--no-cache", "--batch", "4"]
    environment = os.environ | {"COLUMNS": "300", "TERM": "xterm-256color", "NO_COLOR": "1"}
    process = subprocess.Popen(command, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # what Linux says when the other end is closed
            break
        if not part:
            break
        seen += part
    assert process.wait() in (0, 1)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    rows = re.findall(
        r"(?:^|[\r\n])(?:flagged|inconclusive|not flagged) +[\d.]+%.* (\S+\.jpg)", text
    )
    assert sorted(Path(row).name for row in rows) == [f"{n:02}.jpg" for n in range(12)]
    assert re.search(r"\d+/12 ", text)
