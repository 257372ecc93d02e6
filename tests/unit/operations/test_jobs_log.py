"""The log of a job, read on while it is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import treadle
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.jobs.runs import create_run
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_log_that_is_being_written_is_told_up_to_its_last_whole_character(quick_folder: Path) -> None:
    lab = treadle.Workspace.create(quick_folder / "lab")
    workspace = WorkspaceFolder(lab.root)
    run = create_run(workspace, "train", {})
    with Ledger.open(workspace) as ledger:
        job = ledger.submit(NewJob("model:m-1", "train", {}, run=run.id))
        claim = ledger.work.claim(WorkerIdentity.current(), {"heavy": 1})
        written = "für".encode()
        run.log.write_bytes(written[:2])
        first = lab.jobs_log(job.id)
        assert (first.text, first.end) == ("f", 1)
        run.log.write_bytes(written)
        assert lab.jobs_log(job.id, begin=first.end).text == "ür"
        run.log.write_bytes(written[:2])
        ledger.work.finish(claim, {})
        assert lab.jobs_log(job.id).text == "f\ufffd", "nothing more comes"
