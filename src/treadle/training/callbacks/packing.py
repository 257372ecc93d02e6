"""Weights made ready for the engine that writes text, as soon as they are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.base.errors import TreadleError
from treadle.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from treadle.training.checkpoints import Checkpoint
    from treadle.training.loop import Training


class Packing(Callback):
    """Lets `pack` lay out each checkpoint's weights as the engine reads them, so that the first sample need not.

    What goes wrong here is said by the first sample, which needs it; the training goes on.
    """

    def __init__(self, pack: Callable[[Checkpoint], None]) -> None:
        """Take what packs a checkpoint."""
        self._pack = pack

    def on_checkpoint(self, training: Training, checkpoint: Checkpoint) -> None:  # noqa: ARG002 - the moment's signature
        """Pack what was saved, unless it was pruned at once."""
        if not checkpoint.path.exists():
            return
        try:
            self._pack(checkpoint)
        except TreadleError:
            return
