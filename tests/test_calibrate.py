"""The command in this process, on the tiny detector; what it writes is scanned with."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import encode, photo
from dgsforensics.calibrate import run
from dgsforensics.detector import checkpoint, folders, platt
from dgsforensics.detector.binomial import interval
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.folders import file_name, sha256_of
from dgsforensics.pictures import near_duplicates
from dgsforensics.scan import output
from dgsforensics.wording import rate as percentage


@pytest.fixture
def dgsf(on_tiny):
    return on_tiny


@pytest.fixture
def detector(tiny_detector, tiny_backbone):
    return Detector.load(tiny_detector, "cpu", tiny_backbone)


@pytest.fixture
def holiday(tmp_path) -> Path:
    """Forty photographs, none like another."""
    folder = tmp_path / "holiday"
    folder.mkdir()
    pictures = [photo(96, 64, seed) for seed in range(45)]
    group = near_duplicates.group([near_duplicates.fingerprint(picture) for picture in pictures])
    distinct = [picture for i, picture in enumerate(pictures) if group[i] == i]
    for i, picture in enumerate(distinct[:40]):
        picture.save(folder / f"{i:02}.png")
    return folder


@pytest.fixture
def pair(tmp_path, detector) -> tuple[Path, Path]:
    """Pictures as the tiny detector would have them: those of higher scores are the fakes."""
    pictures = [photo(96, 64, 100 + seed) for seed in range(60)]
    pictures.sort(key=lambda picture: detector.score(picture).logit)
    folders = tmp_path / "real", tmp_path / "made"
    for folder, chosen in zip(folders, (pictures[:35], pictures[30:]), strict=True):
        folder.mkdir()
        for i, picture in enumerate(chosen[:30] if folder.name == "real" else chosen):
            picture.save(folder / f"{i:02}.png")
    return folders


@pytest.fixture
def never(monkeypatch):
    """Let the model not run."""

    def forbid():
        def fail(*_):
            raise AssertionError("the model ran")

        monkeypatch.setattr("dgsforensics.detector.detector.Detector.logits", fail)

    return forbid


def mine(name: str) -> Path:
    return folders.user_folder() / f"{name}.safetensors"


def scores(detector: Detector, folder: Path) -> list[float]:
    return sorted(detector.score(path).logit for path in folder.iterdir())


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


# Photographs alone


def test_thresholds_are_those_of_the_photographs(dgsf, holiday, detector):
    code, out, err = dgsf("calibrate", holiday, "--fpr", "0.025", "--json")
    assert code == 0
    found = json.loads(out)
    made = checkpoint.read(mine("tiny-holiday"))
    before = detector.calibration
    assert made.calibration.real == pytest.approx(scores(detector, holiday), abs=1e-4)
    assert made.calibration.generated == before.generated
    assert (made.calibration.temperature, made.calibration.intercept) == (
        before.temperature,
        before.intercept,
    )
    assert found["probabilities"] == "kept" and found["generated"] is None
    assert found["model_sha256"] == made.sha256
    assert found["base_sha256"] == detector.sha256
    rates = {row["rate"]: row for row in found["rates"]}
    assert list(rates) == [0.001, 0.01, 0.02, 0.025, 0.05, 0.1]
    assert all(rates[rate]["cut"] is None for rate in (0.001, 0.01, 0.02))
    for rate, hits in ((0.025, 0), (0.05, 1), (0.1, 3)):
        cut = rates[rate]["cut"]
        assert cut["logit"] == made.calibration.at_fpr(rate)
        assert cut["probability"] == before.probability(cut["logit"])
        low, high = interval(hits, 40)
        assert cut["flagged"] == {"hits": hits, "count": 40, "low": low, "high": high}
        assert cut["found"] is None
    assert (rates[0.01]["promised_from"], rates[0.01]["confident_from"]) == (99, 368)
    assert found["photographs"] == {
        **{"folder": "holiday", "files": 40, "unread": 0},
        **{"outside": 0, "copies": 0, "near_duplicates": 0, "used": 40},
    }
    assert "only 40 photographs" in err


def test_a_scan_with_it_says_what_was_measured(dgsf, holiday):
    code, out, err = dgsf("calibrate", holiday)
    assert code == 0
    assert "use it with --model tiny-holiday" in err
    assert "those of the calibration before" in out
    assert "cannot be promised with 40 images: it takes 99" in out
    arguments = ("--model", "tiny-holiday", "--fpr", "0.05", "--json", "--verbose")
    code, out, err = dgsf("scan", holiday, *arguments)
    assert code == 1
    found = json.loads(out)
    assert found["summary"]["flagged"] == 1
    origin = found["run"]["threshold_origin"]
    low, high = interval(1, 40)
    assert origin.startswith(
        f"false-positive rate 5%, measured {percentage(low)} to {percentage(high)} (95% "
    )
    assert "on 40 photographs in the folder 'holiday' (20" in origin
    assert origin in " ".join(err.split())
    assert found["run"]["model"] == "tiny-holiday"
    assert dgsf("scan", holiday, "--model", "tiny-holiday", "--fpr", "0.01")[0] == 2


def test_the_table_fits_a_terminal(dgsf, pair):
    _, out, _ = dgsf("calibrate", *pair)
    table = out.split("\n\n")[1].splitlines()
    assert table[0].split()[:4] == ["rate", "from", "logit", "flagged"]
    assert max(map(len, table)) <= 80
    assert [line.split()[0] for line in table[1:]] == ["0.1%", "1%", "2%", "5%", "10%"]
    cut = checkpoint.read(mine("tiny-real")).calibration.thresholds()
    assert ("inconclusive from" in out) == (cut.lower < cut.upper)


def test_the_card_tells_of_it(dgsf, holiday, tiny_detector):
    dgsf("calibrate", holiday)
    text = mine("tiny-holiday").with_suffix(".md").read_text()
    assert text.startswith("# tiny-holiday\n")
    assert "## What it was calibrated on" in text
    assert f"It is tiny (sha256 `{sha256_of(tiny_detector)}`)" in text
    assert "- Photographs: 40 in the folder 'holiday' (20" in text
    assert "- Generated images: the 300 that tiny came with" in text
    assert text == dgsf("models", "info", "tiny-holiday")[1]


def test_calibrated_twice_it_is_one_step_from_the_original(dgsf, holiday, pair, tiny_detector):
    other = holiday.rename(holiday.with_name("more"))
    assert dgsf("calibrate", *pair)[0] == 0
    fitted = checkpoint.read(mine("tiny-real"))
    assert dgsf("calibrate", other, "--model", "tiny-real")[0] == 0
    made = checkpoint.read(mine("tiny-more"))
    told = made.card.calibrated
    assert (told.base, told.sha256) == ("tiny", sha256_of(tiny_detector))
    assert "folder 'more'" in told.photographs
    assert told.generated == fitted.card.calibrated.generated
    assert "folder 'made'" in told.generated
    assert made.calibration.generated == fitted.calibration.generated
    assert made.calibration.temperature == fitted.calibration.temperature
    assert len(made.calibration.real) == 40
    assert made.card.limits == ("a test",)


# With generated images


def test_with_generated_images_the_probability_is_fitted(dgsf, pair, detector):
    code, out, _ = dgsf("calibrate", *pair, "--json")
    assert code == 0
    found = json.loads(out)
    made = checkpoint.read(mine("tiny-real")).calibration
    real, fake = (scores(detector, folder) for folder in pair)
    expected = platt.fit(np.array(real + fake), np.repeat([0, 1], [len(real), len(fake)]), "x")
    assert made.real == pytest.approx(real, abs=1e-4)
    assert made.generated == pytest.approx(fake, abs=1e-4)
    assert made.temperature == pytest.approx(expected.temperature, rel=1e-2)
    assert made.intercept == pytest.approx(expected.intercept, abs=1e-2)
    assert found["probabilities"] == "fitted"
    cut = {row["rate"]: row["cut"] for row in found["rates"]}[0.1]
    hits = sum(logit >= cut["logit"] for logit in made.generated)
    low, high = interval(hits, 30)
    assert cut["found"] == {"hits": hits, "count": 30, "low": low, "high": high}
    assert hits > 10
    text = mine("tiny-real").with_suffix(".md").read_text()
    assert "- Generated images: 30 in the folder 'made'" in text


def test_folders_the_wrong_way_round_are_refused(dgsf, pair):
    code, out, err = dgsf("calibrate", *pair[::-1])
    assert (code, out) == (2, "")
    assert "as high as these generated images" in err and "first folder" in err
    assert not mine("tiny-made").exists()


def test_a_content_in_both_folders_counts_in_neither(dgsf, pair):
    real, fake = pair
    shutil.copy(real / "00.png", fake / "stray.png")
    shutil.copy(real / "00.png", real / "again.png")
    code, out, err = dgsf("calibrate", real, fake, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["photographs"]["used"] == 29 and found["photographs"]["unread"] == 2
    assert found["generated"]["used"] == 30 and found["generated"]["unread"] == 1
    assert {Path(row["path"]).name for row in found["unread"]} == {
        *("00.png", "again.png", "stray.png")
    }
    assert "3 files did not count" in err and "stray.png: the same content is among" in err


def test_where_the_folders_lie_does_not_matter(dgsf, pair, monkeypatch):
    real, fake = pair
    _, plain, _ = dgsf("calibrate", real, fake, "--name", "plain", "--json")
    plain = json.loads(plain)
    for i, (place, first, second) in enumerate(
        [(real, ".", "../made"), (fake, "../real", "."), (real.parent, "./real/", "made")]
    ):
        monkeypatch.chdir(place)
        code, out, _ = dgsf("calibrate", first, second, "--name", f"x{i}", "--json")
        assert code == 0
        found = json.loads(out)
        assert [found[key] for key in ("photographs", "generated", "rates")] == [
            plain[key] for key in ("photographs", "generated", "rates")
        ]


# A detector without calibration


@pytest.fixture
def bare(tiny_detector):
    loaded = checkpoint.read(tiny_detector)
    checkpoint.write(dataclasses.replace(loaded, calibration=Calibration.none()), tiny_detector)


def test_without_calibration_photographs_give_thresholds_only(dgsf, holiday, bare):
    code, out, _ = dgsf("calibrate", holiday)
    assert code == 0
    assert "no inconclusive band" in out and "plain sigmoid" in out
    made = checkpoint.read(mine("tiny-holiday")).calibration
    assert (made.temperature, made.intercept, made.generated) == (1.0, 0.0, ())
    assert len(made.real) == 40
    assert "no inconclusive band" in mine("tiny-holiday").with_suffix(".md").read_text()
    assert "40 real, 0 generated" in dgsf("models", "list")[1]
    code, out, _ = dgsf("scan", holiday, "--model", "tiny-holiday", "--fpr", "0.05", "--json")
    verdicts = [row["verdict"] for row in json.loads(out)["results"]]
    assert code == 1 and sorted(set(verdicts)) == ["flagged", "not flagged"]


def test_without_calibration_generated_images_give_all(dgsf, pair, bare):
    code, out, _ = dgsf("calibrate", *pair, "--json")
    assert code == 0 and json.loads(out)["probabilities"] == "fitted"
    made = checkpoint.read(mine("tiny-real")).calibration
    assert len(made.generated) == 30 and made.temperature != 1.0


# What cannot be promised


def test_a_rate_beyond_the_files_is_refused_before_the_model_runs(dgsf, holiday, never):
    never()
    code, out, err = dgsf("calibrate", holiday, "--fpr", "0.05", "--fpr", "0.01")
    assert (code, out) == (2, "")
    assert "1% cannot be promised with 40" in err
    assert "takes 99" in err and "2.44%" in err
    assert everything(folders.user_folder()) == {}


def test_a_rate_beyond_what_counts_is_refused_after_it(dgsf, holiday):
    for i in range(22):
        shutil.copy(holiday / f"{i:02}.png", holiday / f"copy-{i}.png")
    code, _, err = dgsf("calibrate", holiday, "--fpr", "0.02")
    assert code == 2 and "2% cannot be promised with 40 images" in err
    assert everything(folders.user_folder()) == {}
    assert dgsf("calibrate", holiday, "--fpr", "0.0244")[0] == 0


@pytest.mark.parametrize("rate", ["0", "1", "-0.1", "nan", "inf", "5e-324"])
def test_rates_that_are_none_are_refused(dgsf, holiday, never, rate):
    never()
    code, _, err = dgsf("calibrate", holiday, f"--fpr={rate}")
    assert code == 2
    assert "between 0 and 1" in err or "cannot be promised" in err


def test_copies_and_near_duplicates_count_once(dgsf, holiday):
    shutil.copy(holiday / "00.png", holiday / "00 (copy).png")
    for quality in (60, 70, 80):
        (holiday / f"01-{quality}.jpg").write_bytes(
            encode(photo(96, 64, 1), "JPEG", quality=quality)
        )
    found = json.loads(dgsf("calibrate", holiday, "--json")[1])
    assert found["photographs"] == {
        **{"folder": "holiday", "files": 44, "unread": 0},
        **{"outside": 0, "copies": 1, "near_duplicates": 3, "used": 40},
    }
    assert len(checkpoint.read(mine("tiny-holiday")).calibration.real) == 40


def test_what_is_no_photograph_does_not_count(dgsf, holiday):
    before = json.loads(dgsf("calibrate", holiday, "--json")[1])
    Image.new("RGB", (300, 200), (250, 250, 250)).save(holiday / "blank.png")
    found = json.loads(dgsf("calibrate", holiday, "--json", "--force")[1])
    assert (found["photographs"]["files"], found["photographs"]["outside"]) == (41, 1)
    assert found["photographs"]["used"] == 40
    assert found["rates"] == before["rates"]


@pytest.mark.parametrize("which", ["photographs", "generated images"])
def test_too_few_are_refused(dgsf, pair, which):
    folder = pair[which == "generated images"]
    for path in sorted(folder.iterdir())[19:]:
        path.unlink()
    for i in range(30):
        shutil.copy(folder / "00.png", folder / f"copy-{i}.png")
    code, out, err = dgsf("calibrate", *pair)
    assert (code, out) == (2, "")
    words = (
        f"19 {which} are too few: 49 files, of them 0 without a score, 0 out of domain, 30 copies"
    )
    assert words in err
    assert everything(folders.user_folder()) == {}


def test_an_empty_folder_is_too_few(dgsf, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = dgsf("calibrate", tmp_path / "empty")
    assert code == 2 and "0 photographs are too few" in err


def test_unreadable_files_are_counted_and_named(dgsf, holiday, gallery):
    for name in ("truncated.jpg", "empty.jpg", "text.jpg", "bomb.png"):
        shutil.copy(gallery[name], holiday / name)
    odd = Path(os.fsdecode(os.fsencode(holiday) + b"/caf\xe9\x1b[31m.jpg"))
    odd.write_bytes(b"no picture")
    code, out, err = dgsf("calibrate", holiday, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["photographs"]["files"] == 45 and found["photographs"]["unread"] == 5
    assert len(found["unread"]) == 5 and all(row["reason"] for row in found["unread"])
    assert "5 files did not count" in err and "truncated.jpg: " in err
    assert "caf\\xe9\\x1b[31m.jpg" in err and "\x1b" not in err + out
    assert (
        "(5 without a score, 0 out of domain, 0 copies" in dgsf("calibrate", holiday, "--force")[1]
    )


# Kept scores


def test_a_second_run_scores_nothing_and_says_the_same(dgsf, holiday, pair, never):
    first = dgsf("calibrate", holiday, "--json")[1]
    written = everything(folders.user_folder())
    never()
    code, second, _ = dgsf("calibrate", holiday, "--json", "--force")
    assert (code, second) == (0, first)
    assert everything(folders.user_folder()) == written
    with pytest.raises(AssertionError, match="the model ran"):
        dgsf("calibrate", pair[0])


def test_an_interrupted_run_goes_on(dgsf, holiday, monkeypatch):
    scored = []
    logits = Detector.logits

    def few(self, pixels, batch=None):
        if len(scored) >= 12:
            raise KeyboardInterrupt
        scored.extend(pixels)
        return logits(self, pixels, batch)

    monkeypatch.setattr(Detector, "logits", few)
    code, out, err = dgsf("calibrate", holiday)
    assert (code, out) == (130, "")
    assert "scores so far are kept in" in err
    assert everything(folders.user_folder()) == {}

    def count(self, pixels, batch=None):
        scored.extend(pixels)
        return logits(self, pixels, batch)

    monkeypatch.setattr(Detector, "logits", count)
    assert dgsf("calibrate", holiday)[0] == 0
    assert len(scored) == 40
    assert len(checkpoint.read(mine("tiny-holiday")).calibration.real) == 40


def test_cases_under_review_stay_as_they_are(dgsf, holiday):
    dgsf("scan", holiday, "--exit-zero")
    folder = Path(os.environ["XDG_DATA_HOME"]) / "dgsforensics" / "cases"
    before = everything(folder)
    assert dgsf("calibrate", holiday)[0] == 0
    assert everything(folder) == before
    assert run.scores_path(holiday).exists()


# Where it goes


def test_nothing_is_overwritten_unless_said(dgsf, holiday, never):
    assert dgsf("calibrate", holiday)[0] == 0
    written = everything(folders.user_folder())
    never()
    code, _, err = dgsf("calibrate", holiday)
    assert code == 2 and "tiny-holiday.safetensors exists" in err and "--force" in err
    assert everything(folders.user_folder()) == written
    mine("tiny-holiday").unlink()
    assert dgsf("calibrate", holiday)[0] == 2  # the card is still there
    assert dgsf("calibrate", holiday, "--force")[0] == 0


def test_a_detector_can_be_calibrated_in_place(dgsf, holiday, tiny_detector):
    before = sha256_of(tiny_detector)
    code, _, err = dgsf("calibrate", holiday, "--out", tiny_detector, "--force")
    assert code == 0 and f"use it with --model {tiny_detector}" in err
    made = checkpoint.read(tiny_detector)
    assert made.card.calibrated.sha256 == before
    assert made.config.name == "tiny" and len(made.calibration.real) == 40
    assert tiny_detector.with_suffix(".md").exists()
    assert everything(folders.user_folder()) == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "x.safetensors", "--name", "x"], "not both"),
        (["--out", "x.pt"], "does not end in .safetensors"),
        (["--out", "nowhere/x.safetensors"], "is not a folder"),
        (["--out", "two words.safetensors"], "cannot be the name"),
        (["--name", "../x"], "cannot be the name"),
        (["--name", ""], "cannot be the name"),
        (["--name", "dgs-b16"], "comes with the package"),
        (["--model", "no-such"], "no detector"),
    ],
)
def test_places_that_will_not_do_are_refused_first(dgsf, holiday, never, arguments, said):
    never()
    code, out, err = dgsf("calibrate", holiday, *arguments)
    assert (code, out) == (2, "") and said in err


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("été à \x1b la mer", "tiny-t-x1b-la-mer"),
        ("写真", "tiny-photographs"),
        ("-.hidden.-", "tiny-hidden"),
        ("x" * 200, ("tiny-" + "x" * 200)[:100]),
    ],
)
def test_any_folder_name_will_do(dgsf, holiday, folder, name):
    odd = holiday.rename(holiday.with_name(folder))
    code, _, err = dgsf("calibrate", odd)
    assert code == 0
    made = checkpoint.read(mine(name))
    assert output.printable(folder) in made.calibration.measured_on
    assert "\x1b" not in err + made.calibration.measured_on
    assert output.printable(folder) in mine(name).with_suffix(".md").read_text(encoding="utf-8")


def test_what_is_no_pair_of_folders_is_refused(dgsf, holiday, never):
    never()
    inner = holiday / "made"
    inner.mkdir()
    for arguments in ([holiday, inner], [inner, holiday], [holiday, holiday]):
        code, _, err = dgsf("calibrate", *arguments)
        assert code == 2 and "one folder is inside the other" in err
    link = holiday.with_name("link")
    link.symlink_to(holiday)
    assert "inside the other" in dgsf("calibrate", holiday, link)[2]
    for wrong in (holiday / "00.png", holiday / "missing"):
        code, _, err = dgsf("calibrate", wrong)
        assert code == 2 and "is not a folder" in err


def test_a_place_that_cannot_be_written_is_an_error(dgsf, holiday, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dgsforensics.detector.checkpoint.save_file", full)
    code, _, err = dgsf("calibrate", holiday)
    assert code == 2 and "cannot write" in err and "No space left" in err
    assert not mine("tiny-holiday").exists()


def test_a_backbone_beside_the_original_goes_along(
    dgsf, holiday, tiny_detector, tiny_backbone, tmp_path, monkeypatch
):
    monkeypatch.delenv("DGSF_BACKBONE_WEIGHTS")
    name = file_name(sha256_of(tiny_backbone))
    shutil.copy(tiny_backbone, tiny_detector.parent / name)
    assert dgsf("calibrate", holiday)[0] == 0
    assert sorted(everything(folders.user_folder())) == [
        name,
        "tiny-holiday.md",
        "tiny-holiday.safetensors",
    ]
    assert dgsf("scan", holiday / "00.png", "--model", "tiny-holiday", "--exit-zero")[0] == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert dgsf("calibrate", holiday, "--out", elsewhere / "x.safetensors")[0] == 0
    assert sorted(everything(elsewhere)) == ["x.md", "x.safetensors"]  # the user's folder has it


def test_a_settings_file_does_not_choose_what_is_written(dgsf, holiday, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key in ("name", "out", "force"):
        Path("dgsf.toml").write_text(f'[calibrate]\n{key} = "x"\n')
        code, _, err = dgsf("calibrate", holiday)
        assert code == 2 and f"no option '{key}'" in err
    Path("dgsf.toml").write_text("[calibrate]\nfpr = [0.01]\n")
    assert "1% cannot be promised" in dgsf("calibrate", holiday)[2]
