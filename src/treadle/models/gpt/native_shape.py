"""A gpt model as the native core describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.native.shape import Activation, Norm, Positions, Shape

if TYPE_CHECKING:
    from treadle.models.gpt.config import GPTConfig


def native_refusal(config: GPTConfig) -> str | None:
    """Why the native core cannot compute this network; None when it can."""
    if config.attention == "full":
        return None
    return f"the native core knows full attention only, not family.attention={config.attention}."


def native_shape(config: GPTConfig, vocabulary: int, context: int) -> Shape:
    """Resolve all defaults of `config`, which must not be one of those that `native_refusal` names."""
    return Shape(
        layers=config.layers,
        width=config.width,
        heads=config.heads,
        kv_heads=config.key_value_heads,
        head_width=config.width_of_head,
        feed_forward=config.feed_forward_width,
        vocabulary=vocabulary,
        context=context,
        norm=Norm[config.norm.upper()],
        norm_gain=config.norm_gain,
        positions=Positions[config.positions.upper()],
        qk_norm=config.qk_norm,
        activation=Activation[config.activation.upper()],
        bias=config.bias,
        tied_embeddings=config.tied_embeddings,
        embedding_norm=config.embedding_norm,
        norm_epsilon=config.norm_epsilon,
        rope_base=config.rope_base,
        logit_soft_cap=config.logit_soft_cap,
        dropout=config.dropout,
    )
