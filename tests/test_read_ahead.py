import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator

import numpy  # noqa: F401  (so that its BLAS is there to be found)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dgsforensics.detector.read_ahead import ahead

PATIENCE = 60.0
"""Seconds after which a test is taken to hang; none gets near it."""
LIMIT = 0.5
"""Seconds granted to an item where one is meant to run out."""


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decode"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


def test_results_come_in_the_order_of_the_items() -> None:
    finished = [threading.Event() for _ in range(5)]

    def backwards(i: int) -> int:
        if i < 4:
            assert finished[i + 1].wait(PATIENCE)
        finished[i].set()
        return i * i

    rows = list(ahead(backwards, range(5), workers=5, size=5, seconds=PATIENCE))
    assert rows == [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]


@pytest.mark.parametrize(("workers", "size"), [(1, 1), (1, 7), (3, 2), (8, 50)])
def test_every_item_comes_once(workers: int, size: int) -> None:
    rows = list(ahead(str, range(200), workers=workers, size=size, seconds=PATIENCE))
    assert rows == [(i, str(i)) for i in range(200)]


def test_none_as_a_result_of_the_work_is_passed_on() -> None:
    assert list(ahead(lambda i: None, [1, 2], workers=1, size=2, seconds=PATIENCE)) == [
        (1, None),
        (2, None),
    ]


@pytest.mark.parametrize("size", [1, 4])
def test_no_more_than_size_items_are_taken_ahead(size: int) -> None:
    taken, begun = [0], [0]
    lock = threading.Lock()

    def source() -> Iterator[int]:
        for i in range(40):
            taken[0] += 1
            yield i

    def work(i: int) -> int:
        with lock:
            begun[0] += 1
        return i

    rows = ahead(work, source(), workers=8, size=size, seconds=PATIENCE)
    assert taken == [0]
    for yielded in range(40):
        assert next(rows) == (yielded, yielded)
        assert taken[0] == min(40, yielded + size)
        until(lambda: begun[0] == taken[0])  # all that may be worked ahead is worked ahead
    rows.close()


def test_an_endless_source_is_taken_lazily() -> None:
    rows = ahead(lambda i: -i, itertools.count(), workers=2, size=3, seconds=PATIENCE)
    assert list(itertools.islice(rows, 10)) == [(i, -i) for i in range(10)]
    rows.close()


def test_work_runs_in_several_threads_at_once() -> None:
    together = threading.Barrier(3)
    rows = ahead(lambda i: together.wait(PATIENCE), range(3), workers=3, size=3, seconds=PATIENCE)
    assert sorted(row for _, row in rows if row is not None) == [0, 1, 2]


def test_no_more_than_workers_at_once() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def work(i: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.001)
        with lock:
            now[0] -= 1

    assert len(list(ahead(work, range(60), workers=2, size=20, seconds=PATIENCE))) == 60
    assert most[0] <= 2


def test_no_items() -> None:
    assert list(ahead(str, [], workers=3, size=3, seconds=PATIENCE)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_hangs_is_passed_over(workers: int) -> None:
    release = threading.Event()

    def work(i: int) -> int:
        if i == 2:
            release.wait(PATIENCE)
        return i

    try:
        rows = list(ahead(work, range(8), workers=workers, size=3, seconds=LIMIT))
        assert rows == [(i, None if i == 2 else i) for i in range(8)]
        until(lambda: len(decoders()) == 1)  # the one that is stuck
        assert decoders()[0].daemon  # so it does not keep the program alive
    finally:
        release.set()


def test_more_items_may_hang_than_there_are_workers() -> None:
    release = threading.Event()

    def work(i: int) -> int:
        if i < 5:
            release.wait(PATIENCE)
        return i

    try:
        rows = list(ahead(work, range(7), workers=3, size=7, seconds=LIMIT))
        assert rows == [(i, None if i < 5 else i) for i in range(7)]
    finally:
        release.set()


def test_a_late_result_is_thrown_away_and_its_thread_ends() -> None:
    release, late = threading.Event(), threading.Event()

    def work(i: int) -> int:
        if i == 0:
            release.wait(PATIENCE)
            late.set()
        return i

    rows = ahead(work, itertools.count(), workers=1, size=2, seconds=LIMIT)
    assert next(rows) == (0, None)
    release.set()
    assert late.wait(PATIENCE)
    until(lambda: len(decoders()) == 1)  # the replacement goes on alone
    assert [next(rows) for _ in range(3)] == [(1, 1), (2, 2), (3, 3)]
    rows.close()


def test_the_time_an_item_waits_for_a_thread_does_not_count() -> None:
    def work(i: int) -> int:
        time.sleep(LIMIT / 6)
        return i

    rows = ahead(work, range(9), workers=1, size=9, seconds=LIMIT)
    assert [row for _, row in rows] == list(range(9))


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e10])
def test_there_need_be_no_limit(seconds: float) -> None:
    clear = threading.Event()
    rows = ahead(lambda i: clear.wait(PATIENCE), [1], workers=1, size=1, seconds=seconds)
    threading.Timer(0.2, clear.set).start()
    assert list(rows) == [(1, True)]


@pytest.mark.parametrize("error", [KeyError("two"), SystemExit(3), KeyboardInterrupt()])
def test_an_exception_surfaces_at_its_turn(error: BaseException) -> None:
    raised = threading.Event()

    def work(i: int) -> int:
        if i == 1:
            assert raised.wait(PATIENCE)  # 2 has failed before 1 is done
        if i == 2:
            raised.set()
            raise error
        return i

    rows = ahead(work, range(9), workers=2, size=4, seconds=PATIENCE)
    assert [next(rows), next(rows)] == [(0, 0), (1, 1)]
    with pytest.raises(type(error)) as caught:
        next(rows)
    assert caught.value is error
    assert list(rows) == []


def test_what_the_source_raises_stops_the_threads() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(ahead(str, source(), workers=4, size=4, seconds=PATIENCE))


def test_closing_stops_after_what_is_being_done() -> None:
    busy, release = threading.Event(), threading.Event()
    begun: list[int] = []

    def work(i: int) -> int:
        begun.append(i)
        if i == 1:
            busy.set()
            release.wait(PATIENCE)
        return i

    rows = ahead(work, range(9), workers=1, size=8, seconds=PATIENCE)
    assert next(rows) == (0, 0)
    assert busy.wait(PATIENCE)
    rows.close()
    release.set()
    until(lambda: not decoders())
    assert begun == [0, 1]


def test_a_generator_that_is_never_started_starts_no_thread() -> None:
    rows = ahead(str, range(9), workers=4, size=8, seconds=PATIENCE)
    assert not decoders()
    rows.close()
    assert not decoders()


def test_numpy_keeps_to_one_thread_while_a_window_is_open() -> None:
    def threads() -> set[int]:
        return {x["num_threads"] for x in threadpool_info() if "numpy" in x["filepath"]}

    with threadpool_limits(2):
        if threads() != {2}:
            pytest.skip("numpy has no BLAS whose threads can be set")
        rows = ahead(str, range(9), workers=1, size=1, seconds=PATIENCE)
        assert threads() == {2}
        next(rows)
        assert threads() == {1}
        rows.close()
        assert threads() == {2}
