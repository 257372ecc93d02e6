"""A kill -9 at any moment is a normal event: real processes, real signals. The children are this very file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treadle.models.catalog import FAMILIES
from treadle.training.callbacks.callback import Callback
from treadle.training.callbacks.checkpointing import Checkpointing
from treadle.training.callbacks.evaluating import Evaluating
from treadle.training.checkpoints import CheckpointFolder, ModelRecord, Snapshot
from treadle.training.config import TrainingSettings
from treadle.training.learners import Network, open_learner
from treadle.training.loop import Training
from treadle.training.schedules import Budget
from treadle.training.start import Subject, find_start

TEXT = Path(__file__).parents[1] / "data" / "mindpaint-latin1.txt"
STEPS, CONTEXT, VOCABULARY = 60, 32, 257


class LossLog(Callback):
    """Appends `step loss` to a file, at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_step(self, training: Any, result: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps([training.place.step, result.loss, training.start.kind]) + "\n")


def train(folder: Path, learner_name: str, budget: Budget, dropout: float = 0.1) -> Training:
    """Train a tiny gpt on real text; the losses go to `losses.jsonl`."""
    from treadle.data.loader import TokenLoader
    from treadle.data.tokens import TokenStream, TokenStreams

    ids = np.frombuffer(TEXT.read_bytes(), np.uint8).astype(np.uint16)
    cut = len(ids) * 9 // 10
    sides = TokenStream([ids[:cut]], 256), TokenStream([ids[cut:]], 256)
    streams = TokenStreams(*sides, 256, np.ones(257, np.uint16), cut, len(ids) - cut, 0)
    loader = TokenLoader(streams, CONTEXT, seed=1)
    settings = TrainingSettings.model_validate(
        {
            "batch_size": 4,
            "accumulation": 2,
            "learner": learner_name,
            "precision": "fp32",
            "threads": 1,
            "checkpoint_every": 7,
            "evaluate_every": 20,
            "evaluation_examples": 8,
        }
    )
    family = FAMILIES.get("gpt")
    config = family.config_class().model_validate({"layers": 2, "width": 32, "heads": 2, "dropout": dropout})
    network = Network(family, config, VOCABULARY, CONTEXT)
    subject = Subject(
        ModelRecord("gpt", config.model_dump(mode="json"), VOCABULARY, CONTEXT),
        CheckpointFolder(folder / "checkpoints"),
        lambda: family.initial_weights(config, VOCABULARY, CONTEXT, settings.seed),
        run="run-1",
        dataset="dataset-1",
    )
    start = find_start(subject, budget, settings, loader)
    # Bits are promised for one numeric plan; a fresh run gets a fixed one here, since torch's is chosen by a trial.
    plan = {"learner": "torch", "attention": "plain"} if start.checkpoint is None else start.checkpoint.document["plan"]
    learner = open_learner(network, settings, plan)
    callbacks = [
        Evaluating(settings.evaluate_every),
        Checkpointing(settings),
        LossLog(folder / "losses.jsonl"),
    ]
    training = Training(learner, loader, settings, subject, start, callbacks=callbacks)
    training.run()
    return training


def write_for_ever(folder: Path) -> None:
    checkpoints, step = CheckpointFolder(folder), 0
    while True:
        step += 1
        array = np.full(500_000, step, np.float32)
        record = ModelRecord("gpt", {}, 1, 1, {"kind": "bytes"}, {})
        checkpoints.write(
            Snapshot(step, record, {"w": array}, {"m": array}, {}, {"trunk": False}, {}, {}, {"dataset": "d"}, {})
        )
        checkpoints.prune(keep_last=2)


def child(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, *arguments])


def losses(folder: Path) -> list[list[Any]]:
    path = folder / "losses.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("learner", "kills"), [("native", 3), ("torch", 1)])
def test_killed_at_random_steps_the_losses_are_those_of_the_uninterrupted_run(
    tmp_path: Path, learner: str, kills: int
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert child("train", str(whole), learner).wait() == 0
    expected = {step: loss for step, loss, _ in losses(whole)}
    assert len(expected) == STEPS
    assert expected[STEPS] < expected[1] - 1

    chance = random.Random()  # a new place each time; the steps are printed when the test fails
    targets = sorted(chance.sample(range(8, STEPS - 6), kills))
    print("killed after steps", targets)
    for target in targets:
        process = child("train", str(killed), learner)
        while process.poll() is None and max((row[0] for row in losses(killed)), default=0) < target:
            time.sleep(0.001)
        kill(process)
    assert child("train", str(killed), learner).wait() == 0

    rows = losses(killed)
    assert {row[2] for row in rows} >= {"resumed"}
    assert {step for step, _, _ in rows} == set(range(1, STEPS + 1))
    for step, loss, _ in rows:  # the steps before a kill, and those taken again after it
        assert loss == expected[step], f"step {step}"
    first, second = (CheckpointFolder(folder / "checkpoints").find("latest") for folder in (whole, killed))
    for name, array in first.weights().items():
        np.testing.assert_array_equal(array, second.weights()[name])
    for name, array in first.optimizer().items():
        np.testing.assert_array_equal(array, second.optimizer()[name])
    assert first.metrics == second.metrics


def test_a_writer_killed_at_any_moment_leaves_whole_checkpoints_only(tmp_path: Path) -> None:
    folder, chance = CheckpointFolder(tmp_path / "checkpoints"), random.Random()
    leftovers = 0
    for _ in range(8):
        process = child("write", str(folder.path))
        before = {path.name for path in folder.path.glob("step-*")}
        while process.poll() is None and {path.name for path in folder.path.glob("step-*")} <= before:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        kill(process)
        leftovers += len(list(folder.path.glob(".*.tmp")))
        assert folder.damaged() == []
        assert 1 <= len(folder.all()) <= 5
        for checkpoint in folder.all():
            assert (checkpoint.weights()["w"] == checkpoint.step).all()
            assert (checkpoint.optimizer()["m"] == checkpoint.step).all()
    folder.prune(keep_last=2)
    assert list(folder.path.glob(".*.tmp")) == []
    assert len(folder.all()) == 2


@pytest.mark.parametrize("learner", ["native", "torch"])
def test_a_real_model_trained_ten_and_then_twenty_is_the_one_trained_twenty_at_once(
    tmp_path: Path, learner: str
) -> None:
    """The stated margin is none: weights, moments and losses are the same bits."""
    for name in ("first", "at once"):
        (tmp_path / name).mkdir()
    train(tmp_path / "first", learner, Budget("steps", 10))
    continued = train(tmp_path / "first", learner, Budget("steps", 20))
    assert continued.start.kind == "continued"
    assert continued.start.place.step == 5  # the cool-down is the last half
    at_once = train(tmp_path / "at once", learner, Budget("steps", 20))
    assert continued.evaluation is not None
    assert at_once.evaluation is not None
    assert continued.evaluation.loss == at_once.evaluation.loss
    for name, array in at_once.learner.weights().items():
        np.testing.assert_array_equal(array, continued.learner.weights()[name])


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]), sys.argv[3], Budget("steps", STEPS))
    else:
        write_for_ever(Path(sys.argv[2]))
