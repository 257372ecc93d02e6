from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import UsageError, WeightsError
from treadle.training.callbacks.callback import Callback
from treadle.training.callbacks.checkpointing import Checkpointing
from treadle.training.callbacks.evaluating import Evaluating
from treadle.training.learner import DivergedError
from treadle.training.schedules import Budget

if TYPE_CHECKING:
    from conftest import Bench, CycleLoader, TableLearner


class Recorder(Callback):
    """Notes each moment."""

    name = "recorder"

    def __init__(self) -> None:
        self.moments: list[Any] = []
        self.losses: dict[int, float] = {}
        self.closed = False

    def on_start(self, training: Any) -> None:
        self.moments.append(("start", training.place.step))

    def on_step(self, training: Any, result: Any) -> None:
        self.losses[training.place.step] = result.loss

    def on_evaluation(self, training: Any, _evaluation: Any) -> None:
        self.moments.append(("evaluation", training.place.step))

    def on_checkpoint(self, _training: Any, checkpoint: Any) -> None:
        self.moments.append(("checkpoint", checkpoint.step))

    def on_recovery(self, _training: Any, recovery: Any) -> None:
        self.moments.append(("recovery", recovery))

    def on_stop(self, training: Any, outcome: Any) -> None:
        self.moments.append((outcome.reason, training.place.step))

    def close(self) -> None:
        self.closed = True

    def state_dict(self) -> dict[str, Any]:
        return {"steps": len(self.losses)}

    def load_state_dict(self, state: Any) -> None:
        self.moments.append(("state", state["steps"]))


def test_the_moments_come_in_their_order(bench: Bench) -> None:
    recorder = Recorder()
    settings = bench.settings(checkpoint_every=4, keep_best=False)
    bench.training(Budget("steps", 12), settings, callbacks=[Evaluating(4), Checkpointing(settings), recorder]).run()
    assert recorder.moments == [
        ("start", 0),
        ("evaluation", 4),
        ("checkpoint", 4),
        ("checkpoint", 6),  # the stem
        ("evaluation", 8),
        ("checkpoint", 8),
        ("evaluation", 12),
        ("checkpoint", 12),
        ("finished", 12),
    ]
    assert recorder.closed
    assert [item.trunk for item in bench.folder.all()] == [False, False] or bench.folder.find("stem").step == 6
    assert bench.folder.find("latest").finished


def test_training_learns(bench: Bench) -> None:
    recorder = Recorder()
    outcome = bench.training(Budget("steps", 200), callbacks=[recorder]).run()
    assert recorder.losses[1] == pytest.approx(np.log(7), abs=1e-4)
    assert recorder.losses[200] < 1.2
    assert outcome.evaluation is not None
    assert outcome.evaluation.perplexity == pytest.approx(np.exp(outcome.evaluation.loss))
    bits = outcome.evaluation.loss / np.log(2) / 2  # each target stands for two bytes in this loader
    assert outcome.evaluation.bits_per_byte == pytest.approx(bits)


def test_the_same_seed_gives_the_same_losses(bench: Bench) -> None:
    first, second = Recorder(), Recorder()
    bench.training(Budget("steps", 30), callbacks=[first]).run()
    type(bench)(bench.path / "again").training(Budget("steps", 30), callbacks=[second]).run()
    assert first.losses == second.losses


@pytest.mark.parametrize("stop_at", [3, 11, 17])
def test_a_stopped_run_resumes_with_the_losses_of_the_uninterrupted_one(bench: Bench, stop_at: int) -> None:
    whole = Recorder()
    type(bench)(bench.path / "whole").training(Budget("steps", 20), callbacks=[whole]).run()
    first, second = Recorder(), Recorder()
    training = bench.training(
        Budget("steps", 20), callbacks=[first], stop_requested=lambda: len(first.losses) == stop_at
    )
    outcome = training.run()
    assert (outcome.reason, outcome.step) == ("stopped", stop_at)
    assert outcome.checkpoint is not None
    resumed = bench.training(Budget("steps", 20), callbacks=[second], run="run-2")
    assert resumed.start.kind == "resumed"
    assert "exactly where it was interrupted" in resumed.start.describe()
    resumed.run()
    assert {**first.losses, **second.losses} == whole.losses
    assert ("state", stop_at) in second.moments


