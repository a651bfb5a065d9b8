import dataclasses
import math
import os
import random
import threading
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import tiny_clip
from conftest import photo
from dgsforensics import Detector
from dgsforensics.detector.calibration import Thresholds
from dgsforensics.detector.config import LoraConfig
from dgsforensics.detector.devices import is_out_of_memory, pick_device
from dgsforensics.errors import DeviceError, UnreadableError
from dgsforensics.files import content
from dgsforensics.files.content import Limits
from dgsforensics.files.walk import find_files
from dgsforensics.pictures import patches
from dgsforensics.records import EarlierScore, Failure, FileFacts, Prediction, Status
from rendered import gallery


@pytest.fixture
def detector(tiny_detector, tiny_backbone):
    return Detector.load(tiny_detector, "cpu", tiny_backbone)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(11):
        photo(260, 240 + seed, seed).save(folder / f"{seed:02}.png")
    return folder


def logits(detector, paths, **options):
    return {r.path.name: r.logit for r in detector.scan(paths, **options)}


def test_same_bytes_same_logit_whatever_stands_beside(detector, folder):
    reference = logits(detector, [folder], batch=4)
    shuffled = sorted(folder.iterdir())
    random.Random(3).shuffle(shuffled)
    assert logits(detector, shuffled, batch=4) == reference
    assert logits(detector, [folder], batch=4, workers=3) == reference
    one = folder / "05.png"
    assert logits(detector, [one], batch=4) == {"05.png": reference["05.png"]}


def test_an_altered_picture_is_scored_in_place_of_the_file(detector, folder):
    reference = logits(detector, [folder])
    seen = []

    def mirrored(picture):
        seen.append(picture.facts)
        return dataclasses.replace(picture, pixels=picture.pixels[:, ::-1].copy())

    found = list(find_files([folder]))
    rows = [row for rows in detector.scan_batches(found, alter=mirrored) for row in rows]
    for row in rows:
        mirror = Image.open(row.path).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert row.logit == pytest.approx(detector.score(mirror).logit, abs=1e-4)
        assert row.logit != reference[row.path.name]
    assert sorted(f.sha256 for f in seen) == sorted(row.facts.sha256 for row in rows)


def test_other_batch_sizes_differ_by_rounding_only(detector, folder):
    reference = logits(detector, [folder], batch=4)
    for batch in (1, 3, 8):
        other = logits(detector, [folder], batch=batch)
        assert other == pytest.approx(reference, abs=1e-4)


def test_order_is_that_of_the_files_and_failures_stand_between(detector, folder):
    (folder / "03.png").write_bytes(b"")
    (folder / "07.png").write_bytes((folder / "08.png").read_bytes()[:500])
    rows = list(detector.scan([folder], batch=4))
    assert [row.path.name for row in rows] == [f"{n:02}.png" for n in range(11)]
    failed = {row.path.name: row for row in rows if isinstance(row, Failure)}
    assert failed.keys() == {"03.png", "07.png"}
    assert failed["07.png"].facts.sha256
    assert failed["07.png"].status is Status.UNREADABLE


def test_known_content_is_not_run_through_the_model(detector, folder, monkeypatch):
    first = {r.facts.sha256: r for r in detector.scan([folder], batch=4)}

    def known(sha256):
        row = first[sha256]
        return EarlierScore(row.facts, row.logit, row.reason)

    def never(*_):
        raise AssertionError("the model ran")

    monkeypatch.setattr(detector, "logits", never)
    found = list(find_files([folder]))
    rows = [row for rows in detector.scan_batches(found, known=known) for row in rows]
    assert [r.logit for r in rows] == [r.logit for r in first.values()]
    assert all(row.cached for row in rows)


def test_a_file_that_takes_too_long_is_a_row(detector, folder, monkeypatch):
    stuck = threading.Event()
    read = content.read

    def slow(path, limits):
        if path.name == "02.png":
            stuck.wait(30)
        return read(path, limits)

    monkeypatch.setattr(content, "read", slow)
    rows = list(detector.scan([folder], workers=1, limits=Limits(max_seconds=1.0)))
    stuck.set()
    assert len(rows) == 11
    assert [r.path.name for r in rows if isinstance(r, Failure)] == ["02.png"]
    assert "longer than 1 s" in rows[2].reason


def test_an_out_of_memory_batch_is_halved(detector, folder, monkeypatch, caplog):
    reference = logits(detector, [folder], batch=2)
    sizes = []
    forward = detector.forward.model.forward

    def small(pixels):
        sizes.append(len(pixels))
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("made up")
        return forward(pixels)

    monkeypatch.setattr(detector.forward.model, "forward", small)
    assert logits(detector, [folder], batch=8) == reference
    assert sizes[:3] == [8, 4, 2]
    assert set(sizes[3:]) == {2}
    assert "batches of 2" in caplog.text


