import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import BROKEN, photo
from dgsforensics.errors import ImageError, UnreadableError, UnsupportedError
from dgsforensics.files.content import Limits
from dgsforensics.pictures import decoder
from dgsforensics.tui import decoding
from dgsforensics.tui.decoding import MAX_PIXELS, SMALL, DecodedPicture, Decoder, from_image

PATIENCE = 60.0
"""Seconds after which a test is taken to hang; none gets near it."""
LIMIT = 0.3
"""Seconds granted to a picture where one is meant to run out."""
COST = 4 * 96 * 64
"""Bytes of a `photo()` in memory."""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number:02}.png" for number in range(30)]
    for number, path in enumerate(paths):
        photo(seed=number).save(path)
    return paths


class Told:
    """What a decoder has said is ready, in order."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def __call__(self, path: Path) -> None:
        self.paths.append(path)

    def wait(self, *paths: Path) -> None:
        until(lambda: set(paths) <= set(self.paths))


class Gate:
    """A stand-in for `images.load` that lets pictures through when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[Path] = []
        self.shut: dict[Path, threading.Event] = {}
        self._load = decoder.load
        monkeypatch.setattr(decoder, "load", self)

    def hold(self, *paths: Path) -> None:
        self.shut |= {path: threading.Event() for path in paths}

    def release(self) -> None:
        for event in self.shut.values():
            event.set()

    def __call__(self, path: Path, limits: Limits) -> decoder.Picture:
        self.begun.append(path)
        if path in self.shut:
            assert self.shut[path].wait(PATIENCE)
        return self._load(path, limits)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.release()


def test_a_picture_is_what_is_scored(gallery: dict[str, Path]) -> None:
    readable = [path for name, path in gallery.items() if name not in BROKEN]
    told = Told()
    with Decoder(told) as ahead:
        ahead.want(readable)
        told.wait(*readable)
        for path in readable:
            shot = ahead.get(path)
            assert shot is not None
            assert shot.error is None
            assert shot.image is not None
            pixels = decoder.load(path).pixels
            assert shot.image.mode == "RGB"
            assert np.array_equal(np.asarray(shot.image), pixels)  # upright, too
            assert shot.size == pixels.shape[1::-1]
            assert shot.scale == 1


