"""What has arrived and was never trained, batch by batch, in order of arrival: what a standing model reads.

A step takes the next `examples_per_step` windows, one after the other; where documents end stands in the tokens. With
`data.replay` some of its windows are older ones, drawn from all that was trained before that step. Which ones hangs on
seed and place alone, so a resumed run reads what the interrupted one would have read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.data.order import seeded_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from treadle.data.batch import Batch
    from treadle.data.coverage import Piece, Span
    from treadle.data.loader import TokenLoader
    from treadle.data.order import WindowOrder

_ENDLESS: Final = 1 << 62
"""Slots of one epoch: what arrives is read once, so an epoch never ends."""


class ArrivalLoader:
    """The targets of a token loader from `begin` on, once, in order; see `loader.Loader`.

    With `flush` the last step holds what is left, however little: its other places are masked.
    """

    def __init__(self, tokens: TokenLoader, begin: int, rows: int, *, replay: float = 0.0, flush: bool = False) -> None:
        """Read `tokens` from target `begin` on, `rows` windows a step, a share `replay` of them older ones."""
        self._tokens, self._begin, self._rows = tokens, begin, rows
        self._replayed = min(rows - 1, round(rows * replay))
        self._length = tokens.order.length
        step, rest = self.targets_per_step, tokens.targets_per_epoch - begin
        first = rows * self._length if self._first_is_full else step
        self.steps = 0 if rest < first else 1 + (rest - first) // step
        """Steps for which there is enough."""
        if flush and self._end_of(self.steps) < tokens.targets_per_epoch:
            self.steps += 1

    @property
    def targets_per_step(self) -> int:
        """New targets of one step."""
        return (self._rows - self._replayed) * self._length

    @property
    def waiting(self) -> int:
        """Targets that have arrived and were never trained."""
        return self._tokens.targets_per_epoch - self._begin

    @property
    def examples_per_epoch(self) -> int:
        """No end of a pass is in sight: what arrives counts as no epoch."""
        return _ENDLESS

    @property
    def targets_per_epoch(self) -> int:
        """New targets that are ready."""
        return self._end_of(self.steps) - self._begin

    @property
    def held_out_targets(self) -> int:
        """Those of the token loader."""
        return self._tokens.held_out_targets

    @property
    def order(self) -> WindowOrder:
        """That of the token loader."""
        return self._tokens.order

    @property
    def pieces(self) -> Sequence[Piece]:
        """Those of the token loader."""
        return self._tokens.pieces

    def batch(self, position: int, size: int) -> Batch:
        """The `size` windows from `position` on; new ones first within each step."""
        starts = [self._start(position + offset) for offset in range(size)]
        return self._tokens.windows(self._tokens.streams.train, starts)

    def targets_between(self, first: int, last: int) -> int:
        """Targets in the slots from `first` up to `last`, new and replayed."""
        return sum(self._length_at(self._start(slot)) for slot in range(first, last))

    def read(self, first: int, last: int) -> tuple[list[Span], int]:
        """Of the slots from `first` up to `last`: the spans of new targets, and how many older ones there are."""
        fresh: list[Span] = []
        replayed = 0
        for slot in range(first, last):
            start = self._start(slot)
            count = self._length_at(start)
            if not self._is_fresh(slot):
                replayed += count
            elif fresh and fresh[-1][1] == start:
                fresh[-1] = (fresh[-1][0], start + count)
            elif count:
                fresh.append((start, start + count))
        return fresh, replayed

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out windows of the token loader."""
        return self._tokens.evaluation(size, limit)

    def extra(self, batch: Batch) -> Mapping[str, float]:
        """That of the token loader."""
        return self._tokens.extra(batch)  # noqa: S610 - no Django here

    @property
    def _first_is_full(self) -> bool:
        """Whether the first step holds new windows alone, since there is nothing older to read again."""
        return self._begin < self._length

    def _end_of(self, steps: int) -> int:
        """The target behind `steps` steps."""
        extra = self._replayed * self._length if self._first_is_full and steps else 0
        return min(self._begin + steps * self.targets_per_step + extra, self._tokens.targets_per_epoch)

    def _is_fresh(self, slot: int) -> bool:
        step, row = divmod(slot, self._rows)
        return row < self._rows - self._replayed or (step == 0 and self._first_is_full)

    def _start(self, slot: int) -> int:
        step, row = divmod(slot, self._rows)
        begin = self._end_of(step)
        if self._is_fresh(slot):
            return min(begin + row * self._length, self._tokens.targets_per_epoch)
        key = f"replay, seed {self._tokens.order.seed}, target {begin}, row {row}"
        return seeded_number(begin - self._length + 1, key)

    def _length_at(self, start: int) -> int:
        return int(np.clip(self._tokens.targets_per_epoch - start, 0, self._length))
