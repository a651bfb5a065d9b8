import os
import signal
import threading

import pytest

from dgsforensics.interrupts import deferred_interrupt


def press() -> None:
    """Ctrl-C, as a terminal sends it."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def handler():
    """Python's own handler before each test, whatever pytest was started with."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_without_ctrl_c_nothing_happens() -> None:
    with deferred_interrupt() as wanted:
        assert not wanted.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_one_is_an_event() -> None:
    done = []
    with deferred_interrupt() as wanted:
        press()
        done.append("the rest of the step")
        assert wanted.is_set()
    assert done


def test_the_second_one_is_a_ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as wanted:
        press()
        assert wanted.is_set()
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_afterwards_it_is_one_again() -> None:
    with deferred_interrupt():
        press()
    with pytest.raises(KeyboardInterrupt):
        press()


def test_an_error_gives_the_handler_back() -> None:
    with pytest.raises(ValueError, match="in a step"), deferred_interrupt():
        raise ValueError("in a step")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_of_the_host_program_gets_the_second_one_and_is_given_back() -> None:
    heard = []
    own = lambda *_: heard.append("host")  # noqa: E731
    signal.signal(signal.SIGINT, own)
    with deferred_interrupt() as wanted:
        press()
        assert wanted.is_set() and heard == []
        press()
        assert heard == ["host"]
    assert signal.getsignal(signal.SIGINT) is own


def test_each_use_has_an_event_of_its_own() -> None:
    with deferred_interrupt() as first:
        press()
    with deferred_interrupt() as second:
        assert first.is_set() and not second.is_set()


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    """A shell script starts what runs in the background that way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupt() as wanted:
        press()
        assert not wanted.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_handler_that_is_not_of_python_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with deferred_interrupt() as wanted:
        assert not wanted.is_set()
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_of_the_main_thread_no_handler_is_touched() -> None:
    seen = []

    def use() -> None:
        with deferred_interrupt() as wanted:
            seen.append((wanted.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]
