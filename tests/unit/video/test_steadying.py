"""Flicker and shaking, put in by rule and taken out again."""

import numpy as np
import pytest
from clips import moving

from treadle.video.measures import coherence, psnr
from treadle.video.steadying import brightness_path, camera_path, deflickered, gains, smoothed, steadied

COUNT = 40
CHANCE = np.random.default_rng(3)


def test_flicker_goes_and_the_seams_with_it():
    gain = 1 + 0.08 * CHANCE.standard_normal(COUNT).clip(-2, 2)
    clean, flickers = moving(COUNT, step=0.5), moving(COUNT, step=0.5, gain=gain)
    path, cuts = brightness_path(iter(flickers))
    made = list(deflickered(iter(flickers), gains(path, cuts, 6.0)))
    before, after = (np.abs(np.array(coherence(iter(clip)).residual)).mean() for clip in (flickers, made))
    assert after < before / 4
    assert np.mean([psnr(a, b) for a, b in zip(made, clean, strict=True)]) > 6 + np.mean(
        [psnr(a, b) for a, b in zip(flickers, clean, strict=True)]
    )


def test_a_clean_clip_stays_as_it_is():
    clean = moving(COUNT, step=0.5)
    path, cuts = brightness_path(iter(clean))
    made = list(deflickered(iter(clean), gains(path, cuts, 6.0)))
    assert min(psnr(a, b) for a, b in zip(made, clean, strict=True)) > 45


def test_a_lamp_that_is_dimmed_slowly_stays_dimmed():
    dimmed = moving(COUNT, step=0.5, gain=np.linspace(1, 0.6, COUNT))
    path, cuts = brightness_path(iter(dimmed))
    assert np.abs(gains(path, cuts, 4.0) - 1).max() < 0.03


def test_each_scene_is_evened_out_by_itself():
    frames = [*moving(12, seed=1), *(255 - frame // 2 for frame in moving(12, seed=2))]
    path, cuts = brightness_path(iter(frames))
    assert cuts == [0, 12]
    made = list(deflickered(iter(frames), gains(path, cuts, 4.0)))
    assert min(psnr(a, b) for a, b in zip(made, frames, strict=True)) > 40


def test_a_shaking_camera_becomes_calm():
    shake = CHANCE.normal(0, 1.5, (COUNT, 2))
    frames = moving(COUNT, step=0.6, shake=shake)
    path, cuts = camera_path(iter(frames))
    steady = list(steadied(iter(frames), path, cuts, 8.0))
    assert [frame.shape for frame in steady] == [frame.shape for frame in frames]
    before, after = (jerk(clip) for clip in (frames, steady))
    assert after < before / 2


def jerk(frames):
    path, _ = camera_path(iter(frames))
    return float(np.abs(np.diff(path[:, :2], 2, axis=0)).mean())


def test_a_camera_that_stands_still_is_left_alone():
    frames = moving(6, step=0)
    path, cuts = camera_path(iter(frames))
    made = list(steadied(iter(frames), path, cuts, 8.0))
    assert min(psnr(a, b) for a, b in zip(made, frames, strict=True)) > 45


def test_a_steady_rise_is_not_smoothed_away():
    line = np.linspace(0, 5, 50)[:, None]
    assert np.abs(smoothed(line, 7.0) - line).max() < 1e-9
    assert np.abs(smoothed(np.ones((1, 2)), 7.0) - 1).max() == 0
    wiggle = line + 0.5 * (-1.0) ** np.arange(50)[:, None]
    assert np.abs(smoothed(wiggle, 7.0) - line)[5:-5].max() < 0.05


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_are_no_trouble(value):
    frames = [np.full((32, 32, 3), value, np.uint8)] * 5
    path, cuts = brightness_path(iter(frames))
    assert (gains(path, cuts, 3.0) == 1).all()
    assert (camera_path(iter(frames))[0] == 0).all()
