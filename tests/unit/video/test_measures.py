"""Measures of likeness and of evenness."""

import numpy as np
import pytest
from clips import moving

from treadle.video.measures import MOST_PSNR, coherence, psnr, robust_z, ssim


def test_psnr_is_that_of_the_textbook():
    frame = moving(1)[0]
    assert psnr(frame, frame) == MOST_PSNR
    other = frame.astype(int)
    other[..., 0] += 5
    assert psnr(frame, other.clip(0, 255).astype(np.uint8)) == pytest.approx(10 * np.log10(255**2 / (25 / 3)), abs=0.1)


def test_ssim_is_one_for_equal_frames_and_falls_with_noise():
    frame = moving(1)[0]
    noise = np.random.default_rng(1).normal(0, 20, frame.shape)
    noisy = np.clip(frame + noise, 0, 255).astype(np.uint8)
    assert ssim(frame, frame) == pytest.approx(1.0)
    assert 0.1 < ssim(frame, noisy) < 0.9


def test_a_step_of_brightness_and_a_jump_are_seams():
    frames = moving(40, step=0.4)
    brighter = frames[:20] + [np.clip(frame.astype(int) + 8, 0, 255).astype(np.uint8) for frame in frames[20:]]
    found = coherence(iter(brighter))
    assert found.seams()[0][0] == 20
    assert found.drift() == pytest.approx(8 + coherence(iter(frames)).drift(), abs=4)
    jumping = frames[:20] + moving(60, step=0.4)[40:]
    assert coherence(iter(jumping)).seams()[0][0] == 20


def test_an_even_video_has_no_seams():
    found = coherence(iter(moving(40, step=0.4)))
    assert found.seams() == []
    assert found.cuts == []
    assert len(found.colours) == 40


def test_a_cut_is_a_cut_and_no_seam():
    frames = [*moving(20, seed=1), *(255 - frame // 2 for frame in moving(20, seed=2))]
    found = coherence(iter(frames))
    assert found.cuts == [20]
    assert 20 not in [place for place, _ in found.seams()]


def test_z_is_zero_where_there_is_nothing_to_compare_with():
    assert (robust_z([]) == 0).all()
    assert (robust_z([1.0, 5.0]) == 0).all()
    z = robust_z([1.0] * 20 + [2.0] + [1.0] * 20)
    assert z[20] > 6
    assert np.abs(np.delete(z, 20)).max() == 0
