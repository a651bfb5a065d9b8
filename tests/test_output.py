"""Standard output takes every name, whatever the console can show."""

import io
import sys
from collections.abc import Callable

import pytest

import made_case
from dgsforensics import cli
from dgsforensics.case import location
from dgsforensics.cli import output

ODD = "日本 → caf\xe9.png"


class Console(io.TextIOWrapper):
    """A terminal of a given encoding, as Python opens it: what it lacks is an error."""

    def isatty(self) -> bool:
        return True


def written(
    monkeypatch: pytest.MonkeyPatch, stream: io.TextIOWrapper, act: Callable[[], None]
) -> bytes:
    monkeypatch.setattr(sys, "stdout", stream)
    act()
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "utf-8"])
def test_a_pipe_gets_utf8_and_a_terminal_its_own(monkeypatch, encoding) -> None:
    def act() -> None:
        output.start()
        output.show(ODD)

    pipe = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert written(monkeypatch, pipe, act) == f"{ODD}\n".encode()
    terminal = Console(io.BytesIO(), encoding=encoding)
    shown = written(monkeypatch, terminal, act).decode(encoding)
    assert shown == f"{ODD.encode(encoding, 'backslashreplace').decode(encoding)}\n"


@pytest.mark.parametrize("encoding", ["cp1252", "cp850"])
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["scan", "--help"], ["train", "--help"], ["case", "list"], ["case", "log"]],
)
def test_commands_run_on_any_console(monkeypatch, tmp_path, encoding, arguments) -> None:
    pictures = made_case.pictures(tmp_path / ODD, (ODD,))
    case = made_case.write(location.default_path([tmp_path / ODD]), pictures)
    if arguments == ["case", "log"]:
        label(monkeypatch, str(case), str(pictures[ODD]))

    def act() -> None:
        monkeypatch.setattr(sys, "argv", ["dgsf", *arguments])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        assert not exit.value.code

    text = written(monkeypatch, Console(io.BytesIO(), encoding=encoding), act).decode(encoding)
    assert text
    if arguments[0] == "case":
        assert r"\u65e5\u672c" in text


def label(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(sys, "argv", ["dgsf", "label", *names, "--as", "ai", "--reviewer", "Ann"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert not exit.value.code
