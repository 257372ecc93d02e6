"""Frames in between: any frame rate from any other, without ghosts at cuts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from treadle.video.measures import psnr
from treadle.video.motion import flow, grey, is_cut, warped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from treadle.video.frames import Frame
    from treadle.video.motion import Flow

_SAME = Fraction(1, 50)
"""Nearer than this share of an interval, a frame is taken as it is."""


class Between:
    """What lies between two neighbouring frames. The flow is searched once, however many frames are asked for."""

    def __init__(self, first: Frame, second: Frame) -> None:
        """Look at two frames; nothing is computed yet."""
        self._first, self._second = first, second
        self._flows: tuple[Flow, Flow] | None = None
        self._cut: bool | None = None

    @property
    def cut(self) -> bool:
        """Whether the second frame begins another scene."""
        if self._cut is None:
            self._cut = is_cut(self._first, self._second)
        return self._cut

    def at(self, share: float) -> Frame:
        """The frame at `share` of the way; at a cut the nearer of the two, since nothing lies between two scenes."""
        if self.cut:
            return self._first if share < 0.5 else self._second
        if self._flows is None:
            a, b = grey(self._first), grey(self._second)
            self._flows = flow(a, b), flow(b, a)
        forward, backward = self._flows
        # A point of the new frame has come `share` of its way: what moved back by that share is where it was.
        from_first = warped(self._first, backward * np.float32(share))
        from_second = warped(self._second, forward * np.float32(1 - share))
        return np.asarray(cv2.addWeighted(from_first, 1 - share, from_second, share, 0), np.uint8)


def interpolated(frames: Iterable[Frame], fps: Fraction, new_fps: Fraction) -> Iterator[Frame]:
    """Frames at another rate, from the time of the first frame to that of the last one."""
    number = 0
    last: Frame | None = None
    for index, (first, second) in enumerate(pairwise(frames)):
        between = Between(first, second)
        while (place := number * fps / new_fps - index) < 1 - _SAME:
            yield first if place < _SAME else between.at(float(place))
            number += 1
        last = second
    if last is not None:
        yield last


@dataclass(frozen=True, slots=True)
class Check:
    """How well frames that are known are predicted from their neighbours, in dB of PSNR (median over the clip)."""

    frames: int
    """Number of frames that were left out and predicted."""
    cuts: int
    interpolated: float
    """By the flow, as `interpolated` does it."""
    blended: float
    """By the mean of both neighbours."""
    repeated: float
    """By the frame before."""
    worst: float


def check(frames: Iterable[Frame]) -> Check:
    """Leave out each frame between two others, predict it, and compare; every second frame is one of those left out."""
    rows: list[tuple[float, float, float]] = []
    cuts = 0
    held: list[Frame] = []
    for frame in frames:
        held.append(frame)
        if len(held) < 3:
            continue
        before, truth, after = held
        between = Between(before, after)
        if between.cut or is_cut(before, truth):
            cuts += 1
        else:
            mean = np.asarray(cv2.addWeighted(before, 0.5, after, 0.5, 0), np.uint8)
            rows.append((psnr(truth, between.at(0.5)), psnr(truth, mean), psnr(truth, before)))
        held = [after]
    if not rows:
        return Check(0, cuts, 0.0, 0.0, 0.0, 0.0)
    table = np.array(rows)
    medians = np.median(table, axis=0)
    followed, blended, repeated = (float(value) for value in medians)
    return Check(len(rows), cuts, followed, blended, repeated, float(table[:, 0].min()))
