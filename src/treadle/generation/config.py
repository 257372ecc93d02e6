"""Settings of generation. No torch, no numpy: forms, flags and `config show` read them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from treadle.config.spec import Spec

GREATEST_SEED = 2**63 - 1


class GenerationSettings(Spec):
    """How text is drawn from a model. `sampling.py` says exactly what each number does."""

    tokens: int = Field(200, ge=1, description="most tokens to write")
    temperature: float = Field(
        0.8,
        ge=0,
        le=100,
        description="divides the logits: below 1 likelier words, above 1 rarer; 0 = always the likeliest",
    )
    top_k: int = Field(0, ge=0, description="keep only this many likeliest tokens; 0 = all")
    top_p: float = Field(
        1.0, gt=0, le=1, description="keep the fewest likeliest tokens that have this probability together"
    )
    min_p: float = Field(
        0.0, ge=0, le=1, description="keep tokens with at least this share of the likeliest one's probability"
    )
    repetition_penalty: float = Field(
        1.0, ge=0.1, le=10, description="weakens tokens that stand in the prompt or the text so far; 1 = off"
    )
    frequency_penalty: float = Field(
        0.0, ge=-2, le=2, description="taken from a token's logit for each time it was written; 0 = off"
    )
    presence_penalty: float = Field(
        0.0, ge=-2, le=2, description="taken from a token's logit once it was written at all; 0 = off"
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=GREATEST_SEED,
        description="makes the text repeatable; none = a fresh one, which the answer states",
    )
    stop: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        (), description="end before the first of these texts"
    )
    engine: str = Field("auto", description="what computes the tokens; auto = the fastest that runs here")
    precision: str = Field("auto", description="arithmetic of the engine, such as fp32; auto = the engine's default")
    draft: Literal["auto", "off"] = Field(
        "auto",
        description="let the model's draft model, if it has one, guess ahead: auto = where that is measured to be "
        "faster; the texts are the same",
    )
    int4_margin: float = Field(
        0.02,
        ge=0,
        le=100,
        description="nats per token that precision int4 may lose against int8 on held-out text; 100 = force it",
    )
