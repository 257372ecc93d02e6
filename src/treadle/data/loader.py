"""What a training loop reads from. A loader gives batches by position and does not assume text.

A position is one integer: the number of slots (places for an example) handed out since training began. It is all that
a resumed run needs. Slots come in epochs of equal length; an epoch visits every training target exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from treadle.base.errors import NotReadyError
from treadle.data.batch import MASKED, Batch
from treadle.data.order import WindowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from treadle.data.coverage import Piece
    from treadle.data.order import Order
    from treadle.data.tokens import TokenStream, TokenStreams


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

    @property
    def held_out_targets(self) -> int:
        """Targets that are kept for evaluation."""
        ...

    @property
    def order(self) -> Order:
        """In which order the targets of an epoch are visited."""
        ...

    @property
    def pieces(self) -> Sequence[Piece]:
        """What arrived, in the order of arrival: what the targets to train on, and those held out, are made of."""
        ...

    def batch(self, position: int, size: int) -> Batch:
        """The `size` examples from `position` on, (size, ...); it may cross into the next epoch.

        A slot can be empty: its targets are all `MASKED`. With very little to train on, `Batch.count` can be 0.
        """
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


class TokenLoader:
    """Windows of T targets over a token stream.

    In each epoch the windows' edges start at another seeded offset, so that over time every token is seen with long
    context, and the windows come in another seeded order. An epoch has `ceil(targets / T) + 1` slots: the first and
    the last ones may be short or empty. Short windows are filled up with the boundary as input and `MASKED` as target,
    after their tokens, where causal attention never looks.
    """

    def __init__(self, streams: TokenStreams, sequence_length: int, seed: int) -> None:
        """Read `streams` in windows of `sequence_length` targets, in the order that `seed` gives."""
        self.streams = streams
        self._length = sequence_length
        self._order = WindowOrder(streams.train.targets, sequence_length, seed)

    @property
    def order(self) -> WindowOrder:
        """Windows in a seeded order."""
        return self._order

    @property
    def pieces(self) -> Sequence[Piece]:
        """The token objects of each text shard."""
        return self.streams.pieces

    @property
    def examples_per_epoch(self) -> int:
        """Slots of one epoch."""
        return self._order.slots

    @property
    def targets_per_epoch(self) -> int:
        """Targets of the training stream."""
        return self.streams.train.targets

    @property
    def held_out_targets(self) -> int:
        """Targets of the held-out stream, closing boundaries included."""
        return self.streams.held_out.targets

    def batch(self, position: int, size: int) -> Batch:
        """The `size` windows from `position` on: inputs and targets are int32 of shape (size, T).

        Raises:
            NotReadyError: There is nothing to train on.
        """
        if not self.targets_per_epoch:
            raise NotReadyError(_nothing_to_train(self.held_out_targets))
        return self.windows(self.streams.train, self._order.starts(position, size))

    def targets_between(self, first: int, last: int) -> int:
        """Targets in the slots from `first` up to `last`, without reading them."""
        return self._order.targets_before(last) - self._order.targets_before(first)

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out windows in order, `size` at a time; closing boundaries are no targets here.

        So summed losses are about text alone, and `extra(batch)["bytes"]` is what to divide them by.
        """
        held_out = self.streams.held_out
        windows = np.arange(-(-held_out.targets // self._length))
        if limit is not None and limit < len(windows):
            windows = windows[(np.arange(limit) * len(windows)) // limit]
        for first in range(0, len(windows), size):
            batch = self.windows(held_out, (windows[first : first + size] * self._length).tolist())
            batch.targets[batch.targets == self.streams.boundary] = MASKED
            yield batch

    def extra(self, batch: Batch) -> Mapping[str, float]:
        """`bytes`: how many bytes of text the batch's targets stand for."""
        ids = batch.targets[batch.targets != MASKED]
        return {"bytes": float(self.streams.byte_lengths[ids].sum(dtype=np.int64))}

    def windows(self, stream: TokenStream, starts: list[int]) -> Batch:
        """Windows that begin at `starts`, (len(starts), T); what of them lies outside the stream is masked."""
        length = self._length
        window = np.empty((len(starts), length + 1), np.int32)  # (B, T + 1): each target is the next input
        short = []
        for row, start in enumerate(starts):
            if start >= 0 and start + length <= stream.targets:
                stream.copy_into(start, window[row])
            else:
                short.append(row)
        inputs = window[:, :-1].copy()  # (B, T)
        targets = window[:, 1:].copy()  # (B, T)
        for row in short:
            first = max(starts[row], 0)
            count = max(0, min(starts[row] + length, stream.targets) - first)
            ids = stream.read(first, first + count + 1) if count else np.empty(1, np.int32)
            inputs[row, :count], inputs[row, count:] = ids[:-1], self.streams.boundary
            targets[row, :count], targets[row, count:] = ids[1:], MASKED
        return Batch(inputs, targets)


class HeldOutPart(TokenLoader):
    """A token loader that is measured on a part of what is held out, such as what arrived with one feed."""

    def __init__(self, tokens: TokenLoader, first: int, last: int) -> None:
        """Measure on the held-out targets from `first` up to `last`."""
        super().__init__(tokens.streams, tokens.order.length, tokens.order.seed)
        self._first, self._last = first, last

    @property
    def held_out_targets(self) -> int:
        """Targets of the part."""
        return self._last - self._first

    def evaluation(self, size: int, limit: int | None = None) -> Iterator[Batch]:
        """The windows of the part in order; see `TokenLoader.evaluation`."""
        starts = list(range(self._first, self._last, self.order.length))[:limit]
        for place in range(0, len(starts), size):
            some = starts[place : place + size]
            batch = self.windows(self.streams.held_out, some)
            beyond = np.arange(self.order.length) >= self._last - np.array(some)[:, None]
            batch.targets[beyond | (batch.targets == self.streams.boundary)] = MASKED
            yield batch


def _nothing_to_train(held_out: int) -> str:
    if held_out:
        return (
            "All of the text is held out for evaluation, because there is so little of it. "
            "Feed more, or train with data.held_out=0."
        )
    return "There is no text to train on. Feed some first with `treadle feed`."
