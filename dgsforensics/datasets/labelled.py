"""What a training or evaluation set says of each image, before any image is opened.

A set is a folder or a manifest. In a folder the label comes from the innermost folder named
`0_real`, `1_fake`, `real`, `fake`, `generated` or `ai`, at any depth and in any case:

    photos/0_real/x.jpg     sdxl/1_fake/y.png     train/sdxl/1_fake/z.png     fake/sdxl/w.png

The generator, or the source of photographs, is the folder directly above it, else one below it or
further up; `layouts` has the rules, and what benchmarks add. `train`, `val`, `valid`, `validation`
or `test`, as the outermost folder or next to the label folder, is the split: training leaves out
what is for testing, an evaluation what is for training. Hidden files count and symbolic links
inside the folder are passed over, as in a scan.

A manifest is JSON Lines (`.jsonl`, `.json`) or CSV with a header (`.csv`), in UTF-8. `path` and
`label` are needed; `generator`, `caption`, `source` (or `repo`), `split`, `sha256`,
`near_dup_group` (or `group`) and `style` are used where given, and all else is ignored. In JSON a
byte of a path that is not UTF-8 is written as Python has it, `\\udce9` for 0xe9. The labels
`unsure` and `unfit`, which `dgsf export` writes, leave an image out.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dgsforensics import tables
from dgsforensics.datasets.layouts import LABELS, SPLITS, Split, Tree, read_place, survey
from dgsforensics.errors import UsageError
from dgsforensics.files.walk import find_files
from dgsforensics.judgements import Judgement
from dgsforensics.records import Failure, Label
from dgsforensics.wording import counted

UNKNOWN = "unknown"
"""Stands for a generator or source that nothing names."""

_Meaning = TypeVar("_Meaning")

_LABELS = LABELS | {"nature": Label.REAL, "0": Label.REAL, "1": Label.GENERATED}
_UNDECIDED = (Judgement.UNSURE, Judgement.UNFIT)
"""Labels of `dgsf export` that nothing is learnt from."""
_SIDECARS = ("*.txt", "*.json", "*.jsonl", "*.csv")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_LAYOUTS = (
    "put the images into folders named 0_real and 1_fake (or real and fake), with the generator's "
    "name above or below, e.g. sdxl/1_fake/x.png; or give a .jsonl or .csv manifest with path and "
    "label. Symbolic links inside a folder are not followed"
)
_UNLABELLED = "outside any label folder"


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image as the data describe it; nothing is checked against the file yet."""

    path: Path
    label: Label
    generator: str | None
    """What made it, `UNKNOWN` when nothing says so; None for real photographs."""
    source: str
    """Where it was collected, or `UNKNOWN`."""
    caption: str | None
    split: Split | None
    """As the data give it."""
    sha256: str | None
    """Lower-case hexadecimal, as the data give it."""
    group: str | None
    """Images of one group are near-duplicates, as the data give it."""
    style: str
    """`photo`, `art` or `mixed`, as far as known."""
    origin: str
    """Where this is said, for messages: the file itself, or a line of a manifest."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image whose content is known."""

    path: Path
    label: Label
    generator: str | None
    """What made it; None for real photographs."""
    source: str
    """Where it was collected: images of one source share size, codec and taste."""
    group: str
    """Images of one group (near-duplicates, or the image alone) never part in a split."""
    sha256: str
    style: str
    """`photo`, `art` or `mixed`, as far as known."""
    caption: str | None = None
    """What it shows, in the words of the data."""


def read(
    data: Path | Sequence[Path],
    root: Path | None = None,
    notice: Callable[[str], None] = lambda text: None,
    *,
    also: Sequence[ListedImage] = (),
) -> list[ListedImage]:
    """Return what a folder or manifest lists for training, in its order; see the module for the
    layouts. Several folders or manifests are listed one after the other.

    The paths in a manifest are relative to `root`, by default the folder it lies in. `notice` is
    told how many images were left out and why. `also` comes from elsewhere, and after it. Raises
    `UsageError` naming the place that cannot be read or understood, or when a class is missing.
    """
    places = [data] if isinstance(data, Path) else list(data)
    listed: list[ListedImage] = []
    remarks: list[str] = []
    for place in places:
        found, left_out = _select(place, root, "test", _refuse)
        listed += found
        remarks += left_out
    listed += also
    present = {row.label for row in listed}
    if missing := [label.value for label in Label if label not in present]:
        where = ", ".join(map(str, places))
        words = "; ".join([f"{where}: no {' and no '.join(missing)} images", *remarks])
        raise UsageError(words, _LAYOUTS)
    for remark in remarks:
        notice(remark)
    return listed


def read_for_evaluation(
    data: Path, notice: Callable[[str], None], failed: Callable[[Failure], None]
) -> list[ListedImage]:
    """Return what `read` does, without the images for training and with those for testing.

    One class is enough. `failed` is told of each place in a folder that cannot be looked into.
    Raises `UsageError` as `read`, and when nothing is left.
    """
    listed, remarks = _select(data, None, "train", failed)
    if not listed:
        hint = f"{_LAYOUTS}. To evaluate on a part for training, give its own folder"
        raise UsageError("; ".join([f"{data}: no images", *remarks]), hint)
    for remark in remarks:
        notice(remark)
    return listed


