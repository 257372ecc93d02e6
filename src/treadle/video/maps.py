"""Maps of depth and of segments: from files or from a model, as pictures that a control is made of.

Depth is grey, near is bright, from black to white over the whole clip: so does Cosmos-Transfer 1 (`depth_anything.py`),
and a range of each frame's own would flicker. Segments have one colour each; what has the label 0 is black.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from treadle.base.errors import DataError, NotFoundError
from treadle.video.frames import image_files, read_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.video.frames import Frame
    from treadle.video.map_model import MapModel

LOOKED_AT: Final = 32
"""Frames, evenly over the clip, from which the range of a model's depths is taken."""
_COLOURS: Final = 256
_GOLDEN: Final = 0.618033988749895


@dataclass(frozen=True, slots=True)
class Range:
    """Depths that become black and white."""

    low: float
    high: float

    def of(self, depths: NDArray[Any]) -> Frame:
        """Grey levels; what lies outside is black or white, what is no number is black."""
        span = self.high - self.low
        if not span > 0:
            return np.zeros(depths.shape, np.uint8)
        share = np.nan_to_num((depths.astype(np.float32) - self.low) / span, nan=0.0, posinf=1.0, neginf=0.0)
        return np.asarray(np.clip(share, 0, 1) * 255, np.uint8)


def given(path: Path) -> Callable[[], Iterator[NDArray[Any]]]:
    """Maps of a video, of a folder of pictures, or of an array (.npy), to be read as often as needed.

    Each is height x width (numbers or labels) or height x width x 3 (a picture, red first).

    Raises `NotFoundError` and `DataError`.
    """
    if path.is_dir():
        files = image_files(path)
        return lambda: map(_picture, files)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist.")
    if path.suffix.lower() == ".npy":
        array = _array(path)
        return lambda: iter(array)
    return lambda: iter(read_frames(path))


def depth_pictures(maps: Callable[[], Iterable[NDArray[Any]]]) -> Iterator[NDArray[np.uint8]]:
    """Given depths as grey pictures. Those of 8 bits stay as they are; others are spread over the range of the clip."""
    first = next(iter(maps()), None)
    if first is None or first.dtype == np.uint8:
        for depths in maps():
            yield depths if depths.ndim == 2 else np.asarray(depths.mean(axis=2).round(), np.uint8)
        return
    found = _range(maps())
    for depths in maps():
        yield found.of(depths if depths.ndim == 2 else depths.mean(axis=2))


def model_range(model: MapModel, frames: Iterable[Frame], count: int) -> Range:
    """The range of a model's depths over a clip of `count` frames, from some of them."""
    stride = max(1, -(-count // LOOKED_AT))
    return _range(model.map_of(frame) for number, frame in enumerate(frames) if number % stride == 0)


def coloured(labels: NDArray[Any]) -> Frame:
    """A colour for each label, the same in every frame and every run."""
    whole = labels.astype(np.int64)
    place = np.where(whole == 0, 0, 1 + (whole - 1) % (_COLOURS - 1))
    return np.asarray(_palette()[place], np.uint8)


def fitted(picture: NDArray[np.uint8], frame: Frame, *, exact: bool) -> Frame:
    """A map in the size of its frame and with three channels; `exact` keeps colours as they are, without mixing."""
    height, width = frame.shape[:2]
    shown: Any = picture
    if picture.shape[:2] != (height, width):
        shrinks = picture.shape[0] * picture.shape[1] > height * width
        method = cv2.INTER_NEAREST if exact else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        shown = cv2.resize(picture, (width, height), interpolation=method)
    shown = np.asarray(shown, np.uint8)
    return np.repeat(shown[..., None], 3, axis=2) if shown.ndim == 2 else shown


def beside(frames: Iterable[Frame], maps: Iterable[NDArray[np.uint8]], path: Path) -> Iterator[tuple[Frame, Any]]:
    """Each frame with its map; raises `DataError` if there are not as many of both."""
    for number, (frame, made) in enumerate(zip_longest(frames, maps)):
        if frame is None or made is None:
            less, more = ("frames", "maps") if frame is None else ("maps", "frames")
            raise DataError(f"{path} does not fit the video: it has {number} {less}, and more {more} than that.")
        yield frame, made


def labelled(made: NDArray[Any]) -> NDArray[np.uint8]:
    """A given map of segments as a picture: labels get colours, pictures stay."""
    return coloured(made) if made.ndim == 2 else made.astype(np.uint8)


def _range(maps: Iterable[NDArray[Any]]) -> Range:
    low, high = np.inf, -np.inf
    for depths in maps:
        known = depths[np.isfinite(depths)] if depths.dtype.kind == "f" else depths
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    return Range(low, high) if high >= low else Range(0.0, 0.0)


def _picture(path: Path) -> NDArray[Any]:
    """A picture as it is stored: of one channel, or red first; 8 or 16 bits."""
    data = np.fromfile(path, np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR) if data.size else None
    if found is None:
        raise DataError(f"{path} is not a picture that can be read.")
    return np.asarray(found if found.ndim == 2 else cv2.cvtColor(found, cv2.COLOR_BGR2RGB))


def _array(path: Path) -> NDArray[Any]:
    """An array on the disk, of which only what is looked at is read."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not an array that can be read ({error}).") from error
    picture = array.ndim == 4 and array.shape[3] == 3 and array.dtype == np.uint8
    if not picture and (array.ndim != 3 or array.dtype.kind not in "fiub"):
        raise DataError(
            f"{path} holds {array.dtype} {list(array.shape)}; wanted are frames x height x width of numbers, "
            "or frames x height x width x 3 of bytes."
        )
    if 0 in array.shape:
        raise DataError(f"{path} is empty: {list(array.shape)}.")
    return array


@cache
def _palette() -> NDArray[np.uint8]:
    """Colours that are far from each other where labels are near; the first is black."""
    rows = [(0.0, 0.0, 0.0)]
    for number in range(1, _COLOURS):
        value = (1.0, 0.75, 0.5)[number % 3]
        rows.append(colorsys.hsv_to_rgb(number * _GOLDEN % 1, (0.9, 0.6)[number % 2], value))
    return np.asarray(np.array(rows) * 255, np.uint8)
