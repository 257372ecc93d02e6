"""Names and shapes of a recurrent model's weights: the one list that torch and checkpoints share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.models.rnn.config import RNNConfig


def weight_shapes(config: RNNConfig, vocabulary: int, context: int) -> dict[str, tuple[int, ...]]:  # noqa: ARG001 - every family's signature
    """Map each weight's name to its shape; the number of positions sizes nothing here."""
    return dict(_weights(config, vocabulary))


def _weights(config: RNNConfig, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, rows = config.width, config.gates * config.width
    yield "embedding.weight", (vocabulary, width)
    for layer in range(config.layers):
        block = f"layers.{layer}"
        yield f"{block}.norm.weight", (width,)
        yield f"{block}.cell.weight_ih_l0", (rows, width)
        yield f"{block}.cell.weight_hh_l0", (rows, width)
        yield f"{block}.cell.bias_ih_l0", (rows,)
        yield f"{block}.cell.bias_hh_l0", (rows,)
        yield f"{block}.output.weight", (width, width)
    yield "norm.weight", (width,)
    if not config.tied_embeddings:
        yield "head.weight", (vocabulary, width)
