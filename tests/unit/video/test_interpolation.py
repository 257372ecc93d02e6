"""Frames in between."""

from fractions import Fraction

import numpy as np
import pytest
from clips import moving

from treadle.video.interpolation import Between, check, interpolated
from treadle.video.measures import psnr
from treadle.video.motion import is_cut


def test_the_frame_half_way_is_where_things_are_half_way():
    frames = moving(9, step=1.0)
    for first, truth, second in zip(frames[:-2:2], frames[1:-1:2], frames[2::2], strict=True):
        made = Between(first, second).at(0.5)
        mean = ((first.astype(int) + second) // 2).astype(np.uint8)
        inner = (slice(4, -4), slice(4, -4))
        assert psnr(made[inner], truth[inner]) > psnr(mean[inner], truth[inner]) + 3


def test_nothing_lies_between_two_scenes():
    first, second = moving(1, seed=1)[0], 255 - moving(1, seed=2)[0] // 2
    between = Between(first, second)
    assert between.cut
    assert between.at(0.3) is first
    assert between.at(0.7) is second


@pytest.mark.parametrize(
    ("fps", "wanted", "count"), [(25, 50, 21), (24, 60, 26), (25, 25, 11), (50, 25, 6), (30, 24, 9), (25, 24, 10)]
)
def test_the_length_in_seconds_stays(fps, wanted, count):
    frames = moving(11)
    made = list(interpolated(iter(frames), Fraction(fps), Fraction(wanted)))
    assert len(made) == pytest.approx(count, abs=1)
    assert (made[0] == frames[0]).all()
    assert (made[-1] == frames[-1]).all()


def test_at_a_multiple_the_old_frames_are_among_the_new_ones():
    frames = moving(6)
    made = list(interpolated(iter(frames), Fraction(25), Fraction(75)))
    assert len(made) == 16
    assert all((made[3 * number] == frame).all() for number, frame in enumerate(frames))


def test_the_same_rate_gives_the_same_frames():
    frames = moving(6)
    made = list(interpolated(iter(frames), Fraction(25), Fraction(25)))
    assert len(made) == 6
    assert all((a == b).all() for a, b in zip(made, frames, strict=True))


def test_a_check_says_that_following_beats_repeating():
    found = check(iter(moving(13, step=1.0)))
    assert (found.frames, found.cuts) == (6, 0)
    assert found.interpolated > found.blended > found.repeated
    assert found.worst <= found.interpolated


def test_a_check_leaves_out_cuts():
    frames = [*moving(5, seed=1), *(255 - frame // 2 for frame in moving(5, seed=2))]
    found = check(iter(frames))
    assert found.cuts >= 1
    assert found.frames + found.cuts == 4
    assert check(iter(frames[:2])).frames == 0


def test_a_cut_is_other_colours_not_movement_or_a_lamp():
    frames = moving(2, step=30)
    assert not is_cut(*frames)
    assert not is_cut(frames[0], (frames[0] * 0.9).astype(np.uint8))
    assert is_cut(frames[0], 255 - frames[1] // 2)


def test_frames_too_small_to_search_are_mixed():
    dark, bright = np.full((8, 8, 3), 10, np.uint8), np.full((8, 8, 3), 20, np.uint8)
    assert int(Between(dark, bright).at(0.5)[0, 0, 0]) == 15
