"""Linear attention with a fixed decay for each head: what a text has said so far is one D x D matrix a head.

The retention of Sun et al. 2023 (section 2), without its gate, on the same weights as softmax attention: head h weighs
value s for query t by `(q_t . k_s) decay_h^(t - s) / sqrt(D)`; each head goes through RMSNorm without gain.
Time and memory grow with the length of the text, not with its square. Symbols in shapes as in `model.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch.nn import functional

from treadle.models.gpt.attention import Attention

if TYPE_CHECKING:
    from torch import Tensor

    from treadle.models.gpt.config import GPTConfig

CHUNK = 64
"""Positions that are weighed against each other at once; between chunks only the state is carried."""
_SHORTEST, _LONGEST = 3.0, 8.0
"""The first head remembers some 2^3 positions, the last one some 2^8, the others in between."""


class StateCache:
    """What one text was so far: for each layer a state (1, H, D, D), and the tokens, in case it is turned back."""

    def __init__(self, layers: int) -> None:
        """Begin with nothing."""
        self.tokens = torch.empty(0, dtype=torch.int64)
        self.states: list[Tensor | None] = [None] * layers


class LinearAttention(Attention):
    """See the module. Its weights have the names and shapes of `Attention`."""

    def __init__(self, config: GPTConfig, attention: str) -> None:
        super().__init__(config, attention)
        self.epsilon = config.norm_epsilon
        self.register_buffer("decay", decays(self.heads), persistent=False)

    def read(self, x: Tensor, rotation: Tensor | None, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mix `x` (B, T, C) on from `state` (None = the beginning); returns the output and the state after."""
        batch, time, _ = x.shape
        query, key, value = self.project(x, rotation)
        groups = self.heads // self.key_value_heads
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)  # (B, H, T, D)
        with torch.autocast(x.device.type, enabled=False):
            mixed, state = retain(query.float(), key.float(), value.float(), self.decay, state)
            mixed = functional.rms_norm(mixed, (self.head_width,), None, self.epsilon)
        output = self.output(mixed.to(value.dtype).transpose(1, 2).reshape(batch, time, -1))
        return cast("Tensor", output), state

    def forward(self, x: Tensor, rotation: Tensor | None, past: tuple[Tensor, Tensor, int] | None = None) -> Tensor:
        """Attend within `x` (B, T, C), from the beginning."""
        if past is not None:
            raise ValueError("linear attention keeps a state, not keys and values")
        return self.read(x, rotation, None)[0]


def decays(heads: int) -> Tensor:
    """How much of the state each head keeps from one position to the next (H)."""
    middle = torch.tensor([(_SHORTEST + _LONGEST) / 2], dtype=torch.float64)
    exponents = torch.linspace(_SHORTEST, _LONGEST, heads, dtype=torch.float64) if heads > 1 else middle
    return (1 - 2.0**-exponents).float()


def retain(query: Tensor, key: Tensor, value: Tensor, decay: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weigh values (B, H, T, D) by decaying products, chunk by chunk; returns the mixture and the state after."""
    batch, heads, time, width = query.shape
    if state is None:
        state = query.new_zeros(batch, heads, width, width)
    query = query * width**-0.5
    places = torch.arange(min(CHUNK, time), device=query.device)
    apart = places[:, None] - places  # (T, T)
    inside = torch.where(apart >= 0, decay[:, None, None] ** apart.clamp(min=0), 0.0)  # (H, T, T)
    mixed = []
    for first in range(0, time, CHUNK):
        q, k, v = (x[:, :, first : first + CHUNK] for x in (query, key, value))
        size = q.shape[2]
        since = decay[:, None] ** (places[:size] + 1)  # (H, T): from the state to each position
        until = decay[:, None] ** (size - 1 - places[:size])  # (H, T): from each position to the chunk's end
        within = ((q @ k.mT) * inside[:, :size, :size]) @ v
        mixed.append(within + (q * since[:, :, None]) @ state)
        state = state * (decay**size)[:, None, None] + (k * until[:, :, None]).mT @ v
    return torch.cat(mixed, 2), state
