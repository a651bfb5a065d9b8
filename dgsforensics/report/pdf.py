"""The page on paper: printed by the browser that is on the machine, which lays it out best.

A library for PDF would be a second style sheet, or a hundred megabytes of another browser.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from dgsforensics.errors import UsageError

_NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("msedge", "microsoft-edge"),
)
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_SECONDS = 600.0
"""For 2,000 pictures on a slow machine."""


def browser() -> str:
    """Return the browser that prints; raises `UsageError` where there is none."""
    named = (shutil.which(name) for name in _NAMES)
    placed = (place for place in _PLACES if os.path.isfile(place))
    found = next(filter(None, (*named, *placed)), None)
    if found is None:
        raise UsageError(
            "--pdf: no Chromium, Chrome or Edge was found, which prints the page",
            "install one (Debian: apt install chromium), or write --html and print that yourself",
        )
    return found


def render(page: bytes) -> bytes:
    """Return the page as PDF; raises `UsageError` where the browser cannot do it."""
    program = browser()
    with tempfile.TemporaryDirectory(prefix="dgsf-", ignore_cleanup_errors=True) as folder:
        source, target = Path(folder, "page.html"), Path(folder, "page.pdf")
        with open(source, "xb") as file:
            file.write(page)
        command = [
            program,
            "--headless",
            # The page is ours, runs nothing and loads nothing; in containers there is no sandbox.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={Path(folder, 'profile')}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={target}",
            source.as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"--pdf: {program} did not print: {error}", _OTHERWISE) from error
        if not target.is_file():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            said = f": {last[0]}" if last else ""
            raise UsageError(f"--pdf: {program} did not print{said}", _OTHERWISE)
        return target.read_bytes()


_OTHERWISE = "write --html, open it in a browser and print it from there"
