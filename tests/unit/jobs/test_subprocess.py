"""Attempts in real processes, as a worker sees them, without a ledger."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from treadle.jobs.executors.subprocess import Ending, Spare
from treadle.jobs.job import Claim, Job
from treadle.jobs.processes import process_start
from treadle.jobs.runs import create_run
from treadle.store.models import ModelCards
from treadle.store.workspace import create_workspace
from treadle.telemetry.events import read_events

SETTINGS = {"defaults": [{"override /size": "nano"}, {"override /family": "gpt"}]}


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "lab")


def claim(payload, fence=1, kind="feed"):
    names = list(Job.__dataclass_fields__)
    fields = dict.fromkeys(names) | {"id": 1, "kind": kind, "payload": payload, "fence": fence}
    return Claim(Job(**fields), fence, "boot/1/1")


def ended(attempt, seconds=60):
    deadline = time.monotonic() + seconds
    while (ending := attempt.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return ending


def started(workspace, payload, fence=1, run=None):
    run = run or create_run(workspace, "feed", payload)
    return run, Spare("feed").carry_out(claim(payload, fence), run)


@pytest.fixture
def payload(workspace, tmp_path):
    (tmp_path / "a.txt").write_text("Some words to read.")
    card = ModelCards(workspace).create("bard", SETTINGS)
    return {"model": card.id, "paths": [str(tmp_path / "a.txt")]}


def asleep(workspace, payload, fence=1, run=None, **options):
    """An attempt whose process is stopped before it can do anything."""
    run = run or create_run(workspace, "feed", payload)
    spare = Spare("feed")
    os.kill(spare.pid, signal.SIGSTOP)
    return run, spare.carry_out(claim(payload, fence), run, **options)


def test_a_spare_process_that_is_not_needed_goes_away_without_a_trace(workspace):
    spare = Spare("feed")
    assert not spare.stale
    spare.dismiss()
    assert spare.stale
    assert list(workspace.runs.iterdir()) == []


def test_threads_of_torch_sleep_while_they_wait_unless_the_environment_says_otherwise(monkeypatch):
    def environment():
        spare = Spare("feed")
        end = time.monotonic() + 30
        while not (found := Path(f"/proc/{spare.pid}/environ").read_bytes()) and time.monotonic() < end:
            time.sleep(0.01)  # the kernel is still setting the process up
        spare.dismiss()
        return found.split(b"\0")

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert b"OMP_WAIT_POLICY=PASSIVE" in environment()
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert b"OMP_WAIT_POLICY=ACTIVE" in environment()


def test_an_attempt_leaves_request_events_and_result(workspace, payload):
    run, attempt = started(workspace, payload, fence=5)
    ending = ended(attempt)
    assert (ending.outcome, ending.value["accepted"]) == ("done", 1)
    assert attempt.poll() == ending
    types = [event.type for event in read_events(run.events)]
    assert (types[0], types[-1]) == ("started", "ended")
    assert (run.fence(), run.process()) == (5, None)


def test_a_request_that_was_edited_while_it_waited_is_what_is_carried_out(workspace, payload):
    run = create_run(workspace, "feed", {**payload, "paths": []})
    _, attempt = started(workspace, payload, run=run)
    assert ended(attempt).value["accepted"] == 1
    assert run.spec()["payload"] == payload


def test_a_failure_says_why(workspace):
    _, attempt = started(workspace, {"model": "m-gone", "paths": []})
    ending = ended(attempt)
    assert ending.outcome == "failed"
    assert (ending.value["kind"], ending.value["exit_code"]) == ("NotFound", 2)
    assert "m-gone" in ending.value["error"]


def test_a_process_that_is_killed_has_died_and_not_failed(workspace, payload):
    run, attempt = asleep(workspace, payload)
    assert attempt.poll() is None
    attempt.kill()
    assert ended(attempt) == Ending("died", {"error": "Its process was ended by SIGKILL before it could finish."})
    assert run.result() is None


def test_a_process_that_does_not_stop_in_time_is_killed(workspace, payload):
    _, attempt = asleep(workspace, payload, grace_seconds=0.2)
    attempt.ask_to_stop()
    assert attempt.poll() is None
    assert ended(attempt, 10).outcome == "died"


def test_a_feed_that_is_stopped_in_the_middle_has_not_failed(workspace, payload, tmp_path):
    for number in range(3000):
        (tmp_path / f"{number}.txt").write_text(f"Text {number}.")
    run, attempt = started(workspace, {**payload, "paths": [str(tmp_path)]})
    while not any(event.type == "reading" for event in read_events(run.events)):
        time.sleep(0.005)
    attempt.ask_to_stop()
    ending = ended(attempt)
    assert (ending.outcome, ending.value) == (
        "stopped",
        {"error": "Feeding was stopped; nothing of it was kept. Run it again."},
    )


def test_whoever_was_taken_for_dead_leaves_no_result(workspace, payload, tmp_path):
    (tmp_path / "a.txt").write_text("Some more words to read.\n" * 100_000)
    run, attempt = started(workspace, payload, fence=1)
    while run.fence() != 1:
        time.sleep(0.0005)
    os.kill(attempt.pid, signal.SIGSTOP)
    (run.path / "fence.json").write_text('{"fence": 2}')
    assert run.result() is None
    os.kill(attempt.pid, signal.SIGCONT)
    assert ended(attempt).value["error"] == "Its process ended with exit code 75 before it could finish."
    assert run.result() is None


def test_a_later_attempt_ends_the_process_of_an_earlier_one_first(workspace, payload, tmp_path):
    (tmp_path / "a.txt").write_text("Some more words to read.\n" * 100_000)
    run, first = started(workspace, payload, fence=1)
    while run.process() is None:
        time.sleep(0.0005)
    os.kill(first.pid, signal.SIGSTOP)  # SIGTERM alone does not reach it
    _, second = started(workspace, payload, fence=2, run=run)
    time.sleep(0.6)
    assert second.poll() is None, "it waits"
    assert run.fence() == 1
    first.kill()
    assert ended(first).outcome == "died"
    assert ended(second).outcome == "done"


def test_a_process_ends_when_its_worker_is_killed():
    script = (
        "import os, sys, time\n"
        "from treadle.jobs.executors.subprocess import Spare\n"
        "spare = Spare('feed')\n"
        "print(spare._process.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as worker:
        pid = int(worker.stdout.readline())
        time.sleep(0.3)
        assert process_start(pid) is not None
        os.kill(worker.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while process_start(pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process_start(pid) is None
