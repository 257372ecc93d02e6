"""A worker in the background: `python -m treadle.jobs.background WORKSPACE [KIND]`.

It is started by whoever queues work when no worker lives, and ends when it has been idle for a while. The process for
the first job is started before anything else is imported: importing is what a first job waits for.
"""

from __future__ import annotations

import sys
from pathlib import Path

from treadle.jobs.executors.subprocess import Spare
from treadle.jobs.presence import held_alone, idle_seconds
from treadle.store.workspace import WorkspaceFolder


def main(arguments: list[str]) -> int:
    """Work until idle; ends at once if there is a worker in the background already."""
    workspace = WorkspaceFolder(Path(arguments[0]))
    kind = arguments[1] if len(arguments) > 1 else ""
    with held_alone(workspace) as alone:
        if not alone:
            return 0
        spare = Spare(kind) if kind else None
        from treadle.jobs.worker import Worker

        Worker(workspace, idle_seconds=idle_seconds(), spare=spare).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
