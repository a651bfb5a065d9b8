"""A case under review: its images with their scores, and what each reviewer said of them.

Labels belong to the content of an image, so files with the same bytes share theirs. What a reviewer
did is read from the log of decisions alone: undo and redo go on after a restart, and what another
process writes, a scan or a second reviewer, is followed.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dgsforensics.case.decisions import Log, LogEntry
from dgsforensics.case.recording import as_text
from dgsforensics.case.scans import ScanInfo
from dgsforensics.case.store import Case
from dgsforensics.judgements import Action, Decision, Judgement, Sight
from dgsforensics.records import CaseRow
from dgsforensics.review.history import History, Pair, State
from dgsforensics.review.item import Item
from dgsforensics.review.scale import Scale
from dgsforensics.wording import chance


class Review:
    """An open case and one reviewer. Not for use from several threads at once."""

    def __init__(
        self,
        case: Case,
        reviewer: str,
        *,
        blind: bool = False,
        scale_of: Callable[[ScanInfo], Scale] = Scale.of,
    ) -> None:
        """`blind`: what others said of an image shows once the reviewer has labelled it.

        `scale_of` says what the logits of a scan mean, by default what they meant in that scan;
        what it raises is raised here, before anything is shown.
        """
        self._scale_of = scale_of
        self.case = case
        self.reviewer = as_text(reviewer)  # as the log has it
        self.blind = blind
        self.items: list[Item] = []
        self._scales: dict[int, Scale] = {}
        self._by_content: dict[str, dict[Item, None]] = {}
        self._by_path: dict[str, Item] = {}
        self._newest: CaseRow | None = None
        """The row recorded last."""
        self._history = History(self.reviewer)
        self._log = Log(case)
        self.load()
        self.follow()

    def load(self) -> None:
        """Read the files of the case anew: after a scan, those that are gone are gone here too."""
        rows = self._read(self.case.current())
        before, contents = self._by_path, list(self._by_content)
        self.items, self._by_content, self._by_path, self._newest = [], {}, {}, None
        self._add(rows, before)
        self._history.count(contents, self._by_content.__contains__)

    def grow(self) -> list[Item]:
        """Take in the files that a running scan has recorded since; those new or changed."""
        newest = self._newest
        rows = self.case.current() if newest is None else self.case.beyond(newest)
        return self._add(self._read(rows), self._by_path)

    def follow(self) -> set[str]:
        """Take in what anyone has added to the log; the images concerned, by sha256."""
        return self._take(self._log.after(self._history.last))

    @property
    def basis(self) -> str:
        """From where on images are flagged, for people; of several such, the last scan's."""
        if not self._scales:
            return ""
        scale = self._scales[max(self._scales)]
        return f"flagged from {chance(scale.scan.settings.threshold)}"

    def copies(self, sha256: str) -> Sequence[Item]:
        """Return the files with this content."""
        return list(self._by_content.get(sha256, ()))

    @property
    def labels(self) -> Mapping[str, Judgement]:
        """The reviewer's own labels, by sha256, as they are at any time."""
        return self._history.labels

    @property
    def labelled_last(self) -> set[str]:
        """The images of the reviewer's last step that was not taken back, by sha256."""
        return {change.sha256 for step in self._history.undo[-1:] for change in step}

    @property
    def pairs(self) -> Mapping[str, Counter[Pair]]:
        """How often which first labels meet, by the other reviewer; of contents in the case."""
        return self._history.pairs

    def judgement(self, item: Item) -> Judgement | None:
        """Return the reviewer's own label."""
        return self._state(item)[0]

    def note_of(self, item: Item) -> str:
        """Return the reviewer's own note."""
        return self._state(item)[1]

    def decisions(self, item: Item) -> list[Decision]:
        """Return what may be seen of what stands for an image: the reviewer's own first, then by
        name.
        """
        found = list(self._history.standing.get(item.sha256 or "", {}).values())
        if self.blind and self.judgement(item) is None:
            found = [decision for decision in found if decision.reviewer == self.reviewer]
        return sorted(found, key=lambda d: (d.reviewer != self.reviewer, d.reviewer))

    def label(
        self,
        items: Iterable[Item],
        judgement: Judgement | None,
        note: str | None = None,
        *,
        sight: Sight | None = None,
        others: Sight | None = None,
    ) -> int:
        """Label images as one step; how many that changed.

        `judgement` None takes labels away, `note` None leaves notes as they are. `sight` is what
        the reviewer saw of the first image, `others` of the rest.
        """
        chosen, said = list(items), None if note is None else _line(note)
        saw = {item.sha256: others for item in chosen} | {i.sha256: sight for i in chosen[:1]}
        return self._write(
            Action.LABEL,
            lambda: [(i, (judgement, self.note_of(i) if said is None else said)) for i in chosen],
            saw,
        )

    def note(self, item: Item, text: str, *, sight: Sight | None = None) -> int:
        """Write a note to an image; how many that changed. Control characters become blanks."""
        return self._write(
            Action.NOTE,
            lambda: [(item, (self.judgement(item), _line(text)))],
            {item.sha256: sight},
        )

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
        try:
            return Path(os.path.commonpath([os.path.dirname(first), os.path.dirname(last)]))
        except ValueError:  # on two drives
            return Path()

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps can be undone and redone."""
        return len(self._history.undo), len(self._history.redo)

    def _read(self, rows: Iterable[CaseRow]) -> list[CaseRow]:
        """Return all rows and what their scores mean; where that fails, nothing has changed yet."""
        found = list(rows)
        if unknown := {row.scan_id for row in found if row.logit is not None} - set(self._scales):
            scans = self.case.scans()
            self._scales |= {scan.id: self._scale_of(scan) for scan in scans if scan.id in unknown}
        return found

    def _add(self, rows: Iterable[CaseRow], before: Mapping[str, Item]) -> list[Item]:
        """Return items for rows; those that there were `before` at the same path stay the same
        items.
        """
        touched, contents = [], set()
        for row in rows:
            path = str(row.path)
            item = before.get(path) or self._by_path.get(path) or Item(-1, row)
            if path not in self._by_path:
                item.index = len(self.items)
                self.items.append(item)
                self._by_path[path] = item
            elif item.sha256 is not None:
                self._forget(item, item.sha256)
                contents.add(item.sha256)
            self._judge(item, row)
            if item.sha256 is not None:
                self._by_content.setdefault(item.sha256, {})[item] = None
                contents.add(item.sha256)
            touched.append(item)
            self._newest = row
        self._history.count(contents, self._by_content.__contains__)
        return touched

    def _forget(self, item: Item, sha256: str) -> None:
        """Forget that the item has this content."""
        copies = self._by_content[sha256]
        del copies[item]
        if not copies:
            del self._by_content[sha256]

    def _judge(self, item: Item, row: CaseRow) -> None:
        item.row, item._claims = row, None
        item.scale = item.probability = item.verdict = None
        if row.logit is not None:
            item.scale = scale = self._scales[row.scan_id]
            item.probability = scale.calibration.probability(row.logit)
            item.verdict = scale.thresholds.verdict(row.logit, row.domain)

    def _state(self, item: Item) -> State:
        return self._history.state(item.sha256 or "")

    def _write(
        self,
        action: Action,
        wanted: Callable[[], list[tuple[Item, State]]],
        saw: Mapping[str | None, Sight | None],
    ) -> int:
        """Write what is `wanted`, computed anew for as long as other processes come first."""
        while True:
            self.follow()
            entries: dict[str, LogEntry] = {}
            for item, state in wanted():
                if item.sha256 is not None and state != self._state(item):
                    seen = item.shown, saw[item.sha256]
                    made = LogEntry(item.path, item.sha256, *state, *seen)
                    entries.setdefault(item.sha256, made)
            if not entries or self._append(action, list(entries.values())):
                return len(entries)

    def _repeat(self, action: Action) -> list[str]:
        undoes = action == Action.UNDO
        while True:
            self.follow()
            steps = self._history.undo if undoes else self._history.redo
            if not steps:
                return []
            entries = [
                LogEntry(it.path, it.sha256, *(it.before if undoes else it.after), it.shown)
                for it in steps[-1]
            ]
            if self._append(action, entries):
                return [entry.sha256 for entry in entries]

    def _append(self, action: Action, entries: list[LogEntry]) -> bool:
        """Return false where another process has written since the log was followed."""
        last = self._history.last
        return bool(self._take(self._log.append(self.reviewer, action, entries, after=last)))

    def _take(self, decisions: Sequence[Decision]) -> set[str]:
        contents = self._history.take(decisions)
        self._history.count(contents, self._by_content.__contains__)
        return contents


def _line(text: str) -> str:
    """Return a note as it is kept: what a terminal would obey is blanked."""
    return "".join(c if c.isprintable() else " " for c in as_text(text)).strip()
