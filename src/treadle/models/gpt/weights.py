"""Names and shapes of a gpt model's weights: the one list that torch, the native core and checkpoints share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.models.gpt.config import GPTConfig


def weight_shapes(config: GPTConfig, vocabulary: int, context: int) -> dict[str, tuple[int, ...]]:
    """Map each weight's name to its shape; a linear layer is (out, in), as in torch.

    `vocabulary` is the number of token ids, `context` the number of positions (it sizes learned positions only).
    """
    return dict(_weights(config, vocabulary, context))


def parameter_count(config: GPTConfig, vocabulary: int, context: int) -> int:
    """Number of trained values."""
    return sum(math.prod(shape) for shape in weight_shapes(config, vocabulary, context).values())


def _weights(config: GPTConfig, vocabulary: int, context: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = config.width
    queries = config.heads * config.width_of_head
    keys = config.key_value_heads * config.width_of_head
    yield "embedding.weight", (vocabulary, width)
    if config.positions == "learned":
        yield "position.weight", (context, width)
    if config.embedding_norm:
        yield from _norm(config, "embedding_norm", width)
    for layer in range(config.layers):
        block = f"layers.{layer}"
        yield from _norm(config, f"{block}.attention_norm", width)
        yield from _linear(config, f"{block}.attention.query", queries, width)
        yield from _linear(config, f"{block}.attention.key", keys, width)
        yield from _linear(config, f"{block}.attention.value", keys, width)
        if config.qk_norm and config.norm_gain:
            yield f"{block}.attention.query_norm.weight", (config.width_of_head,)
            yield f"{block}.attention.key_norm.weight", (config.width_of_head,)
        yield from _linear(config, f"{block}.attention.output", width, queries)
        yield from _norm(config, f"{block}.feed_forward_norm", width)
        if config.activation == "swiglu":
            yield from _linear(config, f"{block}.feed_forward.gate", config.feed_forward_width, width)
        yield from _linear(config, f"{block}.feed_forward.up", config.feed_forward_width, width)
        yield from _linear(config, f"{block}.feed_forward.down", width, config.feed_forward_width)
    yield from _norm(config, "norm", width)
    if not config.tied_embeddings:
        yield "head.weight", (vocabulary, width)


def _norm(config: GPTConfig, name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    if config.norm_gain:
        yield f"{name}.weight", (width,)
        if config.norm == "layernorm" and config.bias:
            yield f"{name}.bias", (width,)


def _linear(config: GPTConfig, name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    if config.bias:
        yield f"{name}.bias", (outputs,)
