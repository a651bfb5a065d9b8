"""One file of a scan on its way to the model: read, looked up, decoded and prepared, or why not."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dgsforensics.detector import decoding_pool, views
from dgsforensics.detector.config import InputConfig
from dgsforensics.detector.memory import MemoryBudget, needed
from dgsforensics.detector.preparation import PreparedImage, prepare, prepare_file
from dgsforensics.detector.read_ahead import off_the_clock
from dgsforensics.errors import CaseError, ImageError
from dgsforensics.files import content
from dgsforensics.files.candidates import failure
from dgsforensics.files.content import Limits
from dgsforensics.pictures import decoder
from dgsforensics.pictures.decoder import Picture
from dgsforensics.records import EarlierScore, Failure, FileFacts, Status

logger = logging.getLogger(__name__)

IntakeResult = PreparedImage | EarlierScore | Failure
"""What the model is to score, what was scored before, and what has no pixels."""
_PATIENCE = 3
"""Times the seconds of one file that it waits for the memory of others."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a scan does with each file; for use from several threads."""

    config: InputConfig
    limits: Limits
    budget: MemoryBudget
    known: Callable[[str], EarlierScore | None] | None
    """Returns an earlier result by SHA-256, which is used instead of the model."""
    alter: Callable[[Picture], Picture] | None
    """Returns another picture, which is scored in place of the first."""

    def take(self, path: Path) -> IntakeResult:
        """Read, look up, decode and prepare a file. Only a `CaseError` ends the scan."""
        facts = FileFacts()
        try:
            data = content.read(path, self.limits)
            facts = decoder.facts_of(data)
            earlier = self.known(facts.sha256) if self.known and facts.sha256 else None
            if earlier is not None and earlier.traits is not None:
                return earlier
            need = needed(data, facts.format, self.budget.total)
            with ExitStack() as stack:
                with off_the_clock():
                    patience = _PATIENCE * self.limits.max_seconds
                    stack.enter_context(self.budget.lent(need, patience))
                if earlier is not None:
                    return views.with_traits(earlier, data, self.limits)
                if self.alter is not None:
                    picture = self.alter(decoder.decode(data, self.limits, facts))
                    return prepare(picture, self.config)
                return self._prepared(data, facts, need)
        except ImageError as error:
            return failure(path, error, _sized(path, facts))
        except MemoryError:
            reason = "not enough memory"
        except CaseError:
            raise
        except Exception as error:  # a defect of ours; the other files still count
            logger.warning("%r: %r", str(path), error, exc_info=logger.isEnabledFor(logging.DEBUG))
            reason = f"internal error: {error!r}"
        return Failure(path, _sized(path, facts), Status.UNREADABLE, reason)

    def _prepared(self, data: bytes, facts: FileFacts, need: int) -> PreparedImage:
        """Decode and prepare, in this thread or in a process that can be ended."""
        if not decoding_pool.is_risky(data, facts.format):
            return prepare_file(data, facts, self.limits, self.config)
        with off_the_clock():  # the pool has a clock of its own
            return decoding_pool.pool.prepare(data, facts, self.limits, self.config, need)


def _sized(path: Path, facts: FileFacts) -> FileFacts:
    """Return the facts; where the file was not read, with its size on the disk."""
    return FileFacts(size=content.size_of(path)) if facts.size is None else facts
