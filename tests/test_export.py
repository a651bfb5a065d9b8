import dataclasses
import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny_clip
from conftest import photo
from dgsforensics.datasets.labelled import Sample
from dgsforensics.detector import card, checkpoint, platt
from dgsforensics.detector.backbone import load_backbone
from dgsforensics.detector.calibration import Calibration
from dgsforensics.detector.config import LoraConfig
from dgsforensics.detector.detector import Detector
from dgsforensics.detector.model import DetectorModel
from dgsforensics.records import Label
from dgsforensics.trainer import export, plan
from dgsforensics.trainer.candidates import Candidate, Kind, Standing, TrainingChoice
from dgsforensics.trainer.config import TrainConfig
from dgsforensics.trainer.data import Dataset
from dgsforensics.trainer.distributed import Group
from dgsforensics.trainer.gate import Comparison, GateCandidate, compare
from dgsforensics.trainer.plan import TrainPlan
from dgsforensics.trainer.runfolder import RunFolder
from dgsforensics.trainer.stages import Context
from dgsforensics.trainer.teaching import Taught
from dgsforensics.trainer.validation import labels_of

SPLIT = "Held out: 30 of 150 real images, source web."
NOTE = "Left out 2 images that cannot be read: a.png and b.png."


def sample(number: int, generator: str | None, source: str) -> Sample:
    label = Label.GENERATED if generator else Label.REAL
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Sample(Path(str(number)), label, generator, source, sha256, sha256, "photo")


def dataset(generators: tuple[str, ...] = ("sd", "gan")) -> Dataset:
    made = [sample(i, None, "camera" if i < 90 else "web") for i in range(120)]
    made += [
        sample(1000 * k + i, name, "lab") for k, name in enumerate(generators, 1) for i in range(40)
    ]
    held = [s for i, s in enumerate(made) if i % 4 == 0]
    train = [s for i, s in enumerate(made) if i % 4]
    return Dataset(train, held, SPLIT, [NOTE], "d1635" * 12 + "abcd")


def compared(data: Dataset, gain: float = 1.0) -> Comparison:
    noise = np.random.default_rng(0).normal(size=len(data.validation))
    fake = labels_of(data.validation)
    return compare(
        GateCandidate("the base detector tiny", noise + 2 * fake),
        GateCandidate("the new detector mine", noise + (2 + gain) * fake),
        data.validation,
        0.02,
    )


@pytest.fixture
def made(tiny_detector, tiny_backbone, tmp_path):
    """Write a detector as a run does."""

    def write(
        name: str = "mine",
        method: str = "dgs",
        data: Dataset | None = None,
        comparison: Comparison | None = None,
        fitted: Calibration | None = None,
        base: str | None = None,
    ) -> Path:
        options = {"base": base or str(tiny_detector)}
        if base == "none":
            options["backbone"] = f"{tiny_clip.NAME}:file"
        config = TrainConfig(method=method, lora=LoraConfig(rank=2), epochs=7, **options)
        data = data or dataset()
        place = RunFolder(tmp_path / f"{name}.safetensors")
        planned = plan.make(config, place.out.stem, tiny_backbone)
        device = torch.device("cpu")
        context = Context(
            config, planned, place, tmp_path / "cache", device, Group(), 1, lambda *told: None
        )
        choice = chosen(planned, method, comparison or compared(data))
        teacher = candidate(planned, "teacher")
        none = np.zeros((0, 16), dtype=np.float32)
        taught = Taught(teacher, None, data.validation, None, none, none, [])
        facts = export.facts(context, data, taught, choice, ["A remark."])
        out = place.out if choice.best is choice.new else place.rejected
        return export.write(out, choice.new, fitted or tiny_clip.calibration(), facts, context)

    return write


def chosen(planned: TrainPlan, method: str, comparison: Comparison) -> TrainingChoice:
    """What was returned: the one of the method, unless it lost; beside it the base."""
    new = candidate(planned, "teacher" if method == "probe" else "student")
    base = candidate(planned, "base")
    standings = [
        Standing("base", base.name, 0.7, 0.8123456, 40),
        Standing(new.kind, new.name, 0.9, None, 30),
    ]
    return TrainingChoice(base if comparison.losses else new, new, comparison, standings)


