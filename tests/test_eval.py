"""The command in this process, on the tiny detector."""

import csv
import io
import json
import os
import re
import shutil
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import tiny_clip
from conftest import photo
from dgsforensics.detector.detector import Detector
from dgsforensics.errors import CheckpointError
from rendered import gallery


@pytest.fixture
def dgsf(on_tiny):
    return on_tiny


@pytest.fixture
def other(tiny_backbone, tmp_path) -> Path:
    """A second detector of the same name, with another head."""
    folder = tmp_path / "other"
    folder.mkdir()
    return tiny_clip.write_detector(folder, tiny_backbone, tiny_clip.config(), seed=5)


@pytest.fixture
def data(tmp_path) -> Path:
    """Four real images, and two of each of two generators, one with real images of its own."""
    root = tmp_path / "data"
    places = ("flickr/0_real", "flickr/0_real", "gan/0_real", "gan/0_real")
    places += ("gan/1_fake", "gan/1_fake", "sdxl/1_fake", "sdxl/1_fake")
    for seed, place in enumerate(places):
        (root / place).mkdir(parents=True, exist_ok=True)
        photo(200 + 40 * seed, 180, seed).save(root / place / f"{seed}.png")
    return root


def logits(tiny_detector, tiny_backbone, paths):
    detector = Detector.load(tiny_detector, "cpu", tiny_backbone)
    return [detector.score(path).logit for path in paths]


def test_figures_are_those_of_the_scores(dgsf, data, tiny_detector, tiny_backbone):
    metrics = pytest.importorskip("sklearn.metrics")
    code, out, err = dgsf("eval", data, "--json")
    assert code == 0
    found = json.loads(out)
    paths = sorted(data.rglob("*.png"))
    labels = np.array([path.parent.name == "1_fake" for path in paths])
    scores = np.array(logits(tiny_detector, tiny_backbone, paths))
    figures = {
        (row["slice"], name): f for row in found["rows"] for name, f in row["figures"].items()
    }
    assert figures["all", "auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores))
    gan = np.array(["gan" in path.parts for path in paths])
    assert figures["gan", "ap"]["value"] == pytest.approx(
        metrics.average_precision_score(labels[gan], scores[gan])
    )
    rest = np.array([not ("gan" in p.parts and p.parent.name == "1_fake") for p in paths])
    assert figures["sdxl", "auroc"]["value"] == pytest.approx(
        metrics.roc_auc_score(labels[rest], scores[rest])
    )
    cut = tiny_clip.calibration().thresholds()
    assert figures["all", "acc"]["value"] == np.mean((scores >= cut.upper) == labels)
    assert [
        (row["slice"], row["real"], row["generated"], row["real_of"]) for row in found["rows"]
    ] == [
        ("all", 4, 4, "slice"),
        ("gan", 2, 2, "source"),
        ("sdxl", 4, 2, "set"),
    ]
    assert found["detectors"][0]["cuts"][0]["origin"] == cut.origin
    assert "8 of 8" in err


def test_what_is_out_of_domain_is_not_flagged_here_either(dgsf, tmp_path, monkeypatch):
    """However high its logit, from the model and from the file of scores."""
    for place, names in (("0_real", ("page", "logo")), ("1_fake", ("table", "window"))):
        (tmp_path / "set" / place).mkdir(parents=True)
        for name in names:
            gallery()[name].save(tmp_path / "set" / place / f"{name}.png")
    photo(300, 200).save(tmp_path / "set" / "1_fake" / "photo.png")
    monkeypatch.setattr(Detector, "logits", lambda self, pixels, batch: [99.0] * len(pixels))
    first, second = (dgsf("eval", tmp_path / "set", "--json")[1] for _ in range(2))
    assert first == second
    figures = json.loads(first)["rows"][0]["figures"]
    values = {name: figures[name]["value"] for name in ("r_acc", "f_acc", "inconclusive")}
    assert values == pytest.approx({"r_acc": 1, "f_acc": 1 / 3, "inconclusive": 4 / 5})


def test_a_second_run_scores_nothing_and_says_the_same(dgsf, data, monkeypatch):
    first = dgsf("eval", data, "--json", "--tiers", "clean,hard")[1]

    def never(*_):
        raise CheckpointError("the model ran")

    monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", never)
    code, second, _ = dgsf("eval", data, "--json", "--tiers", "clean,hard")
    assert (code, second) == (0, first)
    moved = data.with_name("moved")
    data.rename(moved)
    code, _, err = dgsf("eval", moved, "--json")  # a set of its own, and so the model would run
    assert code == 2 and "the model ran" in err


def test_tiers_are_scored_as_files_of_those_pixels_would_be(dgsf, data, tmp_path):
    from dgsforensics.evaluation import tiers
    from dgsforensics.pictures import decoder

    kept = tmp_path / "scores.jsonl"
    assert dgsf("eval", data, "--tiers", "hard,web", "--scores", kept)[0] == 0
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row["tier"] for row in rows] == [tiers.key("hard")] * 8 + [tiers.key("web")] * 8
    copy = tmp_path / "treated"
    shutil.copytree(data, copy)
    expected = {}
    for path in copy.rglob("*.png"):
        picture = decoder.load(path)
        treated = tiers.alteration("hard")(picture)
        decoder.Image.fromarray(treated.pixels).save(path)
        expected[decoder.load(path).facts.sha256] = picture.facts.sha256
    other_scores = tmp_path / "other.jsonl"
    dgsf("eval", copy, "--scores", other_scores)
    hard = {row["sha256"]: row["logit"] for row in rows[:8]}
    for line in other_scores.read_text().splitlines():
        row = json.loads(line)
        assert row["logit"] == pytest.approx(hard[expected[row["sha256"]]], abs=1e-4)


