"""Shape of a recurrent network. No torch, no numpy: forms, flags and `config show` read it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from treadle.config.spec import Spec


class RNNConfig(Spec):
    """Layers with a memory of fixed size, for text and other sequences of tokens."""

    name: Literal["rnn"] = "rnn"
    cell: Literal["lstm", "gru"] = Field("lstm", description="kind of memory: LSTM, or the smaller GRU")
    layers: int = Field(2, ge=1, description="number of recurrent layers")
    width: int = Field(256, ge=8, description="width of the residual stream and of each layer's memory, in channels")
    norm_epsilon: float = Field(1e-6, gt=0, description="added to the mean square in each norm")
    tied_embeddings: bool = Field(default=False, description="the output head shares the embedding's weights")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of layer outputs dropped before the residual sum, while training"
    )

    @property
    def gates(self) -> int:
        """Blocks of `width` rows in a cell's matrices."""
        return 4 if self.cell == "lstm" else 3
