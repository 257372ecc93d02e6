"""Weights of a recurrent model before the first step, in numpy: the same seed gives the same bits anywhere."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from treadle.models.rnn.weights import weight_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from treadle.models.rnn.config import RNNConfig

_TIED_DEVIATION = 0.02


def initial_weights(config: RNNConfig, vocabulary: int, context: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw every weight of `weight_shapes(config, vocabulary, context)`, float32, from `seed`.

    - `output` and an untied `head` are zero: each layer begins as the identity and the first loss is ln(vocabulary).
    - Cells: uniform in +-1/sqrt(width), biases 0; the forget gate of an LSTM has the bias 1, so that it begins by
      remembering (Gers et al. 2000; Jozefowicz et al. 2015).
    - Embedding: normal with deviation 1, or 0.02 where the head shares it. Gains 1.

    Each weight has its own generator, from the seed and its name: adding a layer changes no other weight's start.
    """
    return {
        name: _start(name, shape, config, seed) for name, shape in weight_shapes(config, vocabulary, context).items()
    }


def _start(name: str, shape: tuple[int, ...], config: RNNConfig, seed: int) -> NDArray[np.float32]:
    if name.endswith("output.weight") or name == "head.weight":
        return np.zeros(shape, np.float32)
    if "cell.bias" in name:
        bias = np.zeros(shape, np.float32)
        if config.cell == "lstm" and "bias_ih" in name:
            bias[config.width : 2 * config.width] = 1.0  # torch's order of gates: input, forget, cell, output
        return bias
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    if name == "embedding.weight":
        deviation = np.float32(_TIED_DEVIATION if config.tied_embeddings else 1.0)
        return generator.standard_normal(shape, np.float32) * deviation
    limit = np.float32(1 / math.sqrt(config.width))
    return (generator.random(shape, np.float32) * np.float32(2) - np.float32(1)) * limit
