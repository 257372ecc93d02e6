"""Samples while training, through the same path that samples later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from treadle.base.errors import TreadleError
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.learner import StepResult
    from treadle.training.loop import Training

_EARLY: Final = 5


class Sampling(Callback):
    """Emits `sample` (step, epoch, and what `sample` returned) now and then, and at the budget's end.

    It asks for a checkpoint and samples from that, so that what is seen while training is what is there later. A sample
    that fails is told by `sample_failed` and does not end the training.
    """

    def __init__(
        self,
        every: int,
        sample: Callable[[Checkpoint], Mapping[str, Any]],
        emit: Callable[..., Any],
        *,
        minutes: float = 0.0,
    ) -> None:
        """Take the steps and minutes between two samples (0 = not by these), what makes one, and where it is told."""
        self._every, self._minutes, self._sample, self._emit = every, minutes, sample, emit
        self._due = False
        self._step = -1  # that the last sample was of
        self._last: float | None = None  # none yet: by the clock, the first comes after `_EARLY` steps

    def _by_steps(self, step: int) -> bool:
        return self._every > 0 and step % self._every == 0

    def _by_clock(self, step: int) -> bool:
        if self._minutes == 0:
            return False
        return step >= _EARLY if self._last is None else time.monotonic() - self._last >= self._minutes * 60

    def on_step(self, training: Training, result: StepResult) -> None:  # noqa: ARG002 - the moment's signature
        """Ask for a checkpoint to sample from."""
        if self._by_steps(training.place.step) or self._by_clock(training.place.step):
            self._due = True
            training.request_checkpoint()

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:
        """Sample, if one is due or the budget is used up."""
        wanted = self._every > 0 or self._minutes > 0
        if not self._due and not (wanted and checkpoint.finished and checkpoint.step != self._step):
            return
        self._due, self._last, self._step = False, time.monotonic(), checkpoint.step
        place = {"step": checkpoint.step, "epoch": round(training.epochs, 4)}
        try:
            facts = self._sample(checkpoint)
        except TreadleError as error:
            self._emit("sample_failed", **place, reason=str(error))
        else:
            self._emit("sample", **{**place, **facts})
