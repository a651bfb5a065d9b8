"""Which images of a review belong together: near-duplicates, one folder, camera or software."""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dgsforensics.pictures import near_duplicates
from dgsforensics.records import Mark
from dgsforensics.review.item import Item
from dgsforensics.review.session import Review


class Relation(StrEnum):
    """What images of one group have in common."""

    NEAR = "near-duplicates"
    FOLDER = "same folder"
    CAMERA = "same camera"
    SOFTWARE = "same software"


class Relations:
    """Groups and neighbours among the images of a review, found when they are first asked for."""

    def __init__(self, review: Review) -> None:
        self._review = review
        self._items: list[Item] = []
        """Those with a fingerprint."""
        self._fingerprints: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._roots: dict[Item, int] | None = None

    def forget(self) -> None:
        """Forget all groups; call this when files came or went."""
        self._items, self._roots = [], None

    def related(self, item: Item, relation: Relation, among: Sequence[Item]) -> list[Item]:
        """Return the images `among` these that belong to an image, itself included.

        An image without a camera, say, belongs to no other.
        """
        key = self._key(relation)
        mine = key(item)
        if mine is None:
            return [item]
        return [other for other in among if key(other) == mine]

    def sizes(self, relation: Relation, among: Sequence[Item]) -> Callable[[Item], int]:
        """Return how many images `among` these belong to an image, itself included; counted
        once."""
        key = self._key(relation)
        counts = Counter(map(key, among))
        return lambda item: 1 if (mine := key(item)) is None else max(1, counts[mine])

    def nearest(self, item: Item) -> tuple[Item, int] | None:
        """Return the near-duplicate that looks most alike and is not the same file, and how many of
        64 bits of the fingerprints differ; None without one.
        """
        if item.row.traits is None:
            return None
        roots = self._near()
        distance = np.bitwise_count(self._fingerprints ^ np.uint64(item.row.traits.fingerprint))
        for place in np.argsort(distance, kind="stable"):
            other = self._items[int(place)]
            if distance[place] > near_duplicates.ALIKE:
                break
            if other.sha256 != item.sha256 and roots[other] == roots.get(item):
                return other, int(distance[place])
        return None

    def _key(self, relation: Relation) -> Callable[[Item], object]:
        match relation:
            case Relation.NEAR:
                roots = self._near()
                return lambda item: roots.get(item)
            case Relation.FOLDER:
                return lambda item: item.path.parent
            case Relation.CAMERA:
                return lambda item: item.claim(Mark.CAMERA)
            case Relation.SOFTWARE:
                return lambda item: item.claim(Mark.SOFTWARE)

    def _near(self) -> dict[Item, int]:
        """Return the group of each image with a fingerprint."""
        self._load()
        if self._roots is None:
            roots = near_duplicates.group([int(number) for number in self._fingerprints])
            self._roots = dict(zip(self._items, roots, strict=True))
        return self._roots

    def _load(self) -> None:
        if not self._items:
            self._items = [item for item in self._review.items if item.row.traits is not None]
            marks = [item.row.traits.fingerprint for item in self._items if item.row.traits]
            self._fingerprints = np.array(marks, dtype=np.uint64)
