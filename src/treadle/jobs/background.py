"""A worker in the background: `python -m treadle.jobs.background WORKSPACE [KIND]`.

It is started by whoever queues work when no worker lives, and ends when it has been idle for a while. The process for
the first job is started before anything else is imported: importing is what a first job waits for.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from treadle.jobs.executors.subprocess import Spare
from treadle.jobs.presence import held_alone, idle_seconds, worker_lives
from treadle.store.workspace import WorkspaceFolder

_PATIENCE_SECONDS = 100.0
"""A draining worker may take as long as its jobs; whoever queues or follows one starts another attempt at this."""


def main(arguments: list[str]) -> int:
    """Work until idle; ends at once if there is a worker in the background already."""
    workspace = WorkspaceFolder(Path(arguments[0]))
    kind = arguments[1] if len(arguments) > 1 else ""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with held_alone(workspace) as alone:
            if alone:
                _work(workspace, kind)
                return 0
        if worker_lives(workspace) or time.monotonic() > deadline:
            return 0
        time.sleep(0.1)  # the other one is about to begin, or takes nothing more and is about to end


def _work(workspace: WorkspaceFolder, kind: str) -> None:
    spare = Spare(kind) if kind else None
    from treadle.jobs.worker import Worker  # the spare process imports meanwhile

    Worker(workspace, idle_seconds=idle_seconds(), spare=spare).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
