import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from test_evaluation_output import NASTY, evaluation

from dgsforensics.evaluation import page
from dgsforensics.evaluation.output import Evaluation


def parsed(found: Evaluation) -> ET.Element:
    return ET.fromstring(page.render(found).removeprefix("<!DOCTYPE html>\n"))


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


@pytest.mark.parametrize("name", ["sdxl", NASTY, "</title><script>alert(1)</script>", "a" * 300])
def test_any_name_is_text_and_the_page_is_xml(name: str) -> None:
    found = evaluation(name=name)
    text = page.render(found)
    text.encode("utf-8")
    assert "<script" not in text
    assert "\x1b" not in text
    tags = {element.tag for element in parsed(found).iter()}
    assert tags == {element.tag for element in parsed(evaluation()).iter()}


def test_it_is_html_whose_elements_are_closed() -> None:
    open_tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

        def handle_startendtag(self, tag, attrs):
            pass

    Parser().feed(page.render(evaluation()))
    assert open_tags == []


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = page.render(evaluation())
    assert not re.search(r"https?:|//|url\(|@import|\bon\w+=|javascript:", text)
    assert not re.search(r"<(img|script|link|iframe|object)\b", text)
    assert "default-src 'none'" in text


def test_light_and_dark() -> None:
    assert "prefers-color-scheme: dark" in page.render(evaluation())
    colours = re.findall(r"--\w+: (#\w+)", page.render(evaluation()))
    assert len(colours) == 16  # every one of 8 twice


def test_drawings_have_titles_and_identities_are_unique() -> None:
    page = parsed(evaluation())
    identities = [e.get("id") for e in page.iter() if e.get("id")]
    assert len(identities) == len(set(identities))
    drawings = [e for e in page.iter("svg") if e.get("aria-hidden") is None]
    assert len(drawings) == 4  # curves of one tier, bars of both
    for drawing in drawings:
        assert drawing.get("role") == "img"
        for identity in drawing.get("aria-labelledby", "").split():
            assert identity in identities


def test_everything_that_has_to_be_stated_is_there() -> None:
    text = words(parsed(evaluation()))
    for fact in (
        *("dgsforensics 9.9", "0" * 64, "1" * 64, "v1-whole", "default sdxl", "chosen"),
        *("/data/sdxl", "13 listed, 12 evaluated, 1 left out as copies", "1000 resamples"),
        *("seed 0", "15 bins", "for training", "empty file sdxl", "sdxl/0.jpg", "not proof"),
        *("0.5000", "photographs of sdxl", "threshold for 0.1 %", "p is two-sided"),
    ):
        assert fact in text, fact


def test_ece_is_shown_without_an_interval() -> None:
    text = page.render(evaluation())
    assert "<td>0.062</td>" in text
    assert "<td>0.500<small>0.25-0.75</small></td>" in text
    assert "None" not in text


def test_of_one_class_there_are_bars_without_length() -> None:
    rows = tuple(replace(row, figures=dict.fromkeys(row.figures)) for row in evaluation(1).rows)
    found = replace(evaluation(1), rows=rows, curves=(), differences=(), unread=())
    text = words(parsed(found))
    assert "needs both classes" in text
    assert "ROC curve" not in text
    assert "Not evaluated" not in text
