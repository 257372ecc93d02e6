"""The gpt family in torch: the reference that the native core is tested against, and the way to other hardware.

Symbols in shapes: B batch, T time (queries), S time (keys), C width, H query heads, K key/value heads, D head width,
V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from treadle.models.gpt.attention import Attention, Norm
from treadle.models.gpt.linear_attention import LinearAttention, StateCache

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
        kind = LinearAttention if config.attention == "linear" else Attention
        self.attention = kind(config, attention)
        self.feed_forward_norm = Norm(config, config.width, config.norm)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, rotation: Tensor | None, past: tuple[Tensor, Tensor, int] | None = None) -> Tensor:
        return self.add(x, self.attention(self.attention_norm(x), rotation, past))

    def read(self, x: Tensor, rotation: Tensor | None, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same for linear attention that goes on from a state; returns the state after, too."""
        attended, state = self.attention.read(self.attention_norm(x), rotation, state)
        return self.add(x, attended), state

    def add(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add to the residual stream what was attended to, and what the feed-forward makes of the sum."""
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

    def new_cache(self) -> Cache | StateCache:
        """An empty cache for one text of up to `context` tokens."""
        if self.config.attention == "linear":
            return StateCache(self.config.layers)
        return Cache(self.config, self.context, self.embedding.weight)

    def advance(self, inputs: Tensor, position: int, cache: Cache | StateCache, wanted: Tensor) -> Tensor:
        """Feed tokens (T) of one text at `position`..., after those already in `cache`, and remember them there.

        Returns the logits (W, V) after the tokens at indexes `wanted` (W). A state cannot be turned back: feeding at an
        earlier position reads the tokens before it once more.
        """
        time = inputs.shape[0]
        if position + time > self.context:
            raise ValueError(f"position {position + time - 1} is past the last one, {self.context - 1}")
        if isinstance(cache, StateCache):
            if position < len(cache.tokens):
                cache.tokens, cache.states = cache.tokens[:position], [None] * len(cache.states)
                if position:
                    cache.states = self.read(cache.tokens, 0, cache.states)[1]
            x, cache.states = self.read(inputs, position, cache.states)
            cache.tokens = torch.cat((cache.tokens, inputs))
            return self.score(x[0, wanted])
        rotation = None if self.rotation is None else self.rotation[:, position : position + time]
        x = self.embed(inputs[None], position)  # (1, T, C)
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            x = layer(x, rotation, (keys, values, position))
        return self.score(x[0, wanted])

    def read(self, inputs: Tensor, position: int, states: list[Tensor | None]) -> tuple[Tensor, list[Tensor | None]]:
        """Read tokens (T) at `position`... on from states; returns (1, T, C) and the states after."""
        rotation = None if self.rotation is None else self.rotation[:, position : position + inputs.shape[0]]
        x = self.embed(inputs[None], position)  # (1, T, C)
        after: list[Tensor | None] = []
        for layer, state in zip(self.layers, states, strict=True):
            x, new = layer.read(x, rotation, state)
            after.append(new)
        return x, after

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
