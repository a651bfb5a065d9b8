"""Whether a picture has arrived on the screen, as far as the terminal says.

With each picture the terminal is asked for something. Its answer comes before any key that is typed
from then on, and means that it has taken the picture, over whatever line. From a terminal that does
not answer, that the picture was sent has to do.
"""

from dgsforensics.judgements import Showing, Sight

ANSWER_SECONDS = 1.0
"""How long a terminal may take to say that it has a picture."""


class Arrival:
    """Follows one picture after the other on its way; times are those that messages have."""

    def __init__(self) -> None:
        self.since: float | None = None
        """When the picture arrived; None while it has not."""
        self.answers = True
        """Whether there is hope that the terminal answers."""
        self._asked = self._heard = 0
        """How often the terminal was asked, and has answered: in this order."""
        self._awaited = 0
        """The answer that is the picture's; 0: it is not sent yet."""

    def leave(self) -> None:
        """Note that another picture is to come, or that this one is hidden."""
        self.since, self._awaited = None, 0

    @property
    def is_sent(self) -> bool:
        """Whether the picture was sent, with a question to the terminal."""
        return self._awaited > 0

    def ask(self) -> int:
        """Note that the picture is sent with a question; its number."""
        self._asked += 1
        self._awaited = self._asked
        return self._asked

    def hear(self, time: float) -> None:
        """Take an answer; a late one still counts for the picture that it was asked with."""
        self._heard += 1
        self.answers = True
        if self.since is None and 0 < self._awaited <= self._heard:
            self.since = time

    def settle(self, number: int, time: float) -> None:
        """Do without an answer, where the picture is still the one that was sent then."""
        if self._awaited == number and self.since is None:
            self.since = time

    def give_up(self, number: int, time: float) -> None:
        """Note that the answer has not come in time."""
        self.answers = self._heard > 0
        self.settle(number, time)

    def sight(self, how: Showing, size: tuple[int, int] | None, until: float) -> Sight:
        """Return what somebody saw, up to a time; `size` None: there was no picture to be seen."""
        if self.since is None or until <= self.since:
            return Sight(Showing.HIDDEN)
        if size is None:
            return Sight(Showing.UNREADABLE)
        return Sight(how, *size, round(until - self.since, 2))
