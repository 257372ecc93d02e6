"""The process that carries out one run: `python -m treadle.jobs.child KIND PARENT_PID`, the run's folder on stdin.

The folder comes on standard input so that this process can import what the kind needs (numpy, the native core) while
its parent still works out the request. An end of input without a folder means that there is nothing to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from treadle.base.errors import TreadleError
from treadle.jobs.context import RunContext, StopSignal
from treadle.jobs.runs import RunFolder
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder
from treadle.telemetry.events import EventLog

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Carry out the run whose folder comes on standard input; returns the exit code."""
    kind, parent = arguments[0], int(arguments[1])
    _die_with(parent)
    stop = StopSignal()
    stop.listen()
    with contextlib.suppress(Exception):  # whatever is wrong is told when the run itself needs it
        load(load("treadle.recipes.catalog:KINDS").get(kind).recipe)
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    run = RunFolder(Path(os.fsdecode(line.rstrip(b"\n"))))
    _print_to(run.log)
    run.claim()
    log = EventLog(run.events)
    context = RunContext(WorkspaceFolder(run.workspace_root), run, log, stop)
    try:
        log.emit("started", pid=os.getpid())
        result = _carry_out(context)
    except TreadleError as error:
        kind_of_error = type(error).__name__.removesuffix("Error")
        result = {"outcome": "failed", "error": str(error), "exit_code": error.exit_code, "kind": kind_of_error}
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


def _carry_out(context: RunContext) -> dict[str, Any]:
    spec = context.run.spec()
    kind = load("treadle.recipes.catalog:KINDS").get(spec["kind"])
    payload = kind.validate(spec["payload"])
    value = load(kind.recipe)(context, payload)
    return {"outcome": "stopped" if context.stop_requested() else "done", "value": value}


def _print_to(log: Path) -> None:
    """Send everything that this process and its libraries print to the run's log."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)


def _die_with(parent: int) -> None:
    """End when the parent does. The signal alone is racy: the parent may have died before it was asked for."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
