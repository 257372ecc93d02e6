"""The model's own record of its training: one row a step, as CSV and as JSON lines."""

from __future__ import annotations

import json
import time
from typing import IO, TYPE_CHECKING, Any, Final

from treadle.base.files import disk_errors, write_text
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.evaluation import Evaluation
    from treadle.training.learner import StepResult
    from treadle.training.loop import Outcome, Recovery, Training

COLUMNS: Final = (
    *("run", "step", "epoch", "examples", "seconds", "loss", "gradient_norm", "rate_scale"),
    *("held_out_loss", "perplexity", "bits_per_byte", "accuracy"),
)


class History(Callback):
    """Writes `steps.jsonl` and `steps.csv`: one curve, however often the run was interrupted.

    Rows beyond the step that a run starts from belong to lost steps or to an earlier cool-down; they are moved to
    `set-aside.jsonl`.
    """

    def __init__(self, folder: Path) -> None:
        """Take the model's history folder, made if need be."""
        self._lines, self._table, self._aside = folder / "steps.jsonl", folder / "steps.csv", folder / "set-aside.jsonl"
        self._files: list[IO[str]] = []
        self._row: dict[str, Any] | None = None
        self._flushed = 0.0

    def on_start(self, training: Training) -> None:
        """Set lost rows aside and open the files."""
        self._open_after(training.place.step)

    def on_step(self, training: Training, result: StepResult) -> None:
        """Write the row before; this one waits for its evaluation."""
        self._write_row()
        self._row = {
            "run": training.subject.run,
            "step": training.place.step,
            "epoch": round(training.epochs, 6),
            "examples": training.place.examples,
            "seconds": round(training.place.seconds, 3),
            "loss": result.loss,
            "gradient_norm": result.gradient_norm,
            "rate_scale": training.rate_scale,
        }
        if time.monotonic() - self._flushed > 1.0:
            self._flush()

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Add the figures to the row of this step."""
        if self._row is not None and self._row["step"] == training.place.step:
            self._row |= {key: value for key, value in evaluation.metrics().items() if key in COLUMNS}

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the moment's signature
        """Have every row up to here on disk: a resumed run begins after them."""
        self._write_row()
        self._flush()

    def on_recovery(self, training: Training, recovery: Recovery) -> None:  # noqa: ARG002 - the moment's signature
        """Set the rows of the steps that failed aside."""
        self._write_row()
        self._open_after(recovery.back_to_step)

    def on_stop(self, training: Training, outcome: Outcome) -> None:  # noqa: ARG002 - the moment's signature
        """Write the last row."""
        self._write_row()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()
        self._files = []

    def _open_after(self, step: int) -> None:
        self.close()
        self._row = None
        with disk_errors(self._lines):
            self._lines.parent.mkdir(parents=True, exist_ok=True)
            kept, aside = _rows_up_to(self._lines, step)
            if aside:
                with self._aside.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in aside)
            write_text(self._lines, "".join(json.dumps(row) + "\n" for row in kept))
            write_text(self._table, "".join([",".join(COLUMNS) + "\n", *map(_csv, kept)]))
            self._files = [path.open("a", encoding="utf-8") for path in (self._lines, self._table)]

    def _write_row(self) -> None:
        if self._row is None:
            return
        with disk_errors(self._lines):
            for file, text in zip(self._files, (json.dumps(self._row) + "\n", _csv(self._row)), strict=True):
                file.write(text)
        self._row = None

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        with disk_errors(self._lines):
            for file in self._files:
                file.flush()


def _rows_up_to(path: Path, step: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split the rows at `step`; a last line that a kill has cut is left out."""
    if not path.exists():
        return [], []
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in whole]
    return [row for row in rows if row["step"] <= step], [row for row in rows if row["step"] > step]


def _csv(row: dict[str, Any]) -> str:
    return ",".join(_cells(row)) + "\n"


def _cells(row: dict[str, Any]) -> Iterable[str]:
    """Numbers and ids hold neither commas nor quotes."""
    return ("" if row.get(column) is None else str(row[column]) for column in COLUMNS)
