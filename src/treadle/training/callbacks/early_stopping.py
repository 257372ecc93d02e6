"""Stopping when the held-out loss has not fallen for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.training.evaluation import Evaluation
    from treadle.training.loop import Training


class EarlyStopping(Callback):
    """Ends the run after `patience` evaluations in a row without a new best; the best checkpoint is kept."""

    name: ClassVar[str] = "early_stopping"

    def __init__(self, patience: int) -> None:
        """Take the number of evaluations to wait; 0 = for ever."""
        self._patience = patience
        self._best: float | None = None
        self._waited = 0

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """Count, and stop when patience is at its end."""
        if self._best is None or evaluation.loss < self._best:
            self._best, self._waited = evaluation.loss, 0
            return
        self._waited += 1
        if self._patience and self._waited >= self._patience:
            training.request_stop("early_stopped")

    def state_dict(self) -> dict[str, Any]:
        """The best loss and how many evaluations have passed since."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self._best, self._waited = state["best"], int(state["waited"])
