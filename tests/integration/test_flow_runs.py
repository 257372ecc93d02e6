"""The ledger's events become lines in the notes, whatever is killed in between."""

import json
import shutil

import pytest

from treadle.base.errors import NotReadyError
from treadle.flow.folder import FlowFolder
from treadle.flow.new_folder import initialise
from treadle.flow.verbs import add, done, perform
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.recipes.flow_reconcile import promise, reconcile, tag_task
from treadle.store.workspace import create_workspace

RUN = "r-01kaf3v2m9x7c5ab"
LIMITS = {"heavy": 1, "light": 1}


@pytest.fixture
def lab(tmp_path):
    workspace = create_workspace(tmp_path / "lab")
    folder, _ = initialise(workspace.root / "flow")
    perform(folder, lambda draft: add(draft, "Train bard"))
    return workspace


@pytest.fixture
def ledger(lab):
    with Ledger.open(lab) as opened:
        yield opened


def submitted(lab, ledger):
    promise(lab, tag_task(lab, "train bard"), RUN)
    return ledger.submit(NewJob(queue="model:m-1", kind="train", payload={}, run=RUN))


def row(lab):
    text = (lab.root / "flow/active/tasks.md").read_text()
    return next(line for line in text.split("\n") if "Train bard" in line and line.startswith("- ["))


def records(lab):
    return sorted((lab.root / "flow" / ".runs").glob("*.json"))


def test_a_waiting_job_says_nothing_a_running_one_that_it_started_a_finished_one_its_figures(lab, ledger):
    submitted(lab, ledger)
    assert reconcile(lab, ledger) == 1
    assert row(lab).startswith("- [ ] Train bard ^t-")
    claim = ledger.work.claim(WorkerIdentity.current(), LIMITS)
    reconcile(lab, ledger)
    assert row(lab).startswith(f"- [ ] ⏳ Train bard <# run {RUN} started ")
    ledger.work.finish(claim, {"bits_per_byte": 2.25})
    assert reconcile(lab) == 0
    assert row(lab).startswith("- [x] Train bard ✅ ")
    assert "bits_per_byte 2.25 #> ^t-" in row(lab)
    assert records(lab) == []


def test_a_reconciler_that_was_killed_before_it_could_remember_writes_nothing_twice(lab, ledger, tmp_path):
    submitted(lab, ledger)
    claim = ledger.work.claim(WorkerIdentity.current(), LIMITS)
    reconcile(lab, ledger)
    (record,) = records(lab)
    shutil.copy(record, tmp_path / "kept.json")
    ledger.work.finish(claim, {})
    reconcile(lab, ledger)
    text = (lab.root / "flow/active/tasks.md").read_text()
    shutil.copy(tmp_path / "kept.json", record)  # killed after the line was written, before the promise was taken away
    assert reconcile(lab, ledger) == 0
    assert (lab.root / "flow/active/tasks.md").read_text() == text
    assert text.count(f"Run {RUN} (train)") == 1


def test_a_job_whose_worker_died_goes_on_being_in_progress(lab, ledger):
    submitted(lab, ledger)
    claim = ledger.work.claim(WorkerIdentity.current(), LIMITS)
    reconcile(lab, ledger)
    ledger.work.crashed(claim, "the machine went away")
    assert reconcile(lab, ledger) == 1
    assert row(lab).startswith("- [ ] ⏳ Train bard")


def test_a_failed_job_blocks_its_task(lab, ledger):
    submitted(lab, ledger)
    claim = ledger.work.claim(WorkerIdentity.current(), LIMITS)
    ledger.work.fail(claim, "The machine's memory was not enough.", again=False)
    reconcile(lab, ledger)
    assert "🚩 Train bard" in row(lab)
    assert "memory was not enough" in row(lab)


def test_a_promise_whose_job_never_came_is_given_up_after_a_while(lab, ledger):
    promise(lab, tag_task(lab, "train bard"), RUN)
    assert reconcile(lab, ledger) == 1
    (record,) = records(lab)
    record.write_text(json.dumps({**json.loads(record.read_text()), "created": 0.0}))
    assert reconcile(lab, ledger) == 0
    assert records(lab) == []


def test_a_finished_task_takes_no_job(lab):
    perform(FlowFolder(lab.root / "flow"), lambda draft: done(draft, "train bard"))
    with pytest.raises(NotReadyError, match="Reopen it first"):
        tag_task(lab, "train bard")
