"""What the names of folders say is shown, as captions.

A caption tells what a picture shows, so that training can ignore it. One that tells the label, or
the generator or source that gives it away, would be a label in disguise: such names do not count.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dgsforensics.datasets.labelled import UNKNOWN, Sample
from dgsforensics.errors import UsageError
from dgsforensics.records import Label

HINT = "give each image a folder named for what it shows, above or below its label folder"
_SPLITS = {"train", "val", "valid", "validation", "test"}
_LABEL_WORDS = {"real", "fake", "generated", "synthetic", "ai"}
_SAYS_NOTHING = {"image", "images", "img", "imgs", "picture", "pictures", "data"}


def from_folders(samples: Sequence[Sample]) -> dict[Path, str]:
    """Return captions by path: `cat/0_real/x.jpg` is "a photo of a cat".

    The innermost folder counts, below the one that holds all images, whose name is more than a
    label, a split or a catalogue number, and is not that of a generator or source. Where folders of
    one name hold both labels it counts whatever the data call it: they are sorted by it, as in
    `car/0_real` and `car/1_fake`. An image without any name is left out.

    Raises `UsageError` when an image without a caption of its own has only the name of a generator
    or source, and when real and generated images have no caption in common.
    """
    top = common_folder(samples)
    labels: defaultdict[str, set[Label]] = defaultdict(set)
    for sample in samples:
        for name in _names(sample, top):
            labels[name].add(sample.label)
    origins = {_words(o) for s in samples for o in (s.generator, s.source) if o and o != UNKNOWN}
    usable = {
        name
        for name, borne_by in labels.items()
        if len(borne_by) == 2 or not any(_alike(name, origin) for origin in origins)
    }
    found: dict[Path, str] = {}
    shown: defaultdict[Label, set[str]] = defaultdict(set)
    for sample in samples:
        names = _names(sample, top)
        subject = next((name for name in names if name in usable), None)
        if sample.caption or not names:
            continue
        if subject is None:
            raise UsageError(
                f"{sample.path}: its only folder name is {names[0]!r}, which is that of a "
                "generator or source; as a caption it would give the label away",
                HINT,
            )
        found[sample.path] = f"a photo of a {subject}"
        shown[sample.label].add(subject)
    if len(shown) == 2 and not set.intersection(*shown.values()):
        examples = " and ".join(repr(min(names)) for names in shown.values())
        raise UsageError(
            "no folder name is shared by real and generated images: as captions, names such as "
            f"{examples} would give the label away",
            HINT,
        )
    return found


def common_folder(samples: Sequence[Sample]) -> Path:
    """Return the innermost folder that holds all the images, at any depth; raises `UsageError`."""
    try:
        return Path(os.path.commonpath([absolute(sample.path).parent for sample in samples]))
    except ValueError as error:
        raise UsageError(
            "the images are on different drives, so no folder holds all of them",
            "put captions beside the images (sidecar), or into a manifest",
        ) from error


def absolute(path: Path) -> Path:
    """Return the path from the root, without `..`; links are not followed."""
    return Path(os.path.abspath(path))


def _names(sample: Sample, top: Path) -> list[str]:
    """Return what folders say of an image, cleaned, from the innermost one to below `top`."""
    folders = absolute(sample.path).relative_to(top).parts[:-1]
    names = []
    for at, folder in reversed(list(enumerate(folders))):
        above = (top.name, *folders[:at])
        # Trains are photographed a lot: below another folder for a split, `train` is a subject.
        is_subject = folder.lower() == "train" and any(name.lower() in _SPLITS for name in above)
        if folder.lower() in _SPLITS and not is_subject:
            continue
        if (name := _words(folder)) and name not in _SAYS_NOTHING:
            names.append(name)
    return names


def _words(name: str) -> str:
    """Return `n02_golden-retriever` as `golden retriever`: lower case, without digits, punctuation,
    label words, and single letters that stood with digits.
    """
    name = unicodedata.normalize("NFC", name).lower()
    # Bytes that are not UTF-8 (Cs) stay, to be found by `_clean`.
    kinds = ((c, unicodedata.category(c)) for c in name)
    spaced = "".join(c if kind[0] in "LMN" or kind == "Cs" else " " for c, kind in kinds)
    words = []
    for word in spaced.split():
        bare = "".join(c for c in word if unicodedata.category(c)[0] != "N")
        if bare and bare not in _LABEL_WORDS and (len(bare) > 1 or bare == word):
            words.append(bare)
    return " ".join(words)


def _alike(name: str, origin: str) -> bool:
    """Return whether one of two names holds the other as whole words, however they are spaced."""
    a, b = f" {name} ", f" {origin} "
    return bool(origin) and (a in b or b in a or name.replace(" ", "") == origin.replace(" ", ""))
