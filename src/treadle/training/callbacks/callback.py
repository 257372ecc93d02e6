"""The moments of the loop. A callback overrides those it cares about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.evaluation import Evaluation
    from treadle.training.learner import StepResult
    from treadle.training.loop import Outcome, Recovery, Training


class Callback:
    """Does nothing at every moment. A callback asks for work by `training.request_...`; the loop decides the order."""

    name: ClassVar[str] = ""
    """Key of its state in checkpoints; needed only where there is state."""

    def on_start(self, training: Training) -> None:
        """Before the first step of this run; weights are loaded."""

    def on_step(self, training: Training, result: StepResult) -> None:
        """After each step; evaluations and checkpoints that it requests follow at once, in this order."""

    def on_evaluation(self, training: Training, evaluation: Evaluation) -> None:
        """After an evaluation on held-out data."""

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:
        """After a checkpoint was written."""

    def on_recovery(self, training: Training, recovery: Recovery) -> None:
        """After the run went back because a number was not one."""

    def on_stop(self, training: Training, outcome: Outcome) -> None:
        """At the end of the run, after the last checkpoint."""

    def close(self) -> None:
        """Free files; called however the run ends."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep, as plain JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
