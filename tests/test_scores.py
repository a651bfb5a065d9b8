import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dgsforensics.errors import UsageError
from dgsforensics.evaluation import scores
from dgsforensics.records import EarlierScore, FileFacts, Prediction, Verdict

A, B = "a" * 64, "b" * 64


def prediction(sha256: str, logit: float, note: str | None = None) -> Prediction:
    facts = FileFacts(sha256, 123, "JPEG", 40, 30, 1)
    return Prediction(
        Path("x"), facts, float(logit), 0.5, Verdict.FLAGGED, 0.5, "m", "model", False, note
    )


def keep(file: Path, *rows: Prediction, tier: str = "clean") -> None:
    with scores.opened(file) as kept:
        kept.record(rows, tier, "v1")


def test_a_score_comes_back_under_its_own_key_only(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "scores.jsonl"
    row = prediction(A, -0.1 + 0.2 + 1e-17, "first of 2 frames\n\udce9")
    keep(file, row, prediction(B, 2))
    with scores.opened(file) as kept:
        assert kept.known("clean", "model", "v1")(A) == EarlierScore(
            row.facts, row.logit, row.reason
        )
        for key in (("web", "model", "v1"), ("clean", "other", "v1"), ("clean", "model", "v2")):
            assert kept.known(*key)(A) is None
        assert kept.known("clean", "model", "v1")("c" * 64) is None


def test_the_domain_is_kept_and_lines_of_before_have_none(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    keep(file, replace(prediction(A, 1), domain="noise or a pattern"), prediction(B, 2))
    with scores.opened(file) as kept:
        known = kept.known("clean", "model", "v1")
        assert [known(sha256).domain for sha256 in (A, B)] == ["noise or a pattern", None]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        del line["domain"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with scores.opened(file) as kept:
        assert [kept.known("clean", "model", "v1")(s).logit for s in (A, B)] == [1, 2]


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    keep(file, prediction(A, 1), prediction(A, 1))
    keep(file, prediction(A, 1), prediction(B, 1))
    keep(file, prediction(A, 1), tier="web")
    assert len(file.read_bytes().splitlines()) == 3


def test_scores_are_there_before_the_file_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    with scores.opened(file) as kept:
        kept.record([prediction(A, 1)], "clean", "v1")
        assert json.loads(file.read_bytes())["logit"] == 1


def test_any_cut_off_end_is_dropped_and_the_rest_is_used(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    keep(file, prediction(A, 1), prediction(B, 2))
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for end in (first + 1, first + 15, len(whole) - 1):
        file.write_bytes(whole[:end])
        with scores.opened(file) as kept:
            known = kept.known("clean", "model", "v1")
            assert known(A) is not None
            assert known(B) is None
            kept.record([prediction(B, 2)], "clean", "v1")
        assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [
        b"Minutes of the meeting",
        b"Minutes\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"sha256": "x"}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "scores.jsonl"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="scores"), scores.opened(file):
        pass
    assert file.read_bytes() == content


@pytest.mark.parametrize("logit", ['"1"', "null", "NaN", "1e999", "true"])
def test_a_score_that_is_no_number_is_refused(tmp_path: Path, logit: str) -> None:
    file = tmp_path / "scores.jsonl"
    keep(file, prediction(A, 1.5), prediction(B, 1.5))
    file.write_text(file.read_text().replace('"logit": 1.5', f'"logit": {logit}'))
    with pytest.raises(UsageError, match="line 1: not a score"), scores.opened(file):
        pass


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file" / "scores.jsonl", tmp_path, Path("nul\0")):
        with pytest.raises(UsageError, match="cannot keep scores"), scores.opened(place):
            pass


def test_each_set_has_a_file_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = scores.default_path(Path("Set one"))
    assert first == scores.default_path(tmp_path / "Set one")
    digest = hashlib.sha256(bytes(tmp_path / "Set one")).hexdigest()[:12]
    assert first.name == f"set-one-{digest}.jsonl"
    root = hashlib.sha256(b"/").hexdigest()[:12]
    assert scores.default_path(Path("/")).name == f"data-{root}.jsonl"
    assert first != scores.default_path(tmp_path / "x" / "Set one")
    assert scores.default_path(Path(os.fsdecode(b"/\xe9"))).suffix == ".jsonl"
