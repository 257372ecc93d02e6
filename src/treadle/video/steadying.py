"""Evening out: brightness that flickers, a camera that shakes. Two passes, with a few numbers kept for each frame."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from treadle.video.frames import resized
from treadle.video.motion import grey, is_cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from treadle.video.frames import Frame

_SMALL = 192
_LEAST_GAIN = 0.004
"""Natural logarithm of a brightness ratio: what is smaller is noise, and frames stay as they are."""


def brightness_path(frames: Iterable[Frame]) -> tuple[NDArray[np.float64], list[int]]:
    """How bright each frame is against the first, per channel (natural logarithm), and where scenes begin.

    The step between two frames is the median of the ratios of their pixels, so that what moves does not count.
    """
    steps, cuts = array("d", [0.0] * 3), [0]
    for number, (before, now) in enumerate(pairwise(map(_small, frames)), 1):
        if is_cut(before, now):
            cuts.append(number)
            steps.extend([0.0] * 3)
            continue
        ratio = np.log((now.astype(np.float64) + 4) / (before.astype(np.float64) + 4))
        seen = (before > 8) & (before < 247) & (now > 8) & (now < 247)
        step = [float(np.median(ratio[..., c][seen[..., c]])) if seen[..., c].any() else 0.0 for c in range(3)]
        steps.extend(step)
    return np.cumsum(np.array(steps).reshape(-1, 3), axis=0), cuts


def gains(path: NDArray[np.float64], cuts: list[int], sigma: float) -> NDArray[np.float64]:
    """By what each channel of each frame is to be multiplied so that its path becomes smooth within each scene.

    `sigma` is the width of the smoothing in frames. Deviations that are mere noise give exactly 1.
    """
    wanted = path.copy()
    for begin, end in pairwise([*cuts, len(path)]):
        wanted[begin:end] = smoothed(path[begin:end], sigma)
    correction = wanted - path
    correction[np.abs(correction) < _LEAST_GAIN] = 0
    found: NDArray[np.float64] = np.exp(correction)
    return found


def deflickered(frames: Iterable[Frame], factors: NDArray[np.float64]) -> Iterator[Frame]:
    """Frames multiplied by their gains; those with a gain of 1 are passed on untouched."""
    for frame, factor in zip(frames, factors, strict=False):
        if (factor == 1).all():
            yield frame
            continue
        levels = np.arange(256)[:, None] * factor + 4 * (factor - 1)
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        yield np.stack([table[frame[..., channel], channel] for channel in range(3)], axis=-1)


def camera_path(frames: Iterable[Frame]) -> tuple[NDArray[np.float64], list[int]]:
    """Where the camera is at each frame against the first: right, down (shares of the width), angle, logarithm of zoom.

    From corners that are followed to the next frame (Lucas-Kanade), by a similarity that most agree on (RANSAC).
    """
    # Flat and in one piece: small arrays, kept, would lie between the frames on the heap and split it into pieces.
    steps, cuts = array("d", [0.0] * 4), [0]
    for number, (before, now) in enumerate(pairwise(map(_small, frames)), 1):
        if is_cut(before, now):
            cuts.append(number)
            steps.extend([0.0] * 4)
        else:
            steps.extend(_camera_step(grey(before), grey(now)).tolist())
    return np.cumsum(np.array(steps).reshape(-1, 4), axis=0), cuts


def steadied(frames: Iterable[Frame], path: NDArray[np.float64], cuts: list[int], sigma: float) -> Iterator[Frame]:
    """Frames moved so that the camera follows the smoothed path; enlarged so that no border shows, by 10 % at most."""
    wanted = path.copy()
    for begin, end in pairwise([*cuts, len(path)]):
        wanted[begin:end] = smoothed(path[begin:end], sigma)
    shifts = wanted - path
    shifts[:, :2] = np.clip(shifts[:, :2], -0.05, 0.05)
    zoom = 1 + 2 * float(np.abs(shifts[:, :2]).max(initial=0)) + float(np.abs(np.sin(shifts[:, 2])).max(initial=0))
    zoom = min(zoom, 1.1)
    for frame, shift in zip(frames, shifts, strict=False):
        height, width = frame.shape[:2]
        matrix = cv2.getRotationMatrix2D(
            (width / 2, height / 2), float(-np.degrees(shift[2])), zoom * float(np.exp(shift[3]))
        )
        matrix[:, 2] += shift[:2] * width
        moved = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)


def smoothed(path: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A path with its quick movements taken out: Gaussian weights, a straight line fitted at each place.

    The line keeps a steady rise or turn as it is, also at the ends.
    """
    count = len(path)
    reach = int(np.ceil(3 * sigma))
    found = np.empty_like(path)
    for place in range(count):
        low, high = max(0, place - reach), min(count, place + reach + 1)
        offsets = np.arange(low, high) - place
        weights = np.exp(-0.5 * (offsets / sigma) ** 2)
        total, first, second = weights.sum(), (weights * offsets).sum(), (weights * offsets**2).sum()
        scale = total * second - first**2
        factors = weights / total if scale < 1e-9 else weights * (second - first * offsets) / scale
        found[place] = factors @ path[low:high]
    return found


def _camera_step(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float64]:
    corners: Any = cv2.goodFeaturesToTrack(before, 200, 0.01, 6)  # None where there is none, whatever its stub says
    if corners is None or len(corners) < 8:
        return np.zeros(4)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, np.empty_like(corners))
    kept = found.ravel() == 1
    if kept.sum() < 8:
        return np.zeros(4)
    matrix, _ = cv2.estimateAffinePartial2D(corners[kept], moved[kept], ransacReprojThreshold=1.5)
    if matrix is None:
        return np.zeros(4)
    height, width = before.shape
    centre = np.array([width / 2, height / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    angle = np.arctan2(matrix[1, 0], matrix[0, 0])
    zoom = np.log(max(1e-6, np.hypot(matrix[0, 0], matrix[1, 0])))
    return np.array([shift[0] / width, shift[1] / width, angle, zoom])


def _small(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    return frame if width <= _SMALL else resized(frame, _SMALL, max(1, height * _SMALL // width))
