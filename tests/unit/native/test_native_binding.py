from __future__ import annotations

import numpy as np
import pytest

from treadle.base.errors import ResourceError, UsageError
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.native_shape import native_shape
from treadle.native import binding, build, instruction_sets
from treadle.native.binding import Algorithm, Kind, Rule, Trainer, UpdateSettings
from treadle.native.library import Library, NativeError
from treadle.training.native_learner import NativePlan, resolve_plan

CONFIG = GPTConfig(layers=1, width=64, heads=2)
SETTINGS = UpdateSettings(1, 1.0, 0.9, 0.95, 1e-8, 0.9)


@pytest.fixture
def trainer():
    made = Trainer(native_shape(CONFIG, 30, 16), resolve_plan(CONFIG, 30, 16, NativePlan(threads=1)))
    yield made
    made.close()


def tokens(*shape: int, value: int = 0) -> np.ndarray:
    return np.full(shape, value, dtype=np.int32)


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (tokens(2, 17), tokens(2, 17), "time is 17; possible are 1 to 16"),
        (tokens(2, 8, value=30), tokens(2, 8), "an input token is 30; possible are 0 to 29"),
        (tokens(2, 8, value=-1), tokens(2, 8), "an input token is -1"),
        (tokens(2, 8), tokens(2, 8, value=-2), "a target is -2"),
        (tokens(2, 8), tokens(2, 7), "one shape"),
        (tokens(0, 8), tokens(0, 8), "one shape"),
        (tokens(8), tokens(8), "one shape"),
        (tokens(2, 8).astype(np.int64), tokens(2, 8), "int32"),
    ],
)
def test_batches_that_would_read_out_of_bounds_are_refused(trainer, inputs, targets, words):
    for call in (
        lambda: trainer.evaluate(inputs, targets),
        lambda: trainer.backward(inputs, targets, loss_scale=1.0, first=True),
    ):
        with pytest.raises(UsageError, match=words):
            call()


def test_strided_views_are_read_right(trainer):
    ids = np.arange(64, dtype=np.int32).reshape(4, 16) % 30
    assert trainer.evaluate(ids[::2, 1::2], ids[::2, ::2]) == trainer.evaluate(
        ids[::2, 1::2].copy(), ids[::2, ::2].copy()
    )


def test_arrays_of_the_wrong_size_are_refused(trainer):
    with pytest.raises(UsageError, match=r"head\.weight has shape \(30, 64\), not \(30, 63\)"):
        trainer.write("head.weight", np.zeros((30, 63), np.float32))
    short = np.zeros(7, np.float32)
    with pytest.raises(UsageError, match="has 1920 values, not 7"):
        trainer.library.call("trainer_read", trainer._handle, 0, Kind.WEIGHT, short.ctypes.data, short.size)
    with pytest.raises(UsageError, match="parameter index is 99"):
        trainer.library.call("trainer_read", trainer._handle, 99, Kind.WEIGHT, short.ctypes.data, short.size)


def test_rules_are_checked(trainer):
    rule = Rule(Algorithm.ADAMW, 1e-3, 0.0)
    with pytest.raises(UsageError, match="one rule for each parameter"):
        trainer.update(SETTINGS, [rule])
    with pytest.raises(UsageError, match=r"muon moves matrices of the blocks only, not embedding\.weight"):
        trainer.update(SETTINGS, [Rule(Algorithm.MUON, 1e-3, 0.0)] * len(trainer.parameters))


def test_a_closed_trainer_says_so(trainer):
    trainer.close()
    trainer.close()
    with pytest.raises(NativeError, match="closed"):
        trainer.gradient_norm()


def test_impossible_shapes_are_refused():
    plan = resolve_plan(CONFIG, 30, 16, NativePlan())
    shape = native_shape(CONFIG, 30, 16)
    with pytest.raises(UsageError, match="vocabulary is 0"):
        binding.memory_required(native_shape(CONFIG, 0, 16), plan)
    with pytest.raises(UsageError, match="threads is 0"):
        Trainer(shape, binding.Plan(plan.precision, 0, 4, 1024))
    with pytest.raises(UsageError, match="precision fp16 is unknown"):
        resolve_plan(CONFIG, 30, 16, NativePlan(precision="fp16"))


def test_more_memory_than_there_is_is_refused_before_it_is_taken():
    config = GPTConfig(layers=200, width=16_384, heads=128)
    plan = resolve_plan(config, 50_000, 2048, NativePlan(threads=2))
    shape = native_shape(config, 50_000, 2048)
    assert binding.memory_required(shape, plan).arena > 5e12
    with pytest.raises(ResourceError, match=r"takes \d+\.\d\d GB and this machine has"):
        Trainer(shape, plan)


def test_a_file_that_is_no_native_core_is_refused(tmp_path):
    file = tmp_path / "libtreadle.so"
    whole = build.library_path(instruction_sets.choose()).read_bytes()
    for content, words in ((whole[:5000], "cut short"), (whole[:-1], "cut short"), (b"text", "cannot be loaded")):
        file.write_bytes(content)
        with pytest.raises(ResourceError, match=words):
            Library(file)
