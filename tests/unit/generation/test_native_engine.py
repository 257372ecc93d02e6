from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from treadle.base.errors import ResourceError, UsageError, WeightsError
from treadle.generation.engine import EngineModel, Rows
from treadle.generation.native_engine import FORMATS, NativeEngine, open_native
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes
from treadle.native import instruction_sets
from treadle.native.library import NativeError

VOCABULARY, CONTEXT = 70, 40

SHAPES = {
    "qwen3": GPTConfig(layers=2, width=24, heads=4, kv_heads=2),
    "llama": GPTConfig(layers=2, width=96, heads=3, qk_norm=False, norm_epsilon=1e-5),
    "gpt2": GPTConfig(
        layers=2, width=32, heads=4, positions="learned", norm="layernorm", qk_norm=False, activation="gelu",
        bias=True, tied_embeddings=True,
    ),
    "bare": GPTConfig(
        layers=2, width=64, heads=6, kv_heads=3, head_width=10, activation="relu2", embedding_norm=True,
        logit_soft_cap=5.0, norm_gain=False,
    ),
    "odd": GPTConfig(
        layers=2, width=200, heads=9, kv_heads=3, head_width=36, bias=True, norm="layernorm", feed_forward=100
    ),
    "wide heads": GPTConfig(layers=2, width=128, heads=2, head_width=160, qk_norm=False),
    "narrow heads": GPTConfig(layers=1, width=128, heads=5, head_width=6),
    "smallest": GPTConfig(layers=1, width=8, heads=1),
    "odd head": GPTConfig(
        layers=1, width=40, heads=1, head_width=7, positions="learned", embedding_norm=True, norm="layernorm", bias=True
    ),
}  # fmt: skip


def model_of(config: GPTConfig, scale: float = 0.3) -> EngineModel:
    generator = np.random.default_rng(3)
    weights = {
        name: (generator.standard_normal(shape) * scale).astype(np.float32)
        for name, shape in weight_shapes(config, VOCABULARY, CONTEXT).items()
    }
    return EngineModel("gpt", config, weights, VOCABULARY, CONTEXT)


def whole(tokens: list[int], slot: int = 0, position: int = 0) -> list[tuple[int, int, int, bool]]:
    return [(token, slot, position + place, True) for place, token in enumerate(tokens)]


