"""Words as numbers, so that runs of words are compared by arithmetic: one 64-bit hash for each word.

Words are compared without case and the punctuation around them. The hash is the same on every machine and in every
run.
"""

from __future__ import annotations

import hashlib
import string
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_AROUND = string.punctuation + "«»·\u201c\u201d\u2018\u2019\u201e\u2026\u2013\u2014\u2022"
_MOST_KNOWN = 400_000
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class _Hashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        if len(self) > _MOST_KNOWN:
            self.clear()
        plain = word.strip(_AROUND).lower()
        value = int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "little") if plain else 0
        self[word] = value
        return value


_HASHES = _Hashes()


def word_numbers(words: Sequence[str]) -> NDArray[np.uint64]:
    """One number for each word, (N,); 0 for what is nothing but punctuation."""
    return np.fromiter(map(_HASHES.__getitem__, words), np.uint64, len(words))


def runs(numbers: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """A number for each run of `length` words, (N - length + 1,)."""
    count = len(numbers) - length + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    total = numbers[:count].copy()
    for place in range(1, length):
        total *= _PRIME
        total += numbers[place : place + count]
    return total


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The values with all bits stirred (splitmix64), (N,)."""
    values = values ^ (values >> np.uint64(30))
    values *= _MIX_1
    values ^= values >> np.uint64(27)
    values *= _MIX_2
    return values ^ (values >> np.uint64(31))
