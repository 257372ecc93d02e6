"""TensorBoard curves, one per model however often its runs were interrupted."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from treadle.base.errors import MissingExtraError
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.training.evaluation import Evaluation
    from treadle.training.learner import StepResult
    from treadle.training.loop import Recovery, Training


class TensorBoard(Callback):
    """Writes train/loss, train/gradient_norm, train/rate_scale, held_out/loss and held_out/bits_per_byte by step.

    A resumed run tells TensorBoard to forget what lies beyond the step that it starts from (`purge_step`).
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder for event files; raises `MissingExtraError` without the extra `tensorboard`."""
        if find_spec("tensorboardX") is None:
            raise MissingExtraError(
                "TensorBoard curves need the extra `tensorboard`: run `pip install treadle[tensorboard]`, "
                "or set training.tensorboard=false."
            )
        self._folder = folder
        self._writer: Any = None

    def on_start(self, training: Training) -> None:
        """Open an event file that continues the curve."""
        self._open_after(training.place.step)

    def on_step(self, training: Training, result: StepResult) -> None:
        """Add one point to the training curves."""
        step = training.place.step
        self._writer.add_scalar("train/loss", result.loss, step)
        self._writer.add_scalar("train/gradient_norm", result.gradient_norm, step)
        self._writer.add_scalar("train/rate_scale", training.rate_scale, step)

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Add one point to the held-out curves."""
        self._writer.add_scalar("held_out/loss", evaluation.loss, training.place.step)
        if evaluation.bits_per_byte is not None:
            self._writer.add_scalar("held_out/bits_per_byte", evaluation.bits_per_byte, training.place.step)

    def on_recovery(self, training: Training, recovery: Recovery) -> None:  # noqa: ARG002 - the moment's signature
        """Forget the steps that failed."""
        self._open_after(recovery.back_to_step)

    def close(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open_after(self, step: int) -> None:
        from tensorboardX import SummaryWriter

        self.close()
        # Files of the same second would have the same name, and the later one would overwrite the earlier.
        suffix = f".{time.time_ns()}"
        self._writer = SummaryWriter(logdir=str(self._folder), purge_step=step + 1, filename_suffix=suffix)
