"""Beside busy neighbours a training loses the share that was taken, and nothing on top by waiting for itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from treadle.native import build

HERE = Path(__file__).parent

TRAINING = """
import json, sys, time
import numpy as np
from treadle.data.batch import Batch
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights
from treadle.training.learner import Update
from treadle.training.native_learner import NativeLearner, NativePlan
from treadle.training.optimizers.config import MuonConfig

config = GPTConfig(layers=2, width=128, heads=4)
plan = NativePlan(threads=2, gradient_shards=4)
learner = NativeLearner(config, MuonConfig(), vocabulary=64, context=64, plan=plan)
learner.load_weights(initial_weights(config, 64, 64, 1))
tokens = np.random.default_rng(1).integers(0, 64, (16, 65), dtype=np.int32)
batch = Batch(tokens[:, :-1].copy(), tokens[:, 1:].copy())
step = 0
for line in sys.stdin:
    seconds, losses = [], []
    for _ in range(int(line)):
        step += 1
        begin = time.process_time()
        losses.append(learner.step([batch], Update(step, 1.0, 1.0)).loss)
        seconds.append(time.process_time() - begin)
    print(json.dumps({"seconds": min(seconds), "losses": losses}), flush=True)
"""
SPINNING = "import os\nos.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\nwhile True: pass"


class Training:
    """A training in a process of its own that takes steps when told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, steps: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()

    def answer(self) -> tuple[float, list[float]]:
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        return told["seconds"], told["losses"]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def test_who_waits_for_a_worker_that_is_held_up_uses_no_processor_time(tmp_path: Path) -> None:
    program = tmp_path / "team_waits"
    command = [build.find_compiler(), "-O1", "-std=c++17", "-pthread", f"-I{build.SOURCES}"]
    subprocess.run([*command, str(HERE / "team_waits.cpp"), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.08  # Of 0.4 s of waiting.


def test_a_spinning_neighbour_and_another_training_cost_no_processor_time_of_ours_and_no_bit() -> None:
    first, second = Training(), Training()
    try:
        first.ask(20)
        alone, expected = first.answer()
        spinning = subprocess.Popen([sys.executable, "-c", SPINNING])
        try:
            second.ask(20)
            beside_spinning, losses = second.answer()
        finally:
            spinning.kill()
            spinning.wait()
        assert losses == expected
        first.ask(20)
        second.ask(20)
        together = [first.answer(), second.answer()]
    finally:
        first.close()
        second.close()
    # A core that is shared with a sibling of the same processor is slower by itself: hence the room.
    assert beside_spinning < 2 * alone
    assert min(seconds for seconds, _ in together) < 2 * alone
    assert together[0][1] == together[1][1]
