"""What the folders around an image say of it: its label, what made it, which part it is for.

The layouts of the field's benchmarks are read as they are. `0_real` and `1_fake` below a generator,
or below its categories (CNNDetection, UniversalFakeDetect, AIGCDetectBenchmark, AIGIBench), and
`ai` beside `nature` in parts below a generator (GenImage):

    progan/airplane/0_real/x.png    test/FLUX1-dev/1_fake/y.png
    BigGAN/imagenet_ai_0419_biggan/val/nature/z.JPEG
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dgsforensics.records import Label

Split = Literal["train", "validation", "test"]

LABELS = {
    "real": Label.REAL,
    "0_real": Label.REAL,
    "fake": Label.GENERATED,
    "1_fake": Label.GENERATED,
    "generated": Label.GENERATED,
    "ai": Label.GENERATED,
}
"""Names of label folders, in lower case."""
SPLITS: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Names of parts, in lower case."""

_NATURE = "nature"
_LSUN = (
    "airplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa tvmonitor bedroom church apple orange summer winter zebra"
)
_CATEGORIES = frozenset(_LSUN.split())
"""Of ProGAN (and `train`, see `survey`), StyleGAN and CycleGAN in these benchmarks."""
_IMAGENET = re.compile(r"imagenet_(ai_\d{4}_\w+|glide|midjourney)|n\d{8}")
"""GenImage's archives, and the classes of ImageNet."""

Folders = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FolderRole:
    """What the folders say of one image."""

    label: Label
    name: str | None
    """The generator, or the source of photographs; None when nothing names it."""
    split: Split | None


@dataclass(frozen=True, slots=True)
class Tree:
    """What has to be known of a whole set to read one path of it; folders in lower case."""

    categorised: frozenset[Folders]
    """Folders whose subfolders are categories, so that `train` among them are trains."""
    paired: frozenset[Folders]
    """Folders that hold one named `ai`, so that `nature` beside it is a label."""


def survey(places: Iterable[Folders]) -> Tree:
    """Look over the folders of all images, each relative to the root of the set."""
    children: dict[Folders, set[str]] = {}
    for place in set(places):
        names = _lower(place)
        for depth, name in enumerate(names):
            children.setdefault(names[:depth], set()).add(name)
    others = SPLITS.keys() - {"train"}
    return Tree(
        categorised=frozenset(
            folder
            for folder, names in children.items()
            if names & _CATEGORIES and not names & others
        ),
        paired=frozenset(folder for folder, names in children.items() if "ai" in names),
    )


def read_place(folders: Folders, tree: Tree) -> FolderRole | None:
    """Return what the folders from the root of the set down to an image say; None without a label
    folder.

    The label is that of the innermost label folder. The name is that of the folder directly above
    it, else of the first one below, else of the nearest one further above; labels, parts, the
    categories of benchmarks and the classes of ImageNet are no names, but a category is better
    than none.
    """
    names = _lower(folders)
    at = max((i for i, name in enumerate(names) if name in LABELS), default=None)
    if at is None:
        natures = (i for i, n in enumerate(names) if n == _NATURE and names[:i] in tree.paired)
        at = max(natures, default=None)
    if at is None:
        return None
    categories = {
        i
        for i, name in enumerate(names)
        if name in _CATEGORIES or (name == "train" and names[:i] in tree.categorised)
    }
    marked = {0, at - 1, at + 1} & set(range(len(names))) - categories
    splits = {SPLITS[names[i]] for i in marked if names[i] in SPLITS}
    order = [*range(at - 1, at - 2, -1), *range(at + 1, len(names)), *range(at - 2, -1, -1)]
    open_names = [
        i
        for i in order
        if i >= 0 and names[i] not in LABELS and (i in categories or names[i] not in SPLITS)
    ]
    proper = (i for i in open_names if i not in categories and not _IMAGENET.fullmatch(names[i]))
    chosen = next(proper, next(iter(open_names), None))
    # What is marked in several ways is the more guarded: nothing held out may be trained on.
    guarded: tuple[Split, ...] = ("test", "validation", "train")
    return FolderRole(
        label=LABELS.get(names[at], Label.REAL),
        name=None if chosen is None else folders[chosen],
        split=next((split for split in guarded if split in splits), None),
    )


def _lower(folders: Folders) -> Folders:
    return tuple(folder.lower() for folder in folders)