TEXT: list[int] = np.random.default_rng(1).integers(0, VOCABULARY, CONTEXT).tolist()


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES.keys())
def test_logits_of_every_shape_are_those_of_torch(config: GPTConfig) -> None:
    pytest.importorskip("torch")
    from treadle.generation.torch_engine import TorchEngine

    expected = TorchEngine(model_of(config), 1).step(Rows.of(whole(TEXT)))
    spread = float(expected.std())
    found = NativeEngine(model_of(config), "fp32", 1).step(Rows.of(whole(TEXT)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * spread)
    for precision, tolerance in (("bf16", 0.1), ("int8", 0.3), ("int4", 1.5)):
        found = NativeEngine(model_of(config), precision, 1).step(Rows.of(whole(TEXT)))
        assert float(np.abs(found - expected).max()) < tolerance * spread, precision


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("config", [SHAPES["qwen3"], SHAPES["odd"], SHAPES["gpt2"]], ids=["qwen3", "odd", "gpt2"])
def test_neighbours_chunks_slots_and_threads_change_no_bit(config: GPTConfig, precision: str) -> None:
    at_once = NativeEngine(model_of(config), precision, 1, threads=1).step(Rows.of(whole(TEXT)))
    for threads, sizes in ((1, (1,)), (2, (7, 1, 3)), (3, (2, 5, 11))):
        engine, parts, place, others = NativeEngine(model_of(config), precision, 3, threads), [], 0, 0
        for size in itertools.cycle(sizes):
            part = TEXT[place : place + size]
            if not part:
                break
            neighbours = whole(TEXT[others : others + 2], 0, others)
            others += 2
            parts.append(engine.step(Rows.of([*neighbours, *whole(part, 2, place)]))[len(neighbours) :])
            place += size
        np.testing.assert_array_equal(np.concatenate(parts), at_once)


def test_more_rows_than_one_pass_takes_are_the_same_rows() -> None:
    many = [row for slot in range(5) for row in whole(TEXT, slot)]
    engine = NativeEngine(model_of(SHAPES["qwen3"]), "fp32", 5)
    found = engine.step(Rows.of(many)).reshape(5, CONTEXT, VOCABULARY)
    for slot in range(5):
        np.testing.assert_array_equal(found[slot], found[0])
    only_last = [(token, 0, place, place == CONTEXT - 1) for place, token in enumerate(TEXT)]
    np.testing.assert_array_equal(engine.step(Rows.of(only_last))[0], found[0, -1])


def test_rows_without_a_wish_are_answered_with_nothing() -> None:
    engine = NativeEngine(model_of(SHAPES["qwen3"]), "fp32", 1)
    assert engine.step(Rows.of([(1, 0, 0, False)])).shape == (0, VOCABULARY)
    assert engine.step(Rows.of([])).shape == (0, VOCABULARY)


@pytest.mark.parametrize("precision", FORMATS)
def test_going_back_forgets_and_a_used_slot_leaves_no_trace(precision: str) -> None:
    engine, fresh = (NativeEngine(model_of(SHAPES["qwen3"]), precision, 1) for _ in range(2))
    engine.step(Rows.of(whole(TEXT)))
    engine.step(Rows.of(whole([1, 2, 3, 4])))
    fresh.step(Rows.of(whole([1, 2])))
    np.testing.assert_array_equal(*(one.step(Rows.of(whole([7], 0, 2))) for one in (engine, fresh)))
    engine.step(Rows.of(whole([5])))
    with pytest.raises(ValueError, match="after only 1 tokens"):
        engine.step(Rows.of(whole([5], 0, 2)))


def test_rows_of_a_slot_that_do_not_follow_each_other_are_refused() -> None:
    engine = NativeEngine(model_of(SHAPES["qwen3"]), "fp32", 1)
    engine.step(Rows.of(whole([1, 2, 3])))
    with pytest.raises(UsageError, match="consecutive positions"):
        engine.step(Rows.of([(1, 0, 2, True), (1, 0, 1, True)]))


@pytest.mark.parametrize("precision", FORMATS)
def test_weights_that_are_no_numbers_show_in_the_logits(precision: str) -> None:
    model = model_of(SHAPES["qwen3"])
    weights = {name: weight.copy() for name, weight in model.weights.items()}
    weights["layers.0.feed_forward.up.weight"][3, 5] = np.nan
    broken = EngineModel("gpt", model.config, weights, VOCABULARY, CONTEXT)
    assert np.isnan(NativeEngine(broken, precision, 1).step(Rows.of(whole([1])))).all()


@pytest.mark.parametrize("precision", FORMATS)
def test_huge_and_tiny_values_stay_numbers(precision: str) -> None:
    for scale in (1e-20, 1e5):
        model = model_of(SHAPES["llama"], scale)
        assert np.isfinite(NativeEngine(model, precision, 1).step(Rows.of(whole(TEXT[:20])))).all()


def test_later_changes_of_the_given_arrays_do_not_reach_the_engine() -> None:
    model = model_of(SHAPES["qwen3"])
    engine = NativeEngine(model, "fp32", 1)
    before = engine.step(Rows.of(whole([1])))
    for weight in model.weights.values():
        weight[:] = 0
    np.testing.assert_array_equal(engine.step(Rows.of(whole([1]))), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("norm.weight"), "missing: norm.weight"),
        (lambda weights: weights.update(more=np.zeros(1, np.float32)), "unused: more"),
        (lambda weights: weights.update({"norm.weight": np.zeros(3, np.float32)}), "norm.weight is .3. instead"),
    ],
)
def test_loading_is_strict(change: Any, message: str) -> None:
    model = model_of(SHAPES["qwen3"])
    change(model.weights)
    with pytest.raises(WeightsError, match=message):
        open_native(model, "fp32", 1)


def test_unknown_precisions_and_families_are_refused() -> None:
    model = model_of(SHAPES["qwen3"])
    with pytest.raises(UsageError, match="fp32, bf16, int8, int4, not in fp64"):
        open_native(model, "fp64", 1)
    other = EngineModel("rnn", object(), model.weights, VOCABULARY, CONTEXT)  # type: ignore[arg-type]
    with pytest.raises(ResourceError, match="runs the family gpt, not rnn"):
        open_native(other, "auto", 1)


def test_a_closed_engine_refuses() -> None:
    engine = NativeEngine(model_of(SHAPES["qwen3"]), "fp32", 1)
    engine.close()
    engine.close()
    with pytest.raises(NativeError, match="closed"):
        engine.step(Rows.of(whole([1])))


def test_more_texts_than_fit_into_memory_are_refused_beforehand() -> None:
    with pytest.raises(ResourceError, match="hold fewer texts at a time"):
        NativeEngine(model_of(GPTConfig(layers=99, width=64, heads=8)), "fp32", 65536)


OTHER = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_native_engine import NativeEngine, Rows, SHAPES, TEXT, model_of, whole
logits = [NativeEngine(model_of(SHAPES[name]), sys.argv[2], 1).step(Rows.of(whole(TEXT))) for name in ("bare", "gpt2")]
np.save(sys.argv[3], np.stack(logits))
"""


@pytest.mark.parametrize("precision", FORMATS)
def test_instruction_sets_agree_in_whole_numbers_to_the_bit(precision: str, tmp_path: Any) -> None:
    found = []
    for instruction_set in instruction_sets.supported():
        target = tmp_path / f"{instruction_set.name}.npy"
        command = [sys.executable, "-c", OTHER, os.path.dirname(__file__), precision, str(target)]  # noqa: PTH120
        subprocess.run(command, check=True, env={**os.environ, instruction_sets.VARIABLE: instruction_set.name})
        found.append(np.load(target))
    for other in found[1:]:
        if precision in {"int8", "int4"}:
            np.testing.assert_array_equal(other, found[0])
        np.testing.assert_allclose(other, found[0], rtol=0, atol=1e-4 if precision == "fp32" else 0.1)
