"""When to write a checkpoint, and which ones to keep."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from treadle.training.callbacks.callback import Callback
from treadle.training.checkpoints import roles

if TYPE_CHECKING:
    from treadle.training.checkpoints import Checkpoint
    from treadle.training.config import TrainingSettings
    from treadle.training.evaluation import Evaluation
    from treadle.training.learner import StepResult
    from treadle.training.loop import Training


class Checkpointing(Callback):
    """Asks for a checkpoint every so many steps, every so many minutes, and at each new best held-out loss.

    Of what is there it keeps the newest ones, the best, the stem, and the newest that a finished cool-down ended in.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        """Take the settings `checkpoint_every`, `checkpoint_minutes`, `keep_last` and `keep_best`."""
        self._settings = settings
        self._last = time.monotonic()
        self._best = float("inf")

    def on_start(self, training: Training) -> None:
        """Find the best loss so far on this dataset version; the clock begins."""
        self._last = time.monotonic()
        best = roles(training.subject.checkpoints.all()).get("best")
        if best is not None and best.document["lineage"]["dataset"] == training.subject.dataset:
            self._best = best.metrics["held_out_loss"]

    def on_step(self, training: Training, result: StepResult) -> None:  # noqa: ARG002 - the moment's signature
        """Ask when a checkpoint is due."""
        every, minutes = self._settings.checkpoint_every, self._settings.checkpoint_minutes
        by_steps = every and training.place.step % every == 0
        by_minutes = minutes and time.monotonic() - self._last >= minutes * 60
        if by_steps or by_minutes:
            training.request_checkpoint()

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Ask when the model has never been better."""
        if evaluation.loss < self._best:
            self._best = evaluation.loss
            if self._settings.keep_best:
                training.request_checkpoint()

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the moment's signature
        """Remove what need not be kept."""
        self._last = time.monotonic()
        training.subject.checkpoints.prune(self._settings.keep_last, keep_best=self._settings.keep_best)
