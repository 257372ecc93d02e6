"""The training loop. It knows steps, evaluations and checkpoints; everything else is a callback."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from treadle.training.checkpoints import Snapshot
from treadle.training.evaluation import Evaluation, evaluate
from treadle.training.learner import DivergedError, Update
from treadle.training.start import data_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from treadle.data.loader import Loader
    from treadle.training.callbacks.callback import Callback
    from treadle.training.checkpoints import Checkpoint
    from treadle.training.config import TrainingSettings
    from treadle.training.learner import Learner, StepResult
    from treadle.training.start import Start, Subject

_SMOOTHING: Final = 0.95  # share of the old value in the smoothed loss: about the last 20 steps

Reason = Literal["finished", "stopped", "early_stopped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    reason: Reason
    step: int
    epochs: float
    seconds: float
    """Time spent on the budget, over all the runs that resumed it."""
    checkpoint: Checkpoint | None
    evaluation: Evaluation | None
    """The last one of this run."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The run went back: its weights, or what it measured with them, were not numbers."""

    what: str
    """Which number it was."""
    failed_step: int
    back_to_step: int
    skipped_examples: int
    """Examples read since then; they are not read again in this pass."""
    count: int
    """Recoveries of this budget so far."""


class Training:
    """One run of training, from a `Start` to an `Outcome`.

    Callbacks read its attributes and ask for work by its `request_` methods. A loss that is not a number sends the run
    back to its last checkpoint; the examples read since then are skipped, since repeating the same steps would end in
    the same place, and no setting is touched.
    """

    def __init__(
        self,
        learner: Learner,
        loader: Loader,
        settings: TrainingSettings,
        subject: Subject,
        start: Start,
        *,
        callbacks: Sequence[Callback] = (),
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wire the parts together; nothing runs yet. `stop_requested` is asked at each step boundary."""
        self.learner, self.loader, self.settings = learner, loader, settings
        self.subject, self.start, self.callbacks = subject, start, callbacks
        self.schedule, self.place = start.schedule, start.place
        self.rate_scale = 0.0
        self.result: StepResult | None = None
        self.smoothed_loss: float | None = None
        self.evaluation: Evaluation | None = None
        self.evaluation_step = -1
        self.last_checkpoint = start.checkpoint
        self.recoveries = 0
        self.skipped_examples = 0
        self._trunk = start.trunk
        self._good = (start.checkpoint, start.place, self._trunk)
        self.plan_changed = False
        self._plan_changes: list[dict[str, Any]] = []
        self._stop_requested = stop_requested
        self._wanted: set[str] = set()
        self._stop_reason: Reason | None = None
        self._clock_start = 0.0

    @property
    def epochs(self) -> float:
        """Passes over the data so far."""
        return self.place.epochs(self.loader.examples_per_epoch)

    @property
    def total_steps(self) -> int | None:
        """Number of the last step, or None for a budget of minutes."""
        return self.schedule.total_steps(self.place, self.settings.examples_per_step)

    def request_evaluation(self) -> None:
        """Have the model evaluated after this step."""
        self._wanted.add("evaluation")

    def request_checkpoint(self) -> None:
        """Have a checkpoint written after this step, and after its evaluation if there is one."""
        self._wanted.add("checkpoint")

    def request_stop(self, reason: Reason) -> None:
        """End the run after this step, with a checkpoint."""
        self._stop_reason = reason

    def run(self) -> Outcome:
        """Train until the budget is used up or a stop is asked for."""
        try:
            self._restore()
            if self.start.checkpoint is not None:
                self._take_over(self.start.checkpoint)
            self._clock_start = time.monotonic() - self.place.seconds
            for callback in self.callbacks:
                callback.on_start(self)
            reason = None
            while reason is None:
                try:
                    reason = self._advance()
                except DivergedError as problem:
                    self._recover(problem)
            outcome = Outcome(
                reason, self.place.step, self.epochs, self.place.seconds, self.last_checkpoint, self.evaluation
            )
            for callback in self.callbacks:
                callback.on_stop(self, outcome)
            return outcome
        finally:
            for callback in self.callbacks:
                callback.close()

    def _advance(self) -> Reason | None:
        if self.start.kind == "finished":
            return "finished"
        self._read_clock()
        if self.schedule.done(self.place):
            self._evaluate()
            self._write_checkpoint(finished=True)
            return "finished"
        if self._stop_reason is not None or self._stop_requested():
            self._keep()
            return self._stop_reason or "stopped"
        if self._trunk and self.schedule.cooling(self.place):
            self._keep()  # the stem
            self._trunk = False
        self._step()
        if not self.schedule.done(self.place):
            self._serve()
        return None

    def _step(self) -> None:
        size, position = self.settings.batch_size, self.place.examples
        batches = [self.loader.batch(position + i * size, size) for i in range(self.settings.accumulation)]
        if not any(batch.count for batch in batches):  # empty slots: there is nothing to learn from
            self.place = replace(self.place, examples=position + self.settings.examples_per_step)
            return
        self.rate_scale = self.schedule.rate_scale(self.place)
        update = Update(self.place.step + 1, self.rate_scale, self.settings.clip)
        self.place = replace(self.place, step=update.step, examples=position + self.settings.examples_per_step)
        result = self.learner.step(batches, update)
        self._read_clock()
        _require_number("The training loss", result.loss)
        _require_number("The gradient's norm", result.gradient_norm)
        old = result.loss if self.smoothed_loss is None else self.smoothed_loss
        self.result, self.smoothed_loss = result, _SMOOTHING * old + (1 - _SMOOTHING) * result.loss
        for callback in self.callbacks:
            callback.on_step(self, result)

    def _read_clock(self) -> None:
        self.place = replace(self.place, seconds=time.monotonic() - self._clock_start)

    def _serve(self) -> None:
        if "evaluation" in self._wanted:
            self._evaluate()
        if "checkpoint" in self._wanted:
            self._keep()
        self._wanted.clear()

    def _evaluate(self) -> None:
        if self.evaluation_step == self.place.step:
            return
        found = evaluate(self.learner, self.loader, self.settings.batch_size, self.settings.evaluation_examples)
        if found is None:
            return
        _require_number("The held-out loss", found.loss)
        self.evaluation, self.evaluation_step = found, self.place.step
        for callback in self.callbacks:
            callback.on_evaluation(self, found)

    def _keep(self) -> None:
        """Write a checkpoint, unless there is nothing new to keep."""
        if self.place.step == (0 if self.last_checkpoint is None else self.last_checkpoint.step):
            return
        self._write_checkpoint(finished=False)

    def _write_checkpoint(self, *, finished: bool) -> None:
        weights = self.learner.streamed_weights()  # copies of all would take as much memory again as they do
        for name, array in weights.items():
            if not np.isfinite(array).all():
                raise DivergedError(f"The weight {name}")
        snapshot = Snapshot(
            step=self.place.step,
            record=self.subject.record,
            weights=weights,
            optimizer=self.learner.streamed_optimizer_state(),
            data=self._data_state(),
            schedule=self._schedule_state(finished=finished),
            plan=dict(self.learner.plan),
            metrics=self._metrics(),
            lineage=self._lineage(),
            callbacks={callback.name: callback.state_dict() for callback in self.callbacks if callback.name},
        )
        checkpoint = self.subject.checkpoints.write(snapshot)
        self.last_checkpoint, self._good = checkpoint, (checkpoint, self.place, self._trunk)
        for callback in self.callbacks:
            callback.on_checkpoint(self, checkpoint)

    def _data_state(self) -> dict[str, Any]:
        state = data_state(self.place, self.subject.dataset, self.loader)
        return {**state, "skipped_examples": self.skipped_examples}

    def _schedule_state(self, *, finished: bool) -> dict[str, Any]:
        return {
            "plan": self.schedule.to_json(),
            "seconds": self.place.seconds,
            "trunk": self._trunk,
            "finished": finished,
            "recoveries": self.recoveries,
        }

    def _lineage(self) -> dict[str, Any]:
        return {
            "run": self.subject.run,
            "dataset": self.subject.dataset,
            "parent": None if self.last_checkpoint is None else self.last_checkpoint.path.name,
            "plan_changes": self._plan_changes,
        }

    def _metrics(self) -> dict[str, float]:
        found: dict[str, float] = {} if self.smoothed_loss is None else {"loss": self.smoothed_loss}
        if self.evaluation is not None and self.evaluation_step == self.place.step:
            found |= self.evaluation.metrics()
        return found

    def _restore(self) -> None:
        """Go to the last checkpoint, or to the first weights if there is none yet."""
        checkpoint, self.place, self._trunk = self._good
        self.result, self.evaluation, self.evaluation_step = None, None, -1
        self._wanted.clear()
        if checkpoint is None:
            self.smoothed_loss = None
            self.learner.load_weights(self.subject.initial_weights())
            moments = self.learner.optimizer_state()
            self.learner.load_optimizer_state({name: np.zeros_like(array) for name, array in moments.items()})
            return
        checkpoint.require_family(self.subject.record.family)
        self.learner.load_weights(checkpoint.weights())
        self.learner.load_optimizer_state(checkpoint.optimizer())
        self.smoothed_loss = checkpoint.metrics.get("loss")
        states = checkpoint.document["callbacks"]
        for callback in self.callbacks:
            if callback.name in states:
                callback.load_state_dict(states[callback.name])

    def _take_over(self, checkpoint: Checkpoint) -> None:
        """Carry on the accounts of the checkpoint that this run starts from; record a change of the numeric plan."""
        document, plan = checkpoint.document, dict(self.learner.plan)
        self.skipped_examples = int(document["data"]["skipped_examples"])
        if self.start.kind == "resumed":
            self.recoveries = int(document["schedule"]["recoveries"])
        self._plan_changes = list(document["lineage"]["plan_changes"])
        self.plan_changed = document["plan"] != plan
        if self.plan_changed:
            self._plan_changes.append({"step": checkpoint.step, "before": document["plan"], "after": plan})

    def _recover(self, problem: DivergedError) -> None:
        failed = self.place
        good_step = self._good[1].step
        self.recoveries += 1
        if self.recoveries > self.settings.recoveries:
            raise self._give_up(problem, failed.step, good_step) from problem
        self._restore()
        skipped = failed.examples - self.place.examples
        self.skipped_examples += skipped
        self.place = replace(self.place, examples=failed.examples)
        recovery = Recovery(str(problem), failed.step, good_step, skipped, self.recoveries)
        for callback in self.callbacks:
            callback.on_recovery(self, recovery)

    def _give_up(self, problem: DivergedError, failed_step: int, good_step: int) -> DivergedError:
        rates = "training.optimizer.learning_rate"
        if self.settings.optimizer.name == "muon":
            rates += " and training.optimizer.matrix_learning_rate"
        clip = "lower" if self.settings.clip else "set"
        return DivergedError(
            f"{problem} was not a number at step {failed_step}, after {self.recoveries - 1} attempts to go back "
            f"and skip the data. Lower {rates}, {clip} training.clip, or raise training.warmup_steps "
            f"(now {self.settings.warmup_steps}). What was learned until step {good_step} is kept."
        )


def _require_number(what: str, value: float) -> None:
    if not math.isfinite(value):
        raise DivergedError(what)
