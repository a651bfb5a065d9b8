"""Work done ahead: a bounded window of threads, results in order, a time limit on each item.

A decoder that hangs inside C code cannot be stopped, only left behind: its thread is a daemon, is
replaced, and ends by itself if the call ever returns.
"""

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
    up. What `work` raises is raised here, at its turn. Closing the generator stops the threads
    after what they are doing.
    """
    tasks: queue.SimpleQueue[_Task[Item, Result] | None] = queue.SimpleQueue()
    source = iter(items)
    window: deque[_Task[Item, Result]] = deque()

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
        fill()
        while window:
            head = window.popleft()
            if not _finished(head, seconds):
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


def _finished(task: _Task[Item, Result], seconds: float) -> bool:
    """Wait for a task; False, and the task is given up, when its time has run out."""
    while not task.done.wait(0.05 if task.started is None else _left(task.started, seconds)):
        if task.started is not None and _left(task.started, seconds) <= 0:
            task.abandoned = True
            return False
    return True


def _left(started: float, seconds: float) -> float:
    return max(0.0, started + seconds - time.monotonic())


def _serve(
    work: Callable[[Item], Result], tasks: "queue.SimpleQueue[_Task[Item, Result] | None]"
) -> None:
    while (task := tasks.get()) is not None:
        if task.abandoned:
            continue
        task.started = time.monotonic()
        try:
            task.result = work(task.item)
        except BaseException as error:  # handed to the consumer, which raises it
            task.error = error
        task.done.set()
        if task.abandoned:  # this thread was replaced while it was stuck
            return
