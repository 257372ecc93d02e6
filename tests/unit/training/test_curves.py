"""The curve that a training writes: one row for each step, however often it was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from treadle.telemetry.curves import Curve
from treadle.training.callbacks.callback import Callback
from treadle.training.callbacks.checkpointing import Checkpointing
from treadle.training.callbacks.curves import Curves
from treadle.training.callbacks.evaluating import Evaluating
from treadle.training.schedules import Budget

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Bench


class Losses(Callback):
    """Remembers what the loop said."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}

    def on_step(self, training: Any, result: Any) -> None:
        self.seen[training.place.step] = result.loss


class Stop(Callback):
    """Ends the run as a kill would: without a last checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, training: Any, _result: Any) -> None:
        if training.place.step == self.step:
            raise KeyboardInterrupt


def test_every_step_has_a_row_and_evaluations_stand_in_theirs(bench: Bench, tmp_path: Path) -> None:
    losses, settings = Losses(), bench.settings()
    callbacks = [losses, Evaluating(4), Checkpointing(settings), Curves(tmp_path / "curves")]
    bench.training(Budget("steps", 10), settings, callbacks=callbacks).run()
    curve = Curve(tmp_path / "curves")
    assert (curve.first, curve.last) == (1, 10)
    assert [curve.row(step)["loss"] for step in range(1, 11)] == pytest.approx(list(losses.seen.values()), rel=1e-5)
    measured = [step for step in range(1, 11) if curve.row(step)["held_out_loss"] is not None]
    assert measured == [4, 8, 10]
    rates = [curve.row(step)["learning_rate"] for step in (5, 10)]
    assert rates[0] == pytest.approx(settings.optimizer.learning_rate)
    assert rates[1] < rates[0]
    assert all(curve.row(step)["targets_per_second"] for step in range(1, 11))


def test_a_killed_run_that_goes_on_has_one_curve_without_gap_or_doubles(bench: Bench, tmp_path: Path) -> None:
    settings = bench.settings(checkpoint_every=4)
    losses = Losses()
    with pytest.raises(KeyboardInterrupt):
        callbacks = [Checkpointing(settings), Curves(tmp_path / "curves"), Stop(7)]
        bench.training(Budget("steps", 12), settings, callbacks=callbacks).run()
    again = [losses, Checkpointing(settings), Curves(tmp_path / "curves")]
    bench.training(Budget("steps", 12), settings, callbacks=again).run()
    curve = Curve(tmp_path / "curves")
    assert (curve.first, curve.last) == (1, 12)
    assert all(curve.row(step)["loss"] for step in range(1, 13))
    assert curve.row(7)["loss"] == pytest.approx(losses.seen[7], rel=1e-5)


def test_a_run_that_goes_back_shows_the_steps_that_counted(bench: Bench, tmp_path: Path, table_learner: Any) -> None:
    settings = bench.settings(checkpoint_every=4)
    failed: list[int] = []
    table_learner.poison = lambda update: update.step == 6 and not failed and not failed.append(6)
    callbacks = [Checkpointing(settings), Curves(tmp_path / "curves")]
    bench.training(Budget("steps", 9), settings, callbacks=callbacks, learner=table_learner).run()
    curve = Curve(tmp_path / "curves")
    assert (curve.first, curve.last) == (1, 9)
    assert all(curve.row(step)["loss"] is not None for step in range(1, 10))
