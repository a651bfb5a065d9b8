"""Opens an image in the viewer of the system, for those who want to see it as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dgsforensics.wording import printable

OPENERS = {"darwin": ("open",), "linux": ("xdg-open", "gio")}
"""Programs that open a file with what is meant for it, by system."""


def open_image(path: Path) -> str:
    """Open an image, and return what to say about it."""
    name, over_ssh = printable(path.name), "SSH_CONNECTION" in os.environ
    has_screen = sys.platform in ("darwin", "win32") or bool(
        {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    )
    if over_ssh and not has_screen:
        return f"this is ssh, and the other machine has no screen: {printable(path)}"
    if not has_screen:
        return f"there is no screen to open it on: {printable(path)}"
    if not path.exists():
        return f"{name}: the file is gone"
    if sys.platform == "win32":
        os.startfile(path)
    else:
        openers = OPENERS.get(sys.platform, OPENERS["linux"])
        program = next(filter(None, map(shutil.which, openers)), None)
        if program is None:
            return f"none of {', '.join(openers)} is here to open it: {printable(path)}"
        command = [program, *(["open"] if Path(program).name == "gio" else []), str(path)]
        quiet = subprocess.DEVNULL
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    if over_ssh:
        return f"opened {name} on the other machine's screen: this is ssh"
    return f"opened {name} in the system's viewer"
