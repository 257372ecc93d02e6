"""Seeded orders that are computed, never stored: of numbers, of windows over targets, of single examples.

Any place of a permutation is there at once, in either direction. A Feistel network over the bits of the index permutes
a power of two; results outside the range are permuted again until they are inside (cycle walking; Black & Rogaway
2002). Integer arithmetic only, so the same everywhere.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ROUNDS = 8
_BLOCK = 4096  # slots whose places are computed at once


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


class Order(Protocol):
    """How training targets are visited, epoch after epoch: each once an epoch, slot by slot."""

    @property
    def targets(self) -> int:
        """Targets of one epoch."""
        ...

    @property
    def slots(self) -> int:
        """Slots of one epoch; a slot can be empty."""
        ...

    def spans(self, first: int, last: int) -> NDArray[np.int64]:
        """Where the targets of the slots from `first` up to `last` lie among all: (N, 2), begin and end."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain JSON from which `order_of` makes it again."""
        ...


class WindowOrder:
    """Windows of `length` targets; in each epoch their edges start at another offset and they come in another order.

    An epoch has `ceil(targets / length) + 1` slots: the first and the last ones may be short or empty.
    """

    def __init__(self, targets: int, length: int, seed: int) -> None:
        """Take the number of targets, those of one window, and the seed of all orders."""
        self.targets, self.length, self.seed = targets, length, seed
        self.slots = -(-targets // length) + 1
        self._epoch = lru_cache(maxsize=16)(self._make_epoch)
        self._block = lru_cache(maxsize=16)(self._make_block)

    def starts(self, position: int, size: int) -> list[int]:
        """Where the `size` windows from `position` on begin; below 0 or near the end they are short or empty."""
        starts: list[int] = []
        while len(starts) < size:
            epoch, place = divmod(position + len(starts), self.slots)
            block, offset = divmod(place, _BLOCK)
            starts += self._block(epoch, block)[offset : offset + size - len(starts)]
        return starts

    def spans(self, first: int, last: int) -> NDArray[np.int64]:
        """See `Order`."""
        parts = [np.empty((0, 2), np.int64)]
        while first < last:
            epoch, place = divmod(first, self.slots)
            until = min(self.slots, place + last - first)
            shift, order = self._epoch(epoch)
            begin = order.forward(np.arange(place, until)) * self.length - shift
            parts.append(np.stack([np.maximum(begin, 0), np.minimum(begin + self.length, self.targets)], axis=1))
            first += until - place
        found = np.concatenate(parts)
        return found[found[:, 1] > found[:, 0]]

    def targets_before(self, position: int) -> int:
        """Targets in the slots before `position`, without reading them."""
        epoch, place = divmod(position, self.slots)
        shift, order = self._epoch(epoch)
        # Only the first slot and the last two can hold less than a whole window.
        edges = np.unique(np.array([0, max(0, self.slots - 2), self.slots - 1]))
        passed = edges[order.inverse(edges) < place]
        starts = passed * self.length - shift
        counts = np.minimum(starts + self.length, self.targets) - np.maximum(starts, 0)
        within = (place - len(passed)) * self.length + int(np.maximum(counts, 0).sum())
        return epoch * self.targets + within

    def describe(self) -> dict[str, Any]:
        """See `Order`."""
        return {"order": "windows", "targets": self.targets, "length": self.length, "seed": self.seed}

    def _make_epoch(self, epoch: int) -> tuple[int, Permutation]:
        # Slot `n` of an epoch holds the targets from `n * length - shift`, as far as they exist.
        shift = seeded_number(self.length, f"window shift, seed {self.seed}, epoch {epoch}")
        return shift, Permutation(self.slots, f"window order, seed {self.seed}, epoch {epoch}")

    def _make_block(self, epoch: int, block: int) -> list[int]:
        shift, order = self._epoch(epoch)
        places = np.arange(block * _BLOCK, min((block + 1) * _BLOCK, self.slots))
        starts: list[int] = (order.forward(places) * self.length - shift).tolist()
        return starts


class PictureOrder:
    """Single examples in another order in each epoch; every slot holds one."""

    def __init__(self, targets: int, seed: int) -> None:
        """Take the number of examples and the seed of all orders."""
        self.targets, self.seed = targets, seed
        self.slots = max(1, targets)
        self.epoch = lru_cache(maxsize=2)(self._make_epoch)

    def spans(self, first: int, last: int) -> NDArray[np.int64]:
        """See `Order`."""
        parts = [np.empty(0, np.int64)]
        while first < last and self.targets:
            epoch, place = divmod(first, self.slots)
            until = min(self.slots, place + last - first)
            parts.append(self.epoch(epoch)[place:until])
            first += until - place
        places = np.concatenate(parts)
        return np.stack([places, places + 1], axis=1)

    def describe(self) -> dict[str, Any]:
        """See `Order`."""
        return {"order": "pictures", "targets": self.targets, "seed": self.seed}

    def _make_epoch(self, epoch: int) -> NDArray[np.int64]:
        order = Permutation(self.targets, f"picture order, seed {self.seed}, epoch {epoch}")
        return order.forward(np.arange(self.targets))


def order_of(described: Mapping[str, Any]) -> Order:
    """Make an order again from what its `describe` said."""
    facts = {key: int(value) for key, value in described.items() if key != "order"}
    return WindowOrder(**facts) if described["order"] == "windows" else PictureOrder(**facts)


def seeded_number(below: int, key: str) -> int:
    """A number from 0 to below - 1, chosen by a key; as even as 64 bits make it."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % below


def _mix(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    # The finaliser of splitmix64 (Steele, Lea & Flood 2014).
    mixed = values ^ key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
