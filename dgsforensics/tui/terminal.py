"""What the terminal says when it is asked: what it is, and whether it has all colours.

Variables of the environment go astray over ssh, in containers and in tmux; an answer comes from the
terminal that will show the pictures. It has to be asked before Textual reads what is typed.
"""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECONDS = 1.0
"""How long an answer may take; over ssh three times that. Nearly all terminals answer at once."""
_COLOUR = "18:52:86"
_QUESTIONS = (
    "\x1b[>0q"  # XTVERSION: what are you?
    f"\x1b[48;2;{_COLOUR.replace(':', ';')}m\x1bP$qm\x1b\\\x1b[0m"  # DECRQSS: what colour is set?
    "\x1b[c"  # DA1, which all answer, the last: then the others have been answered or never will be
)
_LAST = re.compile(rb"\x1b\[\?[0-9;]*c")
_NAME = re.compile(rb"\x1bP>\|([^\x1b]*)\x1b\\")
_SET = re.compile(rb"\x1bP[01]\$r([0-9:;]*)m\x1b\\")


@dataclass(frozen=True, slots=True)
class TerminalAnswer:
    """What a terminal says of itself."""

    name: str = ""
    """With its version, e.g. `kitty(0.35.2)`; empty where it does not say."""
    has_full_colour: bool | None = None
    """None where it does not say."""


UNASKED = TerminalAnswer()


def ask() -> TerminalAnswer:
    """Ask the terminal, or tmux, which knows it; takes a moment at most."""
    if "TMUX" in os.environ:
        return _tmux()
    if sys.platform == "win32" or os.environ.get("TERM") in (None, "dumb", "linux"):
        return UNASKED
    if not (
        sys.__stdin__ and sys.__stdin__.isatty() and sys.__stdout__ and sys.__stdout__.isatty()
    ):
        return UNASKED
    seconds = SECONDS * (3 if "SSH_TTY" in os.environ else 1)
    with _unbuffered(sys.__stdin__.fileno()) as terminal:
        sys.__stdout__.write(_QUESTIONS)
        sys.__stdout__.flush()
        answer, end = b"", time.monotonic() + seconds
        while not _LAST.search(answer) and (left := end - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                answer += os.read(terminal, 4096)
        sys.__stdout__.write("\r\x1b[K")  # what a terminal that knows none of it may have shown
        sys.__stdout__.flush()
    return understood(answer)


def understood(answer: bytes) -> TerminalAnswer:
    """Return what the bytes of an answer say."""
    name, colour = _NAME.search(answer), _SET.search(answer)
    full = None
    if colour is not None and b"48" in re.split(rb"[:;]", colour[1]):
        # 48:2:18:52:86, 48:2::18:52:86 or 48;2;18;52;86; a terminal of 256 says which it took.
        full = colour[1].replace(b";", b":").endswith(_COLOUR.encode())
    return TerminalAnswer(name[1].decode("ascii", "replace") if name else "", full)


def note(answer: TerminalAnswer) -> None:
    """Let Rich and Textual know, which go by the environment."""
    if answer.has_full_colour:
        os.environ["COLORTERM"] = "truecolor"
    elif answer.has_full_colour is not None:
        os.environ.pop("COLORTERM", None)


@contextmanager
def _unbuffered(terminal: int) -> Iterator[int]:
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _tmux() -> TerminalAnswer:
    wanted = "#{client_termfeatures}\t#{client_termtype}"
    try:
        done = subprocess.run(
            ["tmux", "display-message", "-p", wanted],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return UNASKED
    features, _, name = done.stdout.rstrip("\n").partition("\t")
    if not features:  # nobody is attached
        return UNASKED
    return TerminalAnswer(name, "RGB" in features.split(","))


def is_gone() -> bool:
    """Return whether the terminal at standard input has hung up. Not every process is sent a signal
    then; false where the system has no way to tell."""
    if not hasattr(select, "poll") or sys.__stdin__ is None:
        return False
    poll = select.poll()
    try:
        poll.register(sys.__stdin__.fileno(), 0)
        return bool(poll.poll(0))
    except (OSError, ValueError):  # closed, or no file of the system's
        return False
