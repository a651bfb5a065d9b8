"""What one reviewer did and what stands, from the log: labels, steps to undo and redo, pairs.

A pair is the reviewer's label and another's of one image: for good, what the two said when first
both had labelled it, for after that the one could be led by the other. So both reviewers have the
same pairs, whoever looks, and however they look.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgsforensics.case.decisions import Standing, standing
from dgsforensics.judgements import Action, Decision, Judgement, ScoreSeen

State = tuple[Judgement | None, str]
"""Label and note."""
Pair = tuple[Judgement, Judgement]
"""The reviewer's label and the other's."""
_UNTOUCHED: State = (None, "")


@dataclass(frozen=True, slots=True)
class Change:
    """What one entry of a step did to one image."""

    path: Path
    sha256: str
    shown: ScoreSeen | None
    before: State
    after: State


class History:
    """The log as far as it was taken in, seen by one reviewer."""

    def __init__(self, reviewer: str) -> None:
        self._reviewer = reviewer
        self.last = 0
        """The id of the last entry taken in."""
        self.standing: Standing = {}
        self.labels: dict[str, Judgement] = {}
        """The reviewer's own, by sha256."""
        self.undo: list[list[Change]] = []
        self.redo: list[list[Change]] = []
        """Steps, the next one to be undone or redone at the end."""
        self.pairs: dict[str, Counter[Pair]] = defaultdict(Counter)
        """By the other reviewer: how many images have this pair, of those that were counted."""
        self._counted: dict[str, dict[str, Pair]] = {}
        """By sha256 and the other reviewer: what is in `pairs`."""
        self._first: dict[tuple[str, str], Pair] = {}
        """By sha256 and the other reviewer: what the two said first."""

    def state(self, sha256: str) -> State:
        """Return the reviewer's own label and note."""
        mine = self.standing.get(sha256, {}).get(self._reviewer)
        return (mine.judgement, mine.note) if mine else _UNTOUCHED

    def take(self, decisions: Sequence[Decision]) -> set[str]:
        """Take in what follows in the log; the images concerned, by sha256."""
        steps: dict[int, list[Decision]] = defaultdict(list)
        for decision in decisions:
            steps[decision.step].append(decision)
        for step in steps.values():
            if step[0].reviewer == self._reviewer:
                self._remember(step)
            for decision in step:
                standing([decision], self.standing)
                self._note_label(decision)
        self.last = decisions[-1].id if decisions else self.last
        return {decision.sha256 for decision in decisions}

    def count(self, contents: Iterable[str], present: Callable[[str], bool]) -> None:
        """Bring `pairs` up to date for these images; those that are not present do not count."""
        for sha256 in contents:
            for other, pair in self._counted.pop(sha256, {}).items():
                self.pairs[other][pair] -= 1
            if found := self.pairs_of(sha256) if present(sha256) else {}:
                self._counted[sha256] = found
                for other, pair in found.items():
                    self.pairs[other][pair] += 1

    def pairs_of(self, sha256: str) -> dict[str, Pair]:
        """Return, by the other reviewer, the pairs of labels of an image that both have
        labelled."""
        mine = self.labels.get(sha256)
        if mine is None:
            return {}
        return {
            other: self._first.get((sha256, other), (mine, decision.judgement))
            for other, decision in self.standing.get(sha256, {}).items()
            if other != self._reviewer and decision.judgement is not None
        }

    def _note_label(self, decision: Decision) -> None:
        """Keep up with a decision that stands now."""
        if decision.reviewer == self._reviewer:
            if decision.judgement is None:
                self.labels.pop(decision.sha256, None)
            else:
                self.labels[decision.sha256] = decision.judgement
        for other, pair in self.pairs_of(decision.sha256).items():
            self._first.setdefault((decision.sha256, other), pair)

    def _remember(self, step: list[Decision]) -> None:
        """Keep the stacks of undo and redo as the log has them."""
        if step[0].action == Action.UNDO and self.undo:
            self.redo.append(self.undo.pop())
        elif step[0].action == Action.REDO and self.redo:
            self.undo.append(self.redo.pop())
        else:
            self.redo.clear()
            self.undo.append([self._change(decision) for decision in step])

    def _change(self, decision: Decision) -> Change:
        after = (decision.judgement, decision.note)
        before = self.state(decision.sha256)
        return Change(decision.path, decision.sha256, decision.shown, before, after)
