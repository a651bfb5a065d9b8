"""The installed `dgsf review` in a real terminal: under tmux, and at the other end of a pty."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dgsforensics.case.decisions import Log
from dgsforensics.case.store import Case
from dgsforensics.judgements import Showing
from dgsforensics.tui.arrival import ANSWER_SECONDS
from tui_case import DEADLINE, Sample, build, log

ROOT = Path(__file__).resolve().parents[1]
DGSF = Path(sys.executable).with_name("dgsf")
HEAVY = {"torch", "open_clip", "torchvision", "timm"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DGSF.exists(), reason="dgsf is not installed as a command"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def case(built, tmp_path) -> Path:
    return Path(shutil.copy(built, tmp_path / "case.sqlite3"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch) -> None:
    for name in ("NO_COLOR", "COLORTERM", "TMUX", "STY", "COLUMNS", "LINES", "TEXTUAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def until(condition: Callable[[], Any], said: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, said()
        time.sleep(0.02)


def labels(case: Path) -> list[tuple[str, str | None]]:
    return [(entry.path.name, entry.judgement) for entry in log(case)]


# tmux


class Terminal:
    """A terminal of its own server, with one program in it."""

    def __init__(self, *command: object, size: tuple[int, int] = (80, 24)) -> None:
        self._folder = tempfile.mkdtemp(prefix="dgsf-")  # a socket needs a short path
        shape = ("-x", str(size[0]), "-y", str(size[1]))
        self.tmux("new-session", "-d", "-s", "review", *shape, *map(str, command))
        self.pid = int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def tmux(self, *arguments: str, check: bool = True) -> str:
        command = ["tmux", "-u", "-f", os.devnull, "-S", f"{self._folder}/tmux", *arguments]
        done = subprocess.run(
            command,
            env=dict(os.environ),  # beside which readline, in pytest, has set COLUMNS and LINES
            capture_output=True,
            encoding="utf-8",
            check=check,
        )
        return done.stdout

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", check=False)

    def says(self, *texts: str) -> None:
        """Wait until all of these are on the screen."""
        until(lambda: self.shows(*texts), lambda: self.screen)

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def label(self, key: str, *texts: str) -> None:
        """Press a label key, again if the picture had not arrived, and wait for these texts."""
        while True:
            time.sleep(0.5)
            self.press(key)
            until(lambda: NOT_LABELLED in self.screen or self.shows(*texts), lambda: self.screen)
            if self.shows(*texts):
                return

    def shows(self, *texts: str) -> bool:
        screen = self.screen
        return all(text in screen for text in texts)

    @property
    def is_running(self) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def close(self) -> None:
        self.tmux("kill-server", check=False)
        shutil.rmtree(self._folder)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened: list[Terminal] = []

    def start(*command: object, **more: Any) -> Terminal:
        opened.append(Terminal(*command, **more))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def review(case: Path, *options: str) -> list[object]:
    return [DGSF, "review", case, "--reviewer", "ann", *options]


NOT_LABELLED = "NOT LABELLED"
FOOTER = "1 AI 2 real 3 unsure 4 unfit"


def test_reviewing_under_tmux(terminal, case):
    told = 'echo "exit code $?"; exec sleep 1000'
    shell = terminal("sh", "-c", f'"$@"; {told}', "sh", *review(case), size=(100, 30))
    shell.says(FOOTER, "▸flagged       99.3% alps/lake.png", "0 of 5 labelled", "lake.png · fit")
    shell.label("1", "AI: lake.png", "▸flagged       98.2% lake small.png", "1 of 5 labelled")
    assert labels(case) == [("lake.png", "ai")]
    shell.press("Down")
    shell.says("95.3% peak.png · fit")
    shell.label("R", "real: peak.png (near-duplicates)", "2 of 5 labelled")
    shell.press("z")
    shell.says("undone: 1 image", "1 of 5 labelled")
    shell.press("/")
    shell.says("Filter:")
    shell.press("BSpace")
    shell.says(" only:flagged,inconclusive,claim ")
    shell.press("Escape")
    until(lambda: "Filter:" not in shell.screen, lambda: shell.screen)
    shell.press("t")
    shell.says("Note on peak.png")
    shell.press("-l", "späte Zeile 1")
    shell.press("Enter")
    until(lambda: "Note on" not in shell.screen, lambda: shell.screen)
    shell.press("i")
    shell.says("ann,", "späte Zeile 1")
    shell.press("i")
    shell.press("PageDown")
    shell.says("▸inconclusive  73.1% city/tram.png")
    shell.press("?")
    shell.says("Keys of the moment (Esc")
    shell.press("Escape")
    shell.press("Escape")
    shell.says("all by queue", "5/10")
    shell.press("End")
    shell.says("▸unsupported         city/raw.xyz")
    shell.press("q")
    shell.says("exit code 0")
    assert "▸" not in shell.screen  # the alternate screen is left
    expected = [("lake.png", "ai"), ("peak.png", "real"), ("peak.png", None), ("peak.png", None)]
    assert labels(case) == expected
    assert log(case)[-1].note == "späte Zeile 1"


def test_another_size(terminal, case):
    shell = terminal(*review(case), size=(200, 60))
    wide = ("flagged       99.3%", "What the file claims", "The same for every image")
    shell.says(*wide, "lake.png · fit")
    for columns, rows in ((80, 24), (40, 10)):
        shell.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        until(lambda columns=columns: width(shell) == columns, lambda: shell.screen)
    shell.press("1")
    shell.says("AI: lake.png")
    shell.tmux("resize-window", "-x", "200", "-y", "60")
    shell.says(*wide, "1 of 5 labelled")


def pair(screen: str) -> tuple[str, str] | None:
    """The names in the line of the cursor and below the picture; None where there is none."""
    row = re.search(r"▸.*?(\d+\.png)", screen)
    caption = re.search(r"% (\d+\.png) · fit", screen)
    return (row[1], caption[1]) if row and caption else None


def test_keys_typed_ahead_label_what_is_on_the_screen(terminal, tmp_path):
    samples = tuple(Sample(f"{number:02}.png", 6 - number / 10) for number in range(40))
    case = build(tmp_path, samples)
    shell = terminal(*review(case), size=(120, 40))
    shell.says(FOOTER, "00.png · fit")
    for number in range(40):
        shell.press("12"[number % 2])
        time.sleep(0.05)
    until(lambda: (names := pair(shell.screen)) and names[0] == names[1], lambda: shell.screen)
    shell.press("q")
    until(lambda: not shell.is_running)
    written = log(case)
    # One after the other, none passed over, each with its picture before the eyes.
    assert [entry.path.name for entry in written] == [s.name for s in samples[: len(written)]]
    for entry in written:
        assert entry.sight is not None
        assert entry.sight.showing == Showing.BLOCKS
    assert written


def width(shell: Terminal) -> int:
    """Of what is drawn."""
    return max(map(len, shell.screen.splitlines()))


def test_keys_from_the_settings_file(terminal, case):
    settings = Path(os.environ["XDG_CONFIG_HOME"]) / "dgsforensics" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[review.keys]\nai = "p"\n')
    shell = terminal(*review(case))
    shell.says("p AI", "lake.png · fit")
    shell.press("1", "p")
    shell.says("AI: lake.png", "98.2% lake s")
    shell.press("2")
    shell.says("real: lake small.png")
    assert labels(case) == [("lake.png", "ai"), ("lake small.png", "real")]


@pytest.mark.parametrize("end", ["kill -9", "the terminal goes away"])
def test_nothing_is_lost(terminal, case, end):
    shell = terminal(*review(case))
    shell.says(FOOTER, "lake.png · fit")
    for key, following in (
        ("1", "98.2% lake s"),
        ("2", "95.3% peak.png · fit"),
        ("!", "3 of 5 labelled"),
    ):
        shell.label(key, following)
    if end == "kill -9":
        os.kill(shell.pid, signal.SIGKILL)
    else:
        shell.tmux("kill-session")
    until(lambda: not shell.is_running)
    expected = [("lake.png", "ai"), ("lake small.png", "real"), ("peak.png", "ai")]
    assert labels(case) == expected
    with Case.open(case) as opened:
        assert Log(opened).verify().entries == 3
    again = terminal(*review(case))
    again.says("3 of 5 labelled")
    again.press("z")
    again.says("undone: 1 image; 2 steps to undo", "2 of 5 labelled")


def test_a_terminal_that_hangs_up_without_a_signal_ends_the_review(case):
    pty = pytest.importorskip("pty")
    here, there = pty.openpty()
    process = subprocess.Popen(
        list(map(str, review(case))),
        stdin=there,
        stdout=there,
        stderr=there,
        env=os.environ | {"TERM": "xterm-256color"},
        start_new_session=True,  # and so it is no terminal's child
    )
    os.close(there)
    shown = b""
    while b"AI" not in shown:
        shown += os.read(here, 65536)
    os.close(here)
    try:
        process.wait(DEADLINE)
    finally:
        process.kill()


def colours(shell: Terminal) -> set[str]:
    """Those of 256 that are shown and are no grey."""
    shown = shell.tmux("capture-pane", "-p", "-e")
    assert not re.search(r"\x1b\[[0-9;]*[34]8;2;", shown)
    found = re.findall(r"\x1b\[[0-9;]*[34]8;5;(\d+)", shown)
    greys = {"16", "59", "102", "145", "188", "231", *map(str, range(232, 256))}
    return {*found, *re.findall(r"\x1b\[[34]([1-6])m", shown)} - greys


def test_no_colour_is_sent_where_none_is_wanted(terminal, case, monkeypatch):
    shell = terminal(*review(case))
    shell.says(FOOTER, "lake.png · fit")
    assert colours(shell)
    monkeypatch.setenv("NO_COLOR", "1")
    shell = terminal(*review(case))
    shell.says(FOOTER, "lake.png · fit")
    assert not colours(shell)  # greys alone


# Without tmux


class Pty:
    """A terminal of 80x24 that answers nothing."""

    def __init__(self, *command: object) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._here, self._there = pty.openpty()
        fcntl.ioctl(self._there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._before = termios.tcgetattr(self._there)
        self.output = b""
        self._process = subprocess.Popen(
            list(map(str, command)),
            stdin=self._there,
            stdout=self._there,
            stderr=self._there,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color"},
        )

    def _read(self) -> None:
        import select

        while select.select([self._here], [], [], 0)[0]:
            self.output += os.read(self._here, 1 << 16)

    def says(self, text: bytes) -> None:
        """Wait for what was not there before."""
        start = len(self.output)

        def said() -> bool:
            self._read()
            return text in self.output[start:]

        until(said, lambda: self.output[-2000:])

    def press(self, keys: bytes) -> None:
        os.write(self._here, keys)

    def wait(self) -> int:
        def over() -> bool:
            self._read()  # else it may wait to write
            return self._process.poll() is not None

        until(over, lambda: self.output[-2000:])
        self._read()
        assert self._process.returncode is not None
        return self._process.returncode

    @property
    def is_restored(self) -> bool:
        """Whether the settings of the terminal are what they were."""
        import termios

        return termios.tcgetattr(self._there) == self._before

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._here)
        os.close(self._there)


@pytest.fixture
def pty_terminal() -> Iterator[Callable[..., Pty]]:
    pytest.importorskip("termios", reason="there is no pty here")
    opened: list[Pty] = []

    def start(*command: object) -> Pty:
        opened.append(Pty(*command))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_reviewing_in_a_pty(pty_terminal, case):
    shell = pty_terminal(*review(case))
    shell.says("lake.png · fit".encode())
    time.sleep(2 * ANSWER_SECONDS)  # it does not answer
    assert b"\x1b[?1049h" in shell.output
    shell.press(b"1")
    shell.says(b"AI: lake.png")
    assert labels(case) == [("lake.png", "ai")]
    shell.press(b"q")
    assert shell.wait() == 0
    end = shell.output[shell.output.rindex(b"\x1b[?1049l") :]
    assert b"\x1b[?25h" in end  # the cursor
    assert b"lake" not in end
    assert shell.is_restored


def test_the_screen_of_a_stored_case_loads_no_model(pty_terminal, case, tmp_path):
    found = tmp_path / "modules"
    arguments = [*map(str, review(case))]
    script = (
        "import sys, pathlib\n"
        f"sys.argv = {arguments!r}\n"
        "from dgsforensics.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    pathlib.Path({str(found)!r}).write_text(' '.join(sys.modules))\n"
    )
    shell = pty_terminal(sys.executable, "-c", script)
    shell.says("lake.png · fit".encode())
    time.sleep(2 * ANSWER_SECONDS)  # it does not answer
    shell.press(b"1")
    shell.says(b"AI: lake.png")
    shell.press(b"q")
    assert shell.wait() == 0
    loaded = {name.split(".")[0] for name in found.read_text().split()}
    assert "textual" in loaded
    assert not loaded & HEAVY


# Without a screen


def test_a_plain_review_of_a_stored_case_loads_no_model(case):
    arguments = [*map(str, review(case, "--plain"))]
    script = (
        f"import sys\nsys.argv = {arguments!r}\n"
        "from dgsforensics.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('\\n' + ' '.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        input="1\nq\n",
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    assert "lake.png: ai" in done.stdout
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "dgsforensics" in loaded
    assert not loaded & {*HEAVY, "textual"}
    assert labels(case) == [("lake.png", "ai")]


def test_without_a_terminal_it_says_so(case):
    done = subprocess.run(
        [*map(str, review(case))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "needs a terminal" in done.stderr
    assert "--plain" in done.stderr
