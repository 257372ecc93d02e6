"""Reading what arrives once, in order; and older text beside it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.data.arrivals import ArrivalLoader
from treadle.data.loader import HeldOutPart


def test_a_batch_is_ready_when_all_its_windows_are_full_and_the_rest_waits(arrived, real_targets) -> None:
    sizes: list[int] = []
    ready = []
    for size in (50, 30, 80, 100):
        sizes.append(size)
        ready.append(ArrivalLoader(arrived(sizes, 64), 0, 4).steps)
    assert ready == [0, 0, 0, 1]
    loader = ArrivalLoader(arrived(sizes, 64), 0, 4)
    assert real_targets(loader.batch(0, 4)) == list(range(1, 257))
    assert loader.read(0, 4) == ([(0, 256)], 0)
    assert ArrivalLoader(arrived(sizes, 64), 256, 4).waiting == 4


@settings(deadline=None, max_examples=80)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    length=st.integers(1, 12),
    rows=st.integers(1, 5),
    replay=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    data=st.data(),
)
def test_flushed_arrivals_visit_each_new_target_once_in_order(
    sizes, length, rows, replay, data, arrived, real_targets
) -> None:
    tokens = arrived(sizes, length)
    begin = data.draw(st.integers(0, sum(sizes)))
    loader = ArrivalLoader(tokens, begin, rows, replay=replay, flush=True)
    fresh: list[int] = []
    learned = begin
    for slot in range(loader.steps * rows):
        if slot % rows == 0:
            learned = begin + len(fresh)
        spans, replayed = loader.read(slot, slot + 1)
        targets = real_targets(loader.batch(slot, 1))
        assert (
            len(targets)
            == replayed + sum(end - first for first, end in spans)
            == loader.targets_between(slot, slot + 1)
        )
        if replayed:
            assert targets[-1] <= learned, "nothing that the steps before have not learned"
        else:
            fresh += targets
    assert fresh == list(range(begin + 1, sum(sizes) + 1))
    assert loader.targets_per_epoch == len(fresh)


def test_a_run_that_goes_on_reads_the_older_text_that_the_first_one_would_have_read(arrived) -> None:
    tokens = arrived([4_000], 10)
    through = ArrivalLoader(tokens, 1_000, 8, replay=0.5)
    resumed = ArrivalLoader(tokens, 1_000 + 3 * through.targets_per_step, 8, replay=0.5)
    assert through.targets_per_step == 40
    for step in range(5):
        one, other = through.batch(8 * (step + 3), 8), resumed.batch(8 * step, 8)
        assert np.array_equal(one.targets, other.targets)


def test_the_first_batch_of_all_has_nothing_to_repeat(arrived) -> None:
    loader = ArrivalLoader(arrived([500], 10), 0, 4, replay=0.5)
    assert loader.read(0, 4) == ([(0, 40)], 0)
    assert loader.read(4, 8) == ([(40, 60)], 20)
    assert loader.steps == 1 + (500 - 40) // 20
    assert ArrivalLoader(arrived([39], 10), 0, 4, replay=0.5).steps == 0
    assert ArrivalLoader(arrived([39], 10), 0, 4, replay=0.5, flush=True).steps == 1


def test_one_window_of_a_step_is_always_new(arrived) -> None:
    assert ArrivalLoader(arrived([500], 10), 100, 1, replay=0.9).targets_per_step == 10


def test_arrivals_are_no_epoch_and_are_measured_on_what_is_held_out(arrived) -> None:
    tokens = arrived([500], 10, held_out=[35])
    loader = ArrivalLoader(tokens, 0, 4)
    assert 3.0 + 100 / loader.examples_per_epoch == 3.0
    assert loader.held_out_targets == 35
    batches = list(loader.evaluation(2))
    assert sum(batch.count for batch in batches) == 35
    assert loader.extra(batches[0]) == tokens.extra(batches[0])  # noqa: S610 - no Django here


def test_a_part_of_what_is_held_out_is_measured_by_itself(arrived) -> None:
    tokens = arrived([50, 50, 50], 10, held_out=[25, 0, 33])
    parts = [HeldOutPart(tokens, first, last) for first, last in ((0, 25), (25, 25), (25, 58))]
    counts = [[batch.count for batch in part.evaluation(2)] for part in parts]
    assert counts == [[20, 5], [], [20, 13]]
    assert [part.held_out_targets for part in parts] == [25, 0, 33]
    assert sum(batch.count for batch in parts[2].evaluation(2, limit=1)) == 10
