"""What loaders of pictures and of clips have in common: examples in a seeded order, held-out ones as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from treadle.base.errors import NotReadyError
from treadle.data.order import PictureOrder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Sized

    from numpy.typing import NDArray

    from treadle.data.batch import Batch
    from treadle.data.coverage import Piece


class Shuffled:
    """One example in each slot of an epoch; the half of `loader.Loader` that does not ask what an example is."""

    def __init__(self, train: Sized, held_out: Sized, what: str, seed: int, pieces: Sequence[Piece]) -> None:
        """Put the examples, which are made of `pieces`, in the order that `seed` gives; `what` is their plural."""
        self._count, self._held_out_count, self._what = len(train), len(held_out), what
        self.order = PictureOrder(self._count, seed)
        self.pieces = tuple(pieces)

    @property
    def examples_per_epoch(self) -> int:
        """Examples to train on; 1 where there are none, so that a position always has a meaning."""
        return max(1, self._count)

    @property
    def targets_per_epoch(self) -> int:
        """Examples to train on."""
        return self._count

    @property
    def held_out_targets(self) -> int:
        """Examples that are kept for evaluation."""
        return self._held_out_count

    def targets_between(self, first: int, last: int) -> int:
        """Examples in the slots from `first` up to `last`."""
        return last - first if self._count else 0

    def extra(self, batch: Batch) -> Mapping[str, float]:  # noqa: ARG002 - the loader's signature
        """Nothing: the network itself knows what it measures."""
        return {}

    def _places(self, position: int, size: int) -> NDArray[np.int64]:
        """Which examples stand in `size` slots from `position` on; raises `NotReadyError` when there are none."""
        if not self._count:
            raise NotReadyError(
                f"All {self._what} are held out for evaluation, because there are so few. "
                "Feed more, or train with data.held_out=0."
            )
        slots = (divmod(position + offset, self._count) for offset in range(size))
        return np.array([self.order.epoch(epoch)[slot] for epoch, slot in slots], np.int64)

    def _held_out_places(self, limit: int | None) -> NDArray[np.int64]:
        """Held-out examples in order; `limit` of them, evenly spread, if there are more."""
        places = np.arange(self._held_out_count)
        if limit is not None and limit < len(places):
            places = places[(np.arange(limit) * len(places)) // limit]
        return places
