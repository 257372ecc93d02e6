"""The catalogue entry of this family."""

from __future__ import annotations

from treadle.models.family import Family

FAMILY = Family(
    name="gpt",
    summary="decoder-only transformer for text and other sequences of tokens",
    needs="tokens",
    config="treadle.models.gpt.config:GPTConfig",
    shapes="treadle.models.gpt.weights:weight_shapes",
    start="treadle.models.gpt.initialise:initial_weights",
    model="treadle.models.gpt.model:build",
)
