"""Work done ahead: a bounded window of threads, results in order, a time limit on each item.

A decoder that hangs inside C code cannot be stopped, only left behind: its thread is a daemon, is
replaced, and ends by itself if the call ever returns.

While a window is open, numpy's BLAS runs in one thread: the window is the parallelism, and beside a
busy model BLAS threads that wait for each other make patch selection many times slower
(`benchmarks/patch_selection.py --busy`).
"""

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy
from threadpoolctl import ThreadpoolController

from dgsforensics.errors import DgsError

MAX_STUCK = 32
"""Threads that may be left behind at a time; beyond that something is wrong with all files."""
GRACE = 1.0
"""Seconds."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Task(Generic[Item, Result]):
    item: Item
    started: float | None = None
    """`time.monotonic()` when a thread took it up."""
    done: threading.Event = field(default_factory=threading.Event)
    result: Result | None = None
    error: BaseException | None = None
    abandoned: bool = False


_mine = threading.local()
"""The task that a thread is at."""


@contextmanager
def off_the_clock() -> Iterator[None]:
    """Let what the work waits for not count as its time; outside of a window this does nothing."""
    task: _Task[Any, Any] | None = getattr(_mine, "task", None)
    if task is not None:
        task.started = None
    try:
        yield
    finally:
        if task is not None:
            task.started = time.monotonic()


def ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    size: int,
    seconds: float,
) -> Generator[tuple[Item, Result | None], None, None]:
    """Yield `(item, work(item))` in the order of `items`, at most `size` items ahead.

    `None` in place of a result means that the item took longer than `seconds` after it was taken
    up. What `work` raises is raised here, at its turn; `DgsError` when too many items hang at
    once. Closing the generator stops the threads after what they are doing.
    """
    if workers < 1 or size < 1:
        raise ValueError(f"a window needs a worker and a place, got {workers} and {size}")
    tasks: queue.SimpleQueue[_Task[Item, Result] | None] = queue.SimpleQueue()
    source = iter(items)
    window: deque[_Task[Item, Result]] = deque()

    stuck: list[_Task[Item, Result]] = []
    threads = 0

    def start_worker() -> None:
        nonlocal threads
        threads += 1
        threading.Thread(target=_serve, args=(work, tasks), daemon=True, name="decode").start()

    def fill() -> None:
        for item in itertools.islice(source, size - len(window)):
            window.append(_Task(item))
            tasks.put(window[-1])

    for _ in range(workers):
        start_worker()
    try:
        _blas.hold()
        fill()
        while window:
            head = window.popleft()
            if not _finished(head, seconds):
                stuck = [task for task in (*stuck, head) if not task.done.is_set()]
                if len(stuck) > MAX_STUCK:
                    raise DgsError(
                        f"{len(stuck)} files keep their decoders busy without end",
                        "exclude them; what was finished is kept",
                    )
                start_worker()
                yield head.item, None
            elif head.error is not None:
                raise head.error
            else:
                yield head.item, head.result
            fill()
    finally:
        for task in window:
            task.abandoned = True
        for _ in range(threads):
            tasks.put(None)
        _blas.release()


class _SingleThreadedBlas:
    """Keeps the BLAS that numpy brought at one thread while at least one window holds it.

    No other BLAS is touched: torch may need its own with all threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._limit: Any = None

    def hold(self) -> None:
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                loaded = ThreadpoolController()
                paths = [lib.filepath for lib in loaded.lib_controllers]
                home = str(Path(numpy.__file__).parent)  # of numpy/ and of numpy.libs/
                ours = loaded.select(filepath=[path for path in paths if path.startswith(home)])
                self._limit = ours.limit(limits=1)

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._limit.restore_original_limits()


_blas = _SingleThreadedBlas()


def _finished(task: _Task[Item, Result], seconds: float) -> bool:
    """Wait for a task; False, and the task is given up, when its time has run out.

    At the end it gets a little more: time in which this process was suspended is not its fault.
    """
    while not task.done.wait(_until_due(task, seconds)):
        started = task.started  # once, for the thread may set it meanwhile
        if started is not None and _left(started, seconds) <= 0:
            if task.done.wait(min(seconds, GRACE)):
                return True
            task.abandoned = True
            return False
    return True


def _until_due(task: _Task[Item, Result], seconds: float) -> float:
    started = task.started
    return 0.05 if started is None else _left(started, seconds)


def _left(started: float, seconds: float) -> float:
    left = started + seconds - time.monotonic()
    return min(max(0.0, left), threading.TIMEOUT_MAX)  # seconds may be infinite


def _serve(
    work: Callable[[Item], Result], tasks: "queue.SimpleQueue[_Task[Item, Result] | None]"
) -> None:
    while (task := tasks.get()) is not None:
        if task.abandoned:
            continue
        _mine.task = task
        task.started = time.monotonic()
        try:
            task.result = work(task.item)
        except BaseException as error:  # handed to the consumer, which raises it
            task.error = error
        task.done.set()
        if task.abandoned:  # this thread was replaced while it was stuck
            return
