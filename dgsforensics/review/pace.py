"""How fast a reviewer goes, and how long what is left will take."""

from collections import deque

RECENT = 30
"""Labels that count: somebody gets faster, or comes to harder ones."""
LEAST = 5
"""Labels before anything is said."""
BREAK = 120.0
"""Seconds; somebody who takes longer was not looking."""


class Pace:
    """Follows how many images have a label, and when."""

    def __init__(self) -> None:
        self._labelled: int | None = None
        self._time = 0.0
        self._steps: deque[tuple[float, int]] = deque(maxlen=RECENT)
        """Seconds, and images that got a label in them."""

    def note(self, labelled: int, time: float) -> None:
        """Note that so many images have a label, at a time in seconds; call it when that has
        changed.
        """
        if self._labelled is not None and labelled > self._labelled:
            seconds = time - self._time
            if 0 < seconds <= BREAK:
                self._steps.append((seconds, labelled - self._labelled))
        self._labelled, self._time = labelled, time

    def left(self, images: int) -> str:
        """Return how long so many images will take, for people; "" while that is not known."""
        done = sum(count for _, count in self._steps)
        if done < LEAST or not images:
            return ""
        seconds = images * sum(seconds for seconds, _ in self._steps) / done
        if seconds < 90:
            return "about a minute"
        minutes = seconds / 60
        if minutes < 90:
            return f"about {minutes if minutes < 10 else 5 * round(minutes / 5):.0f} minutes"
        return f"about {minutes / 60:.0f} hours"
