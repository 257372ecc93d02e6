"""Weights before the first step, in numpy, so that the native and the torch learner start from the same bits."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from treadle.models.gpt.weights import weight_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from treadle.models.gpt.config import GPTConfig

_TIED_DEVIATION = 0.02
_ZERO = ("attention.output.weight", "feed_forward.down.weight")


def initial_weights(config: GPTConfig, vocabulary: int, context: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw every weight of `weight_shapes(config, vocabulary, context)`, float32, from `seed`.

    - `attention.output` and `feed_forward.down` are zero: each block begins as the identity (ReZero's observation,
      Bachlechner et al. 2020; Fixup, Zhang et al. 2019). An untied `head` is zero too, so the first loss is exactly
      ln(vocabulary) (maximal update parametrisation, Yang et al. 2022, table 8).
    - Other matrices: uniform in +-1/sqrt(inputs), the scale of LeCun et al. 1998 divided by sqrt(3).
    - Embedding and learned positions: normal with deviation 1, or 0.02 where the head shares them (GPT-2, Radford et
      al. 2019), because then they are also the rows that logits are made with.
    - Gains 1, biases 0.

    Each weight has its own generator, from the seed and its name: adding a layer changes no other weight's start.
    """
    return {
        name: _start(name, shape, config, seed) for name, shape in weight_shapes(config, vocabulary, context).items()
    }


def _start(name: str, shape: tuple[int, ...], config: GPTConfig, seed: int) -> NDArray[np.float32]:
    if name.endswith(".bias") or name.endswith(_ZERO) or name == "head.weight":
        return np.zeros(shape, np.float32)
    if len(shape) == 1:
        return np.ones(shape, np.float32)
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    if name in {"embedding.weight", "position.weight"}:
        deviation = np.float32(_TIED_DEVIATION if config.tied_embeddings else 1.0)
        return generator.standard_normal(shape, np.float32) * deviation
    limit = np.float32(1 / math.sqrt(shape[1]))
    return (generator.random(shape, np.float32) * np.float32(2) - np.float32(1)) * limit
