"""The gpt family in torch: the reference that the native core is tested against, and the way to other hardware.

Symbols in shapes: B batch, T time (queries), S time (keys), C width, H query heads, K key/value heads, D head width,
V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from treadle.models.gpt.config import GPTConfig

MASKED = -1
"""A target that counts for nothing; networks know no data, so a test holds this equal to `data.batch.MASKED`."""

ATTENTION = ("plain", "sdpa")
"""`plain` is softmax(QK^T)V written out, on CPUs in bf16 the faster one for short contexts; `sdpa` is torch's own."""


def build(config: GPTConfig, vocabulary: int, context: int, attention: str = "plain") -> GPT:
    """Build the module with torch's own random start; load `initial_weights` or a checkpoint into it.

    `attention` is one of `ATTENTION`; both compute the same function.
    """
    if attention not in ATTENTION:
        raise ValueError(f"attention is {attention!r}; it can be {' or '.join(ATTENTION)}")
    return GPT(config, vocabulary, context, attention)


class Cache:
    """Keys and values of one text's positions so far: for each layer two tensors (K, context, D).

    Each tensor is allocated by itself, so that arithmetic on one text never depends on where another one lies.
    """

    def __init__(self, config: GPTConfig, context: int, like: Tensor) -> None:
        """Reserve room for `context` positions, with the device and type of `like`."""
        shape = (config.key_value_heads, context, config.width_of_head)
        self.keys = [like.new_zeros(shape) for _ in range(config.layers)]
        self.values = [like.new_zeros(shape) for _ in range(config.layers)]


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
        self.attention = attention
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
        query = self.query(x).view(batch, time, self.heads, self.head_width).transpose(1, 2)  # (B, H, T, D)
        key = self.key(x).view(batch, time, self.key_value_heads, self.head_width).transpose(1, 2)  # (B, K, T, D)
        value = self.value(x).view(batch, time, self.key_value_heads, self.head_width).transpose(1, 2)
        query = rotate(self.query_norm(query), rotation).to(value.dtype)
        key = rotate(self.key_norm(key), rotation).to(value.dtype)
        if past is not None:
            keys, values, position = past
            keys[:, position : position + time] = key[0]
            values[:, position : position + time] = value[0]
            key, value = keys[None, :, : position + time], values[None, :, : position + time]  # (1, K, S, D)
        mixed = self.mix(query, key, value)  # (B, H, T, D)
        return cast("Tensor", self.output(mixed.transpose(1, 2).reshape(batch, time, -1)))

    def mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Weigh values; query t of T sees the first S - T + t + 1 of S keys."""
        batch, _, time, width = query.shape
        seen = key.shape[2]
        allowed = torch.ones(time, seen, dtype=torch.bool, device=query.device).tril(seen - time)  # (T, S)
        if self.attention == "sdpa":
            if time == seen:
                return functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed, enable_gqa=True)
        grouped = query.view(batch, self.key_value_heads, -1, time, width)  # (B, K, H / K, T, D)
        scores = (grouped @ key.unsqueeze(2).mT).float() * width**-0.5  # (B, K, H / K, T, S)
        shares = scores.masked_fill(~allowed, float("-inf")).softmax(-1).to(value.dtype)
        return (shares @ value.unsqueeze(2)).view(batch, self.heads, time, width)


class FeedForward(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """SwiGLU (Shazeer 2020), GELU with the tanh approximation (Hendrycks & Gimpel 2016), or ReLU squared."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.activation = config.activation
        inner = config.feed_forward_width
        self.gate = nn.Linear(config.width, inner, bias=config.bias) if self.activation == "swiglu" else None
        self.up = nn.Linear(config.width, inner, bias=config.bias)
        self.down = nn.Linear(inner, config.width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        up = self.up(x)
        if self.gate is not None:
            inner = functional.silu(self.gate(x)) * up
        elif self.activation == "gelu":
            inner = functional.gelu(up, approximate="tanh")
        else:
            inner = functional.relu(up).square()
        return cast("Tensor", self.down(inner))


class Block(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Attention, then feed-forward; each is normalised before it and added to the residual stream."""

    def __init__(self, config: GPTConfig, attention: str) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.attention_norm = Norm(config, config.width, config.norm)
        self.attention = Attention(config, attention)
        self.feed_forward_norm = Norm(config, config.width, config.norm)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, rotation: Tensor | None, past: tuple[Tensor, Tensor, int] | None = None) -> Tensor:
        attended = self.attention(self.attention_norm(x), rotation, past)
        x = x + functional.dropout(attended, self.dropout, self.training)
        fed = self.feed_forward(self.feed_forward_norm(x))
        return x + functional.dropout(fed, self.dropout, self.training)


class GPT(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """A decoder-only transformer with everything that `GPTConfig` can say."""

    def __init__(self, config: GPTConfig, vocabulary: int, context: int, attention: str) -> None:
        super().__init__()
        self.config, self.vocabulary, self.context = config, vocabulary, context
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.position = nn.Embedding(context, config.width) if config.positions == "learned" else None
        self.embedding_norm = Norm(config, config.width, config.norm) if config.embedding_norm else nn.Identity()
        self.layers = nn.ModuleList(Block(config, attention) for _ in range(config.layers))
        self.norm = Norm(config, config.width, config.norm)
        self.head = None if config.tied_embeddings else nn.Linear(config.width, vocabulary, bias=False)
        table = rotary_table(config.rope_base, config.width_of_head, context) if config.positions == "rope" else None
        self.register_buffer("rotation", table, persistent=False)

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the loss in nats over the targets that are not `MASKED`; return it and how many those are.

        Both arguments are integers (B, T); target t is the token that should follow inputs 0..t.
        """
        logits = self.logits(inputs)
        loss = functional.cross_entropy(
            logits.view(-1, self.vocabulary), targets.reshape(-1).long(), ignore_index=MASKED, reduction="sum"
        )
        return loss, (targets != MASKED).sum()

    def logits(self, inputs: Tensor) -> Tensor:
        """Score the next token after each of `inputs` (B, T): (B, T, V) in fp32, after the soft cap."""
        time = inputs.shape[1]
        if time > self.context:
            raise ValueError(f"{time} positions were given; this model was built for {self.context}")
        rotation = None if self.rotation is None else self.rotation[:, :time]
        x = self.embed(inputs, 0)  # (B, T, C)
        for layer in self.layers:
            x = layer(x, rotation)
        return self.score(x)

    def new_cache(self) -> Cache:
        """An empty cache for one text of up to `context` tokens."""
        return Cache(self.config, self.context, self.embedding.weight)

    def advance(self, inputs: Tensor, position: int, cache: Cache, wanted: Tensor) -> Tensor:
        """Feed tokens (T) of one text at `position`..., after those already in `cache`, and remember them there.

        Returns the logits (W, V) after the tokens at indexes `wanted` (W).
        """
        time = inputs.shape[0]
        if position + time > self.context:
            raise ValueError(f"position {position + time - 1} is past the last one, {self.context - 1}")
        rotation = None if self.rotation is None else self.rotation[:, position : position + time]
        x = self.embed(inputs[None], position)  # (1, T, C)
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            x = layer(x, rotation, (keys, values, position))
        return self.score(x[0, wanted])

    def embed(self, inputs: Tensor, position: int) -> Tensor:
        """Turn tokens (B, T) at `position`... into vectors (B, T, C)."""
        x = self.embedding(inputs)
        if self.position is not None:
            x = x + self.position.weight[position : position + inputs.shape[1]]
        return cast("Tensor", self.embedding_norm(x))

    def score(self, x: Tensor) -> Tensor:
        """Turn residual vectors (..., C) into logits (..., V) in fp32."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        logits = functional.linear(self.norm(x), weight).float()
        cap = self.config.logit_soft_cap
        return cap * torch.tanh(logits / cap) if cap else logits


def rotary_table(base: float, head_width: int, context: int) -> Tensor:
    """Cosines and sines (2, context, D / 2) of position * base^(-2i / D), computed in fp64, rounded to fp32 once."""
    wavelengths = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), wavelengths)
    return torch.stack((angles.cos(), angles.sin())).float()


def rotate(x: Tensor, rotation: Tensor | None) -> Tensor:
    """Turn pairs (i, i + D / 2) of x (B, H, T, D) by its position's angle (Su et al. 2021), as transformers do."""
    if rotation is None:
        return x
    cosine, sine = rotation[0], rotation[1]  # (T, D / 2)
    first, second = x.float().chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)
