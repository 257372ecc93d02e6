"""Layers in torch that networks of patches share.

Symbols in shapes: B batch, P patches, C width.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Self-attention over all patches; with `epsilon`, queries and keys are normalised."""

    def __init__(self, width: int, heads: int, epsilon: float | None = None) -> None:
        super().__init__()
        self.heads, self.epsilon = heads, epsilon
        self.query, self.key, self.value, self.output = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, positions, width = x.shape
        query, key, value = (
            part(x).view(batch, positions, self.heads, -1).transpose(1, 2)  # (B, heads, P, C / heads)
            for part in (self.query, self.key, self.value)
        )
        if self.epsilon is not None:
            query, key = (functional.rms_norm(part, part.shape[-1:], eps=self.epsilon) for part in (query, key))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return cast("Tensor", self.output(mixed.transpose(1, 2).reshape(batch, positions, width)))


class FeedForward(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Two linear maps with GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.down(functional.gelu(self.up(x))))