def test_several_detectors_side_by_side(dgsf, data, tiny_detector, other):
    code, out, _ = dgsf("eval", data, "--json", "--model", tiny_detector, "--model", other)
    assert code == 0
    found = json.loads(out)
    names = [subject["name"] for subject in found["detectors"]]
    assert len(set(names)) == 2
    assert all(name.startswith("tiny (") for name in names)  # they have one name otherwise
    auroc = {(r["detector"], r["slice"]): r["figures"]["auroc"]["value"] for r in found["rows"]}
    assert [d["slice"] for d in found["differences"]] == ["all", "gan", "sdxl"]
    for difference in found["differences"]:
        part = difference["slice"]
        assert difference["baseline"] == names[0]
        assert difference["auroc"]["value"] == pytest.approx(
            auroc[names[1], part] - auroc[names[0], part]
        )
    assert dgsf("eval", data, "--model", other, "--model", other)[0] == 2


def test_what_cannot_be_read_is_listed_and_counted(dgsf, data):
    (data / "gan/1_fake/broken.jpg").write_bytes(b"")
    (data / "gan/1_fake/odd\n.jpg").write_bytes(b"text")
    os.mkfifo(data / "gan/1_fake/pipe.png")
    shutil.copy(data / "gan/0_real/2.png", data / "gan/0_real/copy.png")
    shutil.copy(data / "flickr/0_real/0.png", data / "sdxl/1_fake/twin.png")
    code, out, err = dgsf("eval", data, "--json")
    assert code == 0
    found = json.loads(out)
    reasons = {Path(row["path"]).name: row["reason"] for row in found["unread"]}
    assert set(reasons) == {"broken.jpg", "odd\n.jpg", "pipe.png", "0.png", "twin.png"}
    assert "both real and generated" in reasons["twin.png"]
    assert (found["listed"], found["used"], found["copies"]) == (12, 7, 1)
    assert "5 files could not be evaluated" in err
    assert "odd\\n.jpg: " in err


def test_nothing_readable(dgsf, tmp_path):
    root = tmp_path / "real"
    root.mkdir()
    (root / "0_real").mkdir()
    (root / "0_real" / "a.jpg").write_bytes(b"")
    code, out, err = dgsf("eval", root)
    assert (code, out) == (2, "")
    assert "none of 1 image can be evaluated" in err
    assert "empty file" in err


