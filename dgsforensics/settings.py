"""Settings files: `dgsf.toml` in the current folder over `config.toml` in the user's folder.

A file has one table a command, keys as the long options are spelled: `[scan]`, `fpr = 0.01`.
Flags and `DGSF_*` variables go before both. What only the user's own file may say is a table within
a table: `[review.keys]`.
"""

import tomllib
from pathlib import Path
from typing import Any, cast

import platformdirs

from dgsforensics.errors import UsageError

PROJECT_FILE = "dgsf.toml"
OF_THE_USER = {("review", "keys")}
"""Tables within a command's that `table` reads: a file beside the pictures must not swap keys."""


def user_file() -> Path:
    """Return where the user's own settings lie."""
    return platformdirs.user_config_path("dgsforensics") / "config.toml"


def table(command: str, name: str) -> dict[str, Any]:
    """Return a table within a command's, from the user's own file; empty where there is none."""
    value: Any = _read(user_file())
    for key in (command, name):
        value = value.get(key, {})
        if not isinstance(value, dict):
            raise UsageError(f"{user_file()}: {key!r} has to be a table, [{command}.{name}]")
    return cast(dict[str, Any], value)


def load(known: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Return defaults by command and parameter, project over user.

    `known` maps each command to the parameters behind its long options: `{"scan": {"no-cache":
    "no_cache"}}`. Raises `UsageError` naming file and key for what is not TOML, not a command or
    not one of its options.
    """
    merged: dict[str, dict[str, Any]] = {command: {} for command in known}
    for file in (user_file(), Path(PROJECT_FILE)):
        for command, values in _read(file).items():
            if command not in known:
                raise UsageError(f"{file}: no command {command!r}", f"known: {', '.join(known)}")
            if not isinstance(values, dict):
                raise UsageError(f"{file}: {command!r} has to be a table, [{command}]")
            for key, value in values.items():
                if (command, key) in OF_THE_USER and file == user_file():
                    continue
                if (command, key) in OF_THE_USER:
                    raise UsageError(
                        f"{file}: [{command}.{key}] is not taken from here", f"use {user_file()}"
                    )
                if key not in known[command]:
                    raise UsageError(f"{file}: {command} has no option {key!r} for a settings file")
                merged[command][known[command][key]] = value
    return merged


def _read(file: Path) -> dict[str, Any]:
    """Return what a file says; nothing where there is none."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: {error}") from error
