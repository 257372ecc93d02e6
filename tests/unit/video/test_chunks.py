"""Cut into pieces and put together again."""

from itertools import pairwise

import numpy as np
import pytest
from clips import moving
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.base.errors import UsageError
from treadle.video.chunks import planned, stitched
from treadle.video.measures import psnr


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), st.integers(2, 60), st.integers(0, 30))
def test_pieces_cover_everything_and_overlap_as_told(frames, length, overlap):
    overlap = min(overlap, length // 2)
    chunks = planned(frames, length, overlap)
    assert chunks[0].begin == 0
    assert chunks[-1].end == frames
    for before, after in pairwise(chunks):
        assert before.end - after.begin == overlap
        assert after.end > before.end
    assert all(chunk.end - chunk.begin == length for chunk in chunks[:-1])


def test_an_overlap_that_leaves_nothing_new_is_refused():
    with pytest.raises(UsageError, match="overlap"):
        planned(100, 10, 10)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 30), st.integers(4, 12), st.integers(0, 6), st.sampled_from(["blend", "cut"]), st.booleans())
def test_pieces_that_nobody_changed_give_the_whole_again(count, length, overlap, join, match):
    overlap = min(overlap, length // 2)
    frames = moving(count)
    chunks = planned(count, length, overlap)
    seams = []
    pieces = [iter(frames[chunk.begin : chunk.end]) for chunk in chunks]
    made = list(stitched(pieces, chunks, join, match=match, seams=seams))
    assert len(made) == count
    assert all((a == b).all() for a, b in zip(made, frames, strict=True))
    assert all(seam.difference == 0 for seam in seams)


def test_blending_hides_a_step_of_colour_and_matching_takes_it_away():
    frames = moving(20, step=0.3)
    chunks = planned(20, 12, 4)
    shifted = [np.clip(frame.astype(int) + 12, 0, 255).astype(np.uint8) for frame in frames]

    def jump(join, *, match):
        pieces = [iter(frames[:12]), iter(shifted[8:])]
        made = list(stitched(pieces, chunks, join, match=match, seams=[]))
        means = np.array([frame.mean() for frame in made])
        return float(np.abs(np.diff(means)).max()), made

    hard, _ = jump("cut", match=False)
    soft, _ = jump("blend", match=False)
    matched, made = jump("blend", match=True)
    assert hard > 10
    assert soft < hard / 3
    assert matched < soft
    assert psnr(made[12], frames[12]) > 28


def test_a_seam_says_how_far_the_pieces_are_apart():
    frames = moving(20)
    brighter = [np.clip(frame.astype(int) + np.array([10, 0, 0]), 0, 255).astype(np.uint8) for frame in frames]
    seams = []
    list(stitched([iter(frames[:12]), iter(brighter[8:])], planned(20, 12, 4), "blend", match=False, seams=seams))
    assert seams[0].frame == 8
    assert seams[0].colour[0] == pytest.approx(10, abs=0.5)
    assert seams[0].colour[1] == 0
    assert seams[0].difference == pytest.approx(10 / 3, abs=0.3)


def test_only_the_overlap_is_held_in_memory():
    alive, most = 0, 0

    def counted(number):
        nonlocal alive, most
        for _ in range(number):
            alive += 1
            most = max(most, alive)
            yield np.zeros((4, 4, 3), np.uint8)

    chunks = planned(200, 20, 3)
    pieces = [counted(chunk.end - chunk.begin) for chunk in chunks]
    out = 0
    for _ in stitched(pieces, chunks, "blend", match=False, seams=[]):
        out += 1
        alive -= 1
    assert out == 200
    assert most <= 3 * len(chunks) + 8
