"""A draft model guesses, the model checks: texts are the same bits with any draft model and without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from treadle.base.errors import UsageError
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import EngineModel, WantedText
from treadle.generation.generate import GenerationRequest, complete
from treadle.generation.native_engine import FORMATS, NativeEngine
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes

TOKENIZER = BytesTokenizer()
CONTEXT = 24
CONFIG = GPTConfig(layers=2, width=32, heads=4, kv_heads=2)
CHANGES: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0, "repetition_penalty": 1.3, "frequency_penalty": 0.5},
    {"temperature": 1, "seed": 9},
    {"temperature": 1.2, "top_k": 40, "top_p": 0.9, "min_p": 0.05},
    {"temperature": 2, "min_p": 0.2, "presence_penalty": 1.5, "frequency_penalty": -0.7},
]


def request(prompt: str | list[int], **changes: Any) -> GenerationRequest:
    return GenerationRequest(prompt, GenerationSettings(**{"tokens": 3 * CONTEXT, "seed": 3, **changes}))


REQUESTS = [request(prompt, **change) for prompt in ("", "To be, or not to be, that", "é") for change in CHANGES]


def model(vocabulary: int = 257, context: int = CONTEXT) -> EngineModel:
    generator = np.random.default_rng(11)
    weights = {
        name: (generator.standard_normal(shape) * 0.5).astype(np.float32)
        for name, shape in weight_shapes(CONFIG, vocabulary, context).items()
    }
    weights["head.weight"][1::2] = weights["head.weight"][0:-1:2]  # pairs of tokens that are equally likely
    return EngineModel("gpt", CONFIG, weights, vocabulary, context)


def beside(of: EngineModel, noise: float) -> EngineModel:
    """A model that writes about what `of` does."""
    generator = np.random.default_rng(5)
    weights = {
        name: array + noise * generator.standard_normal(array.shape).astype(np.float32)
        for name, array in of.weights.items()
    }
    return replace(of, weights=weights)


def with_draft(of: EngineModel, precision: str, noise: float, ahead: int, slots: int = 3) -> NativeEngine:
    engine = NativeEngine(of, precision, slots, threads=2)
    engine.use_draft(NativeEngine(beside(of, noise), "int8", slots, threads=1), ahead)
    return engine


@pytest.mark.parametrize("precision", FORMATS)
def test_a_text_is_the_same_whatever_is_guessed_of_it(precision: str) -> None:
    # 72 tokens with a context of 24: windows move; texts end by length and by their boundary, amid guesses too.
    expected = complete(NativeEngine(model(), precision, 3, threads=1), TOKENIZER, REQUESTS)
    for ahead, noise in ((3, 0.0), (7, 0.05), (40, 0.02), (-1, 0.1)):
        engine = with_draft(model(), precision, noise, ahead)
        assert complete(engine, TOKENIZER, REQUESTS) == expected, (ahead, noise)
        guessed, right = engine.guesses()
        assert guessed > right > 0
        engine.close()


def test_log_probabilities_and_alternatives_are_those_of_the_model_and_not_of_its_draft() -> None:
    asked = [replace(one, log_probabilities=True, alternatives=3) for one in REQUESTS[:12]]
    expected = complete(NativeEngine(model(), "int8", 3), TOKENIZER, asked)
    assert complete(with_draft(model(), "int8", 0.05, 3), TOKENIZER, asked) == expected


def test_a_draft_that_knows_the_text_saves_steps_and_the_cache_holds_what_was_written() -> None:
    engine = with_draft(model(), "int8", 0.0, 3, slots=1)
    (done,) = complete(engine, TOKENIZER, [request("To be", temperature=0, tokens=CONTEXT - 5)])
    guessed, right = engine.guesses()
    assert right == guessed >= (CONTEXT - 5) * 0.6
    held = engine._engine.held(np.zeros(1, np.int32))
    assert held == {0: len(done.prompt_ids) + len(done.ids) - 1}
    (again,) = complete(engine, TOKENIZER, [request([*done.prompt_ids, *done.ids], temperature=1, seed=4)])
    (alone,) = complete(
        NativeEngine(model(), "int8", 1), TOKENIZER, [request([*done.prompt_ids, *done.ids], temperature=1, seed=4)]
    )
    assert again == alone


def test_a_burst_never_has_more_tokens_than_there_is_room_for() -> None:
    engine = with_draft(model(), "int8", 0.0, 7, slots=1)
    settings = GenerationSettings(tokens=600, temperature=0)
    engine.begin(0, WantedText([65], settings, 1, TOKENIZER.boundary, {TOKENIZER.boundary: -1e9}))
    sizes = [len(engine.write(60.0)[0].tokens) for _ in range(4)]
    assert sizes == [8, 256, 256, 80]  # the first step at once, for who waits


def test_a_draft_of_other_tokens_or_a_smaller_context_is_refused() -> None:
    engine = NativeEngine(model(), "int8", 2)
    others = ((200, CONTEXT, 2, "vocabulary"), (257, 8, 2, "context"), (257, CONTEXT, 1, "slots"))
    for vocabulary, context, slots, what in others:
        other = NativeEngine(model(vocabulary, context), "int8", slots)
        with pytest.raises(UsageError, match=f"the draft's {what}"):
            engine.use_draft(other)
