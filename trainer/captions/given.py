"""Captions that the data bring along: in a manifest, in files beside or apart, in folder names.

Text is UTF-8, on one line once read; blank text is no caption.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dgsforensics import tables
from dgsforensics.datasets.labelled import Sample
from dgsforensics.errors import UsageError

from .subjects import HINT, absolute, common_folder, from_folders

LookUp = Callable[[Sample], str | None]
"""The caption of one sample; None where there is none."""
Row = tuple[str, str | None, str]
"""Path, caption, and where this is said."""

_SHOWN = 5
"""Images named in a message."""
_HINTS = {
    "folder": HINT,
    "sidecar": "put the text beside the image, as <its name>.txt",
}
_MIRROR = "the folder has to mirror that of the images, with <name of the image>.txt in it"
_TABLE = (
    "a path is absolute, or relative to the folder of this file; a file name alone counts where "
    "one image has it"
)


def read(source: str, samples: Sequence[Sample]) -> list[str]:
    """Return one caption a sample, in order; what the data give (`Sample.caption`) goes first.

    `source` says where the others are:

    * `folder`: the name of the innermost folder that says what is shown (`subjects`);
    * `sidecar`: `<name>.txt` or `<stem>.txt` next to the image;
    * a folder: such files in a tree that mirrors the one of the images;
    * a `.json` file: an object from path to caption;
    * a `.jsonl` or `.csv` file: `path` and `caption` in each row.

    Raises `UsageError` when the source cannot be read or is damaged, naming file and line, when it
    contradicts itself, and when captions are missing.
    """
    if not samples:
        return []
    look_up = _route(source, samples)
    captions = [
        caption or _clean(look_up(sample), f"the caption of {sample.path}")
        for sample, caption in zip(samples, given(samples), strict=True)
    ]
    if missing := [s.path for s, caption in zip(samples, captions, strict=True) if not caption]:
        raise UsageError(
            f"{len(missing)} of {len(samples)} images have no caption: "
            + ", ".join(map(str, missing[:_SHOWN]))
            + (", …" if len(missing) > _SHOWN else ""),
            _HINTS.get(source) or (_MIRROR if Path(source).is_dir() else _TABLE),
        )
    return [caption for caption in captions if caption]


def given(samples: Sequence[Sample]) -> list[str | None]:
    """Return what the data themselves say of each sample; raises `UsageError` for damaged text."""
    return [_clean(sample.caption, f"the caption of {sample.path}") for sample in samples]


def _route(source: str, samples: Sequence[Sample]) -> LookUp:
    if source == "folder":
        named = from_folders(samples)
        return lambda sample: named.get(sample.path)
    if source == "sidecar":
        return lambda sample: _sidecar(sample.path)
    path = Path(source)
    if path.is_dir():
        return _mirrored(path, samples)
    return _from_table(path, samples)


def _clean(text: str | None, origin: str) -> str | None:
    """Return the caption on one line, or None where nothing is left to see."""
    if text is None:
        return None
    for character in text:
        if "\ud800" <= character <= "\udfff" or (character < " " and not character.isspace()):
            raise UsageError(f"{origin}: damaged text, it holds {character!r}", "write it as UTF-8")
    text = " ".join(text.split())
    return text if any(c.isprintable() and c != " " for c in text) else None


def _content(file: Path) -> str:
    try:
        return tables.decoded(file.read_bytes(), file)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def _sidecar(image: Path) -> str | None:
    """Return text of the file that goes with an image, or would if the image lay there."""
    for file in (image.with_name(f"{image.name}.txt"), image.with_suffix(".txt")):
        if os.path.isfile(file) and (text := _clean(_content(file), str(file))):
            return text
    return None


def _mirrored(folder: Path, samples: Sequence[Sample]) -> LookUp:
    """Return sidecars below `folder`, which may mirror any folder that holds all the images."""
    top = common_folder(samples)

    def look_up(base: Path, sample: Sample) -> str | None:
        return _sidecar(folder / absolute(sample.path).relative_to(base))

    for base in (top, *top.parents):
        if any(look_up(base, sample) for sample in samples):
            return lambda sample: look_up(base, sample)
    return lambda sample: None


def _from_table(file: Path, samples: Sequence[Sample]) -> LookUp:
    """Return captions by path, by name alone where table and samples leave no doubt which is
    meant."""
    rows = {".json": _json_rows, ".jsonl": _jsonl_rows, ".csv": _csv_rows}.get(file.suffix.lower())
    if rows is None or not file.is_file():
        raise UsageError(
            f"no captions at {str(file)!r}",
            "give a folder with .txt files, a .json, .jsonl or .csv file, "
            + " or ".join(_HINTS)
            + " or model",
        )
    by_path: dict[Path, str] = {}
    by_name: dict[str, str] = {}
    for key, caption, origin in rows(file):
        if not (text := _clean(caption, origin)):
            continue
        if by_path.setdefault(absolute(file.parent / key), text) != text:
            raise UsageError(f"{origin}: a second, different caption for {key}")
        by_name[key] = text  # found only if it is no more than a name
    count = Counter(sample.path.name for sample in samples)

    def look_up(sample: Sample) -> str | None:
        if (text := by_path.get(absolute(sample.path))) is not None:
            return text
        return by_name.get(sample.path.name) if count[sample.path.name] == 1 else None

    return look_up


def _json_rows(file: Path) -> Iterator[Row]:
    # Objects as tuples of pairs: a dictionary would keep the last of several values in silence.
    pairs = _parsed(_content(file), str(file), tuple)
    if not isinstance(pairs, tuple):
        raise UsageError(f"{file}: not an object from path to caption")
    for key, value in pairs:
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{file}: the caption of {key} is not text")
        yield key, value, f"{file}, {key}"


def _jsonl_rows(file: Path) -> Iterator[Row]:
    for number, row in tables.json_lines(_content(file), file):
        origin = f"{file}, line {number}"
        key, value = row.get("path"), row.get("caption")
        if not isinstance(key, str):
            raise UsageError(f"{origin}: no path, or one that is not text")
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{origin}: the caption is not text")
        yield key, value, origin


def _parsed(text: str, origin: str, objects: type) -> object:
    try:
        return json.loads(text, object_pairs_hook=objects)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin}: not JSON: {error}") from error


def _csv_rows(file: Path) -> Iterator[Row]:
    for number, row in tables.csv_rows(_content(file), file, ("path", "caption")):
        yield row["path"], row["caption"], f"{file}, line {number}"
