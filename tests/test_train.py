"""`dgsf train` from a folder to a detector that scans, on a tiny CLIP and made-up pictures."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import made_case
import tiny_clip
from conftest import photo
from dgsforensics.detector import checkpoint, folders
from dgsforensics.detector.detector import Detector
from dgsforensics.errors import ExitCode
from dgsforensics.trainer import replay, stages, teaching

FAST = ("--epochs", "2", "--batch", "8", "--lr", "1e-3", "--device", "cpu")


def generated(seed: int, upsampled: bool = True) -> Image.Image:
    """A picture with a grid of the kind that upsampling leaves, or with stripes."""
    pixels = np.asarray(photo(120, 110, seed)).astype(np.int16)
    if upsampled:
        pixels[::2, ::2] += 40
    else:
        pixels[:, ::5] -= 60
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def lay_out(folder: Path, count: int = 16, upsampled: bool = True) -> Path:
    """2 x `count` images as `data/<generator>/<label>/<number>.png`."""
    for i in range(count):
        first = 0 if upsampled else 1000  # other pictures
        fake = generated(100 + i + first, upsampled)
        for label, image in (("0_real", photo(120, 110, i + first)), ("1_fake", fake)):
            place = folder / f"maker{i % 2}" / label
            place.mkdir(parents=True, exist_ok=True)
            image.save(place / f"{i}.png")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "mydata")


@pytest.fixture
def dgsf(tiny_detector, tiny_backbone, monkeypatch, run_dgsf, tmp_path):
    monkeypatch.setenv("DGSF_BACKBONE_WEIGHTS", str(tiny_backbone))
    monkeypatch.chdir(tmp_path)
    return run_dgsf


@pytest.fixture
def train(dgsf, data, tiny_detector, tmp_path):
    def call(*more, source=data, out=tmp_path / "new.safetensors", base=tiny_detector):
        return dgsf("train", source, "--base", base, "--out", out, *FAST, *more)

    return call


@pytest.fixture
def student(tmp_path: Path) -> tuple[str, Path]:
    """Options by which the student is returned, and the loss is not looked at."""
    file = tmp_path / "student.toml"
    file.write_text('method = "dgs"\nresult = "student"\nmax_regression = 1.0\n')
    return "--config", file


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("method", ["dgs", "lora", "probe"])
def test_from_a_folder_to_a_detector_that_scans(
    method, train, dgsf, data, student, tmp_path
) -> None:
    kind = "teacher" if method == "probe" else "student"
    options = ("--max-regression", "1") if method == "probe" else student
    code, out, err = train("--method", method, *options)
    assert code == ExitCode.CLEAN, err
    new = tmp_path / "new.safetensors"
    assert f"written: {new}" in out and "AUROC" in out and f"best: the {kind}" in out
    made = checkpoint.read(new)
    assert (made.config.lora is None) == (method == "probe")
    assert len(made.calibration.real) >= 2 and len(made.calibration.generated) >= 2
    card = new.with_suffix(".md").read_text()
    assert f"new ({kind})" in card and f"It is the {kind}" in card
    assert "Before and after" in card and str(made.card.data)[:10] in card
    assert f'method = "{method}"' in new.with_suffix(".toml").read_text()
    assert not list(tmp_path.glob("new.training/state*"))

    code, out, err = dgsf("scan", data, "--model", new, "--jsonl", "--no-cache", "--device", "cpu")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 32 and {row["model"] for row in rows} == {f"new ({kind})"}
    assert {row["status"] for row in rows} == {"scored"}


def test_it_learns_what_tells_them_apart(train, data, tiny_backbone, tmp_path) -> None:
    scratch = ("--base", "none", "--backbone", f"{tiny_clip.NAME}:file")
    code, out, err = train("--method", "probe", "--augmentation", "none", *scratch)
    assert code == ExitCode.CLEAN, err
    [row] = [line for line in out.splitlines() if line.startswith(" all ")]
    before, after = (float(x) for x in row.split()[3:6:2])
    assert after >= 0.8 and before == after  # without a base it is compared with its own teacher


def test_the_same_run_again_gives_the_same_file(train, student, tmp_path) -> None:
    train(*student, out=tmp_path / "a.safetensors")
    train(*student, out=tmp_path / "b.safetensors")
    one, two = (checkpoint.read(tmp_path / f"{name}.safetensors") for name in "ab")
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert one.calibration == two.calibration
    train(*student, "--seed", "1", out=tmp_path / "c.safetensors")
    other = checkpoint.read(tmp_path / "c.safetensors")
    assert not torch.equal(one.tensors["head.weight"], other.tensors["head.weight"])


def test_going_on_from_an_adapted_detector(train, student, tmp_path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    train(*student, out=first)
    other = lay_out(tmp_path / "other", 8, upsampled=False)
    code, out, err = train(*student, source=other, out=second, base=first)
    assert code == ExitCode.CLEAN, err
    assert "from the base detector first (student) to the student" in out
    assert "what it forgot of them was not measured" in err
    one, two = checkpoint.read(first), checkpoint.read(second)
    assert one.config.lora == two.config.lora
    assert any(not torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    code, out, err = train("--method", "probe", out=tmp_path / "third.safetensors", base=first)
    assert code == ExitCode.ERROR and "has adapters" in err


def test_the_logits_of_a_scan_are_those_that_were_calibrated(
    train, data, student, tiny_backbone, tmp_path
) -> None:
    """Of a student, which is judged by scores; a teacher is judged by heads without the image."""
    train(*student)
    detector = Detector.load(tmp_path / "new.safetensors", "cpu", tiny_backbone)
    logits = sorted(row.logit for row in detector.scan(data))
    calibrated = [*detector.calibration.real, *detector.calibration.generated]
    for logit in calibrated:
        assert min(abs(logit - other) for other in logits) < 1e-4


def test_the_record_of_a_run(train, student, tmp_path) -> None:
    train(*student)
    folder = tmp_path / "new.training"
    records = metrics(folder)
    steps = [record for record in records if record["kind"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, steps[0]["steps"] + 1))
    assert all(step["removed"] > 0 and step["added"] > 0 for step in steps)
    epochs = [record for record in records if record["kind"] == "epoch"]
    assert [record["epoch"] for record in epochs] == [1, 2]
    assert all(0 <= record["auroc"] <= 1 for record in epochs)
    split = (folder / "split.jsonl").read_text()
    assert all(f"{i}.png" in split for i in range(16))


def test_where_the_base_is_better_it_is_kept(train, student, tmp_path, monkeypatch) -> None:
    def spoil(context, model, material, dataset):
        with torch.no_grad():
            model.head.weight.neg_()

    monkeypatch.setattr(stages, "fine_tune", spoil)
    good = tmp_path / "good.safetensors"
    train("--method", "probe", "--max-regression", "1", out=good)
    code, out, err = train(*student, "--max-regression", "0.02", base=good)
    assert code == ExitCode.REJECTED == 3
    assert "rejected: AUROC fell from" in err and "go on using the base detector good" in err
    assert "best: the base detector good (teacher)" in out
    assert not (tmp_path / "new.safetensors").exists()
    rejected = tmp_path / "new.rejected.safetensors"
    assert f"written: {rejected}" in out
    assert "REJECTED: AUROC fell" in rejected.with_suffix(".md").read_text()
    checkpoint.read(rejected)


# What the base knew


@pytest.fixture
def known(train, data, tmp_path) -> Path:
    """A detector from scratch that tells old generators, and knows what it was made from."""
    old = lay_out(tmp_path / "old", 24, upsampled=False)
    scratch = (
        "--method",
        "probe",
        "--augmentation",
        "none",
        "--backbone",
        f"{tiny_clip.NAME}:file",
    )
    file = tmp_path / "known.safetensors"
    code, _, err = train(*scratch, source=old, out=file, base="none")
    assert code == ExitCode.CLEAN, err
    return file


def test_the_teacher_is_returned_where_few_steps_would_change_nothing(
    train, known, tmp_path
) -> None:
    """What a person gets who has a few images of a new generator: not what nine steps made."""
    code, out, err = train("--augmentation", "none", "--method", "lora", base=known)
    assert code == ExitCode.CLEAN, err
    assert "best: the teacher" in out
    standing = {
        kind: [float(x) for x in line.split()[-2:] if x != "-"]
        for kind in ("base", "teacher", "student")
        for line in out.splitlines()
        if line.strip().startswith(f"the {kind}")
    }
    assert standing["teacher"][0] > standing["base"][0] + 0.05
    assert standing["teacher"][1] > standing["base"][1] - 0.02
    assert len(standing["student"]) == 1  # what it forgot cannot be measured
    made = checkpoint.read(tmp_path / "new.safetensors")
    assert made.config.lora is None and made.config.name == "new (teacher)"


def test_few_images_take_no_student(train, known, tmp_path) -> None:
    code, out, err = train("--augmentation", "none", base=known)
    assert code == ExitCode.CLEAN, err
    assert "the student" not in out and "known images" in out
    assert 'method = "probe"' in (tmp_path / "new.toml").read_text()
    assert not (tmp_path / "new.training" / "metrics.jsonl").exists()


def test_what_was_learnt_is_known_to_the_next(train, known, tmp_path) -> None:
    """Each adaptation remembers those before it."""
    train("--augmentation", "none", base=known)
    first = replay.read(tmp_path / "known.replay.safetensors", checkpoint.read(known).config)
    new = checkpoint.read(tmp_path / "new.safetensors").config
    second = replay.read(tmp_path / "new.replay.safetensors", new)
    contents = [{s.sha256 for s in found.samples} for found in (first, second)]
    assert contents[0] < contents[1] and len(contents[1]) == len(contents[0]) + 32
    assert first.held.any() and second.held.sum() > first.held.sum()


def test_without_what_the_base_knew_that_is_said(train, tmp_path) -> None:
    code, _, err = train("--max-regression", "1")
    assert code == ExitCode.CLEAN
    assert "what was forgotten of it was not measured" in err
    assert "was not measured" in (tmp_path / "new.md").read_text()


# Bad input


def test_nothing_is_overwritten_without_force(train, tmp_path) -> None:
    train("--method", "probe", "--max-regression", "1")
    before = (tmp_path / "new.safetensors").read_bytes()
    code, _, err = train("--method", "probe", "--seed", "5")
    assert code == ExitCode.ERROR and "is there already" in err and "--force" in err
    assert (tmp_path / "new.safetensors").read_bytes() == before
    code, _, err = train("--method", "probe", "--seed", "5", "--force", "--max-regression", "1")
    assert code == ExitCode.CLEAN, err
    assert (tmp_path / "new.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "magic"), "'magic' is not one of 'auto', 'dgs', 'lora', 'probe'"),
        (("--epochs", "0"), "epochs must be 1 or more"),
        (("--semantics", "captions"), "none are named"),
        (("--captions", "folder", "--semantics", "lowpass"), "captions are given"),
        (("--backbone", "ViT-B-16"), "comes with the base"),
        (("--resume",), "no run to go on with"),
        (("--captions", "folder"), "text tower"),
        (("--config", "missing.toml"), "cannot read missing.toml"),
        (("--device", "abacus"), "'abacus' is not one of 'auto'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments, message, train, tmp_path) -> None:
    code, out, err = train(*arguments)
    assert code == ExitCode.ERROR and message in err, err
    assert "Traceback" not in err and out == ""
    assert not (tmp_path / "new.safetensors").exists()


def test_data_that_cannot_work_are_refused(train, data, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = train(source=empty)
    assert code == ExitCode.ERROR and "no real and no generated" in err
    code, _, err = train(source=tmp_path / "nowhere")
    assert code == ExitCode.ERROR and "nowhere" in err
    real = data / "maker0" / "0_real" / "0.png"
    (data / "maker0" / "1_fake" / "twin.png").write_bytes(real.read_bytes())
    code, _, err = train()
    assert code == ExitCode.ERROR and "twin.png" in err and "real and generated" in err
    (data / "maker0" / "1_fake" / "twin.png").write_bytes(b"no picture")
    code, _, err = train()
    assert code == ExitCode.ERROR and "cannot be read" in err and "twin.png" in err
    code, _, err = train("--skip-unreadable", "--max-regression", "1")
    assert code == ExitCode.CLEAN and "Left out 1 image that cannot be read" in err


def test_a_failed_run_leaves_no_folder_among_the_detectors(dgsf, data, tiny_detector) -> None:
    (data / "maker0" / "1_fake" / "damaged.png").write_bytes(b"no picture")
    arguments = ("train", data, "--base", tiny_detector, *FAST)
    code, _, err = dgsf(*arguments)
    assert code == ExitCode.ERROR and "--skip-unreadable" in err
    assert list(folders.user_folder().iterdir()) == []
    code, _, err = dgsf(*arguments, "--skip-unreadable", "--max-regression", "1")
    assert code == ExitCode.CLEAN, err


@pytest.mark.parametrize(
    ("wrong", "hint", "right"),
    [
        (("--captions", "folder"), "leave the captions out", ()),
        (
            ("--captions", "folder", "--semantics", "lowpass"),
            "leave one of the two out",
            ("--semantics", "lowpass"),
        ),
        (("--resume",), "leave --resume out", ()),
        (("--resume", "--force"), "give one of them", ("--force",)),
        (("--backbone", f"{tiny_clip.NAME}:file"), 'base = "none"', ("--base", "none")),
    ],
)
def test_what_a_hint_advises_is_taken(wrong, hint, right, train, tmp_path) -> None:
    more = ("--method", "dgs", "--epochs", "1", "--max-regression", "1")
    code, _, err = train(*more, *wrong)
    assert code == ExitCode.ERROR and hint in err
    again = (*wrong, *right) if "--backbone" in wrong else right
    code, _, err = train(*more, *again)
    assert code == ExitCode.CLEAN, err


def test_the_options_that_a_person_gave_are_not_written_over(train, tmp_path) -> None:
    """With the name that the run would give to its own."""
    own = tmp_path / "new.toml"
    own.write_text('# mine\nmethod = "probe"\nmax_regression = 1.0\n')
    for more in ((), ("--force",)):
        code, _, err = train("--config", own, *more)
        assert code == ExitCode.CLEAN, err
        assert own.read_text().startswith("# mine")
    code, _, err = train("--config", own)
    assert code == ExitCode.ERROR and "new.safetensors is there already" in err


# Labels of a case


@pytest.fixture
def reviewed(data: Path, tmp_path: Path, dgsf) -> Path:
    """A case of all pictures, labelled as they are, but for one of each kind."""
    files = {str(path): path for path in sorted(data.rglob("*.png"))}
    case = made_case.write(tmp_path / "reviewed.sqlite3", files)
    for name, label in (("0_real", "real"), ("1_fake", "ai")):
        paths = sorted(data.rglob(f"{name}/*.png"))
        assert dgsf("label", case, *paths[1:], "--as", label, "--reviewer", "Ann")[0] == 0
        assert dgsf("label", case, paths[0], "--as", "unsure", "--reviewer", "Ann")[0] == 0
    assert dgsf("label", case, paths[1], "--as", "real", "--reviewer", "Bob")[0] == 0
    return case


def samples(folder: Path) -> list[dict]:
    lines = (folder / "split.jsonl").read_text().splitlines()[1:]
    return [json.loads(line) for line in lines]


def test_from_the_labels_of_a_case(dgsf, reviewed, tiny_detector, tmp_path) -> None:
    arguments = ("--from-case", reviewed, "--base", tiny_detector, *FAST, "--max-regression", "1")
    code, out, err = dgsf("train", *arguments, "--out", tmp_path / "new.safetensors")
    assert code == ExitCode.CLEAN, err
    assert "15 real and 14 generated images from the labels in reviewed.sqlite3" in err
    assert "2 images left out: labelled unsure" in err
    assert "1 image left out: reviewers differ" in err
    assert "the labels in reviewed.sqlite3" in (tmp_path / "new.md").read_text()
    used = samples(tmp_path / "new.training")
    assert len(used) == 29
    assert all((row["label"] == "generated") == ("1_fake" in row["path"]) for row in used)
    code, out, err = dgsf("train", *arguments)
    assert code == ExitCode.CLEAN and "reviewed.safetensors" in out


def test_data_and_the_labels_of_a_case_together(train, reviewed, tmp_path) -> None:
    more = lay_out(tmp_path / "more", 6)
    code, _, err = train("--from-case", reviewed, "--max-regression", "1", source=more)
    assert code == ExitCode.CLEAN, err
    used = samples(tmp_path / "new.training")
    # The six of each kind are in the case as well, all but the two that nobody is sure of.
    assert len({row["sha256"] for row in used}) == len(used) == 31
    assert "10 copies were left out" in err


def test_an_interrupted_run_keeps_the_labels_it_began_with(
    train, dgsf, data, reviewed, tmp_path, monkeypatch
) -> None:
    def interrupt(*rest):
        raise KeyboardInterrupt

    more = ("--from-case", reviewed, "--max-regression", "1")
    with monkeypatch.context() as patch:
        patch.setattr(teaching, "teach", interrupt)
        assert train(*more)[0] == ExitCode.INTERRUPTED
    before = samples(tmp_path / "new.training")
    assert dgsf("label", reviewed, data, "--as", "real", "--reviewer", "Ann")[0] == 0
    code, _, err = train(*more, "--resume")
    assert code == ExitCode.CLEAN, err
    assert samples(tmp_path / "new.training") == before


def test_labels_that_cannot_be_trained_on(dgsf, data, tiny_detector, tmp_path) -> None:
    files = {str(path): path for path in sorted(data.rglob("*.png"))}
    case = made_case.write(tmp_path / "c.sqlite3", files)
    arguments = ("train", "--from-case", case, "--base", tiny_detector, *FAST, "--force")

    def refused(message: str, *more: object) -> None:
        code, out, err = dgsf(*(more or arguments))
        assert (code, out) == (ExitCode.ERROR, "") and message in err

    refused("no image is labelled")
    dgsf("label", case, data, "--as", "unfit", "--reviewer", "Ann")
    refused("nothing is labelled ai or real. 32 images left out: labelled unfit")
    dgsf("label", case, data, "--as", "real", "--reviewer", "Ann")
    refused("no image is labelled ai")
    refused("nowhere", "train", "--from-case", tmp_path / "nowhere")
    refused("give DATA, --from-case, or both", "train")
    dgsf("label", case, data / "maker0" / "1_fake", "--as", "ai", "--reviewer", "Ann")
    for path in (data / "maker0" / "1_fake").iterdir():
        path.unlink()
    refused("no image is labelled ai")


def test_an_export_is_trained_on(train, dgsf, reviewed, tmp_path) -> None:
    assert dgsf("export", reviewed, "--labels", "labels.csv")[0] == 0
    source = tmp_path / "labels.csv"
    code, _, err = train("--method", "probe", "--max-regression", "1", source=source)
    assert code == ExitCode.CLEAN, err
    assert "2 images left out: labelled unsure" in err
    assert len(samples(tmp_path / "new.training")) == 29


# Options from files


def test_options_from_a_file_and_flags_before_them(train, tmp_path, monkeypatch) -> None:
    file = tmp_path / "options.toml"
    file.write_text('seed = 7\nmethod = "probe"\nl2 = 0.5\n[surgery]\norder = "paper"\n')
    (tmp_path / "dgsf.toml").write_text("[train]\nseed = 3\nbatch = 9\nmax-regression = 1.0\n")
    code, _, err = train("--config", file, "--method", "lora")
    assert code == ExitCode.CLEAN, err
    resolved = (tmp_path / "new.toml").read_text()
    for line in ("seed = 7", 'method = "lora"', "l2 = 0.5", 'order = "paper"', "batch = 8"):
        assert line in resolved
    code, _, err = train("--config", tmp_path / "new.toml", out=tmp_path / "again.safetensors")
    assert code == ExitCode.CLEAN, err
    assert (tmp_path / "again.toml").read_text() == resolved
    one, two = (checkpoint.read(tmp_path / f"{name}.safetensors") for name in ("new", "again"))
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)


def test_an_unknown_option_in_a_file_is_named(train, tmp_path) -> None:
    (tmp_path / "options.toml").write_text("epoch = 3\n")
    code, _, err = train("--config", tmp_path / "options.toml")
    assert code == ExitCode.ERROR and "no field 'epoch'" in err


# Killed, and resumed

SCRIPT = """
import sys
from pathlib import Path
import tiny_clip
from dgsforensics import cli
from dgsforensics.trainer import student
student.SAVE_SECONDS = 0.0
tiny_clip.register(Path(sys.argv.pop(1)))
cli.run()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_to_the_same_result(
    how, train, data, student, tiny_detector, tiny_backbone, tmp_path
) -> None:
    long = ("--epochs", "40", *student)
    arguments = ["train", data, "--base", tiny_detector, "--backbone-weights", tiny_backbone, *FAST]
    cut, whole = tmp_path / "cut.safetensors", tmp_path / "whole.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *map(str, [*arguments, *long]), "--out", cut],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    folder = tmp_path / "cut.training"
    deadline = time.monotonic() + 120
    while not (folder / "state").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if how == signal.SIGKILL else ExitCode.INTERRUPTED), err
    assert ("--resume goes on" in err) == (how == signal.SIGINT)
    assert not cut.exists()

    code, _, err = train(*long, out=cut)
    assert code == ExitCode.ERROR and "unfinished run" in err and "--resume" in err
    code, _, err = train(*long, "--resume", "--lr", "5e-3", out=cut)
    assert code == ExitCode.ERROR and "lr was 0.001" in err
    code, _, err = train(*long, "--resume", out=cut)
    assert code == ExitCode.CLEAN, err
    code, _, err = train(*long, out=whole)
    assert code == ExitCode.CLEAN, err
    one, two = checkpoint.read(cut), checkpoint.read(whole)
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert one.calibration == two.calibration
    records = [metrics(tmp_path / f"{name}.training") for name in ("cut", "whole")]
    for record in (*records[0], *records[1]):
        record.pop("images_per_second", None)
    assert records[0] == records[1]


def test_changed_data_are_noticed_when_a_run_goes_on(train, data, monkeypatch) -> None:
    def interrupt(*rest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teaching, "teach", interrupt)
        code, _, _ = train()
        assert code == ExitCode.INTERRUPTED
    photo(50, 50, 999).save(data / "maker0" / "0_real" / "0.png")
    code, _, err = train("--resume")
    assert code == ExitCode.ERROR and "0.png" in err
