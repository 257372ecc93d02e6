from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle.models.gpt.config import GPTConfig
from treadle.native import instruction_sets
from treadle.native.binding import Kind

SUPPORTED = [one.name for one in instruction_sets.supported()]

# Each row is a family of models that people train; together they contain every option.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {"layers": 2, "width": 128, "heads": 4},
    "freest": {
        "layers": 2,
        "width": 128,
        "heads": 4,
        "norm_gain": False,
        "activation": "relu2",
        "embedding_norm": True,
        "logit_soft_cap": 15.0,
    },
    "gpt2": {
        "layers": 2,
        "width": 96,
        "heads": 6,
        "norm": "layernorm",
        "positions": "learned",
        "qk_norm": False,
        "activation": "gelu",
        "bias": True,
        "tied_embeddings": True,
    },
    "llama": {"layers": 2, "width": 128, "heads": 8, "kv_heads": 2, "qk_norm": False},
    "odd": {
        "layers": 2,
        "width": 80,
        "heads": 3,
        "kv_heads": 1,
        "head_width": 24,
        "feed_forward": 100,
        "norm": "layernorm",
        "norm_gain": False,
        "embedding_norm": True,
        "bias": True,
        "logit_soft_cap": 5.0,
    },
    "odd gained": {
        "layers": 2,
        "width": 72,
        "heads": 4,
        "kv_heads": 2,
        "head_width": 40,
        "norm": "layernorm",
        "embedding_norm": True,
        "bias": True,
        "tied_embeddings": True,
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_fp32_gradients_equal_autograds(bench, variant):
    config = GPTConfig(**VARIANTS[variant])
    batch = bench.batch(130, 3, 75)
    learner = bench.learner(config, vocabulary=130, context=80, precision="fp32")
    loss, expected = bench.reference_gradients(config, learner.weights(), batch, 130, 80)
    errors = bench.errors(learner.gradients(batch), expected)
    assert max(errors.values()) < 2e-5, errors
    tally = learner.evaluate(batch)
    assert tally.targets == batch.count
    assert tally.loss / tally.targets == pytest.approx(loss, rel=2e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_bf16_gradients_are_no_further_off_than_torchs_own_bf16(bench, variant):
    config = GPTConfig(**VARIANTS[variant])
    batch = bench.batch(200, 4, 128)
    learner = bench.learner(config, vocabulary=200, context=128, precision="bf16")
    weights = learner.weights()
    _, expected = bench.reference_gradients(config, weights, batch, 200, 128)
    _, autocast = bench.reference_gradients(config, weights, batch, 200, 128, bf16=True)
    errors = bench.errors(learner.gradients(batch), expected)
    assert max(errors.values()) <= max(bench.errors(autocast, expected).values()), errors


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    kv_heads = draw(st.integers(1, 3))
    positions = draw(st.sampled_from(["rope", "learned"]))
    head_width = draw(st.integers(2, 70))
    return {
        "layers": draw(st.integers(1, 3)),
        "width": draw(st.integers(8, 200)),
        "heads": kv_heads * draw(st.integers(1, 3)),
        "kv_heads": kv_heads,
        "head_width": head_width // 2 * 2 if positions == "rope" else head_width,
        "feed_forward": draw(st.integers(8, 300)),
        "norm": draw(st.sampled_from(["rmsnorm", "layernorm"])),
        "norm_gain": draw(st.booleans()),
        "positions": positions,
        "rope_base": draw(st.sampled_from([10_000.0, 500.0])),
        "qk_norm": draw(st.booleans()),
        "activation": draw(st.sampled_from(["swiglu", "gelu", "relu2"])),
        "bias": draw(st.booleans()),
        "tied_embeddings": draw(st.booleans()),
        "embedding_norm": draw(st.booleans()),
        "logit_soft_cap": draw(st.sampled_from([0.0, 12.0])),
    }


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(shape=shapes(), vocabulary=st.integers(2, 300), rows=st.integers(1, 6), time=st.integers(2, 100))
def test_gradients_of_any_shape(steady_bench, shape, vocabulary, rows, time):
    config = GPTConfig(**shape)
    batch = steady_bench.batch(vocabulary, rows, time)
    weights = steady_bench.weights(config, vocabulary, time + 3)
    _, expected = steady_bench.reference_gradients(config, weights, batch, vocabulary, time + 3)
    _, autocast = steady_bench.reference_gradients(config, weights, batch, vocabulary, time + 3, bf16=True)
    # A single shape of a few tokens is a matter of luck in bf16: a margin here, none for the fixed shapes above.
    lucky = max(1.5 * max(steady_bench.errors(autocast, expected).values()), 0.08)
    for precision, bound in (("fp32", 1e-4), ("bf16", lucky)):
        learner = steady_bench.learner(config, vocabulary=vocabulary, context=time + 3, precision=precision)
        errors = steady_bench.errors(learner.gradients(batch), expected)
        learner.close()
        assert max(errors.values()) <= bound, (precision, errors)


@pytest.mark.parametrize("instruction_set", SUPPORTED)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_instruction_set_computes_the_same_gradients(bench, monkeypatch, instruction_set, precision):
    config = GPTConfig(**VARIANTS["odd gained"])
    batch = bench.batch(130, 3, 75)
    best = bench.learner(config, vocabulary=130, context=80, precision=precision)
    monkeypatch.setenv(instruction_sets.VARIABLE, instruction_set)
    forced = bench.learner(config, vocabulary=130, context=80, precision=precision)
    assert forced.plan["instruction_set"] == instruction_set
    errors = bench.errors(forced.gradients(batch), best.gradients(batch))
    assert max(errors.values()) < (1e-5 if precision == "fp32" else 2e-2), errors


def test_fp32_gradients_equal_finite_differences_under_dropout(bench):
    config = GPTConfig(
        layers=2, width=32, heads=2, kv_heads=1, norm="layernorm", bias=True, dropout=0.3, logit_soft_cap=8.0
    )
    learner = bench.learner(config, vocabulary=23, context=20, precision="fp32")
    trainer, batch = learner._trainer, bench.batch(23, 3, 17)
    weights, gradients = learner.weights(), learner.gradients(batch)
    random = np.random.default_rng(5)

    def loss_at(moved: dict[str, Any]) -> float:
        learner.load_weights(moved)
        options = {"loss_scale": 1.0, "first": True, "dropout_seed": learner._dropout_seed(1)}
        return trainer.backward(batch.inputs, batch.targets, **options) / batch.count

    for name, gradient in gradients.items():
        direction = random.standard_normal(gradient.shape).astype(np.float32)
        direction /= np.linalg.norm(direction)
        length = 2e-2
        ahead = loss_at({**weights, name: weights[name] + length * direction})
        behind = loss_at({**weights, name: weights[name] - length * direction})
        slope = float((gradient * direction).sum())
        assert (ahead - behind) / (2 * length) == pytest.approx(
            slope, abs=0.02 * float(np.linalg.norm(gradient)) + 2e-5
        ), name


def test_long_contexts_and_large_vocabularies_are_cut_into_rounds(bench):
    """600 tokens are three rounds of queries; 70,000 token ids leave 32 rows of logits at once."""
    config = GPTConfig(layers=1, width=64, heads=2, kv_heads=1)
    for vocabulary, time in ((50, 600), (70_000, 90)):
        batch = bench.batch(vocabulary, 2, time)
        learner = bench.learner(config, vocabulary=vocabulary, context=time, precision="fp32")
        _, expected = bench.reference_gradients(config, learner.weights(), batch, vocabulary, time)
        errors = bench.errors(learner.gradients(batch), expected)
        assert max(errors.values()) < 2e-5, errors


def test_a_sequence_does_not_see_its_neighbours_or_its_future(bench):
    learner = bench.learner(GPTConfig(layers=2, width=64, heads=2), vocabulary=40, context=50)
    batch = bench.batch(40, 3, 41, masked=0)
    losses = [learner.evaluate(type(batch)(batch.inputs[i : i + 1], batch.targets[i : i + 1])).loss for i in range(3)]
    assert learner.evaluate(batch).loss == sum(losses)
    changed = batch.inputs.copy()
    changed[:, 30:] = (changed[:, 30:] + 1) % 40
    first = batch.targets.copy()
    first[:, 30:] = -1
    assert learner.evaluate(type(batch)(changed, first)).loss == learner.evaluate(type(batch)(batch.inputs, first)).loss


def test_masked_targets_leave_no_gradient(bench):
    learner = bench.learner(GPTConfig(layers=1, width=64, heads=2), vocabulary=40, context=16)
    batch = bench.batch(40, 2, 16, masked=0)
    targets = np.full_like(batch.targets, -1)
    learner._trainer.backward(batch.inputs, targets, loss_scale=1.0, first=True)
    assert learner._trainer.gradient_norm() == 0.0
    assert not learner._trainer.read("head.weight", Kind.GRADIENT).any()
