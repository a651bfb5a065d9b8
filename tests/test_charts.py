import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from dgsforensics.evaluation import charts
from dgsforensics.evaluation.bootstrap import Estimate
from dgsforensics.evaluation.charts import ChartBar, ChartLine

shares = st.floats(0, 1)
points = st.lists(st.tuples(shares, shares), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.text(), points), max_size=6), st.text())
def test_lines_stay_inside_and_names_are_text(series, title: str) -> None:
    lines = [ChartLine(name, at, [name] * len(at)) for name, at in series]
    drawing = ET.fromstring(charts.square("i", title, title, "y", lines))
    width, height = float(drawing.get("width")), float(drawing.get("height"))
    paths = [e.get("d") for e in drawing.iter("path") if e.get("class") == "line"]
    assert len(paths) == len(lines)
    for path, (_, at) in zip(paths, series, strict=True):
        places = [tuple(map(float, p.split())) for p in path[1:].split("L")]
        assert len(places) == len(at)
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
    marks = [e for e in drawing.iter() if e.get("class") == "mark"]
    assert len(marks) == sum(len(at) for _, at in series)
    assert all(mark.find("title") is not None for mark in marks)


def test_up_is_up() -> None:
    drawing = charts.square("i", "t", "x", "y", [ChartLine("a", [(0, 0), (1, 1)])])
    (x0, y0), (x1, y1) = [
        tuple(map(float, p.split()))
        for p in re.search(r'"line" d="M([^"]*)"', drawing)[1].split("L")
    ]
    assert x1 > x0
    assert y1 < y0


def test_bars_are_as_long_as_their_values() -> None:
    drawn = charts.bars(
        "i",
        "t",
        "AUROC",
        [
            ChartBar("g", 0, "a", Estimate(0.5, 0.4, 0.6)),
            ChartBar("g", 1, "b", Estimate(1, 0.9, 1)),
            ChartBar("x" * 50, 0, "a", None),
        ],
    )
    root = ET.fromstring(drawn)
    lengths = [float(e.get("width")) for e in root.iter("rect")]
    assert lengths[1] == 2 * lengths[0]
    titles = [e.text for e in root.iter("title")]
    assert "g, b: 1.000 (0.90 to 1.00)" in titles
    assert any(t.startswith("x" * 50) for t in titles)
    texts = [e.text for e in root.iter("text")]
    assert texts.count("g") == 1
    assert "0.500 (0.40 to 0.60)" in texts
    assert max(len(t) for t in texts) < 50


def test_series_can_be_told_apart_without_colour() -> None:
    text = charts.legend(["a", "<b>", "c", "d"])
    root = ET.fromstring(text)
    shapes = [re.sub(r"\d+", "", ET.tostring(e.find("svg")[1]).decode()) for e in root]
    assert len(set(shapes)) == 4
    assert ["".join(item.itertext()).strip() for item in root] == ["a", "<b>", "c", "d"]
    assert charts.legend(["alone"]) == ""
