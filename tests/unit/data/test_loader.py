from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import NotReadyError
from treadle.data.batch import MASKED, Batch
from treadle.data.loader import TokenLoader
from treadle.data.tokens import TokenStream, TokenStreams

BOUNDARY = 0


def streams_of(train: list[int], held_out: list[int] | None = None, *, closed: bool = False) -> TokenStreams:
    """Streams whose ids are all different, so that a target tells which one it is; documents of these sizes."""

    def stream(sizes: list[int]) -> TokenStream:
        parts = []
        first = 1
        for size in sizes:
            part = np.arange(first, first + size, dtype=np.uint32)
            if closed:
                part[-1] = BOUNDARY
            parts.append(part)
            first += size
        return TokenStream(parts, BOUNDARY)

    lengths = np.full(100_000, 3, np.uint16)
    lengths[BOUNDARY] = 0
    return TokenStreams(stream(train), stream(held_out or []), BOUNDARY, lengths, 0, 0, 0)


def real_targets(batch: Batch) -> list[int]:
    return batch.targets[batch.targets != MASKED].tolist()


sizes = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@settings(deadline=None, max_examples=150)
@given(sizes=sizes, length=st.integers(1, 40), seed=st.integers(0, 9), epoch=st.integers(0, 5), size=st.integers(1, 7))
def test_every_training_target_is_visited_exactly_once_per_epoch(
    sizes: list[int], length: int, seed: int, epoch: int, size: int
) -> None:
    loader = TokenLoader(streams_of(sizes), length, seed)
    slots = loader.examples_per_epoch
    seen: Counter[int] = Counter()
    for position in range(epoch * slots, (epoch + 1) * slots, size):
        seen.update(real_targets(loader.batch(position, min(size, (epoch + 1) * slots - position))))
    assert seen == Counter(range(1, sum(sizes) + 1))
    assert loader.targets_per_epoch == sum(sizes)


@settings(deadline=None, max_examples=100)
@given(sizes=sizes, length=st.integers(1, 40), seed=st.integers(0, 9), position=st.integers(0, 50))
def test_inputs_come_one_before_their_targets_and_padding_comes_last(
    sizes: list[int], length: int, seed: int, position: int
) -> None:
    batch = TokenLoader(streams_of(sizes), length, seed).batch(position, 5)
    assert batch.inputs.shape == batch.targets.shape == (5, length)
    assert batch.inputs.dtype == batch.targets.dtype == np.int32
    for inputs, targets in zip(batch.inputs, batch.targets, strict=True):
        count = int((targets != MASKED).sum())
        assert (targets[:count] != MASKED).all()
        assert (inputs[:count] == targets[:count] - 1).all()
        assert (inputs[count:] == BOUNDARY).all()


@settings(deadline=None, max_examples=150)
@given(
    sizes=sizes,
    length=st.integers(1, 40),
    seed=st.integers(0, 9),
    first=st.integers(0, 100),
    count=st.integers(0, 100),
)
def test_targets_are_counted_without_being_read(
    sizes: list[int], length: int, seed: int, first: int, count: int
) -> None:
    loader = TokenLoader(streams_of(sizes), length, seed)
    assert loader.targets_between(first, first + count) == loader.batch(first, count).count


def test_a_resumed_loader_goes_on_where_the_first_one_stopped() -> None:
    streams = streams_of([700, 41, 300])
    through = TokenLoader(streams, 16, 7)
    resumed = TokenLoader(streams, 16, 7)
    for position in (0, 24, 24 * 40, 24 * 40 + 1):
        whole = through.batch(position, 24)
        parts = [resumed.batch(position + offset, 8) for offset in (0, 8, 16)]
        assert np.array_equal(whole.targets, np.concatenate([part.targets for part in parts]))
        assert np.array_equal(whole.inputs, np.concatenate([part.inputs for part in parts]))


