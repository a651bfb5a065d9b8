import csv
import io
import json
from dataclasses import asdict, replace

import pytest
from rich.console import Console

from dgsforensics.choices import SliceBy
from dgsforensics.evaluation import output
from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.evaluation.output import (
    Curves,
    DetectorThreshold,
    Difference,
    Evaluation,
    FigureRow,
    Subject,
)
from dgsforensics.records import UnreadFile

HALF = Estimate(0.5, 0.25, 0.751)
BARE = Estimate(0.0625, None, None)
NASTY = '=<b>"&\x1b[31m\udce9\n'


def evaluation(detectors: int = 2, name: str = "sdxl", unread: int = 1) -> Evaluation:
    """A made-up one: two tiers, two slices of which one lacks a class."""
    names = [f"{name}-{i}" for i in range(detectors)]
    verdicts = ("acc", "r_acc", "f_acc", "inconclusive")
    full = dict.fromkeys(
        ("acc", "r_acc", "f_acc", "ap", "auroc", "tpr_at_0.001", "ece", "brier"), HALF
    ) | {"ece": BARE}
    full |= {"inconclusive": HALF} | {f"{verdict}_at_0.001": HALF for verdict in verdicts}
    lacking = full | {"auroc": None, "tpr_at_0.001": None}
    rows = [
        FigureRow(detector, tier, part, real_of, real, 7, dict(figures))
        for detector in names
        for tier in ("clean", "hard")
        for part, real_of, real, figures in (
            ("all", "slice", 5, full),
            (name, "source", 0, lacking),
        )
    ]
    return Evaluation(
        tool_version="9.9",
        pillow_version="13",
        data=f"/data/{name}",
        by=SliceBy.GENERATOR,
        tiers=("clean", "hard"),
        seed=0,
        resamples=1000,
        bins=15,
        listed=13,
        used=12,
        copies=1,
        notes=("3 images left out: for training.",),
        unread=tuple(UnreadFile(f"{name}/{i}.jpg", f"empty file {name}") for i in range(unread)),
        detectors=tuple(
            Subject(
                detector,
                f"{i}" * 64,
                "v1-whole",
                f"photographs of {name}",
                (
                    DetectorThreshold(None, 0.9, 0.5, f"default {name}"),
                    DetectorThreshold(0.001, 0.99, 0.5, "chosen"),
                ),
            )
            for i, detector in enumerate(names)
        ),
        rows=tuple(rows),
        differences=tuple(
            Difference(names[1], names[0], tier, "all", 5, 7, Estimate(-0.1, -0.2, 0.1), 0.25)
            for tier in ("clean", "hard")
            if detectors > 1
        ),
        curves=tuple(
            Curves(detector, "clean", [(0, 0), (0.5, 0.75), (1, 1)], [(0.25, 0.125, 4)])
            for detector in names
        ),
    )


@pytest.mark.parametrize("name", ["sdxl", NASTY])
def test_json_holds_everything(name: str) -> None:
    found = evaluation(name=name)
    text = output.as_json(found)
    assert text.replace("\n", "").isprintable()
    document = json.loads(text)
    expected = json.loads(json.dumps(asdict(found)))
    assert document == {"schema": output.SCHEMA} | expected
    assert document["rows"][1]["figures"]["auroc"] is None
    assert document["rows"][0]["figures"]["ece"] == {"value": 0.0625, "low": None, "high": None}


def test_json_of_nothing_unread() -> None:
    assert json.loads(output.as_json(evaluation(unread=0)))["unread"] == []


def test_csv_has_a_line_for_each_row() -> None:
    found = evaluation()
    table = list(csv.DictReader(io.StringIO(output.as_csv(found))))
    assert len(table) == len(found.rows)
    for line, row in zip(table, found.rows, strict=True):
        assert (line["detector"], line["tier"], line["slice"]) == (
            row.detector,
            row.tier,
            row.slice,
        )
        assert float(line["acc_high"]) == 0.751
        assert (line["ece"], line["ece_low"], line["ece_high"]) == ("0.0625", "", "")
    lacking = table[1]
    assert lacking["auroc"] == lacking["auroc_low"] == lacking["auroc_high"] == ""
    assert (table[0]["model_sha256"], table[-1]["model_sha256"]) == ("0" * 64, "1" * 64)
    assert (table[0]["threshold"], table[0]["threshold_origin"]) == ("0.9", "default sdxl")
    assert (table[0]["seed"], table[0]["tool_version"]) == ("0", "9.9")


def test_csv_is_safe_for_spreadsheets_and_terminals() -> None:
    text = output.as_csv(evaluation(name=NASTY))
    assert text.replace("\n", "").isprintable()
    for line in csv.DictReader(io.StringIO(text)):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in line.values())


def shown(found: Evaluation, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False)
    for table in output.tables(found):
        console.print(table)
    return console.file.getvalue()


def test_the_table_for_people() -> None:
    text = shown(evaluation())
    assert text.count("sdxl-0, clean: verdicts  ") == text.count("sdxl-0, clean: scores") == 1
    assert text.count("verdicts at the threshold for 0.1 %") == 4
    assert text.count("* against the real images of its own sources") == 12
    assert text.count("sdxl*") == 12  # against its own sources
    assert "0.25-0.75" in text
    assert "0.062" in text
    assert "None" not in text
    assert "TPR 0.1%" in text
    assert "-0.200 to +0.100" in text
    assert "\N{EN DASH}" in text
    assert "AUROC less that of" not in shown(evaluation(detectors=1))


def test_the_table_is_safe_for_a_terminal_and_fits_it() -> None:
    text = shown(evaluation(name=NASTY), width=80)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "[bold]" in shown(
        replace(
            evaluation(), rows=tuple(replace(row, slice="[bold]x") for row in evaluation().rows)
        )
    )


def test_a_figure_without_an_interval_shows_none() -> None:
    assert (output.number(BARE), output.interval(BARE)) == ("0.062", "")
    assert output.interval(HALF) == "0.25-0.75"


@pytest.mark.parametrize(
    ("name", "head"),
    [("auroc", "AUROC"), ("tpr_at_0.01", "TPR 1%"), ("inconclusive_at_0.0005", "inconcl. 0.05%")],
)
def test_names_of_figures(name: str, head: str) -> None:
    assert output.head_of(name) == head
