"""Leaks: how much of the held-out text of a dataset stands in its training text, too.

Runs of thirteen words are compared, one of `SAMPLE` of them, chosen by their own hash, so that a run is looked at on
both sides or on none. On ordinary text of one language a few are common to all (quotations, set phrases).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.data.config import DataSettings
from treadle.data.splits import sides
from treadle.data.words_in_numbers import mixed, runs, word_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from treadle.data.versions import Dataset

RUN: Final = 13
SAMPLE: Final = 16


@dataclass(frozen=True, slots=True)
class Leak:
    """What was found."""

    share: float
    """Of the held-out runs that were looked at, those that stand in the training text."""
    compared: int
    """Held-out runs that were looked at."""
    train_bytes: int
    held_out_bytes: int
    train_documents: int
    """Documents with text on this side; a long one has text on both."""
    held_out_documents: int


def leak_of(dataset: Dataset, settings: DataSettings | None = None) -> Leak:
    """Compare the sides of the split of a dataset."""
    chosen = settings or DataSettings()
    found: dict[bool, list[NDArray[np.uint64]]] = {False: [], True: []}
    size = {False: 0, True: 0}
    documents = {False: 0, True: 0}
    for document in dataset.documents():
        seen: set[bool] = set()
        for piece, held_out in sides(document, chosen):
            seen.add(held_out)
            size[held_out] += len(piece.encode())
            found[held_out].append(_sampled(piece))
        for side in seen:
            documents[side] += 1
    train, held = (np.unique(np.concatenate(found[side])) if found[side] else _NONE for side in (False, True))
    common = len(np.intersect1d(train, held, assume_unique=True))
    share = common / len(held) if len(held) else 0.0
    return Leak(share, len(held), size[False], size[True], documents[False], documents[True])


_NONE: Final[NDArray[Any]] = np.empty(0, np.uint64)


def _sampled(text: str) -> NDArray[np.uint64]:
    numbers = word_numbers(text.split())
    hashed = mixed(runs(numbers[numbers != 0], RUN))
    sampled: NDArray[np.uint64] = hashed[hashed % np.uint64(SAMPLE) == 0]
    return sampled