def test_what_cannot_be_read_says_why(gallery: dict[str, Path], tmp_path: Path) -> None:
    broken = [gallery[name] for name in BROKEN]
    paths = [*broken, tmp_path, tmp_path / "none.jpg", Path("\0")]
    told = Told()
    with Decoder(told) as ahead:
        ahead.want(paths)
        told.wait(*paths)
        for path in paths:
            shot = ahead.get(path)
            assert shot is not None
            assert (shot.image, shot.size, shot.smaller) == (None, (0, 0), ())
            with pytest.raises(ImageError) as caught:
                decoder.load(path)
            assert caught.value.message in (shot.error or "")
            assert shot.scale == 1


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def load(path: Path, limits: Limits) -> None:
        raise UnsupportedError("HEIC needs an extra", "pip install 'dgsforensics[heic]'")

    monkeypatch.setattr(decoder, "load", load)
    assert "pip install 'dgsforensics[heic]'" in shown(tmp_path)


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError(), "not enough memory"), (KeyError("x"), "internal error: KeyError('x')")],
)
def test_nothing_ends_a_thread(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def load(path: Path, limits: Limits) -> None:
        raise error

    monkeypatch.setattr(decoder, "load", load)
    assert shown(tmp_path) == words


def shown(path: Path) -> str:
    told = Told()
    with Decoder(told) as ahead:
        for other in (path, path / "2", path / "3"):  # more than there are threads
            ahead.want([other])
            told.wait(other)
        shot = ahead.get(path)
    assert shot is not None
    assert shot.error is not None
    return shot.error


def test_pictures_are_decoded_in_the_order_wanted(files: list[Path], gate: Gate) -> None:
    told = Told()
    with Decoder(told) as ahead:
        ahead.want([files[7], files[3], files[7], files[5]])
        told.wait(files[7], files[3], files[5])
    assert sorted(gate.begun) == [files[3], files[5], files[7]]  # each once
    assert gate.begun[2] == files[5]


def test_what_is_no_longer_wanted_is_not_begun(files: list[Path], gate: Gate) -> None:
    gate.hold(files[0], files[1])
    told = Told()
    with Decoder(told) as ahead:
        for place in range(20):  # as when scrolling fast
            ahead.want(files[place : place + 8])
            until(lambda: len(gate.begun) == 2)
        ahead.want([files[29]])
        gate.release()
        told.wait(files[29], files[0], files[1])
        assert ahead.get(files[0]) is not None  # it was decoded, so it is kept
    assert set(gate.begun) == {files[0], files[1], files[29]}


def test_what_is_kept_is_not_decoded_again(files: list[Path], gate: Gate) -> None:
    told = Told()
    with Decoder(told) as ahead:
        for _ in range(3):
            ahead.want(files[:4])
            told.wait(*files[:4])
        ahead.want([files[4]])
        told.wait(files[4])
    assert sorted(gate.begun) == files[:5]


def test_memory_is_bounded_by_bytes_and_the_least_recently_used_goes(files: list[Path]) -> None:
    told = Told()
    with Decoder(told, capacity=3 * COST) as ahead:
        for path in files[:3]:
            ahead.want([path])
            told.wait(path)
        assert ahead.get(files[0]) is not None  # used again
        ahead.want([files[3]])
        told.wait(files[3])
        kept = [path for path in files if ahead.get(path) is not None]
    assert kept == [files[0], files[2], files[3]]


def test_more_is_wanted_than_there_is_room_for(files: list[Path], gate: Gate) -> None:
    told = Told()
    with Decoder(told, capacity=3 * COST) as ahead:
        ahead.want(files[:20])
        told.wait(*files[:3])
        until(lambda: len(gate.begun) >= 4)
        ahead.want([files[0]])  # what is still being done ends
        ahead.want(files[:3])
        assert all(ahead.get(path) is not None for path in files[:3])
    assert len(gate.begun) <= 6  # not all 20, and none over and over


def test_the_current_picture_stays_however_large(files: list[Path]) -> None:
    told = Told()
    with Decoder(told, capacity=COST - 1) as ahead:
        ahead.want(files[:3])
        told.wait(files[0])
        time.sleep(0.1)
        assert ahead.get(files[0]) is not None
        ahead.want([files[1]])
        told.wait(files[1])
        assert ahead.get(files[0]) is None
        assert ahead.get(files[1]) is not None


def test_what_is_told_is_there(files: list[Path]) -> None:
    found: dict[Path, DecodedPicture | None] = {}
    ahead = Decoder(lambda path: found.setdefault(path, ahead.get(path)))
    with ahead:
        ahead.want(files)
        until(lambda: len(found) == len(files))
    assert None not in found.values()


def test_a_decoder_that_hangs_is_left_behind(files: list[Path], gate: Gate) -> None:
    gate.hold(*files[:5])  # more than there are threads
    told = Told()
    with Decoder(told, limits=Limits(max_seconds=LIMIT)) as ahead:
        ahead.want(files[:7])
        told.wait(*files[:7])
        for path in files[:5]:
            shot = ahead.get(path)
            assert shot is not None
            assert shot.error == "took longer than 0.3 s to read"
        assert all(ahead.get(path).image for path in files[5:7])  # type: ignore[union-attr]
        ahead.want(files[:7])
        time.sleep(0.05)
        assert len(gate.begun) == 7  # what hangs is not tried again
        stuck = [thread for thread in threading.enumerate() if thread.name == "picture"]
        assert len(stuck) == 5 + decoding.THREADS
        assert all(thread.daemon for thread in stuck)  # they do not keep the program alive


def test_a_late_picture_is_shown_after_all(files: list[Path], gate: Gate) -> None:
    gate.hold(files[0])
    told = Told()
    with Decoder(told, limits=Limits(max_seconds=LIMIT)) as ahead:
        ahead.want([files[0]])
        told.wait(files[0])
        gate.release()
        until(lambda: told.paths == [files[0], files[0]])
        shot = ahead.get(files[0])
        assert shot is not None
        assert shot.image is not None
        until(lambda: _serving() == decoding.THREADS)  # its thread was replaced, and ends
        ahead.want(files[1:4])
        told.wait(*files[1:4])


def _serving() -> int:
    return sum(thread.name == "picture" for thread in threading.enumerate())


def test_there_is_an_end_to_replacing_threads(
    files: list[Path], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_STUCK", 3)
    gate.hold(*files[:20])
    told = Told()
    with Decoder(told, limits=Limits(max_seconds=LIMIT)) as ahead:
        ahead.want(files)
        until(lambda: len(told.paths) >= 5)
        time.sleep(2 * LIMIT)
        assert _serving() == len(gate.begun) == 5
        gate.release()  # they come back, and take up work again
        told.wait(*files)
        until(lambda: _serving() == decoding.THREADS)


def test_closing_waits_for_nobody_and_tells_nothing_more(files: list[Path], gate: Gate) -> None:
    gate.hold(*files)
    told = Told()
    ahead = Decoder(told)
    ahead.want(files)
    until(lambda: len(gate.begun) == 2)
    ahead.close()
    ahead.close()
    gate.release()
    until(lambda: _serving() == 0)
    assert told.paths == []
    assert len(gate.begun) == 2


def test_there_need_be_no_limit_of_time(files: list[Path]) -> None:
    told = Told()
    with Decoder(told, limits=Limits(max_seconds=float("inf"))) as ahead:
        ahead.want(files[:2])
        told.wait(*files[:2])


def test_a_file_that_is_refused_leaves_no_timer(tmp_path: Path) -> None:
    told = Told()
    with Decoder(told) as ahead:
        ahead.want([tmp_path / "gone.png"])
        told.wait(tmp_path / "gone.png")
        until(lambda: not any(isinstance(t, threading.Timer) for t in threading.enumerate()))


# What is kept of a picture


def test_a_large_picture_is_reduced_and_its_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 5000)
    shot = from_image(photo(200, 100))
    assert shot.size == (200, 100)
    assert shot.image is not None
    assert shot.image.size == (100, 50)
    assert shot.scale == 0.5


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 10_000), (7, 3), (2000, 1500), (1, 3_000_000), (6100, 4100)]
)
def test_smaller_copies_end_where_reducing_is_quick(size: tuple[int, int]) -> None:
    shot = from_image(Image.new("RGB", size, "teal"))
    assert shot.image is not None
    levels = [shot.image, *shot.smaller]
    assert levels[-1].width * levels[-1].height <= SMALL
    assert all(level.width * level.height > SMALL for level in levels[:-1])
    assert shot.image.width * shot.image.height <= MAX_PIXELS
    assert {level.getpixel((0, 0)) for level in levels} == {(0, 128, 128)}


def test_limits_are_those_given(files: list[Path]) -> None:
    told = Told()
    with Decoder(told, limits=Limits(max_pixels=5000)) as ahead:
        ahead.want([files[0]])
        told.wait(files[0])
        shot = ahead.get(files[0])
    with pytest.raises(UnreadableError) as caught:
        decoder.load(files[0], Limits(max_pixels=5000))
    assert shot is not None
    assert shot.error == caught.value.message
    assert isinstance(shot, DecodedPicture)


def test_a_member_of_an_archive_is_shown_and_said_to_be_gone_with_it(files: list[Path]) -> None:
    archive = files[0].parent / "e.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.write(files[0], "img/a.png")
    told, place = Told(), archive / "img" / "a.png"
    with Decoder(told) as decoder:
        decoder.want([place])
        told.wait(place)
        shown = decoder.get(place)
        assert shown is not None and shown.size == photo().size
        archive.unlink()
        decoder.forget(place)
        told.paths.clear()
        decoder.want([place])
        told.wait(place)
        gone = decoder.get(place)
        assert gone is not None and gone.error == "no such file or folder"
