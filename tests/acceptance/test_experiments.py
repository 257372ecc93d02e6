"""Experiments through the installed command: a grid to one report, through kills and stops."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

import treadle
from treadle.jobs.job import ACTIVE, STATES
from treadle.jobs.ledger import Ledger
from treadle.store.workspace import WorkspaceFolder

TINY = ("family.layers=2", "family.width=32", "family.heads=2", "data.sequence_length=32", "training.batch_size=4")
PNG = b"\x89PNG\r\n\x1a\n"


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def nothing_stays_behind(shell):
    """End what the commands have started in the background, also a worker that has only just begun."""
    yield
    workspace = treadle.Workspace(shell.folder)

    def ended():
        workspace.worker_stop()
        return not processes_in(shell.folder)

    wait_for(ended)


def processes_in(folder):
    """Processes that work in a folder, where the system tells (/proc)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is none of ours
            found += [process.name] if (process / "cwd").readlink() == folder else []
    return found


def test_a_grid_becomes_one_report_and_grows_by_the_same_command(shell, text):
    """On equal bytes of text, with tokenizers that differ: so the loss is in bits per byte."""
    grid = ("--grid", "data.tokenizer=char,bpe:300", "--budget", "6000bytes", "--seeds", "1", "size=nano", *TINY)
    answer = shell.json("experiment", "codes", *grid, "--on", text)
    assert (answer["done"], answer["wanted"], answer["unit"]) == (2, 2, "bits/byte")
    char, pairs = answer["rows"]
    assert pairs["tokens"] < char["tokens"]
    assert char["parameters"] < pairs["parameters"]
    assert 0 < char["mean"] < 9
    assert answer["verdict"]["kind"] == "undecided"
    folder = shell.folder / "experiments" / "codes"
    for picture in ("curves.png", "costs.png"):
        assert (folder / picture).read_bytes().startswith(PNG)
    report = (folder / "report.md").read_text()
    assert answer["verdict"]["sentence"] in report
    assert all(f"{row['mean']:.4f}" in report for row in answer["rows"])
    numbers = json.loads((folder / "report.json").read_text())
    assert all(cell["curve"] and cell["memory_bytes"] > 1e6 for cell in numbers["cells"].values())
    jobs = shell.json("jobs", "list")["jobs"]
    assert sorted(job["kind"] for job in jobs) == ["experiment", "train", "train"]

    again = shell.run("experiment", "codes", "--seeds", "2")
    assert "2 of 4 trainings are done already" in again.stderr
    shown = shell.json("experiment", "show", "codes")
    assert (shown["done"], shown["seeds"]) == (4, 2)
    assert shown["verdict"]["sentence"] in " ".join(again.stdout.split())
    assert [row["verdict"] for row in shell.json("experiment", "list")["experiments"]] == [shown["verdict"]["sentence"]]
    assert "not be comparable" in shell.refused("experiment", "codes", "--budget", "13steps")

    assert shell.json("experiment", "delete", "codes")["models"] == 4
    assert not folder.exists()
    assert shell.json("list")["of_experiments"] == 0


def test_a_killed_experiment_goes_on_where_it_was_and_a_stopped_one_stops_its_trainings(shell, text):
    shell.make("bard", text)
    cells = ("--grid", "training.clip=0,1", "--seeds", "2", "--budget", "40steps", "size=nano", *TINY)
    shell.run("experiment", "rates", *cells, "data.tokenizer=char", "--on", "bard", "--detach")
    results = shell.folder / "experiments" / "rates" / "cells"

    def jobs(kind, *states):
        with Ledger.open(WorkspaceFolder(shell.folder)) as ledger:  # asking the command would cost more than training
            return [job for job in ledger.jobs(states=states or STATES) if job.kind == kind]

    def process():
        for job in jobs("experiment", *ACTIVE):
            return json.loads((shell.folder / "runs" / job.run / "process.json").read_text())["pid"]
        return None  # its job is on its way back into the queue

    wait_for(lambda: len(jobs("train")) == 4)
    last = max(jobs("train"), key=lambda job: job.id)
    with Ledger.open(WorkspaceFolder(shell.folder)) as ledger:
        ledger.pause(last.queue)  # so that the experiment cannot come to its end, however fast the machine is
    wait_for(lambda: list(results.glob("*.json")))
    first = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    killed = process()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(list(results.glob("*.json"))) == 3 and process() not in {None, killed})
    assert len(jobs("train")) == 4

    shell.run("jobs", "stop", jobs("experiment", "running")[0].id)
    wait_for(lambda: not jobs("experiment", *ACTIVE))
    assert [job.id for job in jobs("train", "cancelled")] == [last.id]
    report = shell.json("experiment", "show", "rates")
    assert (report["done"], report["wanted"], report["verdict"]["kind"]) == (3, 4, "undecided")

    with Ledger.open(WorkspaceFolder(shell.folder)) as ledger:
        ledger.resume(last.queue)
    answer = shell.json("experiment", "rates")
    assert (answer["done"], answer["failed"]) == (4, {})
    assert [row["steps"] for row in answer["rows"]] == [40, 40]
    assert {name: (results / name).stat().st_mtime_ns for name in first} == first


def test_a_training_that_fails_is_named_and_tried_again(shell, text):
    flags = (
        "--grid",
        "training.threads=1,999",
        "--budget",
        "4steps",
        "--seeds",
        "1",
        "--on",
        text,
        "size=nano",
        "data.tokenizer=char",
        *TINY,
    )
    answer = shell.json("experiment", "threads", *flags, code=1)
    assert answer["done"] == 1
    (reason,) = answer["failed"].values()
    assert "999 is more than" in reason
    shown = shell.run("experiment", "threads", code=1)
    assert "999" in shown.stdout
    assert len([job for job in shell.json("jobs", "list")["jobs"] if job["kind"] == "train"]) == 3


@pytest.mark.parametrize("words", [("--grid", "training.clip=interval(0,1)"), ("--grid", "family.layerz=1,2")])
def test_a_wrong_grid_is_refused_before_a_job_is_queued(shell, text, words):
    said = shell.refused("experiment", "odd", *words, "--budget", "4steps", "--on", text)
    assert "interval" in said or "family.layers" in said
    assert shell.json("jobs", "list")["jobs"] == []
