"""Movement between two frames: optical flow, warping, cuts.

Flow is OpenCV's dense inverse search (Kroeger et al., 2016, arXiv:1603.03590) in its `fast` preset.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from treadle.video.frames import Frame  # noqa: TC001 - part of the public signatures

Flow = NDArray[np.float32]
"""Height x width x 2: for each pixel, how far to the right and down its content moves, in pixels."""
_CUT_HISTOGRAM = 0.35
_CUT_DIFFERENCE = 12.0
_CUT_LIKENESS = 0.6
_BINS = 8
_SMALL = 160
"""Width at which frames are compared for cuts."""


def grey(frame: Frame) -> NDArray[np.uint8]:
    """Luminance of a frame."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Flow:
    """Where the content of `first` is in `second`; both are luminance."""
    if min(first.shape) < 16:  # smaller than a patch of the search
        return np.zeros((*first.shape, 2), np.float32)
    return np.asarray(_search().calc(first, second, None), np.float32)


def warped(frame: Frame, displacement: Flow) -> Frame:
    """A frame whose pixel at x shows what `frame` shows at x + displacement(x)."""
    columns, rows = _grid(frame.shape[0], frame.shape[1])
    moved = cv2.remap(
        frame,
        columns + displacement[..., 0],
        rows + displacement[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.uint8)


def is_cut(first: Frame, second: Frame) -> bool:
    """Whether two neighbouring frames show different scenes: other colours, and other shapes.

    A lamp that is switched changes the colours and not the shapes, a fast camera the shapes and not the colours.
    """
    a, b = _small(first), _small(second)
    if float(np.abs(a.astype(np.int16) - b).mean()) < _CUT_DIFFERENCE:
        return False
    return _histogram_distance(a, b) > _CUT_HISTOGRAM and _likeness(a, b) < _CUT_LIKENESS


def _small(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    if width <= _SMALL:
        return frame
    size = (_SMALL, max(1, height * _SMALL // width))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _histogram_distance(a: Frame, b: Frame) -> float:
    """Share of pixels that have another colour: 0 = the same colours, 1 = none in common."""
    histograms = []
    for frame in (a, b):
        cell = (frame // (256 // _BINS)).astype(np.int32)
        index = (cell[..., 0] * _BINS + cell[..., 1]) * _BINS + cell[..., 2]
        histograms.append(np.bincount(index.ravel(), minlength=_BINS**3) / index.size)
    return float(np.abs(histograms[0] - histograms[1]).sum() / 2)


def _likeness(a: Frame, b: Frame) -> float:
    """Correlation of the luminance of two frames, whatever their brightness and contrast: 1 = the same shapes."""
    x, y = (grey(frame).astype(np.float64) for frame in (a, b))
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).mean() * (y * y).mean()))
    return float((x * y).mean()) / scale if scale > 1 else 0.0


@cache
def _search() -> Any:  # noqa: ANN401 - OpenCV's class
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)


@cache
def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return columns, rows
