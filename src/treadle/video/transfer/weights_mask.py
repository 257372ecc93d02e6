"""Masks: pictures that say where a control counts; and the maps of weights that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from treadle.base.errors import DataError
from treadle.base.files import write_bytes
from treadle.video import frames
from treadle.video.transfer.weights import Mask, Schedule
from treadle.video.transfer.weights_file import torch_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

CELL = 8
"""Pixels of the model's picture for one weight in a map: the model itself works in cells of 16."""


def is_picture(path: Path) -> bool:
    """Whether a mask is one picture, which stands for the whole video."""
    return path.is_file() and path.suffix.lower() in frames.IMAGE_ENDINGS


def read_mask(path: Path) -> Iterator[NDArray[np.float32]]:
    """Yield the pictures of a mask, from 0 for black to 1 for white; raises `DataError` for what cannot be read."""
    if is_picture(path):
        source = frames.read_images([path])
    elif path.is_dir():
        source = frames.read_images(frames.image_files(path))
    else:
        source = frames.read_frames(path)
    for frame in source:
        yield frame.mean(axis=2, dtype=np.float32) / 255


def mask_size(path: Path) -> tuple[int, int]:
    """Width and height of a mask."""
    for picture in read_mask(path):
        return picture.shape[1], picture.shape[0]
    raise DataError(f"{path} holds no picture.")


def weight_map(
    weight: Mask | Schedule, first: int, count: int, length: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    """The weights of a clip: (T, H, W) with T = `length`, or (T, 1, 1) where they do not differ from place to place.

    Args:
        weight: What to draw.
        first: First frame of the clip in the input.
        count: Frames of the input in the clip; the last one is repeated, as the model repeats the last picture.
        length: Frames that the model makes.
        size: Width and height that the model works in; the map has a cell for 8 by 8 of its pixels.
    """
    course = weight.inside if isinstance(weight, Mask) else weight
    inside = course.over(first, count).astype(np.float32)
    inside = np.pad(inside, (0, length - count), mode="edge")[:, None, None]
    if isinstance(weight, Schedule):
        return inside
    width, height = max(1, size[0] // CELL), max(1, size[1] // CELL)
    mask = np.empty((length, height, width), np.float32)
    shown = -1
    for number, picture in enumerate(read_mask(weight.path)):
        if number >= first + count:
            break
        shown = max(0, number - first)
        mask[shown] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    mask[shown + 1 :] = mask[shown]
    return weight.outside + (inside - weight.outside) * mask


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A map of weights that is made when the request is sent."""

    weight: Mask | Schedule
    first: int
    count: int
    length: int
    size: tuple[int, int]

    def about(self) -> str:
        """See `dialects.written.Derived`."""
        return f"weights: {self.weight}"

    def write(self, path: Path) -> None:
        """Write it as torch reads it; a picture that stands for the whole video as one (H, W)."""
        still = (
            isinstance(self.weight, Mask) and is_picture(self.weight.path) and self.weight.inside.constant is not None
        )
        drawn = weight_map(self.weight, self.first, self.count, self.length, self.size)
        write_bytes(path, torch_file((drawn[0] if still else drawn).astype(np.float16)))
