"""Long contexts and large vocabularies: right against torch, really trained, in memory that was computed before."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from treadle.data.batch import Batch
from treadle.models.gpt.config import GPTConfig
from treadle.training.learner import Update
from treadle.training.native_learner import NativePlan, required_memory

if TYPE_CHECKING:
    from conftest import Workbench

LONG, WORDS = 4096, 50_000
NARROW = GPTConfig(layers=2, width=64, heads=2)
THREE_PASSES = NativePlan(threads=2, gradient_shards=2, pass_tokens=512, precision="bf16")

TRAINED_ALONE = """
import json, resource, sys
import numpy as np
from treadle.data.batch import Batch
from treadle.models.gpt.config import GPTConfig
from treadle.training.learner import Update
from treadle.training.native_learner import NativeLearner, NativePlan
from treadle.training.optimizers.config import MuonConfig

vocabulary, context, rows, accumulation, steps = map(int, sys.argv[1:])
random = np.random.default_rng(1)
config = GPTConfig(layers=2, width=64, heads=2)
tokens = random.integers(0, vocabulary, (rows * accumulation, context + 1), dtype=np.int32)
batches = [Batch(part[:, :-1].copy(), part[:, 1:].copy()) for part in np.split(tokens, accumulation)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
plan = NativePlan(threads=2, gradient_shards=2, pass_tokens=512, precision="bf16")
learner = NativeLearner(config, MuonConfig(), vocabulary=vocabulary, context=context, plan=plan)
from treadle.models.gpt.initialise import initial_weights
learner.load_weights(initial_weights(config, vocabulary, context, 1))
losses = [learner.step(batches, Update(step + 1, 1.0, 1.0)).loss for step in range(steps)]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"losses": losses, "taken": (after - before) * 1024}))
"""


def trained_alone(vocabulary: int, context: int, rows: int, accumulation: int, steps: int) -> tuple[list[float], int]:
    """Train in a process of its own; the losses, and by how many bytes its memory grew at most."""
    numbers = map(str, (vocabulary, context, rows, accumulation, steps))
    done = subprocess.run([sys.executable, "-c", TRAINED_ALONE, *numbers], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    return told["losses"], told["taken"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_over_four_thousand_tokens_are_those_of_torch(bench: Workbench, precision: str) -> None:
    config = GPTConfig(layers=1, width=64, heads=2, kv_heads=1)
    learner = bench.learner(config, vocabulary=32, context=LONG, precision=precision, threads=2, gradient_shards=2)
    batch = bench.batch(32, 1, LONG)
    weights = bench.weights(config, 32, LONG)
    _, expected = bench.reference_gradients(config, weights, batch, 32, LONG)
    worst = max(bench.errors(learner.gradients(batch), expected).values())
    if precision == "fp32":
        assert worst < 1e-4
        return
    _, rounded = bench.reference_gradients(config, weights, batch, 32, LONG, bf16=True)
    assert worst <= max(bench.errors(rounded, expected).values())


def test_memory_grows_with_the_context_and_not_with_its_square() -> None:
    short, long = (required_memory(NARROW, 256, context, THREE_PASSES).arena for context in (LONG // 4, LONG))
    assert long < 4 * short
    scores_of_one_head = LONG * LONG * 4
    assert long < 2 * scores_of_one_head
    in_fp32 = required_memory(NARROW, 256, LONG, replace(THREE_PASSES, precision="fp32")).arena
    assert in_fp32 < 2.5 * scores_of_one_head


def test_four_thousand_tokens_are_trained_in_the_memory_that_was_computed() -> None:
    losses, taken = trained_alone(256, LONG, rows=2, accumulation=1, steps=4)
    assert losses[0] == pytest.approx(np.log(256), abs=1e-3)
    assert losses[-1] < losses[0] - 0.1
    assert taken < required_memory(NARROW, 256, LONG, THREE_PASSES).arena + 30e6


def test_a_large_vocabulary_is_trained_without_holding_all_logits() -> None:
    rows, accumulation, context = 8, 2, 256
    logits_of_a_step = rows * accumulation * context * WORDS * 4
    needed = required_memory(NARROW, WORDS, context, THREE_PASSES)
    weights = 2 * WORDS * 64 * 4
    assert needed.arena < 8 * weights + 120e6 < logits_of_a_step / 2
    losses, taken = trained_alone(WORDS, context, rows, accumulation, steps=2)
    assert losses[1] < losses[0] == pytest.approx(np.log(WORDS), abs=1e-3)
    assert taken < needed.arena + 60e6


def test_gradients_over_a_large_vocabulary_are_those_of_torch(bench: Workbench) -> None:
    config = GPTConfig(layers=1, width=64, heads=2)
    batch = bench.batch(WORDS, 4, 64)  # More rows than logits are held for at once.
    learner = bench.learner(config, vocabulary=WORDS, context=64, precision="fp32", threads=2, gradient_shards=2)
    _, expected = bench.reference_gradients(config, bench.weights(config, WORDS, 64), batch, WORDS, 64)
    assert max(bench.errors(learner.gradients(batch), expected).values()) < 1e-4


def test_accumulated_batches_take_the_memory_and_the_step_of_one(bench: Workbench) -> None:
    batch = bench.batch(WORDS, 4, 32)
    halves = [Batch(batch.inputs[rows], batch.targets[rows]) for rows in (slice(0, 2), slice(2, 4))]
    stepped = []
    for micro_batches in ([batch], halves):
        learner = bench.learner(
            NARROW, vocabulary=WORDS, context=32, precision="fp32", threads=2, gradient_shards=2, pass_tokens=64
        )
        learner.step(micro_batches, Update(1, 1.0, 1.0))
        stepped.append(learner.weights()["head.weight"])
    np.testing.assert_allclose(stepped[0], stepped[1], rtol=0, atol=2e-4)
