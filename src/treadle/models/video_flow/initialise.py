"""Weights of a model of clips before the first step, in numpy: the same seed gives the same bits anywhere."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from treadle.models.video_flow.weights import weight_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from treadle.models.video_flow.config import VideoFlowConfig

_ZERO = (".bias", ".modulation", "modulation.weight", "output.weight", "feed_forward.down.weight", "head.weight")
_EMBEDDING_DEVIATION = 0.3


def initial_weights(
    config: VideoFlowConfig, vocabulary: int, context: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Draw every weight of `weight_shapes(config, vocabulary, context)`, float32, from `seed`.

    The last matrix of each block, the modulation and the head are zero: each block begins as the identity, and the
    first guess of every clip is middle grey. Other matrices are uniform in +-sqrt(3 / inputs) (LeCun et al. 1998).
    """
    return {name: _start(name, shape, seed) for name, shape in weight_shapes(config, vocabulary, context).items()}


def _start(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    if name.endswith(_ZERO):
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    if name == "embedding.weight":
        return generator.standard_normal(shape, np.float32) * np.float32(_EMBEDDING_DEVIATION)
    limit = np.float32(math.sqrt(3 / shape[1]))
    return (generator.random(shape, np.float32) * np.float32(2) - np.float32(1)) * limit
