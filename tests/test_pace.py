"""How long what is left will take: by the labels of late, breaks aside."""

import pytest

from dgsforensics.review.pace import BREAK, LEAST, RECENT, Pace


def gone(*steps: tuple[float, int]) -> Pace:
    """After steps of so many seconds and labels."""
    pace, time, labelled = Pace(), 1000.0, 100
    pace.note(labelled, time)
    for seconds, labels in steps:
        time, labelled = time + seconds, labelled + labels
        pace.note(labelled, time)
    return pace


@pytest.mark.parametrize(
    ("seconds", "images", "said"),
    [
        (6, 10, "about a minute"),
        (6, 20, "about 2 minutes"),
        (6, 400, "about 40 minutes"),
        (6, 130, "about 15 minutes"),
        (10, 1000, "about 3 hours"),
        (6, 0, ""),
    ],
)
def test_time_is_said_for_people(seconds: float, images: int, said: str) -> None:
    assert gone(*[(seconds, 1)] * LEAST).left(images) == said


def test_nothing_is_said_of_too_little() -> None:
    assert Pace().left(100) == gone(*[(6.0, 1)] * (LEAST - 1)).left(100) == ""


def test_breaks_and_what_is_taken_back_do_not_count() -> None:
    steps = [(6.0, 1)] * LEAST
    assert gone(*steps, (BREAK + 1, 1), (3.0, -1)).left(400) == gone(*steps).left(400)


def test_a_group_counts_as_its_images_and_only_what_is_recent_counts() -> None:
    assert gone((60.0, 10)).left(400) == "about 40 minutes"
    slow, fast = [(60.0, 1)] * 50, [(6.0, 1)] * RECENT
    assert gone(*slow, *fast).left(400) == "about 40 minutes"
