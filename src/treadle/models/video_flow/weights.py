"""Names and shapes of the weights: the one list that torch and checkpoints share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from treadle.models.video_flow.config import PATCH

if TYPE_CHECKING:
    from treadle.models.video_flow.config import VideoFlowConfig

COLOURS: Final = 3
CONTROLS: Final = 7
"""Channels that steer: edges, their weight, three of a blurred picture, its weight, whether a frame is given."""
PLACES: Final = 48
"""Numbers that say where a patch lies: 8 sines and 8 cosines of each of its three coordinates."""
TIMES: Final = 32
"""Numbers that say how much of the noise is gone."""
MODULATIONS: Final = 6
"""Scale, shift and strength of attention, and of the feed-forward part."""


def weight_shapes(config: VideoFlowConfig, vocabulary: int, context: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001 - every family's signature
    """Map each weight's name to its shape; `vocabulary` is the number of phrases, `context` that of frames."""
    width, pixels = config.width, config.patch_frames * PATCH**2
    shapes: dict[str, tuple[int, ...]] = {
        "stem.weight": (width, pixels * (COLOURS + CONTROLS)),
        "stem.bias": (width,),
        "position.weight": (width, PLACES),
        "embedding.weight": (width, vocabulary),
        "time.weight": (width, TIMES),
        "time.bias": (width,),
        "modulation.weight": (MODULATIONS * width, width),
        "modulation.bias": (MODULATIONS * width,),
    }
    for layer in range(config.layers):
        block = f"layers.{layer}"
        shapes[f"{block}.modulation"] = (MODULATIONS * width,)
        for part in ("query", "key", "value", "output"):
            shapes[f"{block}.attention.{part}.weight"] = (width, width)
        shapes[f"{block}.feed_forward.up.weight"] = (4 * width, width)
        shapes[f"{block}.feed_forward.down.weight"] = (width, 4 * width)
    shapes["norm.weight"] = (width,)
    shapes["head.weight"] = (pixels * COLOURS, width)
    shapes["head.bias"] = (pixels * COLOURS,)
    return shapes
