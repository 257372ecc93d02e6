import json
import os
import signal
import sys
import time

import pytest

from treadle.base.errors import DataError, NotFoundError
from treadle.jobs.executors.subprocess import PreparedChild, RunFailedError
from treadle.jobs.runs import create_run, find_run, process_start
from treadle.operations.data import FeedPayload
from treadle.recipes.catalog import FEED
from treadle.store.models import ModelCards
from treadle.store.workspace import create_workspace

SETTINGS = {"defaults": [{"override /size": "nano"}, {"override /family": "gpt"}]}


@pytest.fixture
def workspace(tmp_path):
    return create_workspace(tmp_path / "lab")


def feed(workspace, *paths):
    card = ModelCards(workspace).create("bard", SETTINGS)
    return create_run(workspace, "feed", {"model": card.id, "paths": [str(path) for path in paths]})


def started(folder):
    with PreparedChild("feed") as child:
        return child.carry_out(folder)


def test_a_child_that_is_given_no_run_goes_away_without_a_trace(workspace):
    with PreparedChild("feed") as child:
        pass
    assert child._process.wait(timeout=30) == 0
    assert list(workspace.runs.iterdir()) == []


def test_a_run_is_carried_out_by_a_child_and_leaves_request_events_and_result(workspace, tmp_path):
    (tmp_path / "a.txt").write_text("Some words to read.")
    folder = feed(workspace, tmp_path / "a.txt")
    run = started(folder)
    types = [event.type for event in run.events() if event is not None]
    assert run.wait()["accepted"] == 1
    assert types[0] == "started"
    assert types[-1] == "ended"
    assert folder.spec()["kind"] == "feed"
    assert folder.result()["outcome"] == "done"
    assert json.loads((folder.path / "process.json").read_text())["pid"] != os.getpid()
    assert not folder.process_lives()
    assert find_run(workspace, folder.id) == folder


def test_a_run_that_fails_says_why_in_its_result(workspace):
    run = started(create_run(workspace, "feed", {"model": "m-gone", "paths": []}))
    with pytest.raises(RunFailedError, match="m-gone") as caught:
        run.wait()
    assert (caught.value.kind, caught.value.exit_code) == ("NotFound", 2)
    assert run.run.result()["outcome"] == "failed"


def test_a_run_as_context_does_not_outlive_an_exception(workspace):
    card = ModelCards(workspace).create("bard", SETTINGS)
    with (
        pytest.raises(ZeroDivisionError),
        started(create_run(workspace, "feed", {"model": card.id, "paths": []})) as run,
    ):
        raise ZeroDivisionError
    assert not run.run.process_lives()
    assert run._process.poll() is not None


def test_a_run_whose_process_was_killed_is_said_to_have_died(workspace, tmp_path):
    os.mkfifo(tmp_path / "never")  # a damaged request would fail; a killed process leaves no result at all
    run = started(feed(workspace, tmp_path / "never"))
    run.kill()
    with pytest.raises(RunFailedError, match="was ended by signal 9 before it could finish"):
        run.wait()
    assert run.run.result() is None


def test_a_child_ends_when_its_parent_is_killed(workspace, tmp_path):
    folder = feed(workspace, tmp_path)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom treadle.jobs.runs import RunFolder\n"
        "import subprocess, os\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "'import os, time, sys; from treadle.jobs.child import _die_with; _die_with(int(sys.argv[1]));"
        " print(os.getpid(), flush=True); time.sleep(60)', str(os.getpid())])\n"
        "time.sleep(60)"
    )
    import subprocess

    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert process_start(pid) is not None
        os.kill(parent.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while process_start(pid) is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process_start(pid) is None
    assert folder.path.exists()


def test_a_request_with_unknown_or_mistyped_fields_is_refused():
    assert FEED.validate({"model": "m-1", "paths": ["/x"]}) == FeedPayload("m-1", ("/x",))
    with pytest.raises(DataError, match="damaged at `paths"):
        FEED.validate({"model": "m-1", "paths": 7})
    with pytest.raises(DataError, match="damaged"):
        FEED.validate({"model": "m-1", "paths": [], "command": "rm"})


def test_an_unknown_or_damaged_run_is_named(workspace):
    with pytest.raises(NotFoundError, match="No run `r-1`"):
        find_run(workspace, "r-1")
    with pytest.raises(NotFoundError, match="No run"):
        find_run(workspace, "../models")
    folder = create_run(workspace, "feed", {})
    (folder.path / "spec.yaml").write_text("- nothing")
    with pytest.raises(DataError, match="damaged"):
        folder.spec()
    (folder.path / "spec.yaml").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        folder.spec()
