"""Which images of a review belong together, and which looks most alike."""

import numpy as np
import pytest

from dgsforensics.case.store import Case
from dgsforensics.pictures import near_duplicates
from dgsforensics.pictures.near_duplicates import ALIKE
from dgsforensics.records import Evidence, Mark
from dgsforensics.review.item import Item
from dgsforensics.review.relations import Relation, Relations
from dgsforensics.review.session import Review
from made_review import PHOTOS, failed, scan, scored

MARK = 0x5A5A_F0F0_1234_8765
"""A fingerprint with bits of both kinds."""


def claim(mark: Mark, value: str) -> Evidence:
    return Evidence(mark, "EXIF", mark.value, value)


def related(review: Review, place: int, relation: Relation) -> list[int]:
    items = Relations(review).related(review.items[place], relation, review.items)
    return [item.index for item in items]


def test_near_duplicates_are_the_groups_of_the_fingerprints(case: Case) -> None:
    high = MARK | 1 << 63  # SQLite's integers are signed
    chain = [high, high ^ 0b1111, high ^ 0b1111_1111]
    others = [high ^ (0b1_1111 << 20), 0, 1]  # 5 bits away; and plain ones, 1 bit apart
    scan(case, [scored(f"{n}", fingerprint=mark) for n, mark in enumerate([*chain, *others])])
    review = Review(case, "ann")
    assert near_duplicates.group([*chain, *others]) == [0, 0, 0, 3, 4, 5]
    assert [related(review, n, Relation.NEAR) for n in range(6)] == [
        *([0, 1, 2], [0, 1, 2], [0, 1, 2]),
        *([3], [4], [5]),
    ]


def test_one_folder_is_that_folder_alone(case: Case) -> None:
    scan(case, [scored("a/1"), scored("a/b/2"), scored("a/3"), failed("a/4"), scored("a2/5")])
    review = Review(case, "ann")
    assert related(review, 0, Relation.FOLDER) == [0, 2, 3]
    assert related(review, 1, Relation.FOLDER) == [1]
    assert related(review, 3, Relation.FOLDER) == [0, 2, 3]  # for a file without a score as well


@pytest.mark.parametrize("mark", [Mark.CAMERA, Mark.SOFTWARE])
def test_one_camera_or_software(case: Case, mark: Mark) -> None:
    relation = Relation.CAMERA if mark == Mark.CAMERA else Relation.SOFTWARE
    other = Mark.SOFTWARE if mark == Mark.CAMERA else Mark.CAMERA
    scan(
        case,
        [
            scored("0", None, 0.0, claim(mark, "X")),
            scored("1", None, 0.0, claim(other, "X")),
            scored("2", None, 0.0, claim(other, "X"), claim(mark, "X"), claim(mark, "Y")),
            scored("3", None, 0.0, claim(mark, "Y"), claim(mark, "X")),
            scored("4", fingerprint=5),
            scored("5"),
            failed("6"),
        ],
    )
    review = Review(case, "ann")
    assert related(review, 0, relation) == [0, 2]
    assert related(review, 3, relation) == [3]
    for without in (1, 4, 5, 6):
        assert related(review, without, relation) == [without]


@pytest.mark.parametrize("relation", [Relation.NEAR, Relation.CAMERA, Relation.SOFTWARE])
def test_where_nobody_looked_nothing_is_related(case: Case, relation: Relation) -> None:
    scan(case, [scored("a"), scored("b"), failed("c"), scored("d", fingerprint=MARK)])
    review = Review(case, "ann")
    assert [related(review, n, relation) for n in range(4)] == [[0], [1], [2], [3]]


def test_only_what_is_listed_is_related_in_its_order(case: Case) -> None:
    scan(case, [scored(f"{n}", fingerprint=MARK ^ n) for n in range(4)])
    review = Review(case, "ann")
    a, b, c, d = review.items
    relations = Relations(review)
    assert relations.related(a, Relation.NEAR, [d, a, c]) == [d, a, c]
    assert relations.related(b, Relation.NEAR, [b]) == [b]