def test_a_stop_before_the_first_step_leaves_nothing(bench: Bench) -> None:
    outcome = bench.training(Budget("steps", 20), stop_requested=lambda: True).run()
    assert (outcome.reason, outcome.step, outcome.checkpoint) == ("stopped", 0, None)
    assert bench.folder.all() == []


def test_a_callback_can_stop_the_run(bench: Bench) -> None:
    class Stopper(Callback):
        def on_step(self, training: Any, _result: Any) -> None:
            if training.place.step == 5:
                training.request_stop("early_stopped")

    outcome = bench.training(Budget("steps", 20), callbacks=[Stopper()]).run()
    assert (outcome.reason, outcome.step) == ("early_stopped", 5)
    assert bench.folder.find("latest").step == 5


def test_accumulation_reads_the_examples_of_one_big_batch(
    bench: Bench, table_learner: TableLearner, cycle_loader: type[CycleLoader]
) -> None:
    loader = cycle_loader()
    bench.training(
        Budget("steps", 3), bench.settings(batch_size=2, accumulation=3), loader=loader, learner=table_learner
    ).run()
    assert loader.read == list(range(18))
    big = bench.training(Budget("steps", 4), run="x").start  # from the stem of the first one
    assert big.place.examples == 12


def test_steps_without_any_target_are_passed_over(bench: Bench, cycle_loader: type[CycleLoader]) -> None:
    loader = cycle_loader()
    loader.empty = set(range(4, 8))
    recorder = Recorder()
    outcome = bench.training(Budget("epochs", 1), callbacks=[recorder], loader=loader).run()
    assert outcome.step == 4
    assert outcome.epochs == 1
    assert all(np.isfinite(loss) for loss in recorder.losses.values())


def test_after_a_loss_that_is_no_number_the_run_goes_back_and_skips_the_data(
    bench: Bench, table_learner: TableLearner, cycle_loader: type[CycleLoader]
) -> None:
    failed: list[int] = []
    table_learner.poison = lambda update: update.step == 7 and not failed and not failed.append(7)
    recorder, loader = Recorder(), cycle_loader()
    settings = bench.settings(checkpoint_every=5, cooldown=0)
    training = bench.training(
        Budget("steps", 12),
        settings,
        callbacks=[Checkpointing(settings), recorder],
        learner=table_learner,
        loader=loader,
    )
    outcome = training.run()
    assert (outcome.reason, outcome.step) == ("finished", 12)
    (recovery,) = [moment[1] for moment in recorder.moments if moment[0] == "recovery"]
    assert (recovery.failed_step, recovery.back_to_step, recovery.skipped_examples) == (7, 5, 8)
    assert loader.read == list(range(20 + 8)) + list(range(28, 28 + 28))
    assert training.place.examples == 12 * 4 + 8
    latest = bench.folder.find("latest").document
    assert (latest["data"]["skipped_examples"], latest["schedule"]["recoveries"]) == (8, 1)
    assert np.isfinite(bench.folder.find("latest").weights()["table"]).all()


def test_without_a_checkpoint_the_run_goes_back_to_the_first_weights(bench: Bench, table_learner: TableLearner) -> None:
    failed: list[int] = []
    table_learner.poison = lambda update: update.step == 2 and not failed and not failed.append(2)
    outcome = bench.training(Budget("steps", 6), learner=table_learner).run()
    assert outcome.step == 6
    assert [update.step for update in table_learner.updates] == [1, 2, 1, 2, 3, 4, 5, 6]


def test_a_learner_may_raise_instead_of_returning_no_number(bench: Bench, table_learner: TableLearner) -> None:
    original, failed = table_learner.step, []

    def step(batches: Any, update: Any) -> Any:
        if update.step == 3 and not failed:
            failed.append(3)
            raise DivergedError("The gradient's norm")
        return original(batches, update)

    table_learner.step = step  # type: ignore[method-assign]
    training = bench.training(Budget("steps", 6), learner=table_learner)
    assert training.run().step == 6
    assert training.place.examples == (6 + 3) * 4  # the step that failed was read as well


