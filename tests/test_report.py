"""A case as it is reported: what is stated, what is not recorded, and in which forms."""

import csv
import io
import json
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

import made_review
import tui_case
from conftest import encode, photo
from dgsforensics import cli
from dgsforensics.case.circumstances import Circumstances, ScanOutcome
from dgsforensics.case.store import Case
from dgsforensics.judgements import Judgement
from dgsforensics.records import Evidence, Failure, Label, Mark, Prediction, Verdict
from dgsforensics.report import document, page, pdf, sarif, spreadsheet, statements, thumbnails
from dgsforensics.report.facts import Attention, CaseReport, claim_conflicts, gather
from dgsforensics.review.session import Review

MADE = "2026-01-02T03:04:05+00:00"
GENERATED = Evidence(Mark.GENERATOR, "PNG text", "parameters", "Steps: 20, Sampler: Euler a")
CAPTURED = Evidence(
    Mark.SOURCE_TYPE, "C2PA", "source type", "digitalCapture: says captured by a camera"
)
HOSTILE = (
    "<script>alert(1)</script>.png",
    "</title><img src=x onerror=alert(1)>.png",
    "a\u202egnp.exe.png",
    "{{ 7 * 7 }}{% raw %}.png",
    "=HYPERLINK(1).png",
    "\x1b[31mred\x07.png",
    "'\" onload=x `&amp;.png",
    "two\nlines.png",
    "\udcff\udc80.png",
    "javascript:alert(1).png",
)


