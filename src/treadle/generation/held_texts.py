"""What an engine's slots hold: which free one should take the next text, so that most of it need not be read again.

The engine compares contents itself: whatever slot a text is put into, the longest beginning that any slot holds is
copied there. What is decided here is only which old text is given up for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Ids = NDArray[np.int32]


class HeldTexts:
    """The last window of tokens that was read in each slot, and when."""

    def __init__(self, slots: int) -> None:
        """Nothing is held yet."""
        self._held: list[Ids] = [np.empty(0, np.int32)] * slots
        self._used = [0] * slots
        self._clock = 0

    def keep(self, slot: int, ids: Ids) -> None:
        """Note what `slot` holds from now on."""
        self._held[slot] = ids
        self._clock += 1
        self._used[slot] = self._clock

    def choose(self, free: Iterable[int], ids: Ids) -> int:
        """The free slot whose text is the smallest loss: one that `ids` goes on from, else the longest unused.

        A slot that shares only its beginning with `ids` keeps its text: the beginning is copied to another slot.
        """
        best, most = -1, 0
        slots = list(free)
        for slot in slots:
            held = self._held[slot]
            shared = common_prefix(held, ids)
            if shared > most and 2 * shared >= held.size:
                best, most = slot, shared
        return best if best >= 0 else min(slots, key=lambda slot: self._used[slot])

    def shared(self, ids: Ids) -> int:
        """Length of the longest beginning of `ids` that some slot holds."""
        return max(common_prefix(held, ids) for held in self._held)


def common_prefix(one: Ids, other: Ids) -> int:
    """Length of the longest beginning that two texts share."""
    length = min(one.size, other.size)
    differs = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length
