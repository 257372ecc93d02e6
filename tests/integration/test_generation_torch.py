"""The whole path from weights to text, with a small model whose output is far from even."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from treadle.data.tokenizers.bytes import BytesTokenizer  # noqa: E402
from treadle.generation.config import GenerationSettings  # noqa: E402
from treadle.generation.engine import EngineModel, Rows, open_engine  # noqa: E402
from treadle.generation.generate import GenerationRequest, complete, window_start  # noqa: E402
from treadle.generation.sampling import Sampler  # noqa: E402
from treadle.models.gpt.config import GPTConfig  # noqa: E402
from treadle.models.gpt.weights import weight_shapes  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER = BytesTokenizer()
CONTEXT = 24
DEFAULT = GPTConfig(layers=2, width=32, heads=4, kv_heads=2)
GPT2 = GPTConfig(
    layers=2, width=32, heads=4, positions="learned", norm="layernorm", qk_norm=False, activation="gelu", bias=True,
    tied_embeddings=True,
)  # fmt: skip
PROMPTS = ["", "ROMEO:", "a", "To be, or not to be, that is the question", "x" * CONTEXT, "é"]


def model(config: GPTConfig) -> EngineModel:
    generator = np.random.default_rng(11)
    weights = {
        name: (generator.standard_normal(shape) * 0.5).astype(np.float32)
        for name, shape in weight_shapes(config, TOKENIZER.vocabulary_size, CONTEXT).items()
    }
    return EngineModel("gpt", config, weights, TOKENIZER.vocabulary_size, CONTEXT)


def request(prompt: str, **settings: Any) -> GenerationRequest:
    return GenerationRequest(prompt, GenerationSettings(**{"tokens": 3 * CONTEXT, "seed": 3, **settings}))


@pytest.mark.parametrize("config", [DEFAULT, GPT2], ids=["default", "gpt2"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_fast_generation_equals_computing_everything_anew_for_each_token(config: GPTConfig, temperature: float) -> None:
    engine = open_engine(model(config), "torch")
    requests = [request(prompt, temperature=temperature, repetition_penalty=1.2) for prompt in PROMPTS]
    for asked, done in zip(requests, complete(engine, TOKENIZER, requests), strict=True):
        assert done.ids == slow(config, asked, list(done.prompt_ids))
        assert len(done.ids) > CONTEXT or done.reason == "boundary"


def slow(config: GPTConfig, asked: GenerationRequest, ids: list[int]) -> tuple[int, ...]:
    engine = open_engine(model(config), "torch", slots=1)
    start, settings = len(ids), asked.settings
    sampler = Sampler(settings, settings.seed or 0, TOKENIZER.vocabulary_size, TOKENIZER.boundary, list(ids), {})
    while len(ids) - start < settings.tokens:
        window = ids[window_start(len(ids), CONTEXT) :]
        rows = Rows.of((token, 0, place, place == len(window) - 1) for place, token in enumerate(window))
        token = sampler.pick(engine.step(rows)[0])
        if token == TOKENIZER.boundary:
            break
        ids.append(token)
    return tuple(ids[start:])


def test_a_batch_equals_its_singles_in_any_order_and_with_any_number_of_slots() -> None:
    requests = [request(prompt, temperature=1, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    singles = [complete(open_engine(model(DEFAULT), slots=1), TOKENIZER, [one])[0] for one in requests]
    for slots in (1, 2, 3, 8):
        done = complete(open_engine(model(DEFAULT), slots=slots), TOKENIZER, requests)
        assert [(one.ids, one.text, one.reason) for one in done] == [(one.ids, one.text, one.reason) for one in singles]
    backwards = complete(open_engine(model(DEFAULT), slots=4), TOKENIZER, requests[::-1])
    assert [one.ids for one in backwards[::-1]] == [one.ids for one in singles]


CHANGES: dict[str, Any] = {
    "tokens": 5,
    "temperature": 2.0,
    "top_k": 2,
    "top_p": 0.3,
    "min_p": 0.5,
    "repetition_penalty": 1.5,
    "frequency_penalty": 1.0,
    "presence_penalty": 1.5,
    "seed": 4,
    "stop": (" ",),
}


def test_every_setting_changes_the_text() -> None:
    engine = open_engine(model(DEFAULT))
    base = GenerationSettings(tokens=60, temperature=1.5, seed=3)
    plain = complete(engine, TOKENIZER, [GenerationRequest("To be", base)])[0].text
    stop = plain[len(plain) // 2]
    changes = {**CHANGES, "stop": (stop,)}
    for key, value in changes.items():
        changed = GenerationSettings.model_validate({**base.model_dump(), key: value})
        assert complete(engine, TOKENIZER, [GenerationRequest("To be", changed)])[0].text != plain, key
    assert set(GenerationSettings.model_fields) - set(changes) == {
        "engine",
        "precision",
        "int4_margin",
        "draft",
    }  # may refuse


WRITER = """
import json, sys
import numpy as np
import torch
torch.set_num_threads(int(sys.argv[2]))
from treadle.data.tokenizers.bytes import BytesTokenizer
from treadle.generation.config import GenerationSettings
from treadle.generation.engine import EngineModel, open_engine
from treadle.generation.generate import GenerationRequest, complete
from treadle.models.gpt.config import GPTConfig
weights = dict(np.load(sys.argv[1] + "/weights.npz"))
saved = json.load(open(sys.argv[1] + "/model.json"))
model = EngineModel("gpt", GPTConfig(**saved["config"]), weights, 257, saved["context"])
requests = [GenerationRequest(p, GenerationSettings(**s)) for p, s in saved["requests"]]
print(json.dumps([done.ids for done in complete(open_engine(model), BytesTokenizer(), requests)]))
"""


def test_a_text_longer_than_the_context_is_the_same_in_every_process(tmp_path: Path) -> None:
    requests = [request(prompt, temperature=1, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    here = complete(open_engine(model(DEFAULT)), TOKENIZER, requests)
    assert max(len(done.ids) for done in here) > 2 * CONTEXT
    np.savez(tmp_path / "weights.npz", **model(DEFAULT).weights)  # type: ignore[arg-type]
    asked = [(one.prompt, one.settings.model_dump(mode="json")) for one in requests]
    saved = {"config": DEFAULT.model_dump(), "context": CONTEXT, "requests": asked}
    (tmp_path / "model.json").write_text(json.dumps(saved))
    for threads in ("1", "2"):
        command = [sys.executable, "-c", WRITER, str(tmp_path), threads]
        there = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert [tuple(ids) for ids in there] == [done.ids for done in here]
