"""What surrounds a scan and is recorded with it: who, where, and by which command.

Nothing of it is sent anywhere; it is in the case file, for a report has to state it.
"""

import getpass
import os
import platform
from collections.abc import Sequence

from dgsforensics.case.circumstances import Circumstances


def gather(command: Sequence[str]) -> Circumstances:
    """Return what there is to say now."""
    return Circumstances(
        command=tuple(command),
        folder=_folder(),
        operator=login_name(),
        host=platform.node(),
        system=platform.platform(),
    )


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted under the shell
        return ""


def login_name() -> str | None:
    """Return who is logged in; None where the system has no name for them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them is up to the version
        return None
