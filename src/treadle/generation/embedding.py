"""One vector for a text: the mean of the last layer's states over its tokens, read piece by piece."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.generation.engine import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from treadle.generation.engine import ReadingEngine

_PIECE: Final = 64
"""Rows of a step, so that texts that are being written wait for no more than this."""


class Reading:
    """A text on its way to its vector, (D,), of length 1."""

    def __init__(self, engine: ReadingEngine, ids: Sequence[int]) -> None:
        """Begin; `ids` fit into the engine's context."""
        self.result: Future[NDArray[np.float32]] = Future()
        self._engine, self._ids = engine, ids
        self._read = 0
        self._sum = np.zeros(1)

    @property
    def begun(self) -> bool:
        """Whether some of it is read."""
        return self._read > 0

    def read_piece(self, slot: int) -> bool:
        """Read some tokens in `slot`, always the same one; true when all are read and the result is there."""
        first, last = self._read, min(self._read + _PIECE, len(self._ids))
        rows = Rows.of((self._ids[place], slot, place, True) for place in range(first, last))
        states = self._engine.states(rows)  # (R, D)
        self._sum = self._sum + states.sum(axis=0, dtype=np.float64)
        self._read = last
        if last < len(self._ids):
            return False
        length = float(np.linalg.norm(self._sum))
        self.result.set_result((self._sum / (length or 1.0)).astype(np.float32))
        return True
