"""The native learner on real text, in a process of its own, as a run of training uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from treadle.native.library import load

TEXT = Path(__file__).parents[2] / "LICENSE"

RUN = """
import json, sys, time
from pathlib import Path
start = time.perf_counter()
import numpy as np
from treadle.data.batch import Batch
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.initialise import initial_weights
from treadle.training.learner import Update
from treadle.training.native_learner import NativeLearner
from treadle.training.optimizers.config import MuonConfig

ids = np.frombuffer(Path(sys.argv[1]).read_bytes(), dtype=np.uint8).astype(np.int32)
config = GPTConfig(layers=2, width=64, heads=2)
learner = NativeLearner(config, MuonConfig(), vocabulary=256, context=64, seed=1)
learner.load_weights(initial_weights(config, 256, 64, 1))
random = np.random.default_rng(1)
losses, first = [], 0.0
for step in range(1, 121):
    places = random.integers(0, len(ids) - 65, 12)
    rows = np.stack([ids[place : place + 65] for place in places])
    batch = Batch(rows[:, :-1].copy(), rows[:, 1:].copy())
    losses.append(learner.step([batch], Update(step, min(1.0, step / 10), 1.0)).loss)
    first = first or time.perf_counter() - start
learner.close()
print(json.dumps({"losses": losses, "first": first, "torch": "torch" in sys.modules}))
"""


def run() -> str:
    result = subprocess.run(
        [sys.executable, "-c", RUN, str(TEXT)], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_two_processes_learn_real_text_to_the_same_bits_without_torch():
    import json

    load()  # Built now, if it was not: the first step is timed on a cached build.
    first, second = json.loads(run()), json.loads(run())
    assert first["losses"] == second["losses"]
    assert not first["torch"]
    assert first["losses"][0] > 5.4
    assert sum(first["losses"][-10:]) / 10 < 2.6
    assert min(first["first"], second["first"]) < 2.0
