"""Settings files: `dgsf.toml` in the current folder over `config.toml` in the user's folder.

A file has one table a command, keys as the long options are spelled: `[scan]`, `fpr = 0.01`.
Flags and `DGSF_*` variables go before both.
"""

import tomllib
from pathlib import Path
from typing import Any

import platformdirs

from dgsforensics.errors import UsageError

PROJECT_FILE = "dgsf.toml"


def user_file() -> Path:
    """Where the user's own settings lie."""
    return platformdirs.user_config_path("dgsforensics") / "config.toml"


def load(known: dict[str, set[str]]) -> dict[str, dict[str, Any]]:
    """Defaults by command and parameter name (`no_cache` for `no-cache`), project over user.

    `known` lists the parameters of each command. Raises `UsageError` naming file and key for what
    is not TOML, not a command or not one of its options.
    """
    merged: dict[str, dict[str, Any]] = {command: {} for command in known}
    for file in (user_file(), Path(PROJECT_FILE)):
        if not file.is_file():
            continue
        try:
            tables = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{file}: {error}") from error
        for command, values in tables.items():
            if command not in known or not isinstance(values, dict):
                raise UsageError(f"{file}: no command {command!r}", f"known: {', '.join(known)}")
            for key, value in values.items():
                name = key.replace("-", "_")
                if name not in known[command]:
                    raise UsageError(f"{file}: {command} has no option {key!r}")
                merged[command][name] = value
    return merged
