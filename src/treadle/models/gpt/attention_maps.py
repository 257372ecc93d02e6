"""What each head of a gpt model attends to, computed by the torch reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from treadle.base.errors import UsageError
from treadle.models.gpt.attention import visible
from treadle.models.gpt.model import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from treadle.models.gpt.attention import Attention
    from treadle.models.gpt.config import GPTConfig


def attention_maps(
    config: GPTConfig, vocabulary: int, context: int, weights: Mapping[str, NDArray[np.float32]], ids: Sequence[int]
) -> NDArray[np.float32]:
    """The shares that each token gives to each one before it: (layers, heads, T, T); every row sums to 1.

    Raises `UsageError` for linear attention, which gives no shares.
    """
    if config.attention == "linear":
        raise UsageError(
            "Linear attention gives no shares that could be drawn: each head keeps one sum of all it read."
        )
    model = build(config, vocabulary, context)
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()}, assign=True)
    model.eval()
    tokens = torch.tensor([list(ids)[:context]])
    with torch.inference_mode():
        rotation = None if model.rotation is None else model.rotation[:, : tokens.shape[1]]
        x = model.embed(tokens, 0)  # (1, T, C)
        maps = []
        for layer in model.layers:
            maps.append(_shares(layer.attention, layer.attention_norm(x), rotation))
            x = layer(x, rotation)
    return np.stack([one.numpy() for one in maps])


def _shares(attention: Attention, x: Tensor, rotation: Tensor | None) -> Tensor:
    """Softmax of the scores of each query head, (H, T, T), for one text (1, T, C)."""
    query, key, _ = attention.project(x, rotation)  # (1, H, T, D), (1, K, T, D)
    key = key[0].repeat_interleave(attention.heads // attention.key_value_heads, 0)
    scores = (query[0] @ key.mT) * attention.head_width**-0.5
    time = x.shape[1]
    return scores.masked_fill(~visible(time, time, attention.window, x.device), float("-inf")).softmax(-1)
