"""The rnn family in torch.

Symbols in shapes: B batch, T time, C width (also of each layer's memory), V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from treadle.models.rnn.config import RNNConfig

MASKED = -1
"""A target that counts for nothing; networks know no data, so a test holds this equal to `data.batch.MASKED`."""


def build(config: RNNConfig, vocabulary: int, context: int, attention: str = "plain") -> RNN:  # noqa: ARG001 - every family's signature
    """Build the module; load `initial_weights` or a checkpoint into it. There is no attention to choose."""
    return RNN(config, vocabulary, context)


class Cache:
    """What is known of one text: its tokens so far and the memory of every layer after the last of them."""

    def __init__(self) -> None:
        """Begin with no text."""
        self.tokens = torch.empty(0, dtype=torch.int64)
        self.memories: list[object] = []


class Layer(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Norm, cell, linear map; what comes out is added to the residual stream."""

    def __init__(self, config: RNNConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        kind = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.cell = kind(config.width, config.width, batch_first=True)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, memory: object | None) -> tuple[Tensor, object]:
        """Read `x` (B, T, C) on from `memory` (none = the beginning); returns the stream and the memory after it."""
        read, memory = self.cell(self.norm(x), memory)
        return x + functional.dropout(self.output(read), self.dropout, self.training), memory


class RNN(nn.Module):  # type: ignore[misc]  # torch is not followed: its Module is Any
    """Recurrent layers on a residual stream; each window of training begins with an empty memory."""

    def __init__(self, config: RNNConfig, vocabulary: int, context: int) -> None:
        super().__init__()
        self.config, self.vocabulary, self.context = config, vocabulary, context
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_epsilon)
        self.head = None if config.tied_embeddings else nn.Linear(config.width, vocabulary, bias=False)

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the loss in nats over the targets that are not `MASKED`; return it and how many those are.

        Both arguments are integers (B, T); target t is the token that should follow inputs 0..t.
        """
        loss = functional.cross_entropy(
            self.logits(inputs).view(-1, self.vocabulary),
            targets.reshape(-1).long(),
            ignore_index=MASKED,
            reduction="sum",
        )
        return loss, (targets != MASKED).sum()

    def logits(self, inputs: Tensor) -> Tensor:
        """Score the next token after each of `inputs` (B, T): (B, T, V) in fp32."""
        return self.score(self.read(inputs, [])[0])

    def read(self, inputs: Tensor, memories: list[object]) -> tuple[Tensor, list[object]]:
        """Read tokens (B, T) on from `memories` (empty = the beginning); returns (B, T, C) and the memories after."""
        x = self.embedding(inputs)
        after = []
        for index, layer in enumerate(self.layers):
            x, memory = layer(x, memories[index] if memories else None)
            after.append(memory)
        return x, after

    def new_cache(self) -> Cache:
        """An empty cache for one text."""
        return Cache()

    def advance(self, inputs: Tensor, position: int, cache: Cache, wanted: Tensor) -> Tensor:
        """Feed tokens (T) of one text at `position`..., after those already in `cache`, and remember them there.

        Returns the logits (W, V) after the tokens at indexes `wanted` (W). A memory cannot be turned back: feeding at
        an earlier position reads the tokens before it once more.
        """
        if position + inputs.shape[0] > self.context:
            raise ValueError(f"position {position + inputs.shape[0] - 1} is past the last one, {self.context - 1}")
        if position < len(cache.tokens):
            cache.tokens, cache.memories = cache.tokens[:position], []
            if position:
                cache.memories = self.read(cache.tokens[None], [])[1]
        x, cache.memories = self.read(inputs[None], cache.memories)  # (1, T, C)
        cache.tokens = torch.cat((cache.tokens, inputs))
        return self.score(x[0, wanted])

    def score(self, x: Tensor) -> Tensor:
        """Turn residual vectors (..., C) into logits (..., V) in fp32."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        return cast("Tensor", functional.linear(self.norm(x), weight).float())
