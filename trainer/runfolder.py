"""Where a run keeps what it needs to go on: a folder beside the detector file it will write.

mydata.training/   options.toml, split.jsonl, metrics.jsonl, state (while training)
mydata.safetensors, mydata.md, mydata.toml      the result
"""

import tomllib
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dgsforensics import atomic
from dgsforensics.detector.folders import REPLAY_SUFFIX
from dgsforensics.errors import UsageError

from .config import TrainConfig

START_OVER = "start over with --force instead of --resume"
"""For messages of a run that should have gone on."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    out: Path
    given: Path | None = None
    """The file with options that a person gave: it is theirs, wherever it lies."""

    def is_given(self, file: Path) -> bool:
        """Return whether the file is the one with the options that a person gave."""
        return self.given is not None and file.absolute().resolve() == self.given.resolve()

    @property
    def folder(self) -> Path:
        """All but the result."""
        return self.out.with_suffix(".training")

    @property
    def rejected(self) -> Path:
        """What the result is called when the forgetting gate rejects it."""
        return self.out.with_suffix(".rejected.safetensors")

    @property
    def options(self) -> Path:
        """The options of the run; gone when it is done."""
        return self.folder / "options.toml"

    @property
    def split(self) -> Path:
        """Which image serves for what."""
        return self.folder / "split.jsonl"

    @property
    def metrics(self) -> Path:
        """The record of the steps (`journal`)."""
        return self.folder / "metrics.jsonl"

    @property
    def state(self) -> Path:
        """Where training stands; gone when it is done."""
        return self.folder / "state"

    def results(self) -> list[Path]:
        """Return files that an earlier run of this name has written."""
        names = [path.with_suffix(s) for path in (self.out, self.rejected) for s in _SUFFIXES]
        return [path for path in names if path.exists() and not self.is_given(path)]

    def finish(self, written: Path) -> None:
        """Drop what only an unfinished run needs, and what an accepted result makes obsolete."""
        self.state.unlink(missing_ok=True)
        self.options.unlink(missing_ok=True)
        if written == self.out:
            for path in (self.rejected.with_suffix(suffix) for suffix in _SUFFIXES):
                if not self.is_given(path):
                    path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Leave nothing of a run that failed before there was anything to go on with."""
        if self.state.exists():
            return
        for path in (self.options, self.split, self.metrics):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files are in it
            self.folder.rmdir()


_SUFFIXES = (".safetensors", ".md", ".toml", REPLAY_SUFFIX)


def claim(
    out: Path, config: TrainConfig, resume: bool, force: bool, given: Path | None = None
) -> RunFolder:
    """Make or find the folder of a run; raise `UsageError` rather than mix or overwrite runs.

    `given` is the file with options that a person gave.
    """
    place = RunFolder(out, given)
    if out.suffix != ".safetensors":
        raise UsageError(f"a detector file ends in .safetensors, not {out.name!r}")
    if out.name.endswith(REPLAY_SUFFIX):
        raise UsageError(
            f"{out.name!r} is the name of what a detector knows, not of a detector",
            f"choose another --out, without {REPLAY_SUFFIX.split('.')[1]!r}",
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in out.name):
        raise UsageError(
            f"no name for a detector: {out.name!r}",
            "name the file with --out, without control characters and in UTF-8",
        )
    if resume and force:
        raise UsageError("--resume goes on and --force starts over: give one of them")
    try:
        if out.is_dir():
            raise UsageError(f"{out} is a folder", "name the file to write with --out")
        if resume and place.options.exists():  # what is there already was given up with --force
            _same_options(place, config)
            return place
        if (there := place.results()) and not force:
            over = "start over with --force, which replaces it"
            raise UsageError(
                f"{there[0]} is there already",
                f"choose another --out, or {over}" + (", without --resume" if resume else ""),
            )
        if resume:
            raise UsageError(
                f"there is no run to go on with in {place.folder}", "leave --resume out"
            )
        if place.options.exists() and place.split.exists() and not force:
            raise UsageError(
                f"an unfinished run is in {place.folder}",
                "go on with --resume, or start over with --force",
            )
        _start_over(place, config)
    except OSError as error:
        raise UsageError(f"cannot write to {place.folder}: {error.strerror}") from error
    return place


def _start_over(place: RunFolder, config: TrainConfig) -> None:
    """Empty the folder but for the options, which come last and whole: they make it a run."""
    place.folder.mkdir(parents=True, exist_ok=True)
    for path in (place.options, place.split, place.metrics, place.state):
        path.unlink(missing_ok=True)
    atomic.write_text(config.to_toml(), place.options)


def _same_options(place: RunFolder, config: TrainConfig) -> None:
    """Refuse to resume a run with other options than it was started with."""
    try:
        before = tomllib.loads(place.options.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{place.options} is damaged", START_OVER) from error
    now = tomllib.loads(config.to_toml())
    differing = sorted(key for key in before | now if before.get(key) != now.get(key))
    if differing:
        raise UsageError(
            "the run was started with other options: "
            + ", ".join(f"{key} was {before.get(key)!r}" for key in differing),
            f"give the same ones, or {START_OVER}",
        )
