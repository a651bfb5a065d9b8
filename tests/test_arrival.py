"""When a picture counts as seen: by the answers of the terminal, in their order."""

from dgsforensics.judgements import Showing, Sight
from dgsforensics.tui.arrival import Arrival


def test_an_answer_counts_for_the_picture_that_it_was_asked_with() -> None:
    arrival = Arrival()
    arrival.ask()
    arrival.leave()  # another picture, before the first answer
    arrival.ask()
    arrival.hear(1.0)
    assert arrival.since is None
    arrival.hear(2.0)
    assert arrival.since == 2.0
    assert arrival.sight(Showing.BLOCKS, (6, 4), 2.0) == Sight(Showing.HIDDEN)
    assert arrival.sight(Showing.BLOCKS, (6, 4), 3.5) == Sight(Showing.BLOCKS, 6, 4, 1.5)
    assert arrival.sight(Showing.BLOCKS, None, 3.5) == Sight(Showing.UNREADABLE)


def test_a_late_answer_does_not_count_for_the_next_picture() -> None:
    arrival = Arrival()
    first = arrival.ask()
    arrival.give_up(first, 1.0)
    assert arrival.since == 1.0 and not arrival.answers
    arrival.leave()
    second = arrival.ask()
    arrival.hear(1.5)  # to the first
    assert arrival.since is None and arrival.answers
    arrival.settle(first, 1.6)
    assert arrival.since is None
    arrival.give_up(second, 2.5)
    assert arrival.since == 2.5 and arrival.answers
