"""A run in a child process of its own group, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.telemetry.events import follow_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.jobs.runs import RunFolder
    from treadle.telemetry.events import Event


class RunFailedError(TreadleError):
    """A run ended without doing what was asked."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        """Carry the run's own message and exit code."""
        super().__init__(message)
        self.exit_code = exit_code


class SubprocessRun:
    """A run in progress, seen from the process that started it."""

    def __init__(self, run: RunFolder) -> None:
        """Start the child; what it prints goes to the run's log."""
        self.run = run
        with run.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "treadle.jobs.child", str(run.path), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def events(self) -> Iterator[Event | None]:
        """Yield the run's events until its process ends; None whenever nothing is new."""
        yield from follow_events(self.run.events, lambda: self._process.poll() is None)

    def stop(self) -> None:
        """Ask the run to keep what it has and stop at its next step boundary."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the run's process at once; its last checkpoint stays."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait(self) -> dict[str, Any]:
        """Wait for the end; return what the recipe returned, with `run` and `outcome` added.

        Raises `RunFailedError` with the run's message; a process that vanished is said to have died, not to have
        failed.
        """
        code = self._process.wait()
        result = self.run.result()
        if result is None:
            reason = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise RunFailedError(
                f"Run {self.run.id} {reason} before it could finish. Its log is {self.run.log}; "
                "run the command again to go on from the last checkpoint."
            )
        if result["outcome"] == "failed":
            raise RunFailedError(result["error"], result["exit_code"])
        return {"run": self.run.id, "outcome": result["outcome"], **result["value"]}
