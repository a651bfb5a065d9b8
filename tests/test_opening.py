"""Images in the system's viewer: what is run, and what is said where that cannot be seen."""

import sys
import time
from pathlib import Path

import pytest

from dgsforensics.tui.opening import open_image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs of Linux")


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a desktop, with a viewer that notes what it is given."""
    viewer = tmp_path / "bin" / "xdg-open"
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/seen"\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{viewer.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("SSH_CONNECTION", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "-a b.png"
    made.write_bytes(b"picture")
    return made


def test_the_viewer_is_given_the_file(picture: Path) -> None:
    assert open_image(picture) == "opened -a b.png in the system's viewer"
    seen, end = picture.parent / "seen", time.monotonic() + 60
    while not (seen.exists() and seen.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert seen.read_text() == str(picture)


def test_ssh_is_said(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert "on the other machine's screen" in open_image(picture)
    monkeypatch.delenv("DISPLAY")
    said = open_image(picture)
    assert "this is ssh" in said and str(picture) in said


def test_what_cannot_be_is_said(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is gone" in open_image(picture.with_name("other.png"))
    monkeypatch.setenv("PATH", str(picture.parent))
    assert "xdg-open, gio" in open_image(picture)
    monkeypatch.delenv("DISPLAY")
    assert "no screen" in open_image(picture)
