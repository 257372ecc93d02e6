"""How alike two frames are, and how even a video is from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from treadle.video.motion import flow, grey, is_cut, warped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from treadle.video.frames import Frame

MOST_PSNR = 100.0
"""dB; of equal frames, whose ratio would be infinite."""
_NEIGHBOURS = 15
_SEAM = 6.0
"""Robust z from which a place counts as a seam."""
_LEAST_SPREAD = 0.15
"""Grey levels; a still picture must not make a seam of nothing."""


def psnr(a: Frame, b: Frame) -> float:
    """Peak signal-to-noise ratio in dB, over all channels."""
    error = float(np.square(a.astype(np.float32) - b).mean())
    return MOST_PSNR if error == 0 else min(MOST_PSNR, 10 * float(np.log10(255**2 / error)))


def ssim(a: Frame, b: Frame) -> float:
    """Structural similarity of luminance (Wang et al., 2004), 1 = equal; Gaussian window of 11 pixels, sigma 1.5."""
    x, y = grey(a).astype(np.float64), grey(b).astype(np.float64)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = ((2 * mx * my + c1) * (2 * both + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(value.mean())


@dataclass(slots=True)
class Coherence:
    """Step from each frame to the next; lists have one entry for each pair of neighbours."""

    difference: list[float] = field(default_factory=list)
    """Mean absolute difference, in grey levels: jumps stand out."""
    residual: list[float] = field(default_factory=list)
    """Mean signed difference after the movement has been taken out: steps of brightness stand out."""
    colours: list[list[float]] = field(default_factory=list)
    """Mean red, green and blue of each frame."""
    cuts: list[int] = field(default_factory=list)
    """Numbers of the frames that begin another scene."""

    def seams(self) -> list[tuple[int, float]]:
        """Frames at which something jumps, with how much it stands out from the neighbours, the worst first."""
        z = self.z_scores()
        found = [(place + 1, float(z[place])) for place in range(len(z)) if z[place] >= _SEAM]
        return sorted(
            ((place, value) for place, value in found if place not in set(self.cuts)), key=lambda row: -row[1]
        )

    def z_scores(self) -> NDArray[np.float64]:
        """The larger of both measures' robust z against up to 15 neighbours on each side."""
        jumps = robust_z(self.difference)
        steps = np.abs(robust_z(self.residual))
        return np.maximum(jumps, steps)

    def drift(self) -> float:
        """Distance between the mean colours of the first and the last tenth, in grey levels."""
        colours = np.array(self.colours)
        share = max(1, len(colours) // 10)
        return float(np.abs(colours[:share].mean(axis=0) - colours[-share:].mean(axis=0)).max())


def coherence(frames: Iterable[Frame]) -> Coherence:
    """Walk through a video and note how each frame follows from the one before."""
    found = Coherence()
    for number, (before, now) in enumerate(pairwise(_with_colours(frames, found)), 1):
        found.difference.append(float(np.abs(now.astype(np.int16) - before).mean()))
        a, b = grey(before), grey(now)
        moved = warped(now, flow(a, b))
        found.residual.append(float((grey(moved).astype(np.int16) - a).mean()))
        if is_cut(before, now):
            found.cuts.append(number)
    return found


def _with_colours(frames: Iterable[Frame], found: Coherence) -> Iterable[Frame]:
    for frame in frames:
        found.colours.append([float(value) for value in frame.mean(axis=(0, 1))])
        yield frame


def robust_z(values: Sequence[float]) -> NDArray[np.float64]:
    """How far each value lies from the median of its neighbours, in their (robust) standard deviations."""
    series = np.asarray(values, np.float64)
    z = np.zeros(len(series))
    for place in range(len(series)):
        low, high = max(0, place - _NEIGHBOURS), place + _NEIGHBOURS + 1
        others = np.concatenate((series[low:place], series[place + 1 : high]))
        if len(others) < 3:
            continue
        middle = np.median(others)
        spread = max(1.4826 * float(np.median(np.abs(others - middle))), _LEAST_SPREAD)
        z[place] = (series[place] - middle) / spread
    return z
