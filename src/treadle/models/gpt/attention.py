"""Attention of the gpt family in torch: softmax over all that came before, or over a window of it.

Symbols in shapes as in `model.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from treadle.models.gpt.config import GPTConfig


class Norm(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """RMSNorm (Zhang & Sennrich 2019) or LayerNorm (Ba et al. 2016) over the last axis, in fp32."""

    def __init__(self, config: GPTConfig, width: int, kind: str) -> None:
        super().__init__()
        self.kind, self.width, self.epsilon = kind, width, config.norm_epsilon
        self.weight = nn.Parameter(torch.ones(width)) if config.norm_gain else None
        has_bias = config.norm_gain and config.bias and kind == "layernorm"
        self.bias = nn.Parameter(torch.zeros(width)) if has_bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "layernorm":
            return functional.layer_norm(x.float(), (self.width,), self.weight, self.bias, self.epsilon)
        return functional.rms_norm(x.float(), (self.width,), self.weight, self.epsilon)


class Attention(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Causal self-attention, with grouped key/value heads (Ainslie et al. 2023) where `kv_heads` < `heads`."""

    def __init__(self, config: GPTConfig, attention: str) -> None:
        super().__init__()
        self.heads, self.key_value_heads, self.head_width = config.heads, config.key_value_heads, config.width_of_head
        self.attention, self.window = attention, config.attention_window
        queries, keys = self.heads * self.head_width, self.key_value_heads * self.head_width
        self.query = nn.Linear(config.width, queries, bias=config.bias)
        self.key = nn.Linear(config.width, keys, bias=config.bias)
        self.value = nn.Linear(config.width, keys, bias=config.bias)
        self.query_norm = Norm(config, self.head_width, "rmsnorm") if config.qk_norm else nn.Identity()
        self.key_norm = Norm(config, self.head_width, "rmsnorm") if config.qk_norm else nn.Identity()
        self.output = nn.Linear(queries, config.width, bias=config.bias)

    def forward(self, x: Tensor, rotation: Tensor | None, past: tuple[Tensor, Tensor, int] | None = None) -> Tensor:
        """Attend within `x` (B, T, C); with `past` = (keys, values, position) and B = 1, to a cached text as well."""
        batch, time, _ = x.shape
        query, key, value = self.project(x, rotation)
        if past is not None:
            keys, values, position = past
            keys[:, position : position + time] = key[0]
            values[:, position : position + time] = value[0]
            key, value = keys[None, :, : position + time], values[None, :, : position + time]  # (1, K, S, D)
        mixed = self.mix(query, key, value)  # (B, H, T, D)
        return cast("Tensor", self.output(mixed.transpose(1, 2).reshape(batch, time, -1)))

    def project(self, x: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, D), keys and values (B, K, T, D) of `x` (B, T, C), normalised and rotated."""
        batch, time, _ = x.shape
        query = self.query(x).view(batch, time, self.heads, self.head_width).transpose(1, 2)  # (B, H, T, D)
        key = self.key(x).view(batch, time, self.key_value_heads, self.head_width).transpose(1, 2)  # (B, K, T, D)
        value = self.value(x).view(batch, time, self.key_value_heads, self.head_width).transpose(1, 2)
        query = rotate(self.query_norm(query), rotation).to(value.dtype)
        return query, rotate(self.key_norm(key), rotation).to(value.dtype), value

    def mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Weigh values; query t of T sees the first S - T + t + 1 of S keys, or the last `window` of those."""
        batch, _, time, width = query.shape
        seen = key.shape[2]
        allowed = visible(time, seen, self.window, query.device)
        if self.attention == "sdpa":
            if time == seen and self.window is None:
                return functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed, enable_gqa=True)
        grouped = query.view(batch, self.key_value_heads, -1, time, width)  # (B, K, H / K, T, D)
        scores = (grouped @ key.unsqueeze(2).mT).float() * width**-0.5  # (B, K, H / K, T, S)
        shares = scores.masked_fill(~allowed, float("-inf")).softmax(-1).to(value.dtype)
        return (shares @ value.unsqueeze(2)).view(batch, self.heads, time, width)


def visible(time: int, seen: int, window: int | None, device: torch.device) -> Tensor:
    """Which of S keys each of the last T positions sees, (T, S)."""
    allowed = torch.ones(time, seen, dtype=torch.bool, device=device).tril(seen - time)
    return allowed if window is None else allowed.triu(seen - time - window + 1)


def rotate(x: Tensor, rotation: Tensor | None) -> Tensor:
    """Turn pairs (i, i + D / 2) of x (B, H, T, D) by its position's angle (Su et al. 2021), as transformers do."""
    if rotation is None:
        return x
    cosine, sine = rotation[0], rotation[1]  # (T, D / 2)
    first, second = x.float().chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)