def candidate(planned: TrainPlan, kind: Kind) -> Candidate:
    """What a run might have learnt."""
    torch.manual_seed(3)
    config = planned.student if kind == "student" else planned.frozen
    model = DetectorModel(config, load_backbone(config.backbone, planned.backbone_file))
    tensors = {
        name: torch.randn_like(value) * 0.3
        for name, value in checkpoint.trained_state(model).items()
    }
    return Candidate(
        kind, f"the {kind} of it", {}, planned.called(kind, config), tensors, "Made so."
    )


def table(text: str, title: str) -> list[dict[str, str]]:
    """Rows of the first Markdown table under a heading."""
    part = text.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert all(len(row) == len(cells[0]) for row in cells)
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_file_card_and_options_lie_side_by_side(made, tmp_path) -> None:
    out = made()
    assert out == tmp_path / "mine.safetensors"
    beside = {p.name for p in tmp_path.iterdir() if p.name.startswith("mine")}
    assert beside == {"mine.safetensors", "mine.md", "mine.toml"}
    config = TrainConfig.from_dict(tomllib.loads(out.with_suffix(".toml").read_text()))
    assert config.epochs == 7 and config.lora == LoraConfig(rank=2)


@pytest.mark.parametrize("name", ["my.v2", "mine.rejected", "été"])
def test_dots_and_letters_of_the_name_are_kept(name, made, tmp_path) -> None:
    out = made(name)
    assert (tmp_path / f"{name}.md").is_file() and (tmp_path / f"{name}.toml").is_file()
    assert checkpoint.read(out).config.name == f"{name} (student)"
    assert f"# {name} (student)\n" in (tmp_path / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["dgs", "lora", "probe"])
@pytest.mark.parametrize("base", [None, "none"])
def test_it_loads_as_a_detector_that_scores(method, base, made, tiny_backbone) -> None:
    out = made(method=method, base=base)
    detector = Detector.load(out, "cpu", tiny_backbone)
    kind = "teacher" if method == "probe" else "student"
    name = "mine" if base == "none" else f"mine ({kind})"
    assert detector.config.name == name
    assert (detector.config.lora is None) == (method == "probe")
    assert detector.calibration == tiny_clip.calibration()
    found = detector.score(photo(300, 260))
    assert np.isfinite(found.logit) and found.model == name
    assert found.model_sha256 == checkpoint.read(out).sha256


def test_the_card_beside_it_is_that_in_the_file(made) -> None:
    out = made()
    stored = checkpoint.read(out)
    assert out.with_suffix(".md").read_text(encoding="utf-8") == card.render(stored)
    assert tomllib.loads(stored.card.options or "") == tomllib.loads(
        out.with_suffix(".toml").read_text()
    )


def test_the_card_says_how_it_was_made(made, tiny_detector) -> None:
    out = made()
    text = out.with_suffix(".md").read_text(encoding="utf-8")
    stored = checkpoint.read(out)
    assert checkpoint.read(tiny_detector).sha256 in text
    assert stored.config.backbone.sha256 in text
    assert "gradient surgery of DGS-Net" in text
    assert "`dgsf train DATA --config mine.toml` with dgsforensics " in text
    assert f"torch {torch.__version__.split('+')[0]}" in text
    assert "A score is a signal, not proof" in text
    assert "REJECTED" not in text


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("lora", "without gradient surgery"),
        ("probe", "It is the teacher, a linear head on the frozen image tower, the best of"),
    ],
)
def test_the_card_says_what_was_trained(method, words, made) -> None:
    text = made(method=method).with_suffix(".md").read_text(encoding="utf-8")
    assert words in text and "under the gradient surgery" not in text


def test_from_scratch_the_card_names_no_base(made) -> None:
    text = made(base="none").with_suffix(".md").read_text(encoding="utf-8")
    assert "starting from the pre-trained tower" in text and "'none'" not in text


def test_the_card_says_what_the_data_were(made) -> None:
    data = dataset()
    text = made(data=data).with_suffix(".md").read_text(encoding="utf-8")
    assert data.digest in text and SPLIT in text and NOTE in text
    assert f"{len(data.train)} images for training, {len(data.validation)} held out" in text
    training, held = table(text, "What it was trained on")
    for found, part in ((training, data.train), (held, data.validation)):
        real = [s for s in part if s.label == Label.REAL]
        assert found["real"] == str(len(real))
        assert found["real sources"] == "2"
        assert found["generated"] == str(len(part) - len(real))
        assert found["generators"] == "2"


