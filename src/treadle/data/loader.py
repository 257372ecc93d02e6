"""What a training loop reads from. A loader gives batches by position and does not assume text.

A position is one integer: the number of slots (places for an example) handed out since training began. It is all that
a resumed run needs. Slots come in epochs of equal length; an epoch visits every training target exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from treadle.data.batch import Batch


class Loader(Protocol):
    """Examples in a seeded order that depends on nothing but seed and position."""

    @property
    def examples_per_epoch(self) -> int:
        """Slots of one epoch; at position `n * examples_per_epoch` the data have been seen `n` times."""
        ...

    @property
    def targets_per_epoch(self) -> int:
        """Targets of one epoch: each is visited once."""
        ...

    def batch(self, position: int, size: int) -> Batch:
        """The `size` examples from `position` on, (size, ...); it may cross into the next epoch."""
        ...

    def epoch_of(self, position: int) -> int:
        """Whole epochs that lie before `position`."""
        ...

    def targets_between(self, first: int, last: int) -> int:
        """Targets in the slots from position `first` up to, not including, `last`."""
        ...

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out examples in order, `size` at a time, the last batch smaller; empty when nothing is held out.

        `limit` takes at most so many examples, spread evenly.
        """
        ...

    def extra(self, batch: Batch) -> Mapping[str, float]:
        """Further sums over a batch's targets that the kind of data knows of, such as `bytes` for text."""
        ...
