"""What the board lists, and how it says so: filter, order and group, without a screen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dgsforensics.choices import Order
from dgsforensics.records import Status, Verdict
from dgsforensics.review import agreement, phrases, queries
from dgsforensics.review.item import Item
from dgsforensics.review.relations import Relation, Relations
from dgsforensics.review.session import Review
from dgsforensics.wording import printable

VERDICTS = (
    *(verdict.replace(" ", "-") for verdict in Verdict),
    f"{Status.UNREADABLE},{Status.UNSUPPORTED}",
)
"""What `next_verdict` goes through."""
_VERDICT = re.compile(r"(?<!\S)verdict:(\S+)")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is listed, and how."""

    query: str = ""
    order: Order = Order.SCORE
    reverse: bool = False
    relation: Relation = Relation.NEAR
    """What a group is."""
    only: Item | None = None
    """List the group of this image alone."""

    def items(self, review: Review, relations: Relations) -> list[Item]:
        """Return the images, in order."""
        found = queries.listed(review, self.query, self.order, reverse=self.reverse)
        return found if self.only is None else relations.related(self.only, self.relation, found)

    def next_verdict(self) -> "Choice":
        """Return one verdict after the other, then all; the rest of the filter stays."""
        found = _VERDICT.search(self.query)
        place = VERDICTS.index(found[1]) + 1 if found and found[1] in VERDICTS else 0
        wanted = f"verdict:{VERDICTS[place]}" if place < len(VERDICTS) else ""
        rest = _VERDICT.sub("", self.query).strip()
        return replace(self, query=f"{wanted} {rest}".strip(), only=None)

    def next_order(self) -> "Choice":
        """Return sorted by the next column, from its natural end."""
        orders = list(Order)
        order = orders[(orders.index(self.order) + 1) % len(orders)]
        return replace(self, order=order, reverse=False)

    def reversed(self) -> "Choice":
        """Return sorted the other way round."""
        return replace(self, reverse=not self.reverse)

    def next_relation(self) -> "Choice":
        """Return the next meaning of a group."""
        relations = list(Relation)
        return replace(
            self, relation=relations[(relations.index(self.relation) + 1) % len(relations)]
        )

    def progress(self, review: Review, items: Sequence[Item]) -> tuple[int, int]:
        """Return how many of these images the reviewer has labelled, of how many that can be."""
        able = [item.sha256 for item in items if item.sha256 is not None]
        return sum(sha256 in review.labels for sha256 in able), len(able)

    def summary(self, review: Review) -> str:
        """Return what is listed, by whom, and how reviewers agree; what matters most first."""
        arrow = "↑" if self.reverse else "↓"
        what, order = self.query or "all", f" by {self.order} {arrow}"
        if (self.query, self.order, self.reverse) == (queries.QUEUE, Order.QUEUE, False):
            what, order = "the queue", ""
        if self.only is not None:
            what = f"{self.relation} of {phrases.name(self.only)}, {what}"
        blind = " (blind)" if review.blind else ""
        parts = [
            f"{what}{order}",
            *filter(None, [review.basis]),
            printable(review.reviewer) + blind,
        ]
        for pair in agreement.with_others(review):
            kappa = "" if pair.kappa is None else f", κ {pair.kappa:.2f}"
            name = printable(pair.other)
            parts.append(f"agreement with {name} {pair.same} of {pair.both}{kappa}")
        return " · ".join(parts)
