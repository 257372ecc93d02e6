"""What steers a video of the backend `local-tiny`: its request's maps and weights, in the model's size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from treadle.base.errors import UsageError
from treadle.data.clip_maps import blur_maps, edge_maps, fitted, placed
from treadle.models.video_flow.steering import Steering, pixels
from treadle.video import frames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from treadle.video.transfer.clips import Clip


@dataclass(frozen=True, slots=True)
class Guides:
    """All that steers one video, frame by frame, in the model's size; numbers as in `Steering`."""

    edges: NDArray[np.uint8]
    """(T, S, S, 1)."""
    edge_weight: NDArray[np.float32]
    """(T, S, S, 1)."""
    blur: NDArray[np.uint8]
    """(T, S, S, 3)."""
    blur_weight: NDArray[np.float32]
    video: NDArray[np.uint8] | None
    """What the noise is mixed with where `sigma` is small, (T, S, S, 3)."""

    def steering(self, clip: Clip, length: int, given: int, phrases: torch.Tensor) -> Steering:
        """For one clip of `length` frames; what is missing at its end repeats the last frame."""
        places = np.minimum(np.arange(clip.first, clip.first + length), len(self.edges) - 1)
        edges, blur = (torch.tensor(part[places])[None] for part in (self.edges, self.blur))
        weights = [torch.tensor(part[places])[None] for part in (self.edge_weight, self.blur_weight)]
        known = (torch.arange(length) < given).float()[None, :, None, None, None]
        return Steering(edges.float() / 255, weights[0], pixels(blur), weights[1], known, phrases)

    def start(self, clip: Clip, length: int) -> torch.Tensor | None:
        """The video of one clip, (1, T, S, S, 3)."""
        if self.video is None:
            return None
        places = np.minimum(np.arange(clip.first, clip.first + length), len(self.video) - 1)
        return pixels(torch.tensor(self.video[places]))[None]


def guides_of(item: Mapping[str, Any], edge: int) -> Guides:
    """Read a request's video, maps and weights, and make the maps that are not given."""
    count = int(item["frames"])
    video = None if item["video"] is None else _small(Path(item["video"]), count, edge)
    nothing = np.zeros((count, edge, edge, 1), np.uint8)
    found: dict[str, Any] = {"edges": nothing, "blur": np.repeat(nothing, 3, axis=3)}
    found |= {"edge_weight": nothing.astype(np.float32), "blur_weight": nothing.astype(np.float32)}
    totals = np.ones((count, edge, edge, 1), np.float32)
    weights = [_weights(control["weights"], item, edge) for control in item["controls"]]
    if weights:
        totals = np.maximum(1, np.sum(weights, axis=0))
    for control, weight in zip(item["controls"], weights, strict=True):
        given = None if control["map"] is None else _small(Path(control["map"]), count, edge)
        if control["kind"] == "edge":
            found["edges"] = _thin(given) if given is not None else edge_maps(_needed(video), control["strength"])
            found["edge_weight"] = weight / totals
        else:
            found["blur"] = given if given is not None else blur_maps(_needed(video), control["strength"])
            found["blur_weight"] = weight / totals
    return Guides(**found, video=video)


def _needed(video: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    if video is None:
        raise UsageError("A control has no map, and there is no video to make it from.")
    return video


def _thin(given: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lines of a map that was made for a large picture: white where a small pixel has enough of them."""
    light = given.max(axis=-1, keepdims=True)
    return np.where(light > light.max() / 4, 255, 0).astype(np.uint8)


def _small(path: Path, count: int, edge: int) -> NDArray[np.uint8]:
    """The first frames of a video in the model's size, the last one repeated where there are fewer."""
    found = [fitted(np.asarray(frame), edge) for frame in islice(frames.read_frames(path), count)]
    return np.stack([*found, *[found[-1]] * (count - len(found))])


def _weights(told: Sequence[float] | str, item: Mapping[str, Any], edge: int) -> NDArray[np.float32]:
    """Weights as (T, S, S, 1)."""
    count = int(item["frames"])
    if not isinstance(told, str):
        return np.broadcast_to(np.array(told, np.float32)[:, None, None, None], (count, edge, edge, 1))
    width, height = item["size"]
    top, left, inner_height, inner_width = placed(height, width, edge)
    values = np.zeros((count, edge, edge, 1), np.float32)
    for number, one in enumerate(np.load(told, allow_pickle=False)):
        small = cv2.resize(one, (inner_width, inner_height), interpolation=cv2.INTER_AREA)
        values[number, top : top + inner_height, left : left + inner_width, 0] = small
    return values
