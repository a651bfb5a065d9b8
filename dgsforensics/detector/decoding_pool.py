"""Decoding in processes that can be ended: for what may hang, crash or take all memory.

A thread that hangs in a decoder cannot be stopped and keeps its pixels. So large pictures and those
of decoders with a history go to processes of their own. They are started when first needed, kept
for the next file, and ended when they take too long. What is left, plain pictures of ordinary size,
is decoded in threads, where nothing has to be copied (`benchmarks/hostile.py` has what each costs).
"""

import atexit
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from typing import Any

from dgsforensics.detector.config import InputConfig
from dgsforensics.detector.preparation import PreparedImage
from dgsforensics.errors import DgsError, UnreadableError
from dgsforensics.files import jpeg
from dgsforensics.files.content import Limits
from dgsforensics.files.dimensions import promised
from dgsforensics.files.memory import address_space
from dgsforensics.records import FileFacts

_PLAIN = {"JPEG", "PNG", "WEBP", "GIF", "BMP"}
"""Kinds whose decoders take time and memory by the number of pixels."""
_ORDINARY = 25_000_000
"""Pixels up to which such a picture is decoded in a thread."""
_PASSES = 12
"""Scans up to which a JPEG of so many pixels is; of smaller ones more."""

_log = logging.getLogger(__name__)


def is_risky(data: bytes, kind: str | None) -> bool:
    """Return whether a file is better decoded in a process of its own."""
    if kind not in _PLAIN or address_space() is not None:
        return True
    pixels = promised(data, kind)
    passes = jpeg.scans(data) if kind == "JPEG" else 1
    return pixels is None or pixels > _ORDINARY or pixels * passes > _ORDINARY * _PASSES


class DecodingPool:
    """Processes that decode, one for each thread that asks at the same time."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def prepare(
        self, data: bytes, facts: FileFacts, limits: Limits, config: InputConfig, need: int
    ) -> PreparedImage:
        """Return what `preparation.prepare_file` does; raises `ImageError`.

        Ends the process after `limits.max_seconds`; `need` is how much memory it may take.
        """
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or _Worker()
        try:
            answer = worker.ask((data, facts, limits, config, need), limits.max_seconds)
        except BaseException:
            worker.end()
            raise
        with self._lock:
            self._idle.append(worker)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, PreparedImage)
        return answer

    def close(self) -> None:
        """End the processes that wait for work."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()


class _Worker:
    """One process, ready for a request."""

    def __init__(self) -> None:
        # Not through `multiprocessing`, which would import the program that we are part of again.
        code = "import sys; sys.path[:] = %r; from %s import serve; serve()"
        command = code % (sys.path, "dgsforensics.detector.decoding_worker")
        self._process = subprocess.Popen(
            [sys.executable, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            self._receive()  # the first answer says that it is ready
        except EOFError as error:
            self.end()
            raise DgsError("the process that decodes cannot be started") from error

    def ask(self, request: object, seconds: float) -> Any:
        """Return the answer; raises `UnreadableError` where there is none in time, or ever."""
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            self._process.kill()

        timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), give_up)
        timer.daemon = True
        timer.start()
        try:
            assert self._process.stdin is not None
            pickle.dump(request, self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            return self._receive()
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            if overdue.is_set():
                raise UnreadableError(f"took longer than {seconds:g} s to read") from error
            raise UnreadableError(self._end_in_words()) from error
        finally:
            timer.cancel()

    def end(self) -> None:
        """Kill the process and take leave of it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except OSError:
                _log.debug("what was not sent is dropped", exc_info=True)
        self._process.wait()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        return pickle.load(self._process.stdout)

    def _end_in_words(self) -> str:
        code = self._process.wait()
        if code == -getattr(signal, "SIGKILL", 9):
            return "its decoder was ended from outside, probably because memory ran out"
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        return f"its decoder crashed ({how})"


pool = DecodingPool()
"""For all detectors of this program."""
atexit.register(pool.close)