def test_a_batch_may_cross_epochs() -> None:
    loader = TokenLoader(streams_of([100]), 10, 1)
    slots = loader.examples_per_epoch
    batch = loader.batch(slots - 3, 3 * slots)
    counts = Counter(real_targets(batch))
    assert set(counts) == set(range(1, 101))


def test_epochs_differ_in_order_and_in_the_edges_of_windows() -> None:
    loader = TokenLoader(streams_of([5000]), 50, 3)
    slots = loader.examples_per_epoch
    edges = []
    orders = []
    for epoch in range(4):
        batch = loader.batch(epoch * slots, slots)
        starts = [int(row[0]) for row in batch.inputs if row[1] != BOUNDARY]
        edges.append({start % 50 for start in starts if start} - {0})
        orders.append(starts)
    assert len({min(edge, default=0) for edge in edges}) > 1
    assert orders[0] != sorted(orders[0])
    assert orders[0] != orders[1]


def test_seeds_give_other_orders() -> None:
    streams = streams_of([5000])
    one, same, other = (TokenLoader(streams, 50, seed).batch(0, 20) for seed in (1, 1, 2))
    assert np.array_equal(one.targets, same.targets)
    assert not np.array_equal(one.targets, other.targets)


def test_a_short_tail_is_masked_not_dropped() -> None:
    loader = TokenLoader(streams_of([3]), 64, 5)
    batch = loader.batch(0, loader.examples_per_epoch)
    assert loader.examples_per_epoch == 2
    assert sorted(real_targets(batch)) == [1, 2, 3]
    assert batch.count == 3


def test_the_order_reaches_far_into_a_large_epoch() -> None:
    part = np.arange(1, 60_001, dtype=np.uint32)
    streams = TokenStreams(TokenStream([part], BOUNDARY), TokenStream([], BOUNDARY), BOUNDARY, part, 0, 0, 0)
    loader = TokenLoader(streams, 4, 0)
    assert loader.examples_per_epoch == 15_001  # several blocks of the order
    assert sorted(real_targets(loader.batch(0, 15_001))) == list(range(1, 60_001))
    assert loader.targets_between(0, 15_001) == 60_000


def test_training_on_nothing_is_refused_with_the_next_step() -> None:
    with pytest.raises(NotReadyError, match="treadle feed"):
        TokenLoader(streams_of([]), 8, 0).batch(0, 1)
    with pytest.raises(NotReadyError, match=r"data\.held_out=0"):
        TokenLoader(streams_of([], [5]), 8, 0).batch(0, 1)


@settings(deadline=None, max_examples=80)
@given(sizes=sizes, length=st.integers(1, 40), size=st.integers(1, 7))
def test_evaluation_visits_each_held_out_token_once_and_no_boundary(sizes: list[int], length: int, size: int) -> None:
    streams = streams_of([5], sizes, closed=True)
    loader = TokenLoader(streams, length, 0)
    batches = list(loader.evaluation(size))
    seen = [target for batch in batches for target in real_targets(batch)]
    ids = streams.held_out.read(1, len(streams.held_out)).tolist()
    assert seen == [each for each in ids if each != BOUNDARY]
    assert all(len(batch.targets) == size for batch in batches[:-1])
    assert sum(loader.extra(batch)["bytes"] for batch in batches) == 3 * len(seen)  # noqa: S610 - no Django here
    assert loader.held_out_targets == sum(sizes)


def test_a_limited_evaluation_takes_windows_from_all_over() -> None:
    loader = TokenLoader(streams_of([5], [1000]), 10, 0)
    batches = list(loader.evaluation(4, limit=5))
    assert [len(batch.targets) for batch in batches] == [4, 1]
    assert [int(row[0]) for batch in batches for row in batch.targets] == [1, 201, 401, 601, 801]
    whole = [batch.targets.tolist() for batch in loader.evaluation(4, limit=100)]
    assert whole == [batch.targets.tolist() for batch in loader.evaluation(4)]


def test_nothing_held_out_gives_no_batches() -> None:
    assert list(TokenLoader(streams_of([10]), 8, 0).evaluation(4)) == []
