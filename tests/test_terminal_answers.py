"""What terminals say of themselves, in the words of several, and one that says it at a pty."""

import os
import subprocess
import sys
import threading

import pytest

from dgsforensics.tui.terminal import UNASKED, TerminalAnswer, note, understood

DA1 = b"\x1b[?62;4c"


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        (b"\x1bP>|kitty(0.35.2)\x1b\\\x1bP1$r48:2:18:52:86m\x1b\\", ("kitty(0.35.2)", True)),
        (b"\x1bP>|foot(1.16.2)\x1b\\\x1bP1$r0;48:2::18:52:86m\x1b\\", ("foot(1.16.2)", True)),
        (b"\x1bP>|VTE(7200)\x1b\\\x1bP1$r0;48;2;18;52;86m\x1b\\", ("VTE(7200)", True)),
        (b"\x1bP>|XTerm(390)\x1b\\\x1bP1$r0;48;5;24m\x1b\\", ("XTerm(390)", False)),
        (b"\x1bP1$r0m\x1b\\", ("", None)),  # it keeps no account of colours
        (b"\x1bP0$r\x1b\\", ("", None)),
        (b"", ("", None)),
    ],
)
def test_what_is_understood(answer: bytes, meant: tuple[str, bool | None]) -> None:
    assert understood(answer + DA1) == TerminalAnswer(*meant)


def test_an_answer_counts_for_more_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    note(UNASKED)
    assert os.environ["COLORTERM"] == "truecolor"
    note(TerminalAnswer("x", False))
    assert "COLORTERM" not in os.environ
    note(TerminalAnswer("x", True))
    assert os.environ["COLORTERM"] == "truecolor"


SCRIPT = "from dgsforensics.tui.terminal import ask; print('it is', ask())"


@pytest.mark.parametrize("answers", [True, False])
def test_a_terminal_is_asked_and_left_as_it_was(answers: bool) -> None:
    pytest.importorskip("termios", reason="there is no pty here")
    import pty
    import termios

    here, there = pty.openpty()
    before = termios.tcgetattr(there)
    variables = {k: v for k, v in os.environ.items() if k not in ("TMUX", "SSH_TTY")}
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=there,
        stdout=there,
        env={**variables, "TERM": "xterm-256color"},
    )
    said = b""

    def listen() -> None:
        nonlocal said
        told = False
        while b"TerminalAnswer" not in said or b")\r\n" not in said:
            said += os.read(here, 4096)
            if answers and not told and b"\x1b[c" in said:
                told = True
                os.write(here, b"\x1bP>|made(1)\x1b\\\x1bP1$r0;48:2:18:52:86m\x1b\\" + DA1)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert child.wait(60) == 0
    listener.join(60)
    name, colour = ("made(1)", True) if answers else ("", None)
    assert f"it is TerminalAnswer(name={name!r}, has_full_colour={colour})".encode() in said
    assert termios.tcgetattr(there) == before
    os.close(here)
    os.close(there)
