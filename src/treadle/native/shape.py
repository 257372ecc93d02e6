"""What trainer and engine must know of a model, in Python and in C."""

from __future__ import annotations

from ctypes import Structure, c_char, c_float, c_int32
from dataclasses import dataclass
from enum import IntEnum


class Norm(IntEnum):
    """Normalisation before each sub-layer."""

    RMSNORM = 0
    LAYERNORM = 1


class Positions(IntEnum):
    """How positions enter."""

    ROPE = 0
    LEARNED = 1


class Activation(IntEnum):
    """Non-linearity of the feed-forward."""

    SWIGLU = 0
    GELU = 1
    RELU2 = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a decoder-only transformer, all defaults resolved."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    context: int
    norm: Norm
    norm_gain: bool
    positions: Positions
    qk_norm: bool
    activation: Activation
    bias: bool
    tied_embeddings: bool
    embedding_norm: bool
    norm_epsilon: float
    rope_base: float
    logit_soft_cap: float
    dropout: float


class PackedShape(Structure):
    """As the C interface wants it."""

    _fields_ = [
        *((name, c_int32) for name in ("layers", "width", "heads", "kv_heads", "head_width", "feed_forward")),
        *((name, c_int32) for name in ("vocabulary", "context", "norm", "norm_gain", "positions", "qk_norm")),
        *((name, c_int32) for name in ("activation", "bias", "tied_embeddings", "embedding_norm")),
        *((name, c_float) for name in ("norm_epsilon", "rope_base", "logit_soft_cap", "dropout")),
    ]


class PackedParameter(Structure):
    """One weight, as the C interface tells it."""

    _fields_ = [("rows", c_int32), ("columns", c_int32), ("name", c_char * 120)]

    def described(self) -> tuple[str, tuple[int, ...]]:
        """Its name, and its shape as the rooms above know it."""
        return self.name.decode(), (self.rows, self.columns) if self.columns else (self.rows,)


def pack_shape(shape: Shape) -> PackedShape:
    """The shape for the C interface."""
    return PackedShape(**{name: getattr(shape, name) for name in Shape.__dataclass_fields__})
