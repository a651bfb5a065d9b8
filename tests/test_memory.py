"""What decoding may take: a budget for all, and processes that can be ended."""

import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import encode, gallery_bytes, photo, png_claiming
from dgsforensics.detector import decoding_pool
from dgsforensics.detector.config import InputConfig
from dgsforensics.detector.decoding_pool import DecodingPool, is_risky
from dgsforensics.detector.memory import MemoryBudget, needed
from dgsforensics.detector.preparation import prepare_file
from dgsforensics.detector.read_ahead import ahead, off_the_clock
from dgsforensics.errors import UnreadableError
from dgsforensics.files.content import DEFAULT_LIMITS, Limits
from dgsforensics.files.dimensions import promised
from dgsforensics.pictures import decoder

MUCH = 1 << 30


@pytest.mark.parametrize("name", [name for name in gallery_bytes() if "." in name])
def test_sizes_are_known_before_decoding(name: str) -> None:
    data = gallery_bytes()[name]
    facts = decoder.facts_of(data)
    expected = {"dot.png": 1, "bomb.png": 60_000**2}.get(name, 96 * 64)
    if name not in ("truncated.jpg", "empty.jpg", "text.jpg"):
        assert promised(data, facts.format) == expected
    assert needed(data, facts.format, MUCH) >= 0


def test_the_budget_is_kept() -> None:
    budget, lock, now, most = MemoryBudget(100), threading.Lock(), [0], [0]

    def work(need: int) -> int:
        with budget.lent(need, 60):
            with lock:
                now[0] += need
                most[0] = max(most[0], now[0])
            time.sleep(0.001)
            with lock:
                now[0] -= need
        return need

    items = [10, 40, 70, 100, 30, 60] * 5
    rows = list(ahead(work, items, workers=4, size=8, seconds=60))
    assert rows == [(item, item) for item in items]
    assert most[0] <= 100


def test_more_than_the_budget_is_refused_with_what_to_do() -> None:
    with (
        pytest.raises(UnreadableError, match=r"takes about 200 MiB .* budget of 100 MiB") as caught,
        MemoryBudget(100 << 20).lent(200 << 20, 1),
    ):
        pytest.fail("it was lent")
    assert caught.value.hint is not None
    assert "--max-memory" in caught.value.hint


def test_nobody_waits_for_ever() -> None:
    budget = MemoryBudget(100)
    with (
        budget.lent(60, 1),
        pytest.raises(UnreadableError, match="other files hold all the memory"),
        budget.lent(50, 0.01),
    ):
        pytest.fail("it was lent")
    with budget.lent(100, 1):
        pass


def test_waiting_is_off_the_clock() -> None:
    def work(item: int) -> int:
        with off_the_clock():
            time.sleep(0.4)
        return item

    assert list(ahead(work, [1, 2], workers=1, size=1, seconds=0.3)) == [(1, 1), (2, 2)]


def test_what_is_plain_and_of_ordinary_size_stays_in_threads() -> None:
    for name in ("plain.jpg", "progressive.jpg", "rgb.png", "lossy.webp", "animated.gif"):
        data = gallery_bytes()[name]
        assert not is_risky(data, decoder.facts_of(data).format)
    for data in (
        gallery_bytes()["rgb.tiff"],
        gallery_bytes()["still.avif"],
        png_claiming(6000, 6000),
    ):
        assert is_risky(data, decoder.facts_of(data).format)


@pytest.fixture(scope="module")
def pool() -> DecodingPool:
    return decoding_pool.pool


def test_a_process_gives_what_a_thread_gives(pool: DecodingPool) -> None:
    config = InputConfig()
    for name in ("rgb.tiff", "rotated.jpg"):
        data = gallery_bytes()[name]
        facts = decoder.facts_of(data)
        there = pool.prepare(data, facts, DEFAULT_LIMITS, config, MUCH)
        here = prepare_file(data, facts, DEFAULT_LIMITS, config)
        assert np.array_equal(there.pixels, here.pixels)
        assert (there.facts, there.note, there.domain) == (here.facts, here.note, here.domain)
        assert there.traits == here.traits


def test_errors_come_back_as_they_were(pool: DecodingPool) -> None:
    data = gallery_bytes()["bomb.png"]
    with pytest.raises(UnreadableError, match="60000x60000 pixels, more than the limit"):
        pool.prepare(data, decoder.facts_of(data), DEFAULT_LIMITS, InputConfig(), MUCH)


def test_what_takes_too_long_is_ended_and_the_next_is_decoded(pool: DecodingPool) -> None:
    slow = encode(Image.new("L", (2000, 2000)), "PNG", compress_level=1)
    limits = Limits(max_seconds=0.001)
    with pytest.raises(UnreadableError, match=r"^took longer than 0\.001 s to read"):
        pool.prepare(slow, decoder.facts_of(slow), limits, InputConfig(), MUCH)
    data = gallery_bytes()["plain.jpg"]
    found = pool.prepare(data, decoder.facts_of(data), DEFAULT_LIMITS, InputConfig(), MUCH)
    assert found.facts.format == "JPEG"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no limit can be set here")
def test_a_decoder_that_takes_more_than_it_said_is_a_row(pool: DecodingPool) -> None:
    data = png_claiming(15_000, 15_000)
    with pytest.raises(UnreadableError, match="not enough memory"):
        pool.prepare(data, decoder.facts_of(data), DEFAULT_LIMITS, InputConfig(), 1)


def test_a_missing_photo_needs_no_more_than_its_pixels() -> None:
    data = encode(photo(640, 480), "JPEG")
    assert 640 * 480 * 7 < needed(data, "JPEG", MUCH) < 640 * 480 * 20


def test_a_worker_whose_parent_has_gone_says_nothing() -> None:
    request = pickle.dumps((b"GIF89a", decoder.facts_of(b"GIF89a"), DEFAULT_LIMITS, None, MUCH))
    code = "from dgsforensics.detector.decoding_worker import serve; serve()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe) as it:
        assert it.stdin is not None
        assert it.stdout is not None
        assert it.stderr is not None
        assert pickle.load(it.stdout) is None  # ready
        it.stdout.close()
        it.stdin.write(request)
        it.stdin.close()
        assert it.stderr.read() == b""
