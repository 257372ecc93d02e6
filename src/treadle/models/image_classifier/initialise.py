"""Weights of an image classifier before the first step, in numpy: the same seed gives the same bits anywhere."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from treadle.models.image_classifier.weights import weight_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from treadle.models.image_classifier.config import ImageClassifierConfig

_ZERO = ("output.weight", "feed_forward.down.weight")
_POSITION_DEVIATION = 0.02


def initial_weights(
    config: ImageClassifierConfig, vocabulary: int, context: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Draw every weight of `weight_shapes(config, vocabulary, context)`, float32, from `seed`.

    The last matrix of each block and the head are zero: each block begins as the identity, the first loss is
    ln(classes). Other matrices are uniform in +-sqrt(3 / inputs) (LeCun et al. 1998), positions normal with deviation
    0.02, gains 1, biases 0. Each weight has its own generator, from the seed and its name.
    """
    return {name: _start(name, shape, seed) for name, shape in weight_shapes(config, vocabulary, context).items()}


def _start(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    if name.endswith((".bias", *_ZERO)) or name == "head.weight":
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    if name == "position.weight":
        return generator.standard_normal(shape, np.float32) * np.float32(_POSITION_DEVIATION)
    limit = np.float32(math.sqrt(3 / shape[1]))
    return (generator.random(shape, np.float32) * np.float32(2) - np.float32(1)) * limit