def test_a_manifest_whose_digest_is_another(dgsf, data, tmp_path):
    manifest = tmp_path / "list.jsonl"
    rows = [
        {"path": "data/gan/0_real/2.png", "label": "real", "sha256": "0" * 64},
        {"path": "data/gan/0_real/3.png", "label": "real"},
        {"path": "data/gone.png", "label": "fake", "generator": "x"},
        {"path": "data/gan/1_fake/4.png", "label": "fake", "generator": "x", "split": "train"},
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    code, out, err = dgsf("eval", manifest, "--json")
    assert code == 0
    found = json.loads(out)
    assert {Path(row["path"]).name for row in found["unread"]} == {"2.png", "gone.png"}
    assert found["rows"][0]["real"] == 1
    assert found["rows"][0]["figures"]["auroc"] is None
    assert found["rows"][0]["figures"]["r_acc"] is not None
    assert "1 image left out: for training." in err


def test_rates_that_were_asked_for(dgsf, data):
    _, out, _ = dgsf("eval", data, "--json", "--fpr", "0.2", "--fpr", "0.1")
    found = json.loads(out)
    assert [cut["fpr"] for cut in found["detectors"][0]["cuts"]] == [None, 0.1, 0.2]
    assert {"tpr_at_0.2", "f_acc_at_0.2", "inconclusive_at_0.1"} <= set(found["rows"][0]["figures"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fpr", "0.0001"], "cannot be promised"),
        (["--fpr", "1.5"], "between 0 and 1"),
        (["--tiers", "worst"], "no tier 'worst'"),
        (["--by", "colour"], "'colour' is not one of 'generator', 'source'"),
        (["--json", "--csv"], "one of --json and --csv"),
        (["--html", "/nowhere/at/all.html"], "--html: cannot write"),
        (["--scores", "/dev/null/x.jsonl"], "cannot keep scores"),
        (["--model", "nobody"], "no detector 'nobody'"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_scored(dgsf, data, arguments, message, monkeypatch):
    monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", None)
    code, out, err = dgsf("eval", data, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_missing_data(dgsf, tmp_path):
    code, _, err = dgsf("eval", tmp_path / "gone")
    assert code == 2
    assert "cannot read" in err


@pytest.mark.parametrize("by", ["source", "format", "size"])
def test_other_slices(dgsf, data, by):
    code, out, _ = dgsf("eval", data, "--csv", "--by", by)
    assert code == 0
    table = list(csv.DictReader(io.StringIO(out)))
    first, *parts = table
    assert first["slice"] == "all"
    assert sum(int(row["real"]) for row in parts) == 4
    assert sum(int(row["generated"]) for row in parts) == 4


def test_the_table_and_the_page(dgsf, data, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = dgsf("eval", data, "--html", page, "--tiers", "clean,web")
    assert code == 0
    assert "tiny, web: scores" in out
    assert "sdxl" in out
    root = ET.fromstring(page.read_text(encoding="utf-8").removeprefix("<!DOCTYPE html>\n"))
    assert len([e for e in root.iter("svg")]) == 6
    assert not page.with_name("page.html.part").exists()


def test_the_table_fits_an_ordinary_terminal(dgsf, data, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = dgsf("eval", data, "--fpr", "0.1")
    text = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert max(map(len, text.splitlines())) <= 80
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    assert "sdxl" in out


def test_quiet_says_nothing_else(dgsf, data):
    code, out, err = dgsf("eval", data, "--quiet")
    assert code == 0
    assert "AUROC" in out
    assert err == ""


def test_an_interruption_keeps_what_was_scored(dgsf, data, tmp_path, monkeypatch):
    kept = tmp_path / "scores.jsonl"
    score = Detector.logits
    runs = []

    def interrupted(self, *arguments):
        runs.append(1)
        if len(runs) > 3:
            os.kill(os.getpid(), signal.SIGINT)
        return score(self, *arguments)

    monkeypatch.setattr(Detector, "logits", interrupted)
    code, out, err = dgsf("eval", data, "--scores", kept, "--batch", 1)
    assert (code, out) == (130, "")
    assert f"kept in {kept}" in err
    assert len(kept.read_text().splitlines()) == 3
    monkeypatch.setattr(Detector, "logits", score)
    assert dgsf("eval", data, "--scores", kept, "--batch", 1)[0] == 0
    assert len(kept.read_text().splitlines()) == 8


def test_a_settings_file_chooses_no_files(dgsf, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dgsf.toml").write_text('[eval]\ntiers = "web"\nfpr = [0.1]\n')
    assert "tpr_at_0.1" in dgsf("eval", data, "--csv")[1]
    Path("dgsf.toml").write_text('[eval]\nhtml = "x.html"\n')
    assert dgsf("eval", data)[0] == 2
