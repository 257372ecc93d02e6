"""A seeded order of numbers that is computed, never stored: any place of it at once, in either direction.

A Feistel network over the bits of the index permutes a power of two; results outside the range are permuted again
until they are inside (cycle walking; Black & Rogaway 2002). Integer arithmetic only, so the same everywhere.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 8


class Permutation:
    """A permutation of 0 to size - 1, chosen by a key."""

    def __init__(self, size: int, key: str) -> None:
        """Take the number of things and any text as the key."""
        self.size = size
        bits = max(2, (size - 1).bit_length())
        self._low_bits = np.uint64(bits // 2)
        self._low_mask = np.uint64((1 << (bits // 2)) - 1)
        self._high_mask = np.uint64((1 << (bits - bits // 2)) - 1)
        self._keys = list(np.frombuffer(hashlib.sha512(key.encode()).digest(), "<u8")[:_ROUNDS].astype(np.uint64))

    def forward(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """What stands at each place, (N,)."""
        return self._walk(places, inverse=False)

    def inverse(self, things: NDArray[np.int64]) -> NDArray[np.int64]:
        """At which place each thing stands, (N,)."""
        return self._walk(things, inverse=True)

    def _walk(self, numbers: NDArray[np.int64], *, inverse: bool) -> NDArray[np.int64]:
        result = self._network(numbers.astype(np.uint64), inverse=inverse)
        outside = np.flatnonzero(result >= self.size)
        while len(outside):
            result[outside] = self._network(result[outside], inverse=inverse)
            outside = outside[result[outside] >= self.size]
        return result.astype(np.int64)

    def _network(self, numbers: NDArray[np.uint64], *, inverse: bool) -> NDArray[np.uint64]:
        high = numbers >> self._low_bits
        low = numbers & self._low_mask
        rounds = list(enumerate(self._keys))
        for number, key in reversed(rounds) if inverse else rounds:
            if number % 2 == 0:
                high = high ^ (_mix(low, key) & self._high_mask)
            else:
                low = low ^ (_mix(high, key) & self._low_mask)
        return (high << self._low_bits) | low


def seeded_number(below: int, key: str) -> int:
    """A number from 0 to below - 1, chosen by a key; as even as 64 bits make it."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % below


def _mix(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    # The finaliser of splitmix64 (Steele, Lea & Flood 2014).
    mixed = values ^ key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
