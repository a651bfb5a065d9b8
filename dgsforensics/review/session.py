"""A case under review: its images with their scores, and what each reviewer said of them.

Labels belong to the content of an image, so files with the same bytes share theirs. What a reviewer
did is read from the log of decisions alone: undo and redo go on after a restart, and what another
process writes, a scan or a second reviewer, is followed.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dgsforensics.calibration import Calibration, Thresholds
from dgsforensics.case.decisions import Entry, Log, Standing, standing
from dgsforensics.case.store import Case, as_text
from dgsforensics.errors import CaseError
from dgsforensics.records import (
    Action,
    Decision,
    Evidence,
    Judgement,
    Mark,
    Row,
    ScanInfo,
    Shown,
    Status,
    Verdict,
)

_State = tuple[Judgement | None, str]
"""Label and note."""
_UNTOUCHED: _State = (None, "")


@dataclass(frozen=True, slots=True)
class Scale:
    """What the logits of one scan mean."""

    scan: ScanInfo
    calibration: Calibration
    thresholds: Thresholds

    @classmethod
    def of(cls, scan: ScanInfo) -> "Scale":
        """Read from the settings of a scan; raises `CaseError` where they do not say."""
        options = scan.settings.options
        try:
            calibration = Calibration(options["temperature"], options["intercept"], (), (), "")
            return cls(scan, calibration, Thresholds(**options["thresholds"]))
        except (KeyError, TypeError) as error:
            raise CaseError(
                "this case was scanned by an older version, which kept no calibration",
                "scan the folder again; the scores are kept",
            ) from error


@dataclass(slots=True, eq=False)
class Item:
    """One file of the case, compared by identity."""

    index: int
    """Position in the list of all."""
    row: Row
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
        """The first claim of a kind, e.g. the camera."""
        return next((piece.value for piece in self.evidence if piece.mark == mark), None)

    @property
    def marks(self) -> list[Mark]:
        """The kinds of claims that are there, each once, in the order of `Mark`."""
        present = {piece.mark for piece in self.evidence}
        return [mark for mark in Mark if mark in present]

    @property
    def shown(self) -> Shown | None:
        """The score as it is to be written down with a decision."""
        if self.scale is None or self.verdict is None or self.probability is None:
            return None
        made = self.scale.scan.settings
        assert self.row.logit is not None  # a verdict comes from it
        scores = (self.row.logit, self.probability, made.threshold)
        return Shown(made.model, made.model_sha256, *scores, self.verdict)


@dataclass(frozen=True, slots=True)
class _Change:
    """What one entry of a step did to one image."""

    path: Path
    sha256: str
    shown: Shown | None
    before: _State
    after: _State


class Review:
    """An open case and one reviewer. Not for use from several threads at once."""

    def __init__(self, case: Case, reviewer: str, *, blind: bool = False) -> None:
        """`blind`: what others said of an image shows once the reviewer has labelled it."""
        self.case = case
        self.reviewer = as_text(reviewer)  # as the log has it
        self.blind = blind
        self.items: list[Item] = []
        self._scales: dict[int, Scale] = {}
        self._by_content: dict[str, list[Item]] = defaultdict(list)
        self._by_path: dict[str, Item] = {}
        self._newest: Row | None = None
        """The row recorded last."""
        self._standing: Standing = {}
        self._log = Log(case)
        self._last = 0
        self._undo: list[list[_Change]] = []
        self._redo: list[list[_Change]] = []
        self.load()
        self.follow()

    def load(self) -> None:
        """Read the files of the case anew: after a scan, those that are gone are gone here too."""
        self.items = []
        self._by_content.clear()
        self._by_path.clear()
        self._newest = None
        self._add(self.case.current())

    def grow(self) -> list[Item]:
        """Take in the files that a running scan has recorded since; those new or changed."""
        newest = self._newest
        return self._add(self.case.current() if newest is None else self.case.beyond(newest))

    def follow(self) -> set[str]:
        """Take in what anyone has added to the log; the images concerned, by sha256."""
        return self._take(self._log.after(self._last))

    def copies(self, sha256: str) -> Sequence[Item]:
        """The files with this content."""
        return self._by_content.get(sha256, ())

    @property
    def labels(self) -> dict[str, Judgement]:
        """The reviewer's own labels, by sha256."""
        found = {}
        for sha256, by in self._standing.items():
            mine = by.get(self.reviewer)
            if mine is not None and mine.judgement is not None:
                found[sha256] = mine.judgement
        return found

    def judgement(self, item: Item) -> Judgement | None:
        """The reviewer's own label."""
        return self._state(item)[0]

    def note_of(self, item: Item) -> str:
        """The reviewer's own note."""
        return self._state(item)[1]

    def decisions(self, item: Item) -> list[Decision]:
        """What may be seen of what stands for an image: the reviewer's own first, then by name."""
        found = list(self._standing.get(item.sha256 or "", {}).values())
        if self.blind and self.judgement(item) is None:
            found = [decision for decision in found if decision.reviewer == self.reviewer]
        return sorted(found, key=lambda d: (d.reviewer != self.reviewer, d.reviewer))

    def label(
        self, items: Iterable[Item], judgement: Judgement | None, note: str | None = None
    ) -> int:
        """Label images as one step; how many that changed.

        `judgement` None takes labels away, `note` None leaves notes as they are.
        """
        self.follow()  # another process of the reviewer may have written since
        said = None if note is None else as_text(note.strip())
        states = [
            (item, (judgement, self.note_of(item) if said is None else said)) for item in items
        ]
        return self._write(Action.LABEL, states)

    def note(self, item: Item, text: str) -> int:
        """Write a note to an image; how many that changed."""
        self.follow()
        return self._write(Action.NOTE, [(item, (self.judgement(item), as_text(text.strip())))])

    def undo(self) -> list[str]:
        """Take back the reviewer's last step; the sha256 of the images, none without a step."""
        return self._repeat(Action.UNDO)

    def redo(self) -> list[str]:
        """Do again what was undone last; the sha256 of the images, none without a step."""
        return self._repeat(Action.REDO)

    @property
    def root(self) -> Path:
        """The deepest folder that holds all files."""
        if not self._by_path:
            return Path()
        # In the order of strings, what all have in common is what the first and last have.
        first, last = min(self._by_path), max(self._by_path)
        return Path(os.path.commonpath([os.path.dirname(first), os.path.dirname(last)]))

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps can be undone and redone."""
        return len(self._undo), len(self._redo)

    def _add(self, rows: Iterable[Row]) -> list[Item]:
        touched = []
        for row in rows:
            item = self._by_path.get(str(row.path))
            if item is None:
                item = Item(len(self.items), row)
                self.items.append(item)
                self._by_path[str(row.path)] = item
            elif item.sha256 is not None:
                self._by_content[item.sha256].remove(item)
            self._judge(item, row)
            if item.sha256 is not None:
                self._by_content[item.sha256].append(item)
            touched.append(item)
            self._newest = row
        return touched

    def _judge(self, item: Item, row: Row) -> None:
        item.row, item._claims = row, None
        item.scale = item.probability = item.verdict = None
        if row.logit is None:
            return
        if row.scan_id not in self._scales:
            self._scales |= {
                scan.id: Scale.of(scan) for scan in self.case.scans() if scan.id == row.scan_id
            }
        item.scale = scale = self._scales[row.scan_id]
        item.probability = scale.calibration.probability(row.logit)
        item.verdict = scale.thresholds.verdict(row.logit)

    def _state(self, item: Item) -> _State:
        decision = self._standing.get(item.sha256 or "", {}).get(self.reviewer)
        return (decision.judgement, decision.note) if decision else _UNTOUCHED

    def _write(self, action: Action, wanted: Iterable[tuple[Item, _State]]) -> int:
        entries: dict[str, Entry] = {}
        for item, state in wanted:
            if item.sha256 is not None and state != self._state(item):
                entries.setdefault(item.sha256, Entry(item.path, item.sha256, *state, item.shown))
        return self._append(action, list(entries.values()))

    def _repeat(self, action: Action) -> list[str]:
        self.follow()
        steps = self._undo if action == Action.UNDO else self._redo
        if not steps:
            return []
        entries = []
        for change in steps[-1]:
            state = change.before if action == Action.UNDO else change.after
            entries.append(Entry(change.path, change.sha256, *state, change.shown))
        self._append(action, entries)
        return [entry.sha256 for entry in entries]

    def _append(self, action: Action, entries: list[Entry]) -> int:
        if entries:
            self._log.append(self.reviewer, action, entries)
            self.follow()  # in the order of the log, for another process may have come first
        return len(entries)

    def _take(self, decisions: Sequence[Decision]) -> set[str]:
        steps: dict[int, list[Decision]] = defaultdict(list)
        for decision in decisions:
            steps[decision.step].append(decision)
        for step in steps.values():
            if step[0].reviewer == self.reviewer:
                self._remember(step)
            standing(step, self._standing)
        self._last = decisions[-1].id if decisions else self._last
        return {decision.sha256 for decision in decisions}

    def _remember(self, step: list[Decision]) -> None:
        """Keep the stacks of undo and redo as the log has them."""
        if step[0].action == Action.UNDO and self._undo:
            self._redo.append(self._undo.pop())
        elif step[0].action == Action.REDO and self._redo:
            self._undo.append(self._redo.pop())
        else:
            self._redo.clear()
            self._undo.append([self._change(decision) for decision in step])

    def _change(self, decision: Decision) -> _Change:
        old = self._standing.get(decision.sha256, {}).get(self.reviewer)
        before = (old.judgement, old.note) if old else _UNTOUCHED
        after = (decision.judgement, decision.note)
        return _Change(decision.path, decision.sha256, decision.shown, before, after)
