"""Telling whoever watches how far the training is."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from treadle.telemetry.hardware import resident_memory
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.evaluation import Evaluation
    from treadle.training.learner import StepResult
    from treadle.training.loop import Outcome, Recovery, Training


class Progress(Callback):
    """Emits events: training_started, progress, evaluation, checkpoint, recovery, training_stopped.

    `progress` comes at most every `interval` seconds and carries epoch, step, total_steps (None while unknown),
    fraction, loss (smoothed, nats per target), held_out_loss, bits_per_byte, learning_rate,
    targets_per_second, eta_seconds and memory_bytes; figures that are not known yet are None.
    """

    def __init__(self, emit: Callable[..., Any], interval: float = 0.25) -> None:
        """Take what emits an event, called as `emit(type, **data)`, and the shortest time between two, in seconds."""
        self._emit, self._interval = emit, interval
        self._history: deque[tuple[float, int]] = deque(maxlen=40)  # (time, targets so far), one per emitted event
        self._targets = 0
        self._began = (0.0, 0.0)
        self._last = 0.0

    def on_start(self, training: Training) -> None:
        """Tell where the run goes on from and what it does."""
        now = time.monotonic()
        self._began = (now, training.schedule.measured(training.place))
        self._history.append((now, 0))
        self._emit(
            "training_started",
            kind=training.start.kind,
            message=training.start.describe(),
            step=training.place.step,
            epoch=round(training.epochs, 4),
            total_steps=training.total_steps,
            budget={"unit": training.schedule.budget.unit, "amount": training.schedule.budget.amount},
            plan=dict(training.learner.plan),
            plan_changed=training.plan_changed,
        )

    def on_step(self, training: Training, result: StepResult) -> None:
        """Tell the figures of this step, if the last ones are old enough."""
        self._targets += result.targets
        now = time.monotonic()
        if now - self._last < self._interval and not training.schedule.done(training.place):
            return
        self._last = now
        self._history.append((now, self._targets))
        evaluation = training.evaluation
        self._emit(
            "progress",
            epoch=round(training.epochs, 4),
            step=training.place.step,
            total_steps=training.total_steps,
            fraction=round(training.schedule.fraction(training.place), 6),
            loss=training.smoothed_loss,
            held_out_loss=None if evaluation is None else evaluation.loss,
            bits_per_byte=None if evaluation is None else evaluation.bits_per_byte,
            learning_rate=training.rate_scale * training.settings.optimizer.learning_rate,
            targets_per_second=self._speed(),
            eta_seconds=self._remaining(training, now),
            memory_bytes=resident_memory(),
        )

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Tell what was measured."""
        self._emit("evaluation", step=training.place.step, epoch=round(training.epochs, 4), **evaluation.metrics())

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:
        """Tell which checkpoint was written."""
        self._emit(
            "checkpoint",
            step=checkpoint.step,
            epoch=round(training.epochs, 4),
            checkpoint=checkpoint.path.name,
            trunk=checkpoint.trunk,
            finished=checkpoint.finished,
        )

    def on_recovery(self, training: Training, recovery: Recovery) -> None:  # noqa: ARG002 - the moment's signature
        """Tell that the run went back, and why."""
        self._emit(
            "recovery",
            message=f"{recovery.what} was not a number at step {recovery.failed_step}: back to step "
            f"{recovery.back_to_step}, skipping {recovery.skipped_examples} examples.",
            step=recovery.back_to_step,
            failed_step=recovery.failed_step,
            skipped_examples=recovery.skipped_examples,
            count=recovery.count,
        )

    def on_stop(self, training: Training, outcome: Outcome) -> None:  # noqa: ARG002 - the moment's signature
        """Tell how it ended."""
        evaluation = outcome.evaluation
        self._emit(
            "training_stopped",
            reason=outcome.reason,
            step=outcome.step,
            epoch=round(outcome.epochs, 4),
            seconds=outcome.seconds,
            checkpoint=None if outcome.checkpoint is None else outcome.checkpoint.path.name,
            **({} if evaluation is None else evaluation.metrics()),
        )

    def _speed(self) -> float | None:
        (first_time, first), (last_time, last) = self._history[0], self._history[-1]
        return (last - first) / (last_time - first_time) if last_time > first_time else None

    def _remaining(self, training: Training, now: float) -> float | None:
        schedule, place = training.schedule, training.place
        left = max(0.0, schedule.end - schedule.measured(place))
        if schedule.measure == "seconds":
            return left
        began, start = self._began
        done = schedule.measured(place) - start
        return left * (now - began) / done if done > 0 else None