def test_a_run_that_always_fails_ends_with_the_settings_to_change(bench: Bench, table_learner: TableLearner) -> None:
    table_learner.poison = lambda update: update.step == 4
    settings = bench.settings(recoveries=2, checkpoint_every=2, cooldown=0)
    training = bench.training(Budget("steps", 9), settings, learner=table_learner, callbacks=[Checkpointing(settings)])
    with pytest.raises(DivergedError) as raised:
        training.run()
    text = str(raised.value)
    assert text.startswith("The training loss was not a number at step 4, after 2 attempts")
    assert "training.optimizer.matrix_learning_rate" in text
    assert "lower training.clip" in text
    assert "until step 2 is kept" in text
    assert bench.folder.find("latest").step == 2


def test_weights_that_are_no_numbers_are_never_written(bench: Bench, table_learner: TableLearner) -> None:
    original = table_learner.step

    def step(batches: Any, update: Any) -> Any:
        result = original(batches, update)  # a finite loss, but the update spoils the weights
        if update.step == 4:
            table_learner.table[1, 1] = np.inf
        return result

    table_learner.step = step  # type: ignore[method-assign]
    settings = bench.settings(recoveries=0, checkpoint_every=4, cooldown=0)
    training = bench.training(Budget("steps", 9), settings, learner=table_learner, callbacks=[Checkpointing(settings)])
    with pytest.raises(DivergedError, match=r"The weight table was not a number at step 4, after 0 attempts"):
        training.run()
    assert bench.folder.all() == []


def test_a_checkpoint_of_another_family_is_refused(bench: Bench) -> None:
    bench.training(Budget("steps", 4)).run()
    training = bench.training(Budget("steps", 8), run="run-2")
    record = training.subject.record
    training.subject = type(training.subject)(
        type(record)("other", record.config, 7, 5), bench.folder, dict, "run-2", bench.dataset
    )
    with pytest.raises(WeightsError, match="family `table`, not `other`"):
        training.run()


def test_a_change_of_the_numeric_plan_is_recorded(bench: Bench, table_learner: TableLearner) -> None:
    bench.training(Budget("steps", 4)).run()
    table_learner.plan = {"learner": "table", "threads": 2}
    training = bench.training(Budget("steps", 8), run="run-2", learner=table_learner)
    training.run()
    assert training.plan_changed
    latest = bench.folder.find("latest").document
    assert latest["lineage"]["plan_changes"] == [
        {"step": 2, "before": {"learner": "table", "threads": 1}, "after": {"learner": "table", "threads": 2}}
    ]
    assert latest["plan"]["threads"] == 2


def test_a_checkpoint_tells_where_it_came_from(bench: Bench) -> None:
    bench.training(Budget("steps", 4)).run()
    document = bench.folder.find("latest").document
    assert document["lineage"] == {
        "run": "run-1",
        "dataset": "dataset-1",
        "parent": "step-00000002",
        "plan_changes": [],
    }
    assert document["data"]["position"] == 16
    assert document["data"]["epochs"] == pytest.approx(0.8)
    assert document["metrics"]["held_out_loss"] > 0
    assert document["settings"] == {"training": {}}


def test_callbacks_are_closed_also_after_an_error(bench: Bench) -> None:
    class Broken(Recorder):
        def on_step(self, _training: Any, _result: Any) -> None:
            raise RuntimeError("broken")

    broken = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        bench.training(Budget("steps", 4), callbacks=[broken]).run()
    assert broken.closed


def test_nothing_held_out_means_no_evaluation(bench: Bench, cycle_loader: type[CycleLoader]) -> None:
    outcome = bench.training(Budget("steps", 4), loader=cycle_loader(held_out=0), callbacks=[Evaluating(1)]).run()
    assert outcome.evaluation is None
    assert bench.folder.find("best").step == 4


def test_a_run_killed_before_its_answer_is_finished_although_the_data_grew_since(
    bench: Bench, cycle_loader: type[CycleLoader]
) -> None:
    outcome = bench.training(Budget("epochs", 2)).run()
    bench.dataset = "dataset-2"
    again = bench.training(Budget("epochs", 2), loader=cycle_loader(examples=30))
    assert (again.start.kind, again.run().step) == ("finished", outcome.step)
    with pytest.raises(UsageError, match="cannot be lower"):
        bench.training(Budget("epochs", 1), loader=cycle_loader(examples=30), run="run-2")