def test_figures_are_those_of_the_comparison(made) -> None:
    data = dataset()
    comparison = compared(data)
    text = made(data=data, comparison=comparison).with_suffix(".md").read_text(encoding="utf-8")
    rows = table(text, "Before and after")
    assert [row[""] for row in rows] == [row.name for row in comparison.rows]
    assert len(rows) == 5
    for found, row in zip(rows, comparison.rows, strict=True):
        assert found["real"] == str(row.after.real)
        assert found["generated"] == str(row.after.generated)
        for name in ("auroc", "r_acc", "f_acc"):
            for when, metrics in (("before", row.before), ("after", row.after)):
                value = getattr(metrics, name)
                shown = found[f"{name} {when}"]
                assert shown == "-" if value is None else float(shown) == round(value, 3)
    assert rows[0]["auroc before"] < rows[0]["auroc after"]
    assert "Before: the base detector tiny. After: the new detector mine." in text


def test_what_it_was_chosen_from_is_shown(made) -> None:
    text = made().with_suffix(".md").read_text("utf-8")
    assert "It is the student" in text and "the best of base and student." in text
    assert "A remark." in text and "Made so." in text
    assert table(text, "What it was chosen from") == [
        {
            "": f"the {kind} of it",
            "own images": images,
            "AUROC on them": own,
            "AUROC on what the base knew": known,
        }
        for kind, images, own, known in (
            ("base", "40", "0.7", "0.812"),
            ("student", "30", "0.9", "-"),
        )
    ]


def test_a_rejected_detector_says_so_and_why(made) -> None:
    data = dataset()
    comparison = compared(data, gain=-1.5)
    assert comparison.losses
    out = made(comparison=comparison)
    assert out.name == "mine.rejected.safetensors" and out.with_suffix(".toml").is_file()
    text = out.with_suffix(".md").read_text("utf-8")
    assert "REJECTED: the base detector is better. This is the student" in text
    for loss in comparison.losses:
        assert f"- REJECTED: {loss}.\n" in text
    assert "--config mine.rejected.toml" in text


def test_thresholds_are_those_that_were_fitted(made) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    fitted = platt.fit(rng.normal(size=120) + 3 * labels, labels, "60 photographs held out")
    out = made(fitted=fitted)
    text = out.with_suffix(".md").read_text(encoding="utf-8")
    assert f"logit {fitted.thresholds().upper:.3f}" in text and "60 photographs held out" in text
    assert checkpoint.read(out).calibration == fitted


def test_without_a_calibration_no_rate_is_promised(made) -> None:
    text = made(fitted=Calibration.none()).with_suffix(".md").read_text(encoding="utf-8")
    assert "not calibrated, so its false-positive rate is unknown" in text


@pytest.mark.parametrize(
    "name", ["caf\udce9", "a\x1b[31m", "new\nline", "写真", "<b>", "x" * 300, "*_`"]
)
def test_odd_names_of_generators_do_not_cost_the_card(name, made, tiny_backbone) -> None:
    """They come from the names of folders, and training is over when the card is written."""
    data = dataset((name, "sd"))
    out = made(data=data)
    content = out.with_suffix(".md").read_bytes()
    rows = table(content.decode("utf-8"), "Before and after")
    assert len(rows) == 5
    assert b"\x1b" not in content
    assert out.with_suffix(".toml").is_file()
    assert Detector.load(out, "cpu", tiny_backbone).config.name == "mine (student)"


def test_an_earlier_result_is_replaced_whole(made) -> None:
    out = made()
    before = [out.with_suffix(s).read_bytes() for s in (".safetensors", ".md", ".toml")]
    data = dataclasses.replace(dataset(), notes=["Another note."])
    assert made(data=data) == out
    after = [out.with_suffix(s).read_bytes() for s in (".safetensors", ".md", ".toml")]
    assert before[0] != after[0] and b"Another note." in after[1] and before[2] == after[2]
