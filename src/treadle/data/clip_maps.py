"""Control maps of small clips: what of a clip a generated one shall keep. One code for training and for generation.

Edges are those of `treadle video controls`; a blur keeps as many cells of colour as that command's does.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.base.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGES: Final = {
    "very_low": (20, 50),
    "low": (50, 100),
    "medium": (100, 200),
    "high": (200, 300),
    "very_high": (300, 400),
}
"""Lower and upper threshold of Canny's gradient, on 0 to 255 per channel."""
CELLS: Final = {"very_low": 4, "low": 4, "medium": 10, "high": 16, "very_high": 16}
"""How many pixels a side share one colour."""


def edge_maps(frames: NDArray[np.uint8], strength: str) -> NDArray[np.uint8]:
    """White edges on black: (T, H, W, 3) to (T, H, W, 1)."""
    require_opencv()
    import cv2

    lower, upper = EDGES[strength]
    found = [cv2.Canny(np.ascontiguousarray(frame), lower, upper) for frame in frames]
    return np.asarray(np.stack(found), np.uint8)[..., None]


def blur_maps(frames: NDArray[np.uint8], strength: str) -> NDArray[np.uint8]:
    """Colours without detail: (T, H, W, 3) to the same."""
    require_opencv()
    import cv2

    height, width = frames.shape[1:3]
    coarse = (max(1, round(width / CELLS[strength])), max(1, round(height / CELLS[strength])))
    found = []
    for frame in frames:
        small = cv2.resize(frame, coarse, interpolation=cv2.INTER_AREA)
        found.append(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.asarray(np.stack(found), np.uint8)


def fitted(frame: NDArray[np.uint8], edge: int) -> NDArray[np.uint8]:
    """A frame (H, W, 3) scaled to fit into (edge, edge, 3), centred on black where it is not square."""
    require_opencv()
    import cv2

    height, width = frame.shape[:2]
    if (height, width) == (edge, edge):
        return frame
    top, left, inner_height, inner_width = placed(height, width, edge)
    method = cv2.INTER_AREA if max(height, width) > edge else cv2.INTER_LINEAR
    small = cv2.resize(frame, (inner_width, inner_height), interpolation=method)
    found = np.zeros((edge, edge, 3), np.uint8)
    found[top : top + inner_height, left : left + inner_width] = small
    return found


def placed(height: int, width: int, edge: int) -> tuple[int, int, int, int]:
    """Where a frame of this size lies once it is fitted: top, left, height, width."""
    scale = edge / max(height, width)
    inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
    return (edge - inner_height) // 2, (edge - inner_width) // 2, inner_height, inner_width


def require_opencv() -> None:
    """Raise `MissingExtraError` with the command that installs what reads and scales video."""
    if find_spec("cv2") is None or find_spec("av") is None:
        raise MissingExtraError(
            "Clips of video need the packages `av` and `opencv-python-headless`, which are not installed: "
            "pip install 'treadle[video]'"
        )
