"""Control maps of depth and of segments, from files or from a model, for the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.base.errors import MissingExtraError

try:
    from treadle.video import frames, map_model, maps
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"av", "cv2"}:
        raise
    raise MissingExtraError("Videos need an optional part: pip install 'treadle[video]'.") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from treadle.video.frames import Frame


@dataclass(frozen=True, slots=True)
class MapUse:
    """Which maps, for which video."""

    video: Path
    given: Path
    """The maps, or the model that makes them."""
    options: Mapping[str, Any]
    """`control` (depth, seg), `given` (maps, model); `near` for depth; `pixels` and `side` for models."""


def drawn(use: MapUse, watched: Callable[[int, int], Iterator[Frame]], told: dict[str, Any]) -> Iterator[Frame]:
    """A map for each frame, in its size; `watched` reads the video in so many passes, of which some are done.

    What is found on the way (`range` of depths, what the model `sees`) goes into `told`.
    """
    exact = use.options["control"] == "seg"
    if use.options["given"] == "maps":
        read = maps.given(use.given)
        pictures = map(maps.labelled, read()) if exact else maps.depth_pictures(read)
        for frame, picture in maps.beside(watched(1, 0), pictures, use.given):
            yield maps.fitted(picture if exact else _turned(picture, use), frame, exact=exact)
        return
    facts = frames.probe(use.video)
    chosen = map_model.ModelUse(use.given, use.options["control"], use.options["pixels"], use.options["side"])
    with map_model.MapModel(chosen, facts.height, facts.width) as model:
        told["sees"] = list(model.sees)
        if exact:
            for frame in watched(1, 0):
                yield maps.fitted(maps.coloured(model.map_of(frame)), frame, exact=True)
            return
        found = maps.model_range(model, watched(2, 0), facts.frames)
        told["range"] = [found.low, found.high]
        for frame in watched(2, 1):
            yield maps.fitted(_turned(found.of(model.map_of(frame)), use), frame, exact=False)


def _turned(picture: NDArray[np.uint8], use: MapUse) -> NDArray[np.uint8]:
    """Far and near exchanged, where that was asked for."""
    return np.asarray(255 - picture, np.uint8) if use.options["near"] == "dark" else picture