def report(case: Path, made: str = MADE) -> CaseReport:
    with Case.open(case) as opened:
        return gather(opened, "9.9", made)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Seven scored and three not; one file gone, one changed; two reviewers, who differ on one."""
    made = tui_case.build(tmp_path)
    pictures = tmp_path / "pictures"
    (pictures / "city/tram.png").unlink()
    (pictures / "city/tower.png").write_bytes(encode(photo(10, 10), "PNG"))
    with Case.open(made) as opened:
        for reviewer, said in (("ann", Judgement.AI), ("bob", Judgement.REAL)):
            review = Review(opened, reviewer)
            review.label(review.items[:1], said, f"by {reviewer}")
            review.label(review.items[1:2], Judgement.AI)
    return made


def written(folder: Path, names: tuple[str, ...], *claims: Evidence) -> Path:
    """A case of files that are not there, with these names and claims."""
    rows: list[Prediction | Failure] = [
        replace(made_review.scored(name, str(n), float(n), *claims), path=folder / name)
        for n, name in enumerate(names)
    ]
    path = folder / "case.sqlite3"
    with Case.open(path) as opened:
        made_review.scan(opened, rows)
    return path


# What is stated


def test_what_needs_attention_comes_first(case: Path) -> None:
    found = [image.attention for image in report(case).images]
    assert found == sorted(found, key=list(Attention).index)
    flagged = [image for image in report(case).images if image.attention == Attention.FLAGGED]
    scores = [image.probability for image in flagged]
    assert len(flagged) == 4 and scores == sorted(scores, reverse=True)


def test_reviewers_their_agreement_and_where_they_differ(case: Path) -> None:
    found = report(case)
    assert [(share.name, share.labels, share.notes) for share in found.reviewers] == [
        ("ann", {"AI": 2}, 1),
        ("bob", {"AI": 1, "real": 1}, 1),
    ]
    assert statements.agreement(found) == [("ann and bob", "2", "1", "0.00")]
    [differing] = [
        image for image in found.images if any("Reviewers" in c for c in image.conflicts)
    ]
    assert differing.conflicts[-1] == "Reviewers say different things (ann: AI, bob: real)."
    assert "done by ann (2 of 10 images), bob (2 of 10 images)" in statements.manual_review(found)


def test_without_labels_review_was_not_done(tmp_path: Path) -> None:
    found = report(written(tmp_path, ("a.jpg",)))
    assert statements.manual_review(found) == "not done"
    assert "nobody has labelled" in page.render(found).decode()


@pytest.mark.parametrize(
    ("claims", "verdict", "said"),
    [
        ([GENERATED], Verdict.NOT_FLAGGED, ["it was generated"]),
        ([GENERATED], Verdict.FLAGGED, []),
        ([GENERATED], Verdict.INCONCLUSIVE, []),
        ([CAPTURED], Verdict.FLAGGED, ["a camera made it"]),
        ([CAPTURED], Verdict.NOT_FLAGGED, []),
        ([CAPTURED, GENERATED], None, ["and that it was generated"]),
        ([Evidence(Mark.SOFTWARE, "EXIF", "software", "GIMP")], Verdict.FLAGGED, []),
    ],
)
def test_claims_that_contradict_a_score(claims, verdict, said) -> None:
    found = claim_conflicts(claims, verdict)
    assert len(found) == len(said) and all(a in b for a, b in zip(said, found, strict=True))


def test_what_a_scan_keeps_is_stated_and_what_it_does_not_is_said(tmp_path: Path) -> None:
    options = replace(
        made_review.SETTINGS.options,
        versions={"Python": "3.99", "torch": "9.8"},
        left_out={"text": 2, "PDF": 1},
    )
    here = Circumstances(("dgsf", "scan", "my photos"), "/desk", "ann", "desk", "Linux")
    for name, settings in (
        ("new", replace(made_review.SETTINGS, options=options, circumstances=here)),
        ("old", made_review.SETTINGS),
    ):
        with Case.open(tmp_path / name) as opened:
            row = made_review.scored("a.jpg", computed_with="torch 9.8, cpu, float32")
            row = row if name == "new" else replace(row, computed_with=None)
            scan = made_review.scan(opened, [row], settings, finish=False)
            told = ScanOutcome("cpu", 4, (("/photos/notes.txt", "text"),))
            scan.finish(told if name == "new" else None)
    images = [statements.of_image(report(tmp_path / n).images[0]) for n in ("new", "old")]
    with_what = [dict(facts)["computed with"] for facts in images]
    assert with_what == ["torch 9.8, cpu, float32", "not recorded"]
    new, old = (dict(statements.of_scan(report(tmp_path / n).scans[0])) for n in ("new", "old"))
    assert new["versions"] == "Python 3.99, torch 9.8" and new["left out"] == "3 (2 text, 1 PDF)"
    assert new["operator"] == "ann" and new["host"] == "desk, Linux"
    assert new["command"] == "dgsf scan 'my photos'" and new["given in"] == "/desk"
    assert new["model ran on"] == "cpu, batches of 4"
    assert new["left out, by name"] == "/photos/notes.txt (text)"
    unknown = ("versions", "left out", "operator", "host", "command", "model ran on")
    assert {old[name] for name in unknown} == {"not recorded"}
    [invocation] = json.loads(sarif.render(report(tmp_path / "new")))["runs"][0]["invocations"]
    assert invocation["commandLine"] == "dgsf scan 'my photos'"
    assert (invocation["account"], invocation["machine"]) == ("ann", "desk")
    assert "false-positive rate 0.01" in new["thresholds"] and new["preprocessing"] == "clip224/1"


def test_two_detectors_that_say_the_opposite_are_a_conflict(tmp_path: Path) -> None:
    first = replace(made_review.SETTINGS, model="first", weights_sha256="f" * 64)
    second = replace(made_review.SETTINGS, weights_sha256="s" * 64)
    logits = {"differ.jpg": (-4.0, 4.0), "alike.jpg": (3.0, 4.0), "unsure.jpg": (0.0, 4.0)}
    path = tmp_path / "case.sqlite3"
    with Case.open(path) as opened:
        for place, settings in enumerate((first, second)):
            rows = [made_review.scored(name, logit=said[place]) for name, said in logits.items()]
            made_review.scan(opened, rows, settings)
    found = report(path)
    conflicts = {image.places[0]: image.conflicts for image in found.images}
    assert conflicts.pop("differ.jpg") == (
        "The detector flagged it; another one, first (mmmmmmmmmmmm), says not flagged.",
    )
    assert set(conflicts.values()) == {()}
    assert all(image.others[0].detector == "first" for image in found.images)
    assert "score by first (mmmmmmmmmmmm)" in page.render(found).decode()
    [image] = [one for one in json.loads(document.render(found))["images"] if one["conflicts"]]
    assert image["logit"] == 4.0 and image["other_scores"][0]["logit"] == -4.0


def test_copies_are_one_image_at_several_places(tmp_path: Path) -> None:
    samples = (*tui_case.SAMPLES, tui_case.Sample("zoo/copy.png", 5.0, same_as="alps/lake.png"))
    found = report(tui_case.build(tmp_path, samples))
    [image] = [image for image in found.images if len(image.places) > 1]
    assert image.places == ("alps/lake.png", "zoo/copy.png") and found.files == 11
    assert len(list(csv.DictReader(io.StringIO(spreadsheet.render(found).decode())))) == 11


def test_a_case_that_was_changed_is_not_reported(case: Path, capfd, monkeypatch) -> None:
    import sqlite3

    with sqlite3.connect(case) as db:
        db.execute("UPDATE score SET logit = 9 WHERE logit = 5")
    assert run(monkeypatch, str(case), "--json", str(case.with_name("r.json"))) == 2
    assert "are not what was written" in capfd.readouterr().err
    assert not case.with_name("r.json").exists()


# The page


def test_pictures_are_of_what_was_scanned_or_say_why_not(case: Path) -> None:
    found = {i.places[0]: thumbnails.thumbnail(i) for i in report(case).images}
    lake = found["alps/lake.png"]
    assert lake.uri and lake.uri.startswith("data:image/jpeg;base64,/9j/") and lake.width == 256
    assert found["city/tram.png"].remark == "file is no longer there"
    assert found["city/tower.png"].remark == "file was changed since the scan"
    assert found["city/locked.png"].remark == "no picture: the file was never read"


def test_the_page_is_xml_runs_nothing_and_loads_nothing(case: Path) -> None:
    text = page.render(report(case)).decode()
    ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    assert not re.search(r"<(script|link|iframe|object)\b|https?:|url\(|@import", text)
    for said in ("9.9", "not checked", "Cohen", "file is no longer there", "permission denied"):
        assert said in text


@pytest.mark.parametrize("kind", ["name", "claim", "note"])
def test_hostile_text_stays_text(tmp_path: Path, kind: str) -> None:
    names, claims = ("plain.png",), ()
    if kind == "name":
        names = HOSTILE
    if kind == "claim":
        claims = tuple(Evidence(Mark.GENERATOR, "XMP", name, name) for name in HOSTILE[:-2])
    made = written(tmp_path, names, *claims)
    if kind == "note":
        with Case.open(made) as opened:
            for name in HOSTILE:
                review = Review(opened, name)
                review.label(review.items, Judgement.AI, name)
    found = report(made)
    text = page.render(found).decode()
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    plain = ET.fromstring(
        page.render(report(written(tmp_path / "plain", ("a.png",)))).decode().split("\n", 1)[1]
    )
    allowed = {e.tag for e in plain.iter()} | {"img"}
    assert {e.tag for e in root.iter()} - {"thead"} <= allowed
    assert not [a for e in root.iter() for a in e.attrib if a.startswith("on")]
    assert not [e for e in root.iter("img") if not e.attrib["src"].startswith("data:")]
    assert "alert(1)" in text and "\x1b" not in text and "\u202e" not in text
    cells = list(csv.reader(io.StringIO(spreadsheet.render(found).decode())))
    assert not [cell for row in cells for cell in row if cell[:1] in ("=", "@", "\t", "\r")]
    for render in (document.render, sarif.render):
        assert json.loads(render(found))


def test_the_same_case_gives_the_same_bytes_but_for_one_time_stamp(case: Path) -> None:
    later = "2027-09-08T17:16:15+00:00"
    for render in (page.render, document.render, sarif.render, spreadsheet.render):
        first, again = render(report(case)).decode(), render(report(case, later)).decode()
        for time in (later, MADE):
            first = first.replace(statements.moment(time), "").replace(time, "")
            again = again.replace(statements.moment(time), "").replace(time, "")
        assert first == again, render.__module__


# For programs


def test_json_has_all_images_and_says_null_where_nothing_is_recorded(case: Path) -> None:
    told = json.loads(document.render(report(case)))
    assert told["schema"] == document.SCHEMA and told["made"] == MADE
    assert sum(told["counts"].values()) == 10 and told["scans"][0]["weights_sha256"] is None
    by_name = {Path(image["paths"][0]).name: image for image in told["images"]}
    assert by_name["lake.png"]["claims"][0]["strength"] == "hint"
    assert by_name["locked.png"]["probability"] is None and by_name["locked.png"]["claims"] is None
    assert len(by_name["lake.png"]["decisions"]) == 2


def test_sarif_is_what_github_takes(case: Path) -> None:
    found = report(case)
    told = json.loads(sarif.render(found))
    assert told["version"] == "2.1.0" and told["$schema"].endswith("sarif-schema-2.1.0.json")
    [run] = told["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["DGS001", "DGS002", "DGS003", "DGS004", "DGS005"]
    kinds = [result["ruleId"] for result in run["results"]]
    expected = {"DGS001": 4, "DGS002": 1, "DGS003": 4, "DGS004": 2, "DGS005": 1}
    assert {kind: kinds.count(kind) for kind in rules} == expected
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error") and result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        assert not uri.startswith(("/", "file:")) and " " not in uri and "\\" not in uri
        assert place["region"]["startLine"] == 1
        there = run["artifacts"][place["artifactLocation"]["index"]]
        assert there["location"]["uri"] == uri
        assert result["partialFingerprints"]["primaryLocationLineHash"]
    [flagged] = [a for a in run["artifacts"] if a["location"]["uri"] == "alps/lake%20small.png"]
    assert re.fullmatch("[0-9a-f]{64}", flagged["hashes"]["sha-256"])


def test_sarif_is_split_into_runs(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MAX_RESULTS", 5)
    runs = json.loads(sarif.render(report(case)))["runs"]
    assert [len(run["results"]) for run in runs] == [5, 5, 2]
    assert len({run["automationDetails"]["id"] for run in runs}) == 3
    for run in runs:
        uris = {
            r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in run["results"]
        }
        assert {artifact["location"]["uri"] for artifact in run["artifacts"]} == uris


# The command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dgsf", "report", *arguments])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    code = exit.value.code
    return int(code or 0)


def test_several_at_once_and_nothing_is_overwritten(case: Path, monkeypatch, capfd) -> None:
    names = {name: case.with_name(f"r.{name}") for name in ("html", "sarif", "csv", "json")}
    options = [part for name, path in names.items() for part in (f"--{name}", str(path))]
    before = case.read_bytes()
    assert run(monkeypatch, str(case), *options) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == list(map(str, names.values()))
    assert "10 files: 4 flagged" in err
    assert case.read_bytes() == before
    names["csv"].write_text("mine")
    names["html"].unlink()
    assert run(monkeypatch, str(case), *options) == 2
    assert "is there already" in capfd.readouterr().err
    assert names["csv"].read_text() == "mine" and not names["html"].exists()
    assert run(monkeypatch, str(case), *options, "--force", "-q") == 0
    assert names["csv"].read_text().startswith("path,") and names["html"].exists()
    assert not list(case.parent.glob("*.part")) + list(case.parent.glob(".*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to write"),
        (["--csv", "r.x", "--json", "./r.x"], "same file"),
        (["--html", "absent/r.html"], "folder that exists"),
        (["--pdf", "r.pdf"], "apt install chromium"),
    ],
)
def test_what_cannot_be_written_is_said(case: Path, monkeypatch, capfd, options, said) -> None:
    monkeypatch.chdir(case.parent)
    monkeypatch.setenv("PATH", str(case.parent))
    assert run(monkeypatch, str(case), *options) == 2
    assert said in capfd.readouterr().err


def test_the_page_is_printed_by_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chromium"
    program.write_text(
        "#!/bin/sh\nfor a; do case $a in --print-to-pdf=*) t=${a#*=};; file:*) s=${a#file://};; "
        'esac; done\nprintf "%%PDF " > "$t"; cat "$s" >> "$t"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert pdf.render(b"a page") == b"%PDF a page"
    program.write_text("#!/bin/sh\necho no display >&2\n")
    with pytest.raises(pdf.UsageError, match="did not print: no display"):
        pdf.render(b"a page")


def test_strength_names_what_stands_behind_a_claim() -> None:
    from dgsforensics.provenance.strength import leaning, strength

    assert strength(CAPTURED) == "signed, signature not checked"
    assert strength(GENERATED) == "asserted, not signed"
    assert (leaning(CAPTURED), leaning(GENERATED)) == (Label.REAL, Label.GENERATED)
