"""Names and shapes of an image classifier's weights: the one list that torch and checkpoints share.

A convolution's weight is a matrix (out, in x height x width), so that optimizers which treat matrices treat it as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.models.image_classifier.config import ImageClassifierConfig

KERNEL = 3
"""Edge of every convolution, in pixels."""


def weight_shapes(config: ImageClassifierConfig, vocabulary: int, context: int) -> dict[str, tuple[int, ...]]:
    """Map each weight's name to its shape; `vocabulary` is the number of classes, `context` the edge in pixels."""
    parts = _cnn(config) if config.network == "cnn" else _vit(config, context)
    width = config.width
    return {**dict(parts), "norm.weight": (width,), "head.weight": (vocabulary, width), "head.bias": (vocabulary,)}


def _cnn(config: ImageClassifierConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, area = config.width, KERNEL**2
    yield "stem.first.weight", (width // 2, config.channels * area)
    yield "stem.first.bias", (width // 2,)
    yield "stem.second.weight", (width, width // 2 * area)
    yield "stem.second.bias", (width,)
    for layer in range(config.layers):
        block = f"layers.{layer}"
        yield f"{block}.norm.weight", (width,)
        yield f"{block}.convolution.weight", (width, width * area)
        yield f"{block}.convolution.bias", (width,)
        yield f"{block}.output.weight", (width, width)


def _vit(config: ImageClassifierConfig, context: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = config.width
    yield "stem.weight", (width, config.channels * config.patch**2)
    yield "stem.bias", (width,)
    yield "position.weight", (config.patches(context), width)
    for layer in range(config.layers):
        block = f"layers.{layer}"
        yield f"{block}.attention_norm.weight", (width,)
        for part in ("query", "key", "value", "output"):
            yield f"{block}.attention.{part}.weight", (width, width)
        yield f"{block}.feed_forward_norm.weight", (width,)
        yield f"{block}.feed_forward.up.weight", (4 * width, width)
        yield f"{block}.feed_forward.down.weight", (width, 4 * width)
