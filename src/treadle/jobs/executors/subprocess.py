"""A run in a child process of its own group, on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from treadle.base.errors import TreadleError
from treadle.telemetry.events import EventFollower

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.jobs.runs import RunFolder
    from treadle.telemetry.events import Event


class RunFailedError(TreadleError):
    """A run ended without doing what was asked."""

    def __init__(self, message: str, exit_code: int = 1, kind: str = "RunFailed") -> None:
        """Carry the run's own message, exit code and kind of error."""
        super().__init__(message)
        self.exit_code = exit_code
        self.kind = kind


class PreparedChild:
    """A child process that imports what a kind of job needs while the request is still being worked out.

    Use it as a context: a child that was given no run by the end goes away without a trace.
    """

    def __init__(self, kind: str) -> None:
        """Start the process; it waits for a run."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "treadle.jobs.child", kind, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def carry_out(self, run: RunFolder) -> SubprocessRun:
        """Let the child carry out `run`; from now on what it prints goes to the run's log."""
        if self._process.stdin is None:
            raise AssertionError("the child was started without a pipe")
        try:
            self._process.stdin.write(os.fsencode(run.path) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the child has died; `wait` says so
        return SubprocessRun(run, self._process)


class SubprocessRun:
    """A run in progress, seen from the process that started it.

    As a context it does not outlive an exception: the run is asked to stop, and is waited for.
    """

    def __init__(self, run: RunFolder, process: subprocess.Popen[bytes]) -> None:
        """Follow `run`, which `process` carries out."""
        self.run = run
        self._process = process
        self._follower = EventFollower(run.events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        self.stop()
        try:
            with contextlib.suppress(TreadleError):  # what is already on its way to the caller matters more
                self.wait()
        except KeyboardInterrupt:
            self.kill()

    def events(self) -> Iterator[Event | None]:
        """Yield the run's events until its process ends; None whenever nothing is new.

        Called again after an interruption, it goes on behind the last event that was yielded.
        """
        yield from self._follower.follow(lambda: self._process.poll() is None)

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
            raise RunFailedError(result["error"], result["exit_code"], result.get("kind", "RunFailed"))
        return {"run": self.run.id, "outcome": result["outcome"], **result["value"]}
