"""Small clips made by rule, so that the right answer is known."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from treadle.video.frames import FrameWriter

HEIGHT, WIDTH = 72, 96


def texture(seed=1, height=HEIGHT * 2, width=WIDTH * 2):
    """Smooth noise: something to follow everywhere."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * 220 + 15).astype(np.uint8)


def moving(count, *, seed=1, step=1.5, shake=None, gain=None):
    """A camera that glides over a texture by `step` pixels a frame, shaken and lit as told."""
    ground = texture(seed)
    frames = []
    for number in range(count):
        across, down = (0.0, 0.0) if shake is None else shake[number]
        matrix = np.array([[1, 0, 20 + step * number + across], [0, 1, 20 + down]], np.float64)
        view = cv2.warpAffine(ground, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        if gain is not None:
            view = np.clip(np.rint(view * gain[number]), 0, 255)
        frames.append(view.astype(np.uint8))
    return frames


def stored(path, frames, fps=25, quality="lossless", **more):
    """The frames as a file."""
    with FrameWriter(path, Fraction(fps), quality=quality, **more) as writer:
        for frame in frames:
            writer.write(frame)
    return path
