"""`dgsf review --plain`: what is read and said line by line, and what then stands in the log."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from dgsforensics.case.decisions import Log
from dgsforensics.case.store import Case
from dgsforensics.judgements import Judgement
from dgsforensics.records import Evidence, Mark, Status
from dgsforensics.review.session import Review
from made_review import OLD, failed, scan, scored, sha

ESCAPE = "\x1b[2J\x07"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "case.sqlite3"
    with Case.open(path) as case:
        scan(
            case,
            [
                scored("trip/low.jpg", logit=-3.0),
                scored("trip/high.jpg", None, 4.0, Evidence(Mark.CAMERA, "EXIF", "Model", "Box 3")),
                scored("copy.jpg", "trip/high.jpg", 4.0),
                scored("flag.jpg", logit=1.5),
                scored("middle.jpg", logit=0.0),
                failed("broken.jpg", "truncated"),
                replace(failed("raw.dng", "needs the extra raw"), status=Status.UNSUPPORTED),
            ],
        )
    return path


@pytest.fixture
def plain(path, monkeypatch, run_dgsf, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*lines, options=(), stdin=None, case=path):
        data = "".join(f"{line}\n" for line in lines).encode() if stdin is None else stdin
        asked = ["review", case, "--plain", "--reviewer", "ann", *options]
        code, out, err = run_dgsf(*asked, stdin=data)
        return code, out.replace("> ", "").splitlines(), err

    return run


def labels(path, reviewer="ann"):
    with Case.open(path) as case:
        review = Review(case, reviewer)
        return {
            item.path.name: (str(review.judgement(item) or ""), review.note_of(item))
            for item in review.items
            if review.decisions(item) and review.decisions(item)[0].reviewer == reviewer
        }


def numbers(lines):
    """The names of the images that were said, in order."""
    return [line.split(": ")[1].split(", ")[0] for line in lines if " of " in line.split(": ")[0]]


EVERYTHING = ("--filter", "")


def test_the_queue_is_said_one_after_the_other(plain):
    code, lines, err = plain("n", "n", "n", "n", "p", "p", "p", "q", "ai")
    assert (code, err) == (0, "")
    what = "4 images: only:flagged,inconclusive,claims, by queue. flagged from 75.0%."
    head = f"{what} ? for help, q to quit."
    assert lines[0] == head
    assert lines[1] == "1 of 4: trip/high.jpg, flagged, probability 85.2%, no label"
    assert numbers(lines) == [
        *("trip/high.jpg", "copy.jpg", "flag.jpg", "middle.jpg", "middle.jpg"),
        *("flag.jpg", "copy.jpg", "trip/high.jpg"),
    ]


def test_without_anything_flagged_all_are_listed(plain, tmp_path):
    other = tmp_path / "other.sqlite3"
    with Case.open(other) as case:
        scan(case, [scored("a.jpg", logit=-3.0), failed("b.jpg")])
    _, lines, _ = plain("q", case=other)
    assert lines[0].startswith("2 images: all, by queue")
    assert plain("q", case=other, options=["--filter", "verdict:flagged"])[1][0].startswith("0 im")


@pytest.mark.parametrize(
    ("word", "label"),
    [
        *(("1", "ai"), ("ai", "ai"), ("AI", "ai"), ("2", "real"), ("Real", "real")),
        *(("3", "unsure"), ("unsure", "unsure"), ("4", "unfit"), ("UNFIT", "unfit")),
    ],
)
def test_labels(plain, path, word, label):
    code, lines, _ = plain(f"  {word} ")
    assert code == 0
    assert f"high.jpg: {label}" in lines
    assert labels(path) == {"high.jpg": (label, ""), "copy.jpg": (label, "")}
    assert numbers(lines) == ["trip/high.jpg", "copy.jpg"]  # on to the next


@pytest.mark.parametrize("word", ["0", "none", "None"])
def test_a_label_is_taken_away_and_the_place_kept(plain, path, word):
    _, lines, _ = plain("ai", "p", word)
    assert labels(path) == {}
    assert "high.jpg: no label" in lines
    assert lines[-2].startswith("1 of 4: trip/high.jpg") and lines[-2].endswith("no label")


def test_stay(plain, path):
    _, lines, _ = plain("ai", "real", options=["--stay"])
    assert numbers(lines) == ["trip/high.jpg"] * 3
    assert labels(path)["high.jpg"] == ("real", "")


def test_notes(plain, path):
    _, lines, _ = plain("t  six fingers: odd ", "2", "p", "T", "u", "t x", "t")
    assert lines.count("note written") == 2 and lines.count("no note") == 2
    assert any(line.endswith("no label, note: six fingers: odd") for line in lines)
    assert any(line.endswith("labelled real, note: six fingers: odd") for line in lines)
    assert labels(path) == {"high.jpg": ("real", ""), "copy.jpg": ("real", "")}


def test_undo_and_redo_go_to_the_image(plain, path):
    _, lines, _ = plain("ai", "n", "real", "01", "z", "Z", "z", "y", "Y", "y", "z")
    assert numbers(lines)[4:] == [
        *("trip/high.jpg", "flag.jpg", "trip/high.jpg", "trip/high.jpg", "trip/high.jpg"),
        *("flag.jpg", "flag.jpg", "flag.jpg"),
    ]
    assert lines.count("1 image changed") == 5 and lines.count("there is no such step") == 2
    assert labels(path) == {"high.jpg": ("ai", ""), "copy.jpg": ("ai", "")}
    _, lines, _ = plain("z", "y", "y")  # after a restart
    assert lines.count("1 image changed") == 3
    assert labels(path)["flag.jpg"] == ("real", "")


def test_going_places(plain):
    _, lines, _ = plain("7", "01", "04", "99", "00", "05", "٦", "", options=EVERYTHING)
    assert numbers(lines) == [
        *("trip/high.jpg", "raw.dng", "trip/high.jpg", "middle.jpg"),
        *("raw.dng", "trip/high.jpg", "trip/low.jpg", "broken.jpg", "broken.jpg"),
    ]


def test_the_next_without_a_label_round_the_end(plain):
    _, lines, _ = plain("1", "u", "2", "u", "n", "n", "u", "ai", "ai", "u", options=EVERYTHING)
    assert numbers(lines) == [
        *("trip/high.jpg", "copy.jpg", "flag.jpg", "middle.jpg", "trip/low.jpg", "broken.jpg"),
        *("raw.dng", "middle.jpg", "trip/low.jpg", "broken.jpg", "broken.jpg"),
    ]
    assert lines.count("every image listed has a label") == 1  # an unread file needs none


def test_the_last_image_stays_after_its_label(plain, path):
    _, lines, _ = plain("03", "ai", "real", options=["--queue", "flagged"])
    assert numbers(lines)[1:] == ["flag.jpg"] * 3
    assert labels(path) == {"flag.jpg": ("real", "")}


def test_filters(plain, path):
    _, lines, _ = plain(
        *(
            "/ label:none -trip",
            "02",
            "ai",
            "/label:ai",
            "/ label:ai",
            "/ verdict:fake",
            "/ it's",
            "/",
        ),
        *("/ nothing like it", "n", "p", "u", "5", "ai", "e", "t x", "z", "?", "/"),
        options=["--sort", "name"],
    )
    assert "5 images" in lines  # copy, flag, middle, broken, raw
    assert "/label:ai is no command; ? is help" in lines
    assert "2 images" in lines and "7 images" in lines and "0 images" in lines
    assert any("verdict:fake is not known" in line for line in lines)
    assert any("no closing quotation" in line for line in lines)
    assert lines.count("there is no image listed; / lists all, ? is help") == 3
    assert labels(path) == {}  # z took back the one label
    assert numbers(lines)[-1] == "broken.jpg"


def test_a_file_that_was_not_read_can_neither_be_labelled_nor_noted(plain, path):
    _, lines, _ = plain("ai", "t odd", "0", "e", options=["--filter", "verdict:unreadable"])
    assert lines[1] == "1 of 1: broken.jpg, unreadable, no label"
    refused = "this file could not be read, so there is nothing to label"
    assert lines.count(refused) == 3 and "note written" not in lines
    assert "  because: truncated" in lines
    with Case.open(path) as case:
        assert Log(case).after() == []


def test_evidence_in_words(plain):
    _, lines, _ = plain("1", "p", "e")
    place = lines.index("Decisions:")
    assert lines[place + 1].startswith("  ann, ") and lines[place + 1].endswith(" UTC: AI")
    assert "  EXIF, Model: Box 3" in lines and f"  sha256 {sha('trip/high.jpg')}" in lines
    assert "  flagged, probability 85.2%, logit 4.000" in lines
    assert "  same content: /photos/copy.jpg" in lines


def test_help_names_every_command(plain):
    _, lines, _ = plain("?", "x", "help")
    text = "\n".join(lines)
    for word in (*Judgement, "none", "t TEXT", "n: next", "p: previous", "z: undo", "/ QUERY"):
        assert word in text
    assert "x is no command; ? is help" in lines and "help is no command; ? is help" in lines


def test_next_to_certain_is_not_certain(plain, tmp_path):
    other = tmp_path / "other.sqlite3"
    with Case.open(other) as case:
        scan(case, [scored("a.jpg", logit=40.0), scored("b.jpg", logit=-40.0)])
    _, lines, _ = plain("n", case=other, options=EVERYTHING)
    assert "1 of 2: a.jpg, flagged, probability >99.9%, no label" in lines
    assert "2 of 2: b.jpg, not flagged, probability <0.1%, no label" in lines


def test_blind(plain, path):
    with Case.open(path) as case:
        bob = Review(case, "bob")
        bob.label(bob.items, Judgement.REAL)
        bob.note(bob.items[1], "a secret")
    _, lines, _ = plain("e", "/ differ:yes", "/", "/ label:real", options=["--blind"])
    assert "bob" not in str(lines) and "secret" not in str(lines)
    assert lines.count("0 images") == 2
    _, lines, _ = plain("ai", "p", "e", "/ differ:yes", options=["--blind"])
    assert any("bob, " in line and line.endswith("real: a secret") for line in lines)
    assert "2 images" in lines


def test_what_others_write_meanwhile_is_seen(plain, path, monkeypatch):
    """Nothing is written between the two, so only following the log can tell."""
    import builtins

    typed = iter(["n", "e", "q"])

    def ask(prompt):
        line = next(typed)
        if line == "n":
            with Case.open(path) as case:
                bob = Review(case, "bob")
                bob.label(bob.items, Judgement.REAL)
                ann = Review(case, "ann")
                ann.label([ann.items[1]], Judgement.AI)
        return line

    monkeypatch.setattr(builtins, "input", ask)
    _, lines, _ = plain()
    assert "2 of 4: copy.jpg, flagged, probability 85.2%, labelled ai" in lines
    assert any(line.startswith("  bob, ") and line.endswith("real") for line in lines)


def test_nothing_reaches_the_terminal_that_it_would_act_on(plain, tmp_path):
    other = tmp_path / "other.sqlite3"
    with Case.open(other) as case:
        claim = Evidence(Mark.GENERATOR, "PNG text", f"parameters{ESCAPE}", f"a{ESCAPE}\nb")
        scan(
            case,
            [
                scored(f"{ESCAPE}/a{ESCAPE}\r.jpg", None, 3.0, claim, reason=f"x{ESCAPE}"),
                failed(f"b{ESCAPE}", f"because{ESCAPE}"),
            ],
        )
    _, lines, _ = plain(
        *("1", "p", f"t note{ESCAPE}", "e", f"/ mark:{ESCAPE}", f"/ {ESCAPE}", f"{ESCAPE}"),
        *("/", "n", "e"),
        case=other,
        options=["--filter", f"-no{ESCAPE}"],
    )
    assert all(line.isprintable() for line in lines)
    text = "\n".join(lines)
    assert text.count("\\x1b[2J") > 8 and "note: note [2J" in text


def test_bytes_that_are_not_text(plain, path):
    code, lines, _ = plain(stdin=b"t caf\xe9\n\xff\xfe\n1\n/ \xe9\n/ caf\\\\xe9")
    assert code == 0
    assert labels(path)["high.jpg"] == ("ai", "caf\\xe9")
    assert "\\xff\\xfe is no command; ? is help" in lines


@pytest.mark.parametrize("stdin", [b"", b"\n", b"ai", b"q", b"q\n\n\n", b"\0\n", b"1\r\n2\r\n"])
def test_any_end_of_the_input_ends_the_review(plain, stdin):
    code, lines, err = plain(stdin=stdin)
    assert (code, err) == (0, "") and lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--filter", "verdict:fake"], "verdict:fake is not known"),
        (["--filter", "it's"], "no closing quotation"),
        (["--sort", "colour"], "'colour' is not one of 'queue', 'score'"),
        (["--reviewer", " "], "a label needs a name"),
    ],
)
def test_wrong_usage_is_said_before_anything_else(plain, options, message):
    code, lines, err = plain("ai", options=options)
    assert code == 2 and lines == []
    assert message in " ".join(err.split())


def test_a_case_without_a_calibration_says_what_to_do(plain, tmp_path):
    other = tmp_path / "old.sqlite3"
    with Case.open(other) as case:
        scan(case, [scored("a.jpg")], OLD)
    code, lines, err = plain("ai", case=other)
    assert code == 2 and lines == []
    assert "older version" in err and "scan the folder again" in err


def test_orders(plain):
    for order, first in {
        "name": "broken.jpg",
        "scan": "trip/low.jpg",
        "label": "trip/high.jpg",
    }.items():
        _, lines, _ = plain("q", options=[*EVERYTHING, "--sort", order])
        assert lines[0].startswith(f"7 images: all, by {order}.") and numbers(lines) == [first]


def test_in_a_process_of_its_own(path, tmp_path):
    typed = "ai\nt six fingers\ne\nn\n2\nz\nq\n"
    run = subprocess.run(
        [sys.executable, "-m", "dgsforensics", "review", str(path), "--plain"],
        input=typed.encode(),
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "DGSF_REVIEWER": "Jörg", "PYTHONIOENCODING": "ascii"},
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"4 images: only:flagged,inconclusive,claims" in run.stdout
    assert "Jörg, ".encode() in run.stdout  # UTF-8 in a pipe, whatever Python was told
    assert labels(path, "Jörg") == {
        "high.jpg": ("ai", "six fingers"),
        "copy.jpg": ("ai", "six fingers"),
    }
    with Case.open(path) as case:
        assert Log(case).verify().entries == 4
