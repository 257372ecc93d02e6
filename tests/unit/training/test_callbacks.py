from __future__ import annotations

import csv
import json
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import NotReadyError
from treadle.telemetry.hardware import resident_memory
from treadle.training.callbacks.callback import Callback
from treadle.training.callbacks.checkpointing import Checkpointing
from treadle.training.callbacks.early_stopping import EarlyStopping
from treadle.training.callbacks.evaluating import Evaluating
from treadle.training.callbacks.history import COLUMNS, History
from treadle.training.callbacks.progress import Progress
from treadle.training.callbacks.sampling import Sampling
from treadle.training.callbacks.tensorboard import TensorBoard
from treadle.training.evaluation import Evaluation, evaluate
from treadle.training.schedules import Budget

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench, CycleLoader, TableLearner


class Events:
    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def emit(self, type_: str, **data: Any) -> None:
        json.dumps(data)
        self.all.append((type_, data))

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [data for name, data in self.all if name == type_]


class Stop(Callback):
    """Ends the run as a kill would: without a last checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, training: Any, _result: Any) -> None:
        if training.place.step == self.step:
            raise KeyboardInterrupt


def interrupted(bench: Bench, budget: Budget, step: int, callbacks: list[Callback], **parts: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.training(budget, callbacks=[*callbacks, Stop(step)], **parts).run()


def test_checkpoints_by_minutes(bench: Bench) -> None:
    settings = bench.settings(checkpoint_minutes=1e-9, keep_last=50, cooldown=0)
    bench.training(Budget("steps", 5), settings, callbacks=[Checkpointing(settings)]).run()
    assert [item.step for item in bench.folder.all()] == [1, 2, 3, 4, 5]


def test_only_the_last_the_best_and_the_stem_are_kept(bench: Bench) -> None:
    settings = bench.settings(checkpoint_every=1, keep_last=2)
    bench.training(Budget("steps", 20), settings, callbacks=[Evaluating(2), Checkpointing(settings)]).run()
    steps = {item.step for item in bench.folder.all()}
    assert steps == {19, 20, bench.folder.find("stem").step, bench.folder.find("best").step}
    assert bench.folder.find("stem").step == 10


def test_each_new_best_is_written(bench: Bench) -> None:
    settings = bench.settings(checkpoint_minutes=0, keep_last=50)
    events = Events()
    callbacks = [Evaluating(1), Checkpointing(settings), Progress(events.emit)]
    bench.training(Budget("steps", 8), settings, callbacks=callbacks).run()
    losses = {event["step"]: event["held_out_loss"] for event in events.of("evaluation")}
    records, best = set(), float("inf")
    for step, loss in losses.items():
        if loss < best:
            best = loss
            records.add(step)
    assert {item.step for item in bench.folder.all()} == records | {4, 8}


def test_a_resumed_run_knows_the_best_loss_so_far(bench: Bench) -> None:
    settings = bench.settings(checkpoint_every=5, checkpoint_minutes=0)
    interrupted(bench, Budget("steps", 60), 52, [Evaluating(5), Checkpointing(settings)], settings=settings)
    checkpointing = Checkpointing(settings)
    training = bench.training(Budget("steps", 60), settings, callbacks=[checkpointing])
    checkpointing.on_start(training)
    worse = Evaluation(bench.folder.find("best").metrics["held_out_loss"] + 0.1, 10, {})
    checkpointing.on_evaluation(training, worse)
    assert "checkpoint" not in training._wanted


def test_early_stopping_waits_and_then_stops(bench: Bench, cycle_loader: type[CycleLoader]) -> None:
    loader = cycle_loader(examples=2, held_out=3)  # two windows are soon known by heart
    settings = bench.settings(cooldown=0, batch_size=2)
    stopping = EarlyStopping(4)
    events = Events()
    outcome = bench.training(
        Budget("steps", 5000), settings, loader=loader, callbacks=[Evaluating(5), stopping, Progress(events.emit)]
    ).run()
    assert outcome.reason == "early_stopped"
    losses = [event["held_out_loss"] for event in events.of("evaluation")]
    assert min(losses) == losses[-5]
    assert stopping.state_dict() == {"best": min(losses), "waited": 4}
    again = EarlyStopping(4)
    again.load_state_dict(stopping.state_dict())
    assert again.state_dict() == stopping.state_dict()


def test_patience_zero_never_stops(bench: Bench, cycle_loader: type[CycleLoader]) -> None:
    loader, settings = cycle_loader(examples=2, held_out=3), bench.settings(cooldown=0, batch_size=2)
    outcome = bench.training(
        Budget("steps", 300), settings, loader=loader, callbacks=[Evaluating(1), EarlyStopping(0)]
    ).run()
    assert outcome.reason == "finished"


def test_samples_come_from_checkpoints_when_due_and_at_the_end(bench: Bench) -> None:
    events = Events()
    settings = bench.settings(checkpoint_every=2, keep_last=50)
    sampling = Sampling(3, lambda checkpoint: {"text": f"from {checkpoint.path.name}"}, events.emit)
    bench.training(Budget("steps", 10), settings, callbacks=[Checkpointing(settings), sampling]).run()
    assert [(event["step"], event["text"]) for event in events.of("sample")] == [
        (3, "from step-00000003"),
        (6, "from step-00000006"),
        (9, "from step-00000009"),
        (10, "from step-00000010"),
    ]


def test_samples_by_the_clock_begin_early_and_never_come_twice_for_one_step(bench: Bench) -> None:
    def steps(minutes: float, every: int = 0) -> list[int]:
        events = Events()
        sampling = Sampling(every, lambda _: {"text": ""}, events.emit, minutes=minutes)
        bench.training(Budget("steps", 10), callbacks=[sampling]).run()
        shutil.rmtree(bench.folder.path)
        return [event["step"] for event in events.of("sample")]

    assert steps(minutes=60) == [5, 10]
    assert steps(minutes=1e-9) == [5, 6, 7, 8, 9, 10]
    assert steps(minutes=0, every=10) == [10]


def test_a_sample_that_fails_does_not_end_the_training(bench: Bench) -> None:
    def fail(_checkpoint: Any) -> dict[str, Any]:
        raise NotReadyError("No engine.")

    events = Events()
    outcome = bench.training(Budget("steps", 4), callbacks=[Sampling(2, fail, events.emit)]).run()
    assert outcome.reason == "finished"
    assert [event["reason"] for event in events.of("sample_failed")] == ["No engine.", "No engine."]


def test_no_samples_when_none_are_wanted(bench: Bench) -> None:
    events = Events()
    bench.training(Budget("steps", 4), callbacks=[Sampling(0, lambda _: {"text": ""}, events.emit)]).run()
    assert events.all == []


def test_progress_tells_all_that_a_display_needs(bench: Bench) -> None:
    events = Events()
    settings = bench.settings(checkpoint_every=10)
    callbacks = [Evaluating(5), Checkpointing(settings), Progress(events.emit, interval=0)]
    bench.training(Budget("epochs", 4), settings, callbacks=callbacks).run()
    (started,) = events.of("training_started")
    assert started["message"] == "Training begins: 4 epochs."
    assert (started["total_steps"], started["plan"]["learner"], started["plan_changed"]) == (20, "table", False)
    progress = events.of("progress")
    assert [event["step"] for event in progress] == list(range(1, 21))
    assert [event["epoch"] for event in progress[4::5]] == [1, 2, 3, 4]
    assert progress[-1]["fraction"] == 1
    assert progress[-1]["eta_seconds"] == 0
    assert progress[9]["eta_seconds"] > 0
    assert progress[-1]["targets_per_second"] > 0
    assert progress[-1]["memory_bytes"] > 1e6
    assert progress[0]["held_out_loss"] is None
    assert progress[-1]["held_out_loss"] == events.of("evaluation")[-2]["held_out_loss"]
    assert progress[-1]["bits_per_byte"] == events.of("evaluation")[-2]["bits_per_byte"]
    assert [event["checkpoint"] for event in events.of("checkpoint")][-1] == "step-00000020"
    (stopped,) = events.of("training_stopped")
    assert (stopped["reason"], stopped["step"], stopped["epoch"]) == ("finished", 20, 4)
    assert stopped["held_out_loss"] == events.of("evaluation")[-1]["held_out_loss"]


def test_progress_keeps_its_interval_but_always_tells_the_last_step(bench: Bench) -> None:
    events = Events()
    bench.training(Budget("steps", 30), callbacks=[Progress(events.emit, interval=1000)]).run()
    assert [event["step"] for event in events.of("progress")] == [1, 30] or [
        event["step"] for event in events.of("progress")
    ] == [30]


def test_progress_of_minutes_counts_the_clock_down(bench: Bench) -> None:
    events = Events()
    bench.training(Budget("minutes", 0.002), callbacks=[Progress(events.emit, interval=0)]).run()
    remaining = [event["eta_seconds"] for event in events.of("progress")]
    assert 0 <= remaining[-1] < remaining[0] <= 0.12
    assert events.of("progress")[0]["total_steps"] is None


def test_a_recovery_is_told(bench: Bench, table_learner: TableLearner, tmp_path: Path) -> None:
    failed: list[int] = []
    table_learner.poison = lambda update: update.step == 3 and not failed and not failed.append(3)
    events = Events()
    history = History(tmp_path / "history")
    bench.training(Budget("steps", 4), learner=table_learner, callbacks=[history, Progress(events.emit)]).run()
    assert events.of("recovery")[0]["message"] == (
        "The training loss was not a number at step 3: back to step 2, skipping 4 examples."
    )
    assert [row["step"] for row in rows(tmp_path / "history")] == [1, 2, 3, 4]


def test_resident_memory_is_about_that_of_this_process() -> None:
    assert 10e6 < resident_memory() < 64e9


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_history_is_one_curve_over_kills(bench: Bench, tmp_path: Path) -> None:
    folder, settings = tmp_path / "history", bench.settings(checkpoint_every=5)
    for step in (7, 13):
        callbacks = [Evaluating(4), Checkpointing(settings), History(folder)]
        interrupted(bench, Budget("steps", 20), step, callbacks, settings=settings)
        with (folder / "steps.jsonl").open("a") as file:
            file.write('{"step": 9')  # a line that the kill has cut
    callbacks = [Evaluating(4), Checkpointing(settings), History(folder)]
    bench.training(Budget("steps", 20), settings, callbacks=callbacks, run="run-2").run()
    found = rows(folder)
    assert [row["step"] for row in found] == list(range(1, 21))
    assert [row["step"] for row in found if "held_out_loss" in row] == [4, 8, 12, 16, 20]
    with (folder / "steps.csv").open() as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert [int(row["step"]) for row in table] == list(range(1, 21))
    assert [float(row["loss"]) for row in table] == [row["loss"] for row in found]
    assert table[0]["held_out_loss"] == ""
    assert [row["run"] for row in found] == ["run-1"] * 12 + ["run-2"] * 8


def test_rows_of_a_cool_down_are_set_aside_when_training_goes_on_from_the_stem(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "history"
    bench.training(Budget("steps", 10), callbacks=[History(folder)]).run()
    bench.training(Budget("steps", 20), callbacks=[History(folder)], run="run-2").run()
    assert [row["step"] for row in rows(folder)] == list(range(1, 21))
    aside = [json.loads(line) for line in (folder / "set-aside.jsonl").read_text().splitlines()]
    assert [row["step"] for row in aside] == list(range(6, 11))


def test_rows_reach_the_disk_while_the_run_goes_on(bench: Bench, tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    seen: list[int] = []

    class Look(Callback):
        def on_step(self, _training: Any, _result: Any) -> None:
            history._flushed = 0.0  # as if a second had passed
            seen.append(len(rows(tmp_path / "history")))

    bench.training(Budget("steps", 4), callbacks=[history, Look()]).run()
    assert seen[-1] >= 2


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Read a curve as TensorBoard does: a session start at step N makes it forget what lies at N and beyond."""
    from tensorboardX.proto import event_pb2

    points: dict[int, float] = {}
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]
            if event.session_log.status == event_pb2.SessionLog.START:
                points = {step: value for step, value in points.items() if step < event.step}
            for value in event.summary.value:
                if value.tag == tag:
                    assert event.step not in points
                    points[event.step] = value.simple_value
    return sorted(points.items())