def test_nearest_is_found_among_all_and_never_the_same_content(case: Case) -> None:
    rng = np.random.default_rng(0)
    flips = [rng.choice(64, rng.integers(1, 20), replace=False) for _ in range(40)]
    marks = [MARK ^ sum(1 << int(bit) for bit in bits) for bits in flips]
    rows = [scored(f"{n}", fingerprint=mark) for n, mark in enumerate(marks)]
    rows += [scored("copy", "0", fingerprint=marks[0]), scored("unseen")]
    scan(case, rows)
    review = Review(case, "ann")
    relations = Relations(review)
    unlike = 0
    for item in review.items[:40]:
        mine = marks[item.index]
        distances = {
            other: (mine ^ marks[other]).bit_count() for other in range(40) if other != item.index
        }
        found = relations.nearest(item)
        if min(distances.values()) > ALIKE:
            assert found is None
            unlike += 1
            continue
        assert found is not None
        other, bits = found
        assert bits == min(distances.values()) and type(bits) is int
        assert other.sha256 != item.sha256
        assert (
            distances[next(n for n in range(40) if other.sha256 == review.items[n].sha256)] == bits
        )
    assert 0 < unlike < 40
    copy, unseen = review.items[40:]
    assert relations.nearest(copy) == relations.nearest(review.items[0])
    assert relations.nearest(unseen) is None


def test_what_is_far_away_does_not_look_alike(case: Case) -> None:
    near, far = MARK ^ (2**ALIKE - 1), MARK ^ (2 ** (2 * ALIKE + 1) - 1)
    scan(case, [scored("a", fingerprint=MARK), scored("b", fingerprint=near)])
    review = Review(case, "ann")
    a, b = review.items
    assert Relations(review).nearest(a) == (b, ALIKE)
    scan(case, [scored("a", fingerprint=MARK), scored("b", "far", fingerprint=far)])
    review.load()
    assert [Relations(review).nearest(item) for item in review.items] == [None, None]


def test_equal_pictures_of_different_bytes(case: Case) -> None:
    scan(case, [scored(name, fingerprint=MARK) for name in "abc"])
    review = Review(case, "ann")
    a, b, c = review.items
    relations = Relations(review)
    assert [relations.nearest(item) for item in (a, b, c)] == [(b, 0), (a, 0), (a, 0)]


def test_alone(case: Case) -> None:
    scan(case, [scored("a", fingerprint=MARK), scored("copy", "a", fingerprint=MARK), failed("c")])
    review = Review(case, "ann")
    relations = Relations(review)
    assert [relations.nearest(item) for item in review.items] == [None, None, None]
    assert related(review, 0, Relation.NEAR) == [0, 1]  # a copy is as near as can be


def test_an_empty_review(case: Case) -> None:
    scan(case, [failed("a")])
    review = Review(case, "ann")
    relations = Relations(review)
    assert relations.nearest(review.items[0]) is None
    for relation in Relation:
        assert relations.related(review.items[0], relation, review.items) == review.items


def test_what_was_found_is_forgotten_when_files_come(case: Case) -> None:
    running = scan(case, [scored("a", fingerprint=MARK), scored("b", fingerprint=0)], finish=False)
    review = Review(case, "ann")
    relations = Relations(review)

    def near(item: Item) -> list[str]:
        items = relations.related(item, Relation.NEAR, review.items)
        return [other.path.name for other in items]

    a = review.items[0]
    assert near(a) == ["a"] and relations.nearest(a) is None
    running.record([scored("c", fingerprint=MARK ^ 1)])
    running.record([scored("b", "new content", fingerprint=MARK ^ 2)])
    review.grow()
    relations.forget()
    assert sorted(near(a)) == ["a", "b", "c"]
    nearest = relations.nearest(a)
    assert nearest is not None and nearest[1] == 1
    assert nearest[0].path in (PHOTOS / "b", PHOTOS / "c")
