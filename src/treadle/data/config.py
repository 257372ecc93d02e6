"""Settings of data: how documents become windows of tokens. No torch, no numpy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from treadle.base.errors import UsageError
from treadle.config.spec import Spec
from treadle.data.tokenizers.choice import AUTO, parse_choice


class DataSettings(Spec):
    """How documents become tokens, what is held out, and how long a window is."""

    sequence_length: int = Field(256, ge=2, le=1_048_576, description="length of one window, in tokens")
    held_out: float = Field(
        0.1, ge=0, le=0.9, description="share of the text that is never trained on, for evaluation; 0 = none"
    )
    tokenizer: str = Field(
        AUTO,
        description="what turns text into token ids: bytes, char, bpe:SIZE, unigram:SIZE, the path of a tokenizer.json,"
        " or auto = bytes or bpe by how much text there is at the first training",
    )
    unknown: Literal["error", "skip"] = Field(
        "error", description="characters that the vocabulary lacks: refuse the text (error) or leave them out (skip)"
    )

    replay: float = Field(
        0.0,
        ge=0,
        le=0.9,
        description="where a standing model learns what arrives: share of each batch that is older text, trained again"
        " so that less of it is forgotten",
    )

    image_size: int | None = Field(
        None,
        ge=4,
        le=512,
        description="edge of the pictures as the network sees them, in pixels; none = the larger edge of the first"
        " picture at the first training, at most 64",
    )
    clip_frames: int = Field(
        8, ge=2, le=64, description="frames of one example of video; longer clips are several examples"
    )
    image_shift: float = Field(
        0.07,
        ge=0,
        le=0.5,
        description="training pictures are shifted at random by up to this share of their edge; 0 = not shifted",
    )

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_known(cls, choice: str) -> str:
        try:
            parse_choice(choice)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return choice