def test_tensorboard_shows_one_curve_over_two_resumes(
    bench: Bench, tmp_path: Path, table_learner: TableLearner
) -> None:
    folder, settings = tmp_path / "tensorboard", bench.settings(checkpoint_every=5)
    for step in (7, 13):
        callbacks = [Evaluating(4), Checkpointing(settings), TensorBoard(folder)]
        interrupted(bench, Budget("steps", 20), step, callbacks, settings=settings)
    failed: list[int] = []
    table_learner.poison = lambda update: update.step == 18 and not failed and not failed.append(18)
    history = History(tmp_path / "history")
    callbacks = [Evaluating(4), Checkpointing(settings), history, TensorBoard(folder)]
    bench.training(Budget("steps", 20), settings, callbacks=callbacks, learner=table_learner).run()
    losses = curve(folder, "train/loss")
    assert [step for step, _ in losses] == list(range(1, 21))
    assert [value for _, value in losses][12:] == pytest.approx([row["loss"] for row in rows(tmp_path / "history")])
    assert [step for step, _ in curve(folder, "held_out/loss")] == [4, 8, 12, 16, 20]
    assert [step for step, _ in curve(folder, "held_out/bits_per_byte")] == [4, 8, 12, 16, 20]


def test_tensorboard_without_its_extra_says_how_to_add_it(tmp_path: Path) -> None:
    code = """
import sys
sys.path = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1]]
from treadle.base.errors import MissingExtraError
from treadle.training.callbacks.tensorboard import TensorBoard
from pathlib import Path
try:
    TensorBoard(Path("x"))
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert "pip install treadle[tensorboard]" in done.stdout


def test_evaluation_adds_up_batches_of_unequal_size(
    table_learner: TableLearner, cycle_loader: type[CycleLoader]
) -> None:
    table_learner.table = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    loader = cycle_loader(held_out=5)
    whole, parts = evaluate(table_learner, loader, 5), evaluate(table_learner, loader, 2)
    assert whole is not None
    assert parts is not None
    assert whole.targets == parts.targets == 25
    assert whole.loss == pytest.approx(parts.loss, rel=1e-6)
    assert whole.extra == {"bytes": 50}
    limited = evaluate(table_learner, loader, 2, limit=3)
    assert limited is not None
    assert limited.targets == 15
    assert "bits_per_byte" not in Evaluation(1.0, 3, {}).metrics()
