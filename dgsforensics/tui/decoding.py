"""Pictures for the screen, decoded in threads ahead of the cursor, within a bound of memory.

What is shown is what was scored: `images.load` makes the pixels in both cases. A decoder that
hangs is left behind, as in `window`: its thread is replaced, its picture is reported as one that
cannot be read, and if the call ever returns after all, the picture is taken.
"""

import logging
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dgsforensics.errors import ImageError
from dgsforensics.files.content import DEFAULT_LIMITS, Limits
from dgsforensics.pictures import decoder

CAPACITY = 256 << 20
"""Bytes of decoded pictures that are kept."""
MAX_PIXELS = 24_000_000
"""Pixels kept of one picture; a larger one is reduced."""
SMALL = 1 << 20
"""Pixels from which a picture is quickly reduced to the screen; larger ones are prepared for it."""
THREADS = 2
MAX_STUCK = 32
"""Decoders that may be left behind at a time; beyond that, threads are no longer replaced."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture:
    """One picture for the screen, or why there is none."""

    image: Image.Image | None
    """RGB, upright; None when the file cannot be read."""
    size: tuple[int, int]
    """Width and height of the picture in the file, pixels; (0, 0) without one."""
    error: str | None = None
    sha256: str | None = None
    """Of the file that was read; None where that is not known."""
    smaller: tuple[Image.Image, ...] = ()
    """The same picture at 1/4, 1/16, ... of the sides of `image`, so that showing all of a large
    one costs little."""

    @property
    def scale(self) -> float:
        """Pixels of `image` along one pixel of the file; below 1 where it was reduced."""
        return 1.0 if self.image is None else self.image.width / self.size[0]


def from_image(image: Image.Image, sha256: str | None = None) -> DecodedPicture:
    """Prepare an RGB picture of any size for the screen."""
    size = image.size
    if image.width * image.height > MAX_PIXELS:
        scale = math.sqrt(MAX_PIXELS / (image.width * image.height))
        reduced = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        image = image.resize(reduced, Image.Resampling.HAMMING, reducing_gap=2.0)
    smaller: list[Image.Image] = []
    level = image
    while level.width * level.height > SMALL:
        level = level.reduce(4)
        smaller.append(level)
    return DecodedPicture(image, size, None, sha256, tuple(smaller))


class Decoder:
    """Decodes what will be shown next; to be closed, or used in a `with` statement."""

    def __init__(
        self,
        ready: Callable[[Path], object],
        *,
        capacity: int = CAPACITY,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`ready` is told, in a decoding thread, of each path for which `get` now has a picture.

        It must neither block nor raise: let it post a message.
        """
        self._ready = ready
        self._capacity = capacity
        self._limits = limits
        self._changed = threading.Condition()
        self._wishes: list[Path] = []
        self._waiting: deque[Path] = deque()
        """The wishes that are still to be looked at."""
        self._shots: OrderedDict[Path, DecodedPicture] = OrderedDict()
        """The one used last comes last."""
        self._bytes = 0
        self._busy: dict[Path, threading.Timer] = {}
        self._stuck: set[Path] = set()
        self._threads = 0
        self._closed = False
        for _ in range(THREADS):
            self._start_thread()

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def want(self, paths: Sequence[Path]) -> None:
        """Say what will be needed, most urgent first, in place of what was said before.

        The first is the current picture: whatever its size, it is kept until the next call.
        """
        with self._changed:
            self._wishes = list(dict.fromkeys(paths))
            self._waiting = deque(self._wishes)
            self._changed.notify_all()

    def get(self, path: Path) -> DecodedPicture | None:
        """Return the picture, when it is decoded; None while it is not, or no longer."""
        with self._changed:
            shot = self._shots.get(path)
            if shot is not None:
                self._shots.move_to_end(path)
            return shot

    def forget(self, path: Path) -> None:
        """Drop the picture of a path, and read the file anew when it is wanted the next time."""
        with self._changed:
            if path in self._shots:
                self._drop(path)

    def close(self) -> None:
        """Stop the threads after what they are doing; does not wait for them."""
        with self._changed:
            self._closed = True
            for timer in self._busy.values():
                timer.cancel()
            self._changed.notify_all()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._serve, daemon=True, name="picture").start()

    def _serve(self) -> None:
        while (path := self._next()) is not None:
            shot = _decode(path, self._limits)
            with self._changed:
                self._busy.pop(path).cancel()
                goes_on = True
                if path in self._stuck:
                    self._stuck.remove(path)
                    goes_on = self._threads < THREADS  # its place may have been taken
                    self._threads += goes_on
                told = self._keep(path, shot) and not self._closed
            if told:
                self._ready(path)
            if not goes_on:
                return

    def _next(self) -> Path | None:
        """Wait for something to decode; None at the end."""
        with self._changed:
            while not self._closed:
                while self._waiting:
                    path = self._waiting.popleft()
                    if path not in self._shots and path not in self._busy:
                        seconds = min(self._limits.max_seconds, threading.TIMEOUT_MAX)
                        timer = threading.Timer(seconds, self._give_up, [path])
                        timer.daemon = True
                        self._busy[path] = timer
                        timer.start()
                        return path
                self._changed.wait()
            self._threads -= 1
            return None

    def _give_up(self, path: Path) -> None:
        """Give up on a decoder whose time is over."""
        with self._changed:
            if self._closed or self._busy.get(path) is not threading.current_thread():
                return  # this timer was cancelled as it went off
            self._stuck.add(path)
            self._threads -= 1
            if len(self._stuck) <= MAX_STUCK:
                self._start_thread()
            else:
                _log.warning("%d files keep their decoders busy without end", len(self._stuck))
            reason = f"took longer than {self._limits.max_seconds:g} s to read"
            self._keep(path, DecodedPicture(None, (0, 0), reason))
        self._ready(path)

    def _keep(self, path: Path, shot: DecodedPicture) -> bool:
        """Return store, and make room for it; False when there was room only without it."""
        if path in self._shots:
            self._drop(path)
        self._shots[path] = shot
        self._bytes += _cost(shot)
        rank = {path: place for place, path in enumerate(self._wishes)}
        while self._bytes > self._capacity:
            pictures = [path for path, kept in self._shots.items() if kept.image]
            unwanted = [path for path in pictures if path not in rank]
            wanted = [path for path in pictures if rank.get(path, 0) > 0]
            if unwanted:
                self._drop(unwanted[0])
            elif wanted:
                self._drop(max(wanted, key=rank.__getitem__))
                # All that is kept is wanted: more would only push out what is more urgent.
                self._waiting.clear()
            else:
                break  # the current picture alone
        return path in self._shots

    def _drop(self, path: Path) -> None:
        self._bytes -= _cost(self._shots.pop(path))


def _cost(shot: DecodedPicture) -> int:
    """Return bytes; Pillow takes four for an RGB pixel. A failure is never dropped and costs
    nothing.
    """
    levels = [shot.image, *shot.smaller] if shot.image else []
    return sum(4 * level.width * level.height for level in levels)


def _decode(path: Path, limits: Limits) -> DecodedPicture:
    try:
        picture = decoder.load(path, limits)
        return from_image(Image.fromarray(picture.pixels), picture.facts.sha256)
    except ImageError as error:
        reason = error.sentence
    except MemoryError:
        reason = "not enough memory"
    except Exception as error:  # a defect of ours; the other pictures still count
        _log.warning("%r: %r", str(path), error, exc_info=_log.isEnabledFor(logging.DEBUG))
        reason = f"internal error: {error!r}"
    return DecodedPicture(None, (0, 0), reason)
