"""The process that carries out one attempt of a job: `python -m treadle.jobs.child KIND PARENT_PID`.

What to do comes as one line of JSON on standard input (`kind`, `payload`, `run`, `fence`), so that this process can
import what the kind needs (numpy, the native core) while the request is still being worked out. An end of input without
a line means that there is nothing to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from treadle.base.errors import TreadleError
from treadle.jobs.context import FencedOffError, RunContext, StopSignal
from treadle.jobs.runs import RunFolder
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.events import EventLog

_PR_SET_PDEATHSIG = 1
ORPHAN_SECONDS = 20
"""How long a process may take to keep its work after its worker has died."""
NICENESS = 5
"""How much a job gives way to what people wait for, such as a sample: beside it on one core it gets a quarter."""
NICENESS_VARIABLE = "TREADLE_JOB_NICENESS"
"""Environment variable: another niceness, from 0 (a job gives way to nothing) to 19."""
_FENCED_OFF = 75


def main(arguments: list[str]) -> int:
    """Carry out the attempt that comes on standard input; returns the exit code."""
    kind, parent = arguments[0], int(arguments[1])
    stop = StopSignal()
    stop.listen()
    _die_with(parent, stop)
    _step_back()
    with contextlib.suppress(Exception):  # whatever is wrong is told when the run itself needs it
        load("treadle.recipes.catalog:KINDS").get(kind).prepare()
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0
    order = json.loads(line)
    run = RunFolder(Path(order["run"]))
    _print_to(run.log)
    _end_orphan(run)
    run.forget_result("stopped")
    run.claim(int(order["fence"]))
    log = EventLog(run.events)
    context = RunContext(WorkspaceFolder(run.workspace_root), run, log, stop, int(order["fence"]))
    try:
        log.emit("started", pid=os.getpid())
        result = _carry_out(context, order)
        context.require_claim()
    except FencedOffError:
        return _FENCED_OFF
    except TreadleError as error:
        kind_of_error = type(error).__name__.removesuffix("Error")
        if stop.requested:  # it could not end in the middle without an error; nobody is to blame
            result = {"outcome": "stopped", "value": {"error": str(error)}}
        else:
            code = error.exit_code
            result = {"outcome": "failed", "error": str(error), "exit_code": code, "kind": kind_of_error}
    except MemoryError:
        advice = "Use a smaller size, data.sequence_length or training.batch_size."
        message = f"The machine's memory was not enough. {advice}"
        result = {"outcome": "failed", "error": message, "exit_code": 1, "kind": "Resource"}
    except Exception as error:
        traceback.print_exc()
        message = f"Treadle has a defect: {type(error).__name__}: {error}. The traceback is in {run.log}."
        result = {"outcome": "failed", "error": message, "exit_code": 70, "kind": "Defect"}
    run.write_result(result)
    log.emit("ended", outcome=result["outcome"])
    log.close()
    return int(result.get("exit_code", 0))


def _carry_out(context: RunContext, order: dict[str, Any]) -> dict[str, Any]:
    kind = load("treadle.recipes.catalog:KINDS").get(order["kind"])
    payload = kind.validate(order["payload"])
    spec = context.run.spec()
    if spec["payload"] != order["payload"]:  # the job was edited while it waited
        context.run.write_spec({**spec, "payload": order["payload"]})
    value = load(kind.recipe)(context, payload)
    return {"outcome": "stopped" if context.stop_requested() else "done", "value": value}


def _step_back() -> None:
    """Take what others leave of the processors; alone, that is all."""
    wish = os.environ.get(NICENESS_VARIABLE, "")
    niceness = min(19, int(wish)) if wish.isdecimal() else NICENESS
    os.nice(niceness)
    own_group = Path("/proc/self/autogroup")  # Linux weighs sessions against each other, before their processes
    with contextlib.suppress(OSError):  # a system without them, or one that was asked a moment ago
        own_group.write_text(str(niceness), encoding="ascii")


def _print_to(log: Path) -> None:
    """Send everything that this process and its libraries print to the run's log."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)


def _end_orphan(run: RunFolder) -> None:
    """End the process of an earlier attempt, if it is still there: it lost its worker and is keeping its work."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (pid := run.process()) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(0.05)


def _die_with(parent: int, stop: StopSignal) -> None:
    """End when the parent does, keeping the work done so far, in bounded time.

    The signal alone is racy: the parent may have died before it was asked for.
    """
    stop.on_signal = lambda: _alarm_if_orphaned(parent)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def _alarm_if_orphaned(parent: int) -> None:
    if os.getppid() != parent and not signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.alarm(ORPHAN_SECONDS)  # its default action ends the process


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
