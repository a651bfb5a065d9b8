"""What can go wrong, in words for the person at the keyboard, and the exit codes.

Library code raises a `DgsError` where the cause is known; `dgsforensics.cli` catches it once.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `dgsf`, in the manner of clamscan."""

    CLEAN = 0
    """Everything was read and nothing was flagged."""
    FLAGGED = 1
    """At least one image was flagged, whether or not others could not be read."""
    ERROR = 2
    """Wrong usage, or nothing was flagged and a file could not be read."""
    REJECTED = 3
    """Trained, and rejected: worse than the detector it started from."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; what was finished is kept."""


class DgsError(Exception):
    """An expected failure: what is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def sentence(self) -> str:
        """Both on one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(DgsError):
    """The request itself makes no sense."""


class ConfigError(DgsError):
    """A configuration value is out of range or contradicts another."""


class CheckpointError(DgsError):
    """A detector or backbone file is missing, foreign or damaged."""


class DeviceError(DgsError):
    """The device asked for is not there."""


class CaseError(DgsError):
    """A case file cannot be opened, read or written."""


class ImageError(DgsError):
    """One file gave no pixels; the scan goes on."""


class UnreadableError(ImageError):
    """The file is damaged, out of reach, or beyond a limit."""


class UnsupportedError(ImageError):
    """The file is of a kind that is not read, or needs an extra that is not installed."""


MORE_MEMORY = "close other programs, or allow this one more (ulimit -v)"
"""The hint where memory ran out."""
