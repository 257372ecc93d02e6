"""What a recipe is given: where it works, how it reports, when it shall stop."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from treadle.jobs.runs import RunFolder
    from treadle.store.workspace import WorkspaceFolder
    from treadle.telemetry.events import EventLog


class FencedOffError(TreadleError):
    """This process was taken for dead and another one goes on with its run."""


class StopSignal:
    """Remembers that SIGTERM or SIGINT arrived; recipes ask at their step boundaries."""

    def __init__(self) -> None:
        """Start unset, not yet listening."""
        self.requested = False
        self.on_signal: Callable[[], None] = lambda: None

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT of this process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self.on_signal()


@dataclass(frozen=True, slots=True)
class RunContext:
    """The surroundings of one run."""

    workspace: WorkspaceFolder
    run: RunFolder
    log: EventLog
    stop: StopSignal = field(default_factory=StopSignal)
    fence: int = 0
    """Number of the attempt that this process makes."""

    def emit(self, type_: str, **data: Any) -> None:  # noqa: ANN401 - data is plain JSON
        """Append one event to the run's log."""
        self.log.emit(type_, **data)

    def require_claim(self) -> None:
        """Raise `FencedOffError` if the run has been given to another process; to be asked before anything is kept."""
        if self.run.fence() != self.fence:
            raise FencedOffError(f"Run {self.run.id} was given to another process; this one keeps nothing more.")

    def kept(self) -> None:
        """Tell that something was kept which a next attempt goes on from: the job makes progress."""
        self.run.kept.touch()

    def stop_requested(self) -> bool:
        """Whether the run was asked to stop at the next step boundary."""
        return self.stop.requested
