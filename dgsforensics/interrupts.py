"""Ctrl-C while the model runs."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def remembered_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C as ever, and an event that stays set: Python drops the exception when it happens to
    surface in a destructor or a weak reference's callback, and the work would run on."""
    event = threading.Event()

    def interrupt(signum: int, frame: object) -> None:
        event.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
