"""Settings of data: how documents become windows of tokens. No torch, no numpy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from treadle.base.names import did_you_mean
from treadle.config.spec import Spec
from treadle.data.tokenizers.catalog import TOKENIZERS


class DataSettings(Spec):
    """How documents become tokens, what is held out, and how long a window is."""

    sequence_length: int = Field(256, ge=2, le=1_048_576, description="length of one window, in tokens")
    held_out: float = Field(
        0.1, ge=0, le=0.9, description="share of the text that is never trained on, for evaluation; 0 = none"
    )
    tokenizer: str = Field("bytes", description="what turns text into token ids: bytes or char")
    unknown: Literal["error", "skip"] = Field(
        "error", description="characters that the vocabulary lacks: refuse the text (error) or leave them out (skip)"
    )

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_known(cls, name: str) -> str:
        if name not in TOKENIZERS:
            known = ", ".join(TOKENIZERS.names())
            raise ValueError(f"unknown tokenizer `{name}`.{did_you_mean(name, TOKENIZERS.names())} Known: {known}")
        return name
