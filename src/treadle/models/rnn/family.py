"""The catalogue entry of this family."""

from __future__ import annotations

from treadle.models.family import Family

FAMILY = Family(
    name="rnn",
    summary="LSTM or GRU for text and other sequences of tokens",
    needs="tokens",
    config="treadle.models.rnn.config:RNNConfig",
    shapes="treadle.models.rnn.weights:weight_shapes",
    start="treadle.models.rnn.initialise:initial_weights",
    model="treadle.models.rnn.model:build",
)
