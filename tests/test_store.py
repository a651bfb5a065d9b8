"""The case file keeps what it said it kept: through kills, races, renames and foreign files."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dgsforensics.case import connection, schema, store
from dgsforensics.case.scans import ScanOptions, ScanSettings
from dgsforensics.case.store import Case
from dgsforensics.errors import CaseError
from dgsforensics.records import (
    Evidence,
    Failure,
    FileFacts,
    Mark,
    Prediction,
    Status,
    Traits,
    Verdict,
)

REPO = Path(__file__).resolve().parents[1]
KEPT = ScanOptions(fpr=0.01, others={"x": ["y"]})
SETTINGS = ScanSettings("0.1.0", "tiny", "m" * 64, "clip224/1", 0.9, KEPT)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def scored(path: Path, content: str, logit: float = 1.5, **changes: object) -> Prediction:
    facts = FileFacts(sha(content), 1234, "JPEG", 640, 480, 1)
    made = Prediction(path, facts, logit, 0.8, Verdict.NOT_FLAGGED, 0.9, "tiny", "m" * 64)
    return replace(made, **changes)  # type: ignore[arg-type]


def failed(path: Path, reason: str = "truncated", **facts: object) -> Failure:
    return Failure(path, FileFacts(**facts), Status.UNREADABLE, reason)  # type: ignore[arg-type]


def locations(case: Path) -> set[bytes]:
    with closing(sqlite3.connect(case)) as db:
        return {path for (path,) in db.execute("SELECT path FROM location")}


def intact(case: Path) -> bool:
    with closing(sqlite3.connect(case)) as db:
        broken = db.execute("PRAGMA foreign_key_check").fetchall()
        return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and not broken


def python(script: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture
def case_path(tmp_path: Path) -> Path:
    return tmp_path / "cases" / "one.sqlite3"


# What goes in comes out


def test_rows_come_back_as_recorded_and_in_order(case_path: Path, tmp_path: Path) -> None:
    batch = [
        scored(tmp_path / "b.jpg", "b", -2.25, reason="the first of 3 frames"),
        failed(tmp_path / "a.jpg", sha256=sha("a"), size=9, format="PNG"),
        failed(tmp_path / "c.jpg", "beyond the limit", size=10**12, format="TIFF"),
        scored(tmp_path / "d.jpg", "d", 1e-300),
    ]
    with Case.open(case_path) as case:
        scan = case.begin_scan(SETTINGS)
        scan.record(iter(batch[:2]))
        scan.record(batch[2:])
        scan.record([])
    with Case.open(case_path) as case:
        rows = list(case.rows())
        info = case.last_scan()
    assert [(row.path, row.facts, row.status, row.reason) for row in rows] == [
        (row.path, row.facts, row.status, row.reason) for row in batch
    ]
    assert [row.logit for row in rows] == [-2.25, None, None, 1e-300]
    assert not any(row.cached for row in rows)
    assert info is not None and info.settings == SETTINGS and info.finished is None


def test_last_scan_says_whether_it_ended(case_path: Path) -> None:
    with Case.open(case_path) as case:
        assert case.last_scan() is None
        assert list(case.rows()) == []
        scan = case.begin_scan(SETTINGS)
        scan.finish()
        info = case.last_scan()
        assert info is not None and info.id == scan.id
        assert info.finished is not None and info.finished >= info.started
        assert info.started.tzinfo is not None


def test_rows_cross_pages_and_stay_readable_while_writing(
    case_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE", 3)
    paths = [tmp_path / f"{i}.jpg" for i in range(9)]
    with Case.open(case_path) as case:
        scan = case.begin_scan(SETTINGS)
        scan.record(scored(path, path.name) for path in paths)
        seen = []
        for row in case.rows():
            if not seen:
                scan.record([failed(tmp_path / "late.jpg")])
            seen.append(row.path)
    assert seen == [*paths, tmp_path / "late.jpg"]


def test_relative_paths_are_kept_absolute(
    case_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([scored(Path("a.jpg"), "a")])
        assert [row.path for row in case.rows()] == [tmp_path / "a.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="names there are Unicode")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    image = Path(os.fsdecode(bytes(folder) + b"/\xff\xfe.jpg"))
    settings = replace(SETTINGS, model=f"{image}", options=ScanOptions(exclude=(str(image),)))
    with Case.open(folder / os.fsdecode(b"\xff.sqlite3")) as case:
        scan = case.begin_scan(settings)
        scan.record([scored(image, "x", reason=f"{image} is odd")])
        scan.record([failed(folder / "bad.jpg", f"cannot open {image}")])
        first, second = case.rows()
        info = case.last_scan()
    with Case.open(folder / os.fsdecode(b"\xff.sqlite3")) as case:
        assert len(list(case.rows())) == 2
    assert bytes(first.path) == bytes(image)
    assert first.reason is not None and "\\udcff\\udcfe.jpg is odd" in first.reason
    assert second.reason is not None and "\\udcff" in second.reason
    assert info is not None and info.settings.options == ScanOptions(exclude=(str(image),))


def test_a_prediction_that_cannot_be_filed_is_refused_whole(
    case_path: Path, tmp_path: Path
) -> None:
    good = scored(tmp_path / "a.jpg", "a")
    with Case.open(case_path) as case:
        scan = case.begin_scan(SETTINGS)
        for bad in (replace(good, facts=FileFacts()), replace(good, model_sha256="0" * 64)):
            with pytest.raises(ValueError, match=r"a\.jpg"):
                scan.record([good, bad])
        with pytest.raises(CaseError):  # SQLite keeps NaN as NULL, which a logit must not be
            scan.record([good, scored(tmp_path / "b.jpg", "b", float("nan"))])
        assert list(case.rows()) == []
        scan.record([good])  # no transaction was left open
        assert len(list(case.rows())) == 1


# Nothing is scored twice


def test_known_is_what_an_earlier_scan_left_even_an_interrupted_one(
    case_path: Path, tmp_path: Path
) -> None:
    row = scored(tmp_path / "a.jpg", "a", -0.5, reason="small")
    with Case.open(case_path) as case:
        first = case.begin_scan(SETTINGS)
        first.record([row])
        assert first.known(sha("a")) is None  # an equal file in the same scan is not cached
    with Case.open(case_path) as case:
        second = case.begin_scan(SETTINGS)
        known = second.known(sha("a"))
        assert known is not None
        assert (known.facts, known.logit, known.note) == (row.facts, -0.5, "small")
        assert second.known(sha("b")) is None
        second.record([replace(row, cached=True)])
        (stored,) = case.rows()
        assert (stored.cached, stored.logit, stored.reason) == (True, -0.5, "small")
        # cached again in a third: the row of the second did not become its own score
        assert case.begin_scan(SETTINGS).known(sha("a")) is not None


@pytest.mark.parametrize("change", [{"model_sha256": "0" * 64}, {"preprocessing": "clip224/2"}])
def test_another_model_or_preprocessing_knows_nothing(
    case_path: Path, tmp_path: Path, change: dict[str, str]
) -> None:
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([scored(tmp_path / "a.jpg", "a")])
        assert case.begin_scan(replace(SETTINGS, **change)).known(sha("a")) is None  # type: ignore[arg-type]
        assert case.begin_scan(replace(SETTINGS, threshold=0.1)).known(sha("a")) is not None


def test_a_failure_is_never_known_and_keeps_what_was_known(case_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([failed(path, sha256=sha("a"), format="HEIC")])
        second = case.begin_scan(SETTINGS)
        assert second.known(sha("a")) is None
        second.record([scored(path, "a")])
        third = case.begin_scan(SETTINGS)
        third.record([failed(path, "beyond the limit", sha256=sha("a"))])
        (row,) = case.rows()
        assert (row.status, row.reason, row.logit) == (Status.UNREADABLE, "beyond the limit", None)
        assert row.facts == scored(path, "a").facts
        assert third.known(sha("a")) is not None


def test_a_score_made_again_replaces_the_old_one(case_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with Case.open(case_path) as case:
        first = case.begin_scan(SETTINGS)
        first.record([scored(path, "a", 1.0, reason="old")])
        case.begin_scan(SETTINGS).record([scored(path, "a", 2.0)])
        first.record([scored(path, "a", 3.0)])  # a slower scan that began before is not news
        (row,) = case.rows()
        assert (row.logit, row.reason, row.cached) == (2.0, None, False)
        assert list(case.rows(first.id)) == []


# Where content was last seen


def test_a_renamed_file_keeps_its_row(case_path: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.jpg", tmp_path / "new.jpg"
    old.write_bytes(b"x")
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([scored(old, "x")])
        old.rename(new)
        scan = case.begin_scan(SETTINGS)
        assert scan.known(sha("x")) is not None
        scan.record([scored(new, "x", cached=True)])
        assert [row.path for row in case.rows()] == [new]
    assert locations(case_path) == {bytes(new)}


def test_a_file_renamed_over_another_and_a_copy(case_path: Path, tmp_path: Path) -> None:
    a, b, copy = (tmp_path / name for name in ("a.jpg", "b.jpg", "copy.jpg"))
    for path in (a, b):
        path.write_bytes(b"")
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([scored(a, "a"), scored(b, "b")])
        copy.write_bytes(b"")
        case.begin_scan(SETTINGS).record([scored(copy, "a", cached=True)])
        assert locations(case_path) == {bytes(a), bytes(b), bytes(copy)}
        copy.unlink()
        a.replace(b)
        case.begin_scan(SETTINGS).record([scored(b, "a", cached=True)])
        assert [(row.path, row.facts.sha256) for row in case.rows()] == [(b, sha("a"))]
    assert bytes(b) in locations(case_path) and len(locations(case_path)) == 2


def test_equal_files_of_one_scan_all_keep_their_row(case_path: Path, tmp_path: Path) -> None:
    # None of them is on disk: only places of earlier scans may be taken for renamed files.
    rows = [scored(tmp_path / f"{i}.jpg", "same") for i in range(5)]
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record(rows)
        assert [row.path for row in case.rows()] == [row.path for row in rows]


# Several processes and threads

WRITE = """
import sys
from pathlib import Path
from dgsforensics.case.scans import ScanSettings
from dgsforensics.records import (FileFacts, Prediction, Verdict)
from dgsforensics.case.store import Case