def test_what_a_cpu_says_when_memory_runs_out_is_understood():
    for fail in (lambda: torch.empty(10**15), lambda: np.empty(10**15)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            fail()
        assert is_out_of_memory(caught.value)


def test_a_defect_in_one_file_does_not_stop_the_others(detector, folder, monkeypatch):
    select = patches.select
    calls = iter([MemoryError(), ZeroDivisionError("made up")])

    def broken(pixels):
        if error := next(calls, None):
            raise error
        return select(pixels)

    monkeypatch.setattr(patches, "select", broken)
    rows = list(detector.scan(folder, workers=1))
    assert [row.reason for row in rows[:2]] == [
        "not enough memory",
        "internal error: ZeroDivisionError('made up')",
    ]
    assert all(isinstance(row, Prediction) for row in rows[2:])


def test_other_errors_of_the_model_are_not_taken_for_memory(detector, folder, monkeypatch):
    def broken(pixels):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(detector.forward.model, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        list(detector.scan([folder]))


def test_a_score_that_is_no_number_is_a_failure(detector, folder):
    torch.nn.init.constant_(detector.forward.model.head.bias, torch.nan)
    rows = list(detector.scan([folder]))
    assert {row.reason for row in rows} == {"the model gave no finite score"}
    with pytest.raises(UnreadableError, match="no finite score"):
        detector.score(folder / "01.png")


def test_score_takes_paths_and_open_images(detector, folder):
    path = folder / "01.png"
    row = detector.score(path)
    assert isinstance(row, Prediction)
    assert row.facts.format == "PNG"
    opened = detector.score(Image.open(path))
    assert opened.logit == row.logit
    assert opened.facts.sha256 is None
    with pytest.raises(UnreadableError):
        detector.score(folder / "gone.png")


def test_small_pictures_say_so(detector):
    assert detector.score(photo(240, 240)).reason is None
    assert "1 of 49 patches distinct" in detector.score(Image.new("RGB", (1, 1))).reason


@pytest.mark.parametrize("view", ["patches", "whole"])
def test_what_is_out_of_domain_is_never_flagged(tiny_backbone, tmp_path, view):
    file = tiny_clip.write_detector(tmp_path, tiny_backbone, tiny_clip.config(view=view))
    detector = Detector.load(file, "cpu", tiny_backbone)
    for cut, out in ((-math.inf, "inconclusive"), (math.inf, "not flagged")):
        detector.thresholds = Thresholds(cut, cut, "made up")
        plain = detector.score(photo(300, 300))
        assert (plain.domain, plain.verdict == "flagged") == (None, cut < 0)
        page = detector.score(gallery()["page"])
        assert (page.domain, page.verdict) == ("a document or drawing", out)
        assert page.reason == "out of domain: a document or drawing"


def test_out_of_domain_comes_first_and_with_other_notes(detector):
    row = detector.score(Image.new("RGBA", (40, 20), (9, 9, 9, 99)))
    assert row.domain == "too small to judge"
    assert row.reason == (
        "out of domain: too small to judge; transparency laid over white; "
        "small picture: 9 of 49 patches distinct"
    )


def test_a_known_score_keeps_its_domain(detector, folder, monkeypatch):
    gallery()["page"].save(folder / "page.png")
    detector.thresholds = Thresholds(-math.inf, -math.inf, "made up")
    first = {row.facts.sha256: row for row in detector.scan([folder])}

    def known(sha256):
        row = first[sha256]
        return EarlierScore(row.facts, row.logit, row.reason, row.domain)

    rows = [r for rows in detector.scan_batches(find_files([folder]), known=known) for r in rows]
    page = rows.pop()
    assert (page.path.name, page.cached, page.verdict) == ("page.png", True, "inconclusive")
    assert page.domain == "a document or drawing"
    assert page.reason == "out of domain: a document or drawing"
    assert {(row.domain, row.verdict) for row in rows} == {(None, "flagged")}


def test_an_altered_picture_has_a_domain_of_its_own(detector, folder):
    def blank(picture):
        return dataclasses.replace(picture, pixels=np.full_like(picture.pixels, 200))

    rows = [r for rows in detector.scan_batches(find_files([folder]), alter=blank) for r in rows]
    assert {row.domain for row in rows} == {"a single colour"}


def test_verdict_follows_the_thresholds(detector, folder):
    row = detector.score(folder / "01.png")
    for fpr in (0.01, 0.5, 0.9):
        detector.thresholds = detector.calibration.thresholds(fpr=fpr)
        other = detector.score(folder / "01.png")
        assert other.logit == row.logit
        assert (other.probability >= other.threshold) == (other.verdict == "flagged")


@pytest.mark.parametrize("view", ["patches", "whole"])
@pytest.mark.parametrize("blocks", [(), (0,), (0, 1)])
def test_every_configuration_loads_and_scores(tiny_backbone, tmp_path, view, blocks):
    config = tiny_clip.config(LoraConfig(rank=2), blocks, view)
    file = tiny_clip.write_detector(tmp_path, tiny_backbone, config)
    detector = Detector.load(file, "cpu", tiny_backbone)
    a, b = detector.score(photo(300, 300, 1)), detector.score(photo(300, 300, 2))
    assert np.isfinite(a.logit)
    assert a.logit != b.logit


def test_the_head_reads_the_class_token_of_the_block(tiny_backbone, tmp_path):
    config = tiny_clip.config(blocks=(0, 1))
    file = tiny_clip.write_detector(tmp_path, tiny_backbone, config)
    model = Detector.load(file, "cpu", tiny_backbone).forward.model
    seen = []
    for block in model.tower.transformer.resblocks:
        block.register_forward_hook(lambda _, __, out: seen.append(out[:, 0]))
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    model.tower(model.normalise(pixels))
    expected = torch.cat(seen, dim=1)
    assert torch.allclose(model.features(pixels), expected, atol=1e-6)


def test_devices():
    assert pick_device("cpu").type == "cpu"
    for name in ("cuda:99", "meta", "nonsense"):
        with pytest.raises(DeviceError):
            pick_device(name)


def test_open_files_and_threads_do_not_pile_up(detector, folder):
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        list(detector.scan([folder]))
        before = open_files()
        for _ in range(3):
            list(detector.scan([folder]))
    assert open_files() <= before


def test_facts_of_an_open_image_are_its_size(detector):
    facts = detector.score(photo(300, 200)).facts
    assert facts == FileFacts(width=300, height=200, format=facts.format, frames=facts.frames)
