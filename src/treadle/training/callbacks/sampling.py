"""Samples while training, through the same path that samples later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.learner import StepResult
    from treadle.training.loop import Training


class Sampling(Callback):
    """Emits `sample` (step, epoch, and what `sample` returned) every so many steps and at the budget's end.

    It asks for a checkpoint and samples from that, so that what is seen while training is what is there later. A sample
    that fails is told by `sample_failed` and does not end the training.
    """

    def __init__(self, every: int, sample: Callable[[Checkpoint], Mapping[str, Any]], emit: Callable[..., Any]) -> None:
        """Take the steps between two samples (0 = none), what makes one, and where it is told."""
        self._every, self._sample, self._emit = every, sample, emit
        self._due = False

    def on_step(self, training: Training, result: StepResult) -> None:  # noqa: ARG002 - the moment's signature
        """Ask for a checkpoint to sample from."""
        if self._every and training.place.step % self._every == 0:
            self._due = True
            training.request_checkpoint()

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:
        """Sample, if one is due or the budget is used up."""
        if not self._due and not (self._every and checkpoint.finished):
            return
        self._due = False
        place = {"step": checkpoint.step, "epoch": round(training.epochs, 4)}
        try:
            facts = self._sample(checkpoint)
        except TreadleError as error:
            self._emit("sample_failed", **place, reason=str(error))
        else:
            self._emit("sample", **{**place, **facts})
