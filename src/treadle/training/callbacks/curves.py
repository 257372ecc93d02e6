"""The curves of one run, for whoever watches it or compares it with others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from treadle.telemetry.curve_writer import CurveWriter
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.evaluation import Evaluation
    from treadle.training.learner import StepResult
    from treadle.training.loop import Outcome, Recovery, Training

COLUMNS: Final = (
    *("loss", "held_out_loss", "bits_per_byte", "accuracy", "gradient_norm", "learning_rate"),
    *("targets_per_second", "seconds", "epoch"),
)
"""`seconds` and `epoch` say when; the others what was measured then."""
_FLUSH_SECONDS: Final = 1.0


class Curves(Callback):
    """Writes the curve of a run (see `telemetry.curve_file`): a row for each step, with its evaluation if any.

    A run that goes on after a kill, or goes back, drops the rows of the steps that are made again.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder of the curve, made if need be."""
        self._folder = folder
        self._writer: CurveWriter | None = None
        self._row: dict[str, float | None] = {}
        self._step = 0
        self._seconds = 0.0
        self._flushed = 0.0

    def on_start(self, training: Training) -> None:
        """Go on behind the step that the run starts from."""
        self._open_after(training.place.step, training.place.seconds)

    def on_step(self, training: Training, result: StepResult) -> None:
        """Write the row before; this one waits for its evaluation."""
        self._write_row()
        passed = training.place.seconds - self._seconds
        self._step, self._seconds = training.place.step, training.place.seconds
        self._row = {
            "loss": result.loss,
            "gradient_norm": result.gradient_norm,
            "learning_rate": training.rate_scale * training.settings.optimizer.learning_rate,
            "targets_per_second": result.targets / passed if passed > 0 else None,
            "seconds": training.place.seconds,
            "epoch": training.epochs,
        }
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._flush()

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Add the figures to the row of this step."""
        if self._row and self._step == training.place.step:
            self._row |= {key: value for key, value in evaluation.metrics().items() if key in COLUMNS}

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the moment's signature
        """Have every row up to here on disk: a resumed run begins after them."""
        self._write_row()
        self._flush()

    def on_recovery(self, training: Training, recovery: Recovery) -> None:
        """Drop the rows of the steps that failed."""
        self.close()
        self._open_after(recovery.back_to_step, training.place.seconds)

    def on_stop(self, training: Training, outcome: Outcome) -> None:  # noqa: ARG002 - the moment's signature
        """Write the last row."""
        self._write_row()

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open_after(self, step: int, seconds: float) -> None:
        self._row, self._seconds = {}, seconds
        self._writer = CurveWriter(self._folder, COLUMNS, step)

    def _write_row(self) -> None:
        if self._row and self._writer is not None:
            self._writer.add(self._step, self._row)
        self._row = {}

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if self._writer is not None:
            self._writer.flush()
