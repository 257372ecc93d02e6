"""One attempt of a job in a process of its own group, seen from the worker that started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from treadle.jobs.job import Claim
    from treadle.jobs.runs import RunFolder

GRACE_SECONDS = 60.0
"""How long a process that was asked to stop may take to reach its next step boundary and keep its work."""
SPARE_SECONDS = 15.0
"""How long a process that was started ahead waits for its job."""
KEPT_SECONDS = 60.0
"""How long one waits that was started because people who have trained once often train again."""
_SLEEPING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""For the OpenMP that torch brings, where nothing else is set: a thread that waits for another one sleeps. Beside other
work it would burn the very time that the other one waits for."""


class Spare:
    """A process that imports what a kind of job needs before the job is there."""

    def __init__(self, kind: str, lasts_seconds: float = SPARE_SECONDS) -> None:
        """Start the process; it waits for its orders, for `lasts_seconds`."""
        self.kind = kind
        self.lasts_seconds = lasts_seconds
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "treadle.jobs.child", kind, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={**_SLEEPING, **os.environ},
        )

    @property
    def stale(self) -> bool:
        """Whether it has waited for too long, or died."""
        return time.monotonic() - self.began > self.lasts_seconds or self._process.poll() is not None

    def dismiss(self) -> None:
        """Send it away without orders."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process, which leads its own group."""
        return self._process.pid

    def carry_out(self, claim: Claim, run: RunFolder, grace_seconds: float = GRACE_SECONDS) -> Attempt:
        """Let it carry out a claimed job in `run`'s folder; asked to stop, it has `grace_seconds` to do so."""
        job = claim.job
        order = {"run": str(run.path), "kind": job.kind, "payload": job.payload, "fence": claim.fence}
        if self._process.stdin is None:
            raise AssertionError("the process was started without a pipe")
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:  # it has died; `poll` says so
            pipe.write(json.dumps(order).encode() + b"\n")
        return Attempt(claim, run, self._process, grace_seconds)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended."""

    outcome: Literal["done", "failed", "stopped", "died"]
    value: dict[str, Any]
    """What the recipe returned; for a failure `error`, `kind`, `exit_code`; for a death `error`."""


class Attempt:
    """A process at work on a job."""

    def __init__(self, claim: Claim, run: RunFolder, process: subprocess.Popen[bytes], grace_seconds: float) -> None:
        """Watch `process`, which carries out `claim`'s job in `run`'s folder."""
        self.claim = claim
        self.run = run
        self.asked: float | None = None
        self._process = process
        self._grace_seconds = grace_seconds
        self._ending: Ending | None = None

    @property
    def pid(self) -> int:
        """The process, which leads its own group."""
        return self._process.pid

    def ask_to_stop(self) -> None:
        """Ask the process to keep what it has and end at its next step boundary."""
        if self.asked is None:
            self.asked = time.monotonic()
            if self._process.poll() is None:
                self._process.terminate()

    def kill(self) -> None:
        """End the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def poll(self) -> Ending | None:
        """How it has ended, or None while it works; one that does not stop in time is killed."""
        if self._ending is not None:
            return self._ending
        if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if self.asked is not None and time.monotonic() - self.asked > self._grace_seconds:
                self.kill()
            return None
        self.kill()  # what it may have left behind in its group, whose number is not free before the next line
        code = self._process.wait()
        self._ending = ending_of(self.run) or Ending("died", {"error": _death(code)})
        return self._ending


def ending_of(run: RunFolder) -> Ending | None:
    """What the run's result file says, if there is one."""
    result = run.result()
    if result is None:
        return None
    if result["outcome"] == "failed":
        return Ending("failed", {key: result[key] for key in ("error", "kind", "exit_code") if key in result})
    return Ending("done" if result["outcome"] == "done" else "stopped", result["value"])


def _death(code: int) -> str:
    if code >= 0:
        return f"Its process ended with exit code {code} before it could finish."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"Its process was ended by {name} before it could finish."
