"""One file of a case under review: its row, what its score means, and what the file claims."""

from dataclasses import dataclass, field
from pathlib import Path

from dgsforensics.judgements import ScoreSeen
from dgsforensics.records import CaseRow, Evidence, Mark, Status, Verdict
from dgsforensics.review.scale import Scale


@dataclass(slots=True, eq=False)
class Item:
    """One file of the case, compared by identity."""

    index: int
    """Position in the list of all."""
    row: CaseRow
    scale: Scale | None = None
    """None, as the next two, for a file without a score."""
    probability: float | None = None
    verdict: Verdict | None = None
    _claims: tuple[Evidence, ...] | None = field(default=None, init=False)

    @property
    def path(self) -> Path:
        """Absolute."""
        return self.row.path

    @property
    def sha256(self) -> str | None:
        """None for a file that was never read; it cannot be labelled."""
        return self.row.facts.sha256

    @property
    def kind(self) -> Verdict | Status:
        """The verdict, or why there is none."""
        return self.verdict or self.row.status

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What the file claims about itself; empty, too, where nobody looked."""
        if self._claims is None:
            self._claims = self.row.traits.evidence if self.row.traits else ()
        return self._claims

    def claim(self, mark: Mark) -> str | None:
        """Return the first claim of a kind, e.g. the camera."""
        return next((piece.value for piece in self.evidence if piece.mark == mark), None)

    @property
    def marks(self) -> list[Mark]:
        """The kinds of claims that are there, each once, in the order of `Mark`."""
        present = {piece.mark for piece in self.evidence}
        return [mark for mark in Mark if mark in present]

    @property
    def shown(self) -> ScoreSeen | None:
        """The score as it is to be written down with a decision."""
        if self.scale is None or self.verdict is None or self.probability is None:
            return None
        made = self.scale.scan.settings
        assert self.row.logit is not None  # a verdict comes from it
        scores = (self.row.logit, self.probability, made.threshold)
        return ScoreSeen(made.model, made.model_sha256, *scores, self.verdict)
