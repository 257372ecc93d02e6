"""The native engine against the torch one over whole texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import EngineModel, open_engine
from treadle.generation.generate import GenerationRequest, complete
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes

TOKENIZER = BytesTokenizer()
MILLION = GPTConfig(layers=4, width=128, heads=4)
GPT2 = GPTConfig(
    layers=4, width=128, heads=4, positions="learned", norm="layernorm", qk_norm=False, activation="gelu", bias=True,
    tied_embeddings=True,
)  # fmt: skip
PROMPTS = ["", "ROMEO:", "To be, or not to be, that is the question", "x" * 100]


def model(config: GPTConfig, context: int = 96) -> EngineModel:
    generator = np.random.default_rng(11)
    weights = {
        name: (generator.standard_normal(shape) * 0.15).astype(np.float32)
        for name, shape in weight_shapes(config, TOKENIZER.vocabulary_size, context).items()
    }
    return EngineModel("gpt", config, weights, TOKENIZER.vocabulary_size, context)


def texts(config: GPTConfig, engine: str, **settings: Any) -> list[tuple[int, ...]]:
    requests = [GenerationRequest(prompt, GenerationSettings(**settings)) for prompt in PROMPTS]
    opened = open_engine(model(config), engine, "fp32", slots=3)
    done = complete(opened, TOKENIZER, requests)
    opened.close()
    return [one.ids for one in done]


@pytest.mark.parametrize("config", [MILLION, GPT2], ids=["default", "gpt2"])
def test_greedy_tokens_are_those_of_torch_beyond_the_context(config: GPTConfig) -> None:
    assert texts(config, "native", temperature=0, tokens=150) == texts(config, "torch", temperature=0, tokens=150)


def test_drawn_tokens_are_those_of_torch() -> None:
    settings = {"temperature": 1.0, "top_k": 40, "top_p": 0.95, "repetition_penalty": 1.1, "seed": 5, "tokens": 64}
    assert texts(MILLION, "native", **settings) == texts(MILLION, "torch", **settings)
