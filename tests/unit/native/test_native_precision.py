from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from treadle.base.errors import UsageError
from treadle.models.catalog import FAMILIES
from treadle.models.gpt.config import GPTConfig
from treadle.native import instruction_sets
from treadle.native.binding import Precision, precision_trial
from treadle.native.precision_choice import chosen_precision, faster, remembered
from treadle.training.config import TrainingSettings
from treadle.training.learners import Network
from treadle.training.native_learner import MAKER, NativePlan, resolve_plan

CONFIG = GPTConfig(layers=1, width=64, heads=2)


def times(bfloat16: float, float32: float):
    """A trial with known results, as if it had been measured."""
    seconds = {Precision.BFLOAT16: bfloat16, Precision.FLOAT32: float32}
    return lambda precision, *_: seconds[precision]


@pytest.mark.parametrize(
    ("bfloat16", "float32", "winner"),
    [(1.0, 4.5, "BFLOAT16"), (2.0, 1.0, "FLOAT32"), (1.0, 1.02, "FLOAT32")],
)
def test_the_faster_precision_is_chosen_and_float32_where_they_are_equal(bfloat16, float32, winner):
    assert faster(128, times(bfloat16, float32)) is Precision[winner]


def test_one_busy_moment_does_not_decide():
    turns = iter([9.0, 1.0, 0.5, 1.0])  # bfloat16, float32, and once more
    assert faster(128, lambda *_: next(turns)) is Precision.BFLOAT16


def test_the_first_answer_stays_though_a_later_trial_would_say_other(tmp_path):
    path = tmp_path / "cache" / "answer.json"
    assert remembered(path, lambda: Precision.BFLOAT16) is Precision.BFLOAT16
    assert remembered(path, lambda: pytest.fail("measured twice")) is Precision.BFLOAT16
    assert [file.name for file in path.parent.iterdir()] == ["answer.json"]


def test_of_two_processes_that_measure_at_once_both_take_the_answer_of_the_first(tmp_path):
    path = tmp_path / "answer.json"

    def overtaken() -> Precision:
        assert remembered(path, lambda: Precision.FLOAT32) is Precision.FLOAT32
        return Precision.BFLOAT16

    assert remembered(path, overtaken) is Precision.FLOAT32


@pytest.mark.parametrize("content", ["", "{", '{"precision": "FP8"}', "[]"])
def test_a_damaged_answer_is_measured_anew(tmp_path, content):
    path = tmp_path / "answer.json"
    path.write_text(content)
    assert remembered(path, lambda: Precision.BFLOAT16) is Precision.BFLOAT16
    assert json.loads(path.read_text()) == {"precision": "BFLOAT16"}


def test_a_cache_that_cannot_be_written_only_costs_the_trial(tmp_path):
    (tmp_path / "file").write_text("")
    assert remembered(tmp_path / "file" / "answer.json", lambda: Precision.FLOAT32) is Precision.FLOAT32


def test_a_trial_takes_time_and_refuses_what_has_no_whole_panels():
    for precision in Precision:
        assert 0 < precision_trial(precision, 64, 64, 128) < 1
    with pytest.raises(UsageError, match="inner in 64 is 36"):
        precision_trial(Precision.FLOAT32, 64, 64, 100)
    with pytest.raises(UsageError, match="precision is 7"):
        precision_trial(7, 64, 64, 64)  # type: ignore[arg-type]  # what it refuses


def test_instruction_sets_without_bfloat16_products_need_no_trial():
    script = "from treadle.native.precision_choice import chosen_precision; print(chosen_precision(64).name)"
    plain = {**os.environ, instruction_sets.VARIABLE: "plain", "CXX": "no-compiler"}  # a trial would have to build it
    done = subprocess.run([sys.executable, "-c", script], env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "FLOAT32"


def test_auto_takes_what_the_trial_found_and_settings_force_either():
    found = chosen_precision(CONFIG.width)
    assert resolve_plan(CONFIG, 30, 16, NativePlan()).precision is found
    for name, precision in (("bf16", Precision.BFLOAT16), ("fp32", Precision.FLOAT32)):
        assert resolve_plan(CONFIG, 30, 16, NativePlan(precision=name)).precision is precision


def test_a_resumed_training_keeps_the_precision_of_its_checkpoint_whatever_the_trial_says():
    network = Network(FAMILIES.get("gpt"), CONFIG, 30, 16)
    for stored in ("bf16", "fp32"):
        before = {"learner": "native", "threads": 1, "precision": stored, "gradient_shards": 2, "pass_tokens": 64}
        learner = MAKER.make(network, TrainingSettings(threads=1), before)
        assert learner.plan["precision"] == stored
        learner.close()
    other = MAKER.make(network, TrainingSettings(threads=1, precision="bf16"), before)
    assert other.plan["precision"] == "bf16"
    other.close()
