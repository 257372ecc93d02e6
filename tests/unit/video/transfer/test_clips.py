"""Clips, what is thrown away, seeds and sizes."""

import random

import pytest

from treadle.base.errors import UsageError
from treadle.video.transfer.clips import (
    chained_seeds,
    clip_count,
    counted_seeds,
    planned,
    shape,
    snapped,
    spaced_seeds,
    stretch,
)


@pytest.mark.parametrize(
    ("frames", "clips", "made", "saved"),
    [(2, 1, 121, 0), (121, 1, 121, 0), (122, 2, 241, 1), (241, 2, 241, 120), (242, 3, 361, 1), (600, 5, 601, 119)],
)
def test_a_frame_too_many_costs_a_clip(frames, clips, made, saved):
    plan = planned(frames, 121, 1)
    assert (len(plan.clips), plan.made, plan.saved_by_cutting) == (clips, made, saved)
    assert plan.waste == pytest.approx(1 - frames / made)
    covered = [frame for clip in plan.clips for frame in range(clip.first, clip.first + clip.frames)]
    assert sorted(set(covered)) == list(range(frames))
    assert len(covered) == frames + clips - 1  # neighbours share one frame


def test_clips_of_another_target_overlap_by_as_many_frames_as_asked():
    assert [clip_count(frames, 93, 2) for frames in (1, 93, 94, 184, 185)] == [1, 1, 2, 2, 3]
    assert [clip.first for clip in planned(185, 93, 2).clips] == [0, 91, 182]


def test_spaced_runs_never_share_the_noise_of_a_clip():
    for seed, clips, runs in ((1, 1, 5), (7, 5, 4), (0, 13, 9)):
        used = [one for first in spaced_seeds(seed, clips, runs) for one in counted_seeds(first, clips)]
        assert len(set(used)) == clips * runs
        assert used[0] == seed
    with pytest.raises(UsageError, match="no room"):
        spaced_seeds(2**31 - 2, 2, 2)


def test_chained_seeds_are_those_that_the_target_draws():
    found = []
    seed = 2025
    for _ in range(3):
        random.seed(seed)
        seed = random.randint(0, 1_000_000)
        found.append(seed)
    assert chained_seeds(2025, 3) == found


def test_every_size_goes_to_the_nearest_shape():
    assert snapped(1920, 1080) == (1280, 704)
    assert snapped(1080, 1920) == (704, 1280)
    assert snapped(640, 480) == (960, 704)
    assert [shape(*size) for size in ((512, 512), (480, 640), (2390, 1000))] == ["1:1", "3:4", "16:9"]
    assert stretch(1920, 1080) == pytest.approx(1.0227, abs=1e-4)
    assert stretch(1280, 704) == 1
