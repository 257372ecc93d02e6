"""Control maps made from frames: what of a video a generated one shall keep.

Presets are those of Cosmos-Transfer 1 (Apache-2.0, NVIDIA), whose automatic maps ignore the strength they are given:
`control_input.py` (`AddControlInputEdge`, `AddControlInputBlurDownUp`) and `augmentors.py` of its repository.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from treadle.video.frames import Frame  # noqa: TC001 - part of the public signatures

CANNY = {"very_low": (20, 50), "low": (50, 100), "medium": (100, 200), "high": (200, 300), "very_high": (300, 400)}
"""Lower and upper threshold of the gradient, on 0 to 255 per channel."""


@dataclass(frozen=True, slots=True)
class Blur:
    """A bilateral filter on a smaller picture, and a trip to a still smaller one and back."""

    diameter: int
    sigma_color: float
    sigma_space: float
    downscale: int
    """Before the filter; back up after it."""
    coarse: int
    """Of the trip that takes the detail away."""


BLURS = {
    "very_low": Blur(15, 100, 50, 1, 4),
    "low": Blur(15, 100, 50, 4, 4),
    "medium": Blur(30, 150, 100, 2, 10),
    "high": Blur(50, 300, 150, 1, 16),
    "very_high": Blur(50, 300, 150, 4, 16),
}


def edge_map(frame: Frame, strength: str) -> Frame:
    """White edges on black, in three equal channels."""
    lower, upper = CANNY[strength]
    edges = cv2.Canny(frame, lower, upper)
    return np.repeat(np.asarray(edges, np.uint8)[..., None], 3, axis=2)


def blurred(frame: Frame, strength: str) -> Frame:
    """Colours and large shapes without detail."""
    blur = BLURS[strength]
    height, width = frame.shape[:2]
    small = frame
    if blur.downscale > 1:
        size = (max(1, width // blur.downscale), max(1, height // blur.downscale))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    filtered = cv2.bilateralFilter(small, blur.diameter, blur.sigma_color, blur.sigma_space)
    if blur.downscale > 1:
        filtered = cv2.resize(filtered, (width, height), interpolation=cv2.INTER_LINEAR)
    # Pillow's cubic scaling averages when it shrinks, as the original's does; OpenCV's would alias.
    picture = Image.fromarray(np.asarray(filtered, np.uint8))
    coarse = picture.resize((max(1, width // blur.coarse), max(1, height // blur.coarse)), Image.Resampling.BICUBIC)
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.uint8)
