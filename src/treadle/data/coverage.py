"""Which training targets have been targets already, in whatever order they were read: the base of the token ledger.

Targets are counted in the order of arrival, which only grows at its end. What was trained is a beginning without gaps
(`whole`), what was read of later parts of it in order (`spans`), and parts of shuffled passes that were not read to the
end, kept as ranges of slots from which their targets can be computed again (`parts`). It knows of which pieces the
order of arrival was made: from the first piece on that is another one now (cut anew by another hold-out share, a
document put aside), nothing is known of what was trained, and all of it counts as waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import DataError
from treadle.base.hashing import hash_json
from treadle.data.order import order_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from treadle.data.loader import Loader
    from treadle.data.order import Order

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of what arrived, as both sides of the split hold it."""

    train: str | None
    """Hash of what there is to train on; None where it is nothing."""
    targets: int
    """Its targets."""
    held_out: int
    """Targets that are held out."""


@dataclass(frozen=True, slots=True)
class Part:
    """Slots of one shuffled order that were read."""

    order: Mapping[str, Any]
    """What `order_of` makes the order from."""
    ranges: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was trained so far, and how often; plain JSON in each checkpoint."""

    whole: int = 0
    """All targets before this one have been targets."""
    spans: tuple[Span, ...] = ()
    parts: tuple[Part, ...] = ()
    marks: tuple[str, ...] = ()
    """Of which pieces the order of arrival was made when this was written."""
    arrived: int = 0
    """Targets trained in order of arrival."""
    by_epoch: int = 0
    """Targets trained by passes in shuffled order, each time anew."""
    replayed: int = 0
    """Targets that were trained again beside new ones (`data.replay`)."""

    def on(self, pieces: Sequence[Piece]) -> Coverage:
        """The same of what has arrived since; nothing is covered from the first piece on that is another one now."""
        marks = tuple(_mark(piece) for piece in pieces)
        if marks[: len(self.marks)] == self.marks:
            return replace(self, marks=marks)
        same = next(place for place, (old, new) in enumerate(zip_longest(self.marks, marks)) if old != new)
        covered = np.minimum(self.covered(), sum(piece.targets for piece in pieces[:same]))
        return replace(self, whole=0, spans=_pairs(covered.tolist()), parts=(), marks=marks).settled()

    def with_pass(self, order: Order, ranges: Sequence[Span], targets: int) -> Coverage:
        """After slots of a shuffled order, which hold `targets` targets, were read."""
        described = order.describe()
        known = [part for part in self.parts if part.order == described]
        read = merged([*(span for part in known for span in part.ranges), *ranges])
        parts = (*(part for part in self.parts if part.order != described), Part(described, read))
        return replace(self, parts=parts, by_epoch=self.by_epoch + targets).settled()

    def with_arrivals(self, spans: Sequence[Span], replayed: int) -> Coverage:
        """After `spans` were read in order of arrival, and `replayed` older targets beside them."""
        new = sum(end - begin for begin, end in spans)
        found = replace(self, spans=merged([*self.spans, *spans]), arrived=self.arrived + new)
        return replace(found, replayed=self.replayed + replayed).settled()

    def covered(self) -> NDArray[np.int64]:
        """Every target that was trained, as separate spans in order: (N, 2)."""
        found = [np.array([(0, self.whole), *self.spans], np.int64).reshape(-1, 2)]
        found += [_spans(part) for part in self.parts]
        return _union(np.concatenate(found))

    def settled(self) -> Coverage:
        """The same in few words: the beginning without gaps is as long as it can be."""
        covered = self.covered()
        whole = int(covered[0, 1]) if len(covered) and covered[0, 0] == 0 else 0
        spans = tuple((max(begin, whole), end) for begin, end in self.spans if end > whole)
        parts = tuple(part for part in self.parts if int(part.order["targets"]) > whole)
        return replace(self, whole=whole, spans=spans, parts=parts)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        plain = {name: getattr(self, name) for name in ("whole", "arrived", "by_epoch", "replayed")}
        parts = [{"order": dict(part.order), "ranges": [list(span) for span in part.ranges]} for part in self.parts]
        return {**plain, "marks": list(self.marks), "spans": [list(span) for span in self.spans], "parts": parts}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Coverage:
        """Read back what `to_json` wrote."""
        parts = tuple(Part(part["order"], _pairs(part["ranges"])) for part in stored["parts"])
        return cls(**{**stored, "marks": tuple(stored["marks"]), "spans": _pairs(stored["spans"]), "parts": parts})


@dataclass(frozen=True, slots=True)
class TokenLedger:
    """Where every target is: `total = trained_once + buffered + held_out`."""

    total: int
    """All that arrived, counted piece by piece."""
    trained_once: int
    """Have been a target at least once."""
    buffered: int
    """Are there to train on and have not been a target yet."""
    held_out: int
    trained_by_epoch: int = field(compare=False, default=0)
    """Targets that shuffled passes trained, each time counted anew; outside the sum."""

    def check(self, where: str) -> None:
        """Raise `DataError` with the numbers unless they add up."""
        if self.total != self.trained_once + self.buffered + self.held_out:
            raise DataError(
                f"The token ledger of {where} does not add up: {self.total:,} came in, but "
                f"{self.trained_once:,} trained + {self.buffered:,} buffered + {self.held_out:,} held out are "
                f"{self.trained_once + self.buffered + self.held_out:,}. Its checkpoints are kept; please report this."
            )

    def to_json(self) -> dict[str, int]:
        """By the names that people see."""
        return {
            "in": self.total,
            "trained_once": self.trained_once,
            "trained_by_epoch": self.trained_by_epoch,
            "buffered": self.buffered,
            "held_out": self.held_out,
        }


def token_ledger(loader: Loader, coverage: Coverage) -> TokenLedger:
    """Account for all targets. Each number is counted by itself, so that their sum says something.

    `total` counts the pieces, `trained_once` what is covered, `buffered` the gaps up to the end of the stream that is
    read, `held_out` the stream that is measured on.
    """
    covered = coverage.on(loader.pieces).covered()
    edges = np.concatenate([np.zeros(1, np.int64), covered.ravel(), np.array([loader.order.targets], np.int64)])
    gaps = int(np.maximum(edges[1::2] - edges[::2], 0).sum())
    return TokenLedger(
        total=sum(piece.targets + piece.held_out for piece in loader.pieces),
        trained_once=int((covered[:, 1] - covered[:, 0]).sum()),
        buffered=gaps,
        held_out=loader.held_out_targets,
        trained_by_epoch=coverage.by_epoch,
    )


def _mark(piece: Piece) -> str:
    """Enough of a hash to know a piece again by."""
    return hash_json([piece.train, piece.targets])[:12]


def merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The same numbers as separate spans in order."""
    return _pairs(_union(np.array(spans, np.int64).reshape(-1, 2)).tolist())


def _spans(part: Part) -> NDArray[np.int64]:
    order = order_of(part.order)
    found = [np.empty((0, 2), np.int64)]
    for first, last in part.ranges:
        if -(-first // order.slots) < last // order.slots:  # a whole pass lies inside
            return np.array([[0, order.targets]], np.int64)
        found.append(order.spans(first, last))
    return np.concatenate(found)


def _union(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join what overlaps or touches: (N, 2) to separate spans in order."""
    spans = spans[spans[:, 1] > spans[:, 0]]
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    if not len(spans):
        return spans
    ends = np.maximum.accumulate(spans[:, 1])
    first = np.concatenate([[True], spans[1:, 0] > ends[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([spans[first, 0], ends[last]], axis=1)


def _pairs(spans: Sequence[Sequence[int]]) -> tuple[Span, ...]:
    return tuple((int(begin), int(end)) for begin, end in spans)
