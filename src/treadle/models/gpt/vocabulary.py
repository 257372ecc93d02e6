"""Other token ids for a gpt model that has learned: rows moved, left out, or made for ids that it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

NEW: Final = -1
"""In place of an old id: the id is new."""
_BY_ID: Final = ("embedding.weight", "head.weight")


def with_ids(weights: Mapping[str, NDArray[np.float32]], old_ids: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """The weights for a vocabulary whose id i was `old_ids[i]` before.

    A new id gets the mean of all rows: the model reads it as nothing in particular, and gives it the mean of all
    logits, which is far below that of any likely token.
    """
    chosen = np.asarray(old_ids, np.int64)
    found = dict(weights)
    for name in _BY_ID:
        if name in found:
            rows = found[name]
            made = rows[np.maximum(chosen, 0)]
            made[chosen == NEW] = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
            found[name] = made
    return found
