"""The native engine against the torch one over whole texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from treadle.data.batch import Batch
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import EngineModel, Rows, open_engine
from treadle.generation.generate import GenerationRequest, complete
from treadle.generation.native_engine import DEFAULT_PRECISION, NativeEngine
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights
from treadle.models.gpt.weights import weight_shapes
from treadle.training.learner import Update
from treadle.training.native_learner import NativeLearner
from treadle.training.optimizers.config import AdamWConfig

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


def trained(width: int = 64) -> tuple[EngineModel, Any]:
    """A model that has learned something of a real text, and the part of the text that it has not seen."""
    config = GPTConfig(layers=2, width=width, heads=2)
    text = (Path(__file__).parents[1] / "data" / "mindpaint-latin1.txt").read_bytes()
    tokens = np.frombuffer(text, np.uint8).astype(np.int32)
    learner = NativeLearner(config, AdamWConfig(learning_rate=3e-3), vocabulary=257, context=64)
    learner.load_weights(initial_weights(config, 257, 64, 1))
    generator = np.random.default_rng(1)
    for step in range(1, 151):
        starts = generator.integers(0, tokens.size * 8 // 10 - 65, 16)
        windows = np.stack([tokens[start : start + 65] for start in starts])
        learner.step([Batch(windows[:, :-1].copy(), windows[:, 1:].copy())], Update(step, 1.0, 1.0))
    model = EngineModel("gpt", config, learner.weights(), 257, 64)
    learner.close()
    held_out = tokens[tokens.size * 8 // 10 :]
    return model, held_out[: held_out.size // 64 * 64].reshape(-1, 64)[:24]  # (N, T)


def log_shares(model: EngineModel, precision: str, windows: Any) -> Any:
    engine = NativeEngine(model, precision, 1)
    rows = np.arange(64, dtype=np.int32)
    logits = np.stack([engine.step(Rows(window, np.zeros_like(rows), rows, rows)) for window in windows])
    logits = logits.astype(np.float64) - logits.max(-1, keepdims=True)  # (N, T, V)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_the_default_precision_is_no_worse_on_text_that_was_not_learned() -> None:
    """The gate that a format must pass to be the default."""
    model, windows = trained()
    reference = log_shares(model, "fp32", windows)

    def loss(shares: Any) -> float:
        return -float(np.take_along_axis(shares[:, :-1], windows[:, 1:, None], -1).mean())

    assert loss(reference) < 3.0  # it has learned: an even guess is 5.5
    for precision, most in (("bf16", 1e-4), (DEFAULT_PRECISION, 2e-4)):
        found = log_shares(model, precision, windows)
        divergence = float((np.exp(reference) * (reference - found)).sum(-1).mean())
        assert 0 < divergence < most, precision
        assert loss(found) == pytest.approx(loss(reference), abs=3e-3), precision