def as_sample(listed: ListedImage) -> Sample:
    """Return a sample on the word of the data alone; raises `UsageError` when they give no
    SHA-256."""
    if listed.sha256 is None:
        raise UsageError(f"{listed.origin}: no sha256")
    return Sample(
        path=listed.path,
        label=listed.label,
        generator=listed.generator,
        source=listed.source,
        group=listed.group or listed.sha256,
        sha256=listed.sha256,
        style=listed.style,
        caption=listed.caption,
    )


def _select(
    data: Path, root: Path | None, without: Split, failed: Callable[[Failure], None]
) -> tuple[list[ListedImage], list[str]]:
    """Return what is listed for other parts than `without`; and remarks on what was left out."""
    listed: list[ListedImage] = []
    left_out: Counter[str] = Counter()
    for found in _entries(data, data.parent if root is None else root, failed):
        if isinstance(found, str):
            left_out[found] += 1
        elif found.split == without:
            left_out["for testing" if without == "test" else "for training"] += 1
        else:
            listed.append(found)
    return listed, [
        f"{counted(count, 'image')} left out: {reason}." for reason, count in left_out.items()
    ]


def _refuse(found: Failure) -> None:
    raise UsageError(f"{found.path}: {found.reason}", "mend it, or move it elsewhere")


def _entries(
    data: Path, root: Path, failed: Callable[[Failure], None]
) -> Iterator[ListedImage | str]:
    """Yield what is listed, and for what is not, why."""
    if os.path.isdir(data):
        paths: list[Path] = []
        for found in find_files([data], exclude=_SIDECARS, archives=None):
            if isinstance(found, Failure):
                failed(found)
            else:
                paths.append(found)
        places = [path.relative_to(data).parts[:-1] for path in paths]
        tree = survey(places)
        for path, folders in zip(paths, places, strict=True):
            yield _in_folder(path, folders, tree)
        return
    suffix = data.suffix.lower()
    try:
        content = data.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read {data}: {reason}", _LAYOUTS) from error
    rows: Iterable[tuple[int, Mapping[str, object]]]
    if suffix not in (".jsonl", ".json", ".csv"):
        raise UsageError(f"{data} is neither a folder nor a .jsonl, .json or .csv file", _LAYOUTS)
    text = tables.decoded(content, data)
    if suffix == ".csv":
        rows = tables.csv_rows(text, data, ("path", "label"), short=True)
    else:
        rows = tables.json_lines(text, data)
    for line, row in rows:
        origin = f"{data}, line {line}"
        try:
            yield _in_manifest(row, root, origin)
        except ValueError as error:
            raise UsageError(f"{origin}: {error}") from error


def _in_folder(path: Path, folders: tuple[str, ...], tree: Tree) -> ListedImage | str:
    """Return what the folders between the root and an image say of it."""
    place = read_place(folders, tree)
    if place is None:
        return _UNLABELLED
    name = place.name or UNKNOWN
    return ListedImage(
        path=path,
        label=place.label,
        generator=name if place.label == Label.GENERATED else None,
        source=name,
        caption=None,
        split=place.split,
        sha256=None,
        group=None,
        style="photo",
        origin=str(path),
    )


def _in_manifest(row: Mapping[str, object], root: Path, origin: str) -> ListedImage | str:
    """Return what one row says, or why it is left out; ValueError for what it must not say."""
    path = row.get("path")
    if not isinstance(path, str) or not path:
        raise ValueError(f"path: expected text, got {path!r}")
    named = _text(row, "label", numbers=True)
    if named in _UNDECIDED:
        return f"labelled {named}"
    label = _one_of(_LABELS, "label", named)
    part = _text(row, "split")
    sha256 = _text(row, "sha256")
    if sha256 is not None and not _DIGEST.fullmatch(sha256):
        raise ValueError(f"sha256: expected 64 hexadecimal digits, got {sha256!r}")
    generator = _text(row, "generator") or UNKNOWN
    groups = (_text(row, key, numbers=True) for key in ("near_dup_group", "group"))
    return ListedImage(
        path=root / path,
        label=label,
        generator=generator if label == Label.GENERATED else None,
        source=_text(row, "source") or _text(row, "repo") or UNKNOWN,
        caption=_text(row, "caption"),
        split=_one_of(SPLITS, "split", part) if part else None,
        sha256=sha256.lower() if sha256 else None,
        group=next((group for group in groups if group), None),
        style=_text(row, "style") or "photo",
        origin=origin,
    )


def _one_of(known: Mapping[str, _Meaning], key: str, name: str | None) -> _Meaning:
    if name is None or name.lower() not in known:
        raise ValueError(f"{key}: {name!r} is not known; known: {', '.join(known)}")
    return known[name.lower()]


def _text(row: Mapping[str, object], key: str, *, numbers: bool = False) -> str | None:
    """Return a value without the blanks around it, None where it is missing or blank."""
    value = row.get(key)
    if numbers and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    raise ValueError(f"{key}: expected text, got {value!r}")
