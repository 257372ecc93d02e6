"""When to evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from treadle.training.learner import StepResult
    from treadle.training.loop import Training


class Evaluating(Callback):
    """Asks for an evaluation every so many steps; the loop itself evaluates at the end of the budget."""

    def __init__(self, every: int) -> None:
        """Take the number of steps between two evaluations; 0 = only the last one."""
        self._every = every

    def on_step(self, training: Training, result: StepResult) -> None:  # noqa: ARG002 - the moment's signature
        """Ask when one is due."""
        if self._every and training.place.step % self._every == 0:
            training.request_evaluation()
