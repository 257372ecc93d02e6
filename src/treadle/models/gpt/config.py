"""Shape of a decoder-only transformer. No torch, no numpy: forms, flags and `config show` read it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from treadle.config.spec import Spec


class GPTConfig(Spec):
    """A decoder-only transformer. The defaults are the shape that transformers and llama.cpp run as `qwen3`."""

    name: Literal["gpt"] = "gpt"
    layers: int = Field(6, ge=1, description="number of blocks (attention, then feed-forward)")
    width: int = Field(384, ge=8, description="width of the residual stream, in channels")
    heads: int = Field(6, ge=1, description="number of query heads")
    kv_heads: int | None = Field(
        None,
        ge=1,
        description="number of key/value heads; fewer than `heads` is grouped-query attention; none = `heads`",
    )
    head_width: int | None = Field(None, ge=2, description="channels of one head; none = width / heads")
    feed_forward: int | None = Field(
        None,
        ge=8,
        description="inner width of the feed-forward; none = 4 x width, or 8/3 x width rounded up to 64 for swiglu",
    )
    attention: Literal["full", "sliding", "linear"] = Field(
        "full",
        description="what a position sees: all before it, the last `attention_window`, or a decaying sum of all",
    )
    attention_window: int | None = Field(
        None, ge=1, description="positions that one sees with attention=sliding, its own included"
    )
    norm: Literal["rmsnorm", "layernorm"] = Field("rmsnorm", description="normalisation before each sub-layer")
    norm_gain: bool = Field(default=True, description="norms have a learned gain (and a bias where `bias` is set)")
    norm_epsilon: float = Field(1e-6, gt=0, description="added to the variance")
    positions: Literal["rope", "learned"] = Field("rope", description="rotary, or a learned vector per position")
    rope_base: float = Field(10_000.0, gt=1, description="base of the rotary wavelengths")
    qk_norm: bool = Field(default=True, description="RMSNorm over each head of queries and keys, before rotation")
    activation: Literal["swiglu", "gelu", "relu2"] = Field("swiglu", description="non-linearity of the feed-forward")
    bias: bool = Field(default=False, description="linear layers and layer norms have biases")
    tied_embeddings: bool = Field(default=False, description="the output head shares the embedding's weights")
    embedding_norm: bool = Field(default=False, description="normalise the embedding before the first block")
    logit_soft_cap: float = Field(0.0, ge=0, description="cap * tanh(logits / cap); 0 = off")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of sub-layer outputs dropped before the residual sum, while training"
    )

    @model_validator(mode="after")
    def _shape_is_possible(self) -> Self:
        if self.head_width is None and self.width % self.heads:
            raise ValueError(
                f"width {self.width} is not a multiple of heads {self.heads}; set head_width or change one"
            )
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.key_value_heads}")
        if (self.attention == "sliding") != (self.attention_window is not None):
            raise ValueError("attention=sliding and attention_window belong together; set both or neither")
        if self.positions == "rope" and self.width_of_head % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.width_of_head}")
        return self

    @property
    def key_value_heads(self) -> int:
        """Number of key/value heads, after the default."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def width_of_head(self) -> int:
        """Channels of one head, after the default."""
        return self.width // self.heads if self.head_width is None else self.head_width

    @property
    def feed_forward_width(self) -> int:
        """Inner width of the feed-forward, after the default."""
        if self.feed_forward is not None:
            return self.feed_forward
        if self.activation == "swiglu":
            return (self.width * 8 // 3 + 63) // 64 * 64
        return 4 * self.width