case, name, batches = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Case.open(case) as case:
    scan = case.begin_scan(ScanSettings("0", "tiny", "m", "p", 0.5))
    for batch in range(batches):
        rows = []
        for i in range(8):
            sha256 = f"{name}-{batch}-{i}"
            facts = FileFacts(sha256, 1, "PNG", 2, 3, 1)
            path = Path("/nowhere") / sha256
            rows.append(Prediction(path, facts, 0.5, 0.5, Verdict.FLAGGED, 0.5, "tiny", "m"))
        scan.record(rows)
        print(batch, flush=True)
    scan.finish()
"""


def test_two_processes_create_and_write_one_case(case_path: Path) -> None:
    writers = [
        python(WRITE, case_path, name, 40, stdin=subprocess.PIPE) for name in ("left", "right")
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert (writer.returncode, errors) == (0, "")
    assert intact(case_path)
    with Case.open(case_path) as case:
        assert sorted(len(list(case.rows(scan_id))) for scan_id in (1, 2)) == [320, 320]


def test_a_killed_scan_keeps_every_batch_it_reported(case_path: Path) -> None:
    writer = python(WRITE, case_path, "killed", 100_000, stdin=subprocess.PIPE)
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    lines = [writer.stdout.readline() for _ in range(random.Random(0).randint(60, 90))]
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate(timeout=60)
    reported = [int(line) for line in "".join([*lines, rest]).splitlines()[1:] if line]
    copy = case_path.with_suffix(".copy")  # so that looking does not repair what is opened below
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{case_path}{suffix}").read_bytes())
    assert intact(copy)
    with Case.open(case_path) as case:
        kept = {row.facts.sha256 for row in case.rows()}
        info = case.last_scan()
        assert info is not None and info.finished is None
        resumed = case.begin_scan(ScanSettings("0", "tiny", "m", "p", 0.5))
        assert len(reported) >= 59
        for batch in reported:
            for i in range(8):
                assert f"killed-{batch}-{i}" in kept
        assert resumed.known("killed-0-0") is not None
    assert len(kept) % 8 == 0  # a batch is there or it is not
    assert intact(case_path)


def test_threads_may_ask_while_rows_are_recorded(case_path: Path, tmp_path: Path) -> None:
    wrong: list[object] = []
    done = threading.Event()
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record(scored(tmp_path / f"{i}", f"{i}", i) for i in range(50))
        scan = case.begin_scan(SETTINGS)

        def ask() -> None:
            try:
                i = 0
                while not done.is_set():
                    i = (i + 1) % 50
                    known = scan.known(sha(f"{i}"))
                    if known is None or known.logit != i or scan.known(sha(f"new {i}")):
                        wrong.append((i, known))
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for batch in range(60):
            names = [f"new {batch + i}" for i in range(8)]
            scan.record(scored(tmp_path / name, name) for name in names)
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_threads_that_write_take_turns(case_path: Path, tmp_path: Path) -> None:
    wrong: list[Exception] = []
    with Case.open(case_path) as case:

        def write(name: str) -> None:
            try:
                scan = case.begin_scan(SETTINGS)
                for i in range(40):
                    scan.record([scored(tmp_path / f"{name}{i}", f"{name}{i}")])
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert [len(list(case.rows(scan_id))) for scan_id in (1, 2)] == [40, 40]


def test_a_locked_case_says_so(case_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    with Case.open(case_path) as case, closing(sqlite3.connect(case_path)) as other:
        scan = case.begin_scan(SETTINGS)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CaseError, match="another process") as caught:
            scan.record([failed(Path("a"))])
        assert caught.value.hint is not None and "do it again" in caught.value.hint
        assert scan.known(sha("a")) is None  # reading goes on
        other.execute("ROLLBACK")
        scan.record([failed(Path("a"))])


def test_a_full_disk_says_so_and_keeps_what_was_committed(case_path: Path, tmp_path: Path) -> None:
    with Case.open(case_path) as case:
        scan = case.begin_scan(SETTINGS)
        scan.record([scored(tmp_path / "kept", "kept")])
        with case.reading() as db:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(CaseError, match="full") as caught:
            scan.record(failed(tmp_path / f"{i}", "r" * 999) for i in range(99))
        assert caught.value.hint is not None and "do it again" in caught.value.hint
        assert [row.path.name for row in case.rows()] == ["kept"]
        with case.reading() as db:
            db.execute("PRAGMA max_page_count = 1000000")
        scan.record([scored(tmp_path / "later", "later")])
        assert [row.path.name for row in case.rows()] == ["kept", "later"]
    assert intact(case_path)


# What is not a case file is left alone


def foreign_database(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def foreign(kind: str, path: Path) -> None:
    match kind:
        case "text":
            path.write_bytes(b"hello")
        case "long text":
            path.write_bytes(b"not a database\n" * 999)
        case "noise":
            path.write_bytes(random.Random(0).randbytes(8192))
        case "magic only":
            path.write_bytes(b"SQLite format 3\0" + bytes(84))
        case "no id":
            foreign_database(path, "CREATE TABLE t (x)")
        case "no tables":
            foreign_database(path, "PRAGMA user_version = 7")
        case "other id":
            foreign_database(path, "PRAGMA application_id = 5", "CREATE TABLE scan (x)")
        case "wal":
            foreign_database(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)")
        case _:
            with Case.open(path) as case:
                scan = case.begin_scan(SETTINGS)
                scan.record(scored(Path(f"/nowhere/{i}"), f"{i}") for i in range(99))
            whole = path.read_bytes()
            match kind:
                case "newer":
                    foreign_database(path, "PRAGMA user_version = 99")
                case "truncated":
                    path.write_bytes(whole[: len(whole) // 2])
                case "overwritten":
                    path.write_bytes(whole[:100] + b"\xaa" * (len(whole) - 100))


KINDS = ("text", "long text", "noise", "magic only", "no id", "no tables", "other id", "wal")


@pytest.mark.parametrize("kind", [*KINDS, "newer", "truncated", "overwritten"])
def test_what_is_no_case_file_is_refused_untouched(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.sqlite3"
    foreign(kind, path)
    before, neighbours = path.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(CaseError, match=r"x\.sqlite3: ") as caught, Case.open(path):
        pass
    assert caught.value.hint
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == neighbours


def test_a_foreign_database_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (x)")  # in the log; the main file still looks empty
        before = {name: name.read_bytes() for name in tmp_path.iterdir()}
        with pytest.raises(CaseError, match="another application"), Case.open(path):
            pass
        assert {name: name.read_bytes() for name in tmp_path.iterdir()} == before


def test_a_page_damaged_later_says_so(case_path: Path) -> None:
    with Case.open(case_path) as case:
        scan = case.begin_scan(SETTINGS)
        scan.record(scored(Path(f"/nowhere/{i}"), f"{i}") for i in range(99))
    with closing(sqlite3.connect(case_path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'image'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    damaged = bytearray(case_path.read_bytes())
    damaged[(root - 1) * size : root * size] = b"\xaa" * size
    case_path.write_bytes(damaged)
    with Case.open(case_path) as case:
        scan = case.begin_scan(SETTINGS)
        with pytest.raises(CaseError, match="damaged"):
            scan.known(sha("1"))
        with pytest.raises(CaseError, match="damaged"):
            list(case.rows(1))


def test_an_empty_file_becomes_a_case(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    path.touch()
    with Case.open(path) as case:
        case.begin_scan(SETTINGS)


def test_places_that_hold_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.symlink(tmp_path / "missing" / "target", tmp_path / "dangling")
    os.mkfifo(tmp_path / "fifo")
    for place in (".", "file/x.sqlite3", "fifo", "dangling", "n" * 300):
        with pytest.raises(CaseError) as caught, Case.open(tmp_path / place):
            pass
        assert caught.value.hint


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A readable folder that may not be written, as seen by somebody who is not root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = os.geteuid() == 0
        foreign("ours", folder / "old.sqlite3")
        (folder / "old.sqlite3").chmod(0o444)
        folder.chmod(0o555)
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_a_place_that_may_not_be_written() -> None:
    with unprivileged() as folder:
        before = (folder / "old.sqlite3").read_bytes()
        for place in ("new.sqlite3", "deeper/new.sqlite3", "old.sqlite3"):
            with pytest.raises(CaseError) as caught, Case.open(folder / place):
                pass
            assert caught.value.hint
        assert (folder / "old.sqlite3").read_bytes() == before
        assert [path.name for path in folder.iterdir()] == ["old.sqlite3"]


# Schema


def test_the_file_says_what_it_is(case_path: Path) -> None:
    with Case.open(case_path), Case.open(case_path):
        pass
    with closing(sqlite3.connect(case_path)) as db:
        for name, value in (
            ("application_id", schema.APPLICATION_ID),
            ("user_version", len(schema.MIGRATIONS)),
            ("journal_mode", "wal"),
        ):
            assert db.execute(f"PRAGMA {name}").fetchone() == (value,)


def test_an_older_case_is_migrated_and_then_too_new_for_an_older_program(
    case_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([scored(tmp_path / "a", "a")])
    step = ("CREATE TABLE review (sha256 TEXT REFERENCES image, label TEXT)",)
    fill = ("INSERT INTO review SELECT sha256, 'real' FROM image",)
    broken = ("INSERT INTO review VALUES (NULL, 'half')", "INSERT INTO nowhere VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step + fill, broken))
        with pytest.raises(CaseError), Case.open(case_path):
            pass  # step 2 is done, step 3 left nothing behind
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:-1])
        with Case.open(case_path) as case:
            assert len(list(case.rows())) == 1
            with case.reading() as db:
                [row] = db.execute("SELECT * FROM review").fetchall()
            assert tuple(row) == (sha("a"), "real")
        with Case.open(tmp_path / "new.sqlite3") as case:
            with case.reading() as db:
                [version] = db.execute("PRAGMA user_version").fetchone()
            assert version == len(schema.MIGRATIONS)
    before = case_path.read_bytes()
    with pytest.raises(CaseError, match="newer"), Case.open(case_path):
        pass
    assert case_path.read_bytes() == before


def test_a_case_of_the_first_schema_keeps_its_rows(
    case_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with closing(connection.connect(case_path)) as db:
            db.execute("INSERT INTO image VALUES (?, 3, 'PNG', 4, 5, 1)", (sha("a"),))
            db.execute(
                "INSERT INTO scan VALUES (1, '2026-01-01T00:00:00+00:00', NULL, '0', 'm', 'd', 'p',"
                " 0.9, '{}')"
            )
            db.execute(
                "INSERT INTO location VALUES (x'2f61', ?, 3, 'PNG', 'scored', NULL, 1, 0)",
                (sha("a"),),
            )
    with Case.open(case_path) as case:
        [row] = case.rows()
        assert (row.path, row.facts.width, row.traits) == (Path("/a"), 4, None)


def test_a_case_of_the_second_schema_keeps_its_scores(
    case_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
        with closing(connection.connect(case_path)) as db:
            db.execute("INSERT INTO image VALUES (?, 3, 'PNG', 4, 5, 1, NULL, NULL)", (sha("a"),))
            db.execute(
                "INSERT INTO scan VALUES (1, '2026-01-01T00:00:00+00:00', NULL, '0', 'tiny', ?,"
                " ?, 0.9, '{}')",
                (SETTINGS.model_sha256, SETTINGS.preprocessing),
            )
            db.execute(
                "INSERT INTO prediction VALUES (?, ?, ?, 1.5, 'first of 2 frames', 1)",
                (sha("a"), SETTINGS.model_sha256, SETTINGS.preprocessing),
            )
            db.execute(
                "INSERT INTO location VALUES (x'2f61', ?, 3, 'PNG', 'scored', NULL, 1, 0)",
                (sha("a"),),
            )
    with Case.open(case_path) as case:
        [row] = case.rows()
        assert (row.logit, row.reason, row.domain) == (1.5, "first of 2 frames", None)
        known = case.begin_scan(SETTINGS).known(sha("a"))
        assert known is not None
        assert (known.logit, known.note, known.domain) == (1.5, "first of 2 frames", None)


# What is reviewed


def test_the_domain_is_kept_with_the_score_and_of_the_later_scan(
    case_path: Path, tmp_path: Path
) -> None:
    first = scored(tmp_path / "a", "a", domain="noise or a pattern", reason="out of domain: noise")
    with Case.open(case_path) as case:
        case.begin_scan(SETTINGS).record([first, scored(tmp_path / "b", "b")])
        assert [row.domain for row in case.rows()] == ["noise or a pattern", None]
        scan = case.begin_scan(SETTINGS)
        known = scan.known(sha("a"))
        assert known is not None
        assert (known.domain, known.note) == (first.domain, first.reason)
        scan.record([replace(first, domain=None)])
        assert [row.domain for row in case.current()] == [None, None]


def test_traits_are_kept_until_somebody_looks_again(case_path: Path, tmp_path: Path) -> None:
    claims = (Evidence(Mark.CAMERA, "EXIF", "camera", "A \u20ac"), Evidence(None, "XMP", "x", "y"))
    for fingerprint in (0, 2**63 - 1, 2**63, 2**64 - 1):
        first = replace(
            scored(tmp_path / "a", f"a{fingerprint}"), traits=Traits(fingerprint, claims)
        )
        with Case.open(case_path) as case:
            case.begin_scan(SETTINGS).record([first])
            case.begin_scan(SETTINGS).record([replace(first, traits=None)])
            [row] = case.rows()
        assert row.traits is not None
        assert (row.traits.fingerprint, row.traits.evidence) == (fingerprint, claims)


def test_an_interrupted_scan_takes_nothing_away_from_what_is_reviewed(
    case_path: Path, tmp_path: Path
) -> None:
    a, b, c = (scored(tmp_path / name, name) for name in "abc")
    with Case.open(case_path) as case:
        assert list(case.current()) == []
        old = case.begin_scan(SETTINGS)
        old.record([a, b, c])
        assert [row.path.name for row in case.current()] == ["a", "b", "c"]  # none ended yet
        whole = case.begin_scan(SETTINGS)
        whole.record([b, a])
        whole.finish()
        assert [row.path.name for row in case.current()] == ["b", "a"]
        case.begin_scan(SETTINGS).record([a])
        assert [row.path.name for row in case.current()] == ["b", "a"]
        assert [row.scan_id for row in case.current()] == [2, 3]
        assert [row.path.name for row in case.rows()] == ["a"]
        assert [scan.finished is None for scan in case.scans()] == [True, False, True]


def covering(folders: list[Path], exclude: Sequence[str] = ()) -> ScanSettings:
    """A scan of these folders."""
    options = ScanOptions(folders=tuple(map(str, folders)), exclude=tuple(exclude))
    return replace(SETTINGS, options=options)


def test_a_scan_takes_away_only_what_it_looked_for(case_path: Path, tmp_path: Path) -> None:
    photos, trip = tmp_path / "photos", tmp_path / "photos" / "trip"
    with Case.open(case_path) as case:

        def after(settings: ScanSettings, *names: str, finish: bool = True) -> str:
            """Names of what is to be reviewed after a scan that found these files."""
            scan = case.begin_scan(settings)
            scan.record([scored(photos / name, name) for name in names])
            if finish:
                scan.finish()
            found = [str(row.path.relative_to(photos)) for row in case.current()]
            return " ".join(sorted(found))

        assert after(covering([photos]), "a", "b", "trip/c", "trip-2/d") == "a b trip-2/d trip/c"
        assert after(covering([]), "b") == "a b trip-2/d trip/c"  # files alone
        assert after(covering([tmp_path / "empty"])) == "a b trip-2/d trip/c"
        assert after(covering([photos], ["a*"]), "b", "trip/c") == "a b trip-2/d trip/c"
        assert after(covering([trip]), finish=False) == "a b trip-2/d trip/c"
        assert after(covering([trip]), "trip/e") == "a b trip-2/d trip/e"
        assert after(covering([trip, photos / "trip-2"])) == "a b"
        assert after(covering([photos], ["a*"]), "f") == "a f"  # b was seen under the same exclude
        assert after(covering([photos]), "f") == "f"
        assert after(SETTINGS, "g") == "g"  # an older version did not say: it looked everywhere
        assert after(covering([tmp_path.parent])) == ""


def test_what_a_later_scan_missed_does_not_come_as_new(case_path: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    with Case.open(case_path) as case:
        for folder in (a, b):
            scan = case.begin_scan(covering([folder]))
            scan.record([scored(folder / "x", str(folder))])
            scan.finish()
        case.begin_scan(covering([b])).finish()
        [last] = case.current()
        assert last.path == a / "x" and list(case.beyond(last)) == []


def test_the_root_of_the_disk_and_names_that_are_not_utf8_are_covered(case_path: Path) -> None:
    odd = Path(os.fsdecode(b"/p\xff"))
    with Case.open(case_path) as case:
        for folder in (odd, Path("/")):
            scan = case.begin_scan(SETTINGS)
            scan.record([scored(odd / "x", "x")])
            scan.finish()
            assert len(list(case.current())) == 1
            case.begin_scan(covering([folder])).finish()
            assert list(case.current()) == []


def test_how_long_to_wait_is_for_the_opener_to_say(case_path: Path) -> None:
    with Case.open(case_path) as slow, Case.open(case_path, busy=0.02) as case:
        waits = []
        for opened in (slow, case):
            with opened.reading() as db:
                waits.append(db.execute("PRAGMA busy_timeout").fetchone()[0])
        assert waits == [30_000, 20]
        with slow.writing(), pytest.raises(CaseError, match="another process"):
            case.begin_scan(SETTINGS)


def test_a_case_file_that_is_gone_takes_no_durable_write(case_path: Path) -> None:
    with Case.open(case_path) as case:
        case.check()
        case_path.unlink()
        for reach in (case.check, case.durable().__enter__):
            with pytest.raises(CaseError, match="moved away or replaced"):
                reach()
        with Case.open(case_path), pytest.raises(CaseError, match="moved away or replaced"):
            case.check()
