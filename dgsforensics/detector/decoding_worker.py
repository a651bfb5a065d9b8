"""The process that decodes what might hang or take all memory; started by `decoding_pool` alone.

It reads requests from standard input and writes answers to standard output, pickled, until its
parent closes the pipe.
"""

import os
import pickle
import signal
import sys
from typing import BinaryIO

from dgsforensics.detector.preparation import prepare_file
from dgsforensics.errors import ImageError, UnreadableError

_ROOM = 512 << 20
"""Bytes of address space that a request may take beyond what it was reckoned to: decoders ask for
more than they touch."""


def serve() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # decoders that print must not break into the answers
    _send(answers, None)  # ready
    while True:
        try:
            data, facts, limits, config, need = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        _allow(need)
        answer: object
        try:
            answer = prepare_file(data, facts, limits, config)
        except ImageError as error:
            answer = type(error)(error.message, error.hint)
        except MemoryError:
            answer = UnreadableError("not enough memory to decode it")
        except Exception as error:
            answer = RuntimeError(f"{error!r}")
        del data
        try:
            _send(answers, answer)
        except BrokenPipeError:  # the parent has gone, and nobody is to hear of what is left
            os.dup2(os.open(os.devnull, os.O_WRONLY), answers.fileno())
            return


def _send(stream: BinaryIO, answer: object) -> None:
    pickle.dump(answer, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


def _allow(need: int) -> None:
    """Let this process take so much more memory and not all of the machine's, where the system can
    see to that."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped + need + _ROOM
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


if __name__ == "__main__":
    serve()
