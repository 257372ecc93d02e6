"""Queues through the installed command: every verb, its JSON, its errors; full disks, damaged and newer files."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "treadle"
LONG = ("--steps", "10000000", "training.sample_every=0", "training.evaluate_every=0")


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return found


def state(shell, job):
    return shell.json("jobs", "show", job)["job"]["state"]


def test_the_story_of_a_job_through_the_terminal(fed):
    detached = fed.run("train", "bard", *LONG, "--detach").stdout
    assert detached.splitlines()[-1] == "Next: treadle jobs follow 2"
    until(lambda: state(fed, 2) == "running")
    waiting = fed.json("train", "bard", "--steps", 9, "--detach")
    assert (waiting["job"], waiting["place"]) == (3, 1)
    shown = fed.run("jobs", "list").stdout
    assert "running" in shown
    assert "number 1 of its queue, job 2 runs" in shown
    assert "Job 2 · train · bard · running" in fed.run("jobs", "show", 2).stdout
    assert fed.run("jobs", "log", 2).stdout.startswith("Nothing was printed (")
    assert "has not begun" in fed.refused("jobs", "log", 3)
    assert "cannot be edited" in fed.refused("jobs", "edit", 2, "--steps", 5, code=1)
    assert fed.run("jobs", "edit", 3, "--steps", 10_000_001, "--attempts", 2).stdout == "Job 3 is changed.\n"
    assert "length      10,000,001 steps" in fed.run("jobs", "show", 3).stdout
    assert fed.run("jobs", "prioritise", 3, 7).stdout == "Job 3 has priority 7.\n"
    assert fed.run("jobs", "move", 3).stdout == "Job 3 is number 1 of its queue.\n"
    assert fed.run("jobs", "pause", "bard").stdout == "1 queue is paused.\n"
    shown = fed.run("jobs", "list").stdout
    assert "Paused: bard\n" in shown
    assert "`treadle jobs resume bard` lets it go on" in shown
    assert fed.run("jobs", "stop", 3).stdout == "Job 3 is cancelled; it had not begun.\n"
    assert "stops at its next step" in fed.run("jobs", "stop", 2).stdout
    assert fed.run("jobs", "follow", 2, code=130).stdout.startswith("Stopped at step")
    assert fed.run("jobs", "resume", "bard").stdout == "1 queue is open.\n"
    assert [row["id"] for row in fed.json("jobs", "list", "bard", "--state", "cancelled")["jobs"]] == [2, 3]
    assert "waits in its queue again" in fed.run("jobs", "retry", 2).stdout
    until(lambda: state(fed, 2) == "running")
    assert "goes to the trash" in fed.run("jobs", "discard", 2).stdout
    until(lambda: state(fed, 2) == "cancelled")
    assert fed.json("jobs", "follow", 1)["accepted"] == 1, "what came of a job can be read again"
    assert fed.run("jobs", "prune", "--days", 0).stdout == "3 jobs forgotten.\n"
    assert fed.run("jobs", "list").stdout.startswith("No jobs.")


def test_a_queue_can_be_paused_copied_and_resumed_before_anything_was_queued(shell):
    for name in ("a", "b"):
        shell.run("new", name)
    assert "no queue yet" in shell.run("jobs", "pause").stdout
    assert shell.run("jobs", "pause", "a").stdout == "1 queue is paused.\n"
    assert shell.json("jobs", "list")["paused"] == ["a"]
    assert "Nothing waits in the queue of `a`" in shell.run("jobs", "import-queue", "a", "b").stdout
    assert shell.run("jobs", "resume", "a").stdout == "1 queue is open.\n"


@pytest.mark.parametrize(
    "words",
    [["show"], ["follow"], ["log"], ["stop"], ["discard"], ["retry"], ["move"], ["edit"], ["prioritise"]],
)
def test_an_unknown_job_is_an_error(shell, words):
    extra = ["1"] if words == ["prioritise"] else []
    said = shell.refused("jobs", *words, 99, *extra)
    assert "No job 99 in this workspace" in said
    assert json.loads(shell.run("jobs", *words, 99, *extra, "--json", code=2).stdout)["kind"] == "NotFound"


def test_workers_and_schedules_through_the_terminal(fed):
    fed.run("train", "bard", *LONG, "--detach")
    until(lambda: state(fed, 2) == "running")  # an idle worker might be gone by itself
    assert "worker " in fed.run("worker", "status").stdout
    said = fed.run("schedule", "add", "nightly", "0 3 * * *", "--", "train", "bard", "--minutes", "5").stdout
    assert "nightly" in said
    assert " 03:00:00" in said
    assert "five fields" in fed.refused("schedule", "add", "x", "3 o'clock", "train", "bard")
    assert fed.json("schedule", "list")["schedules"][0]["kind"] == "train"
    assert fed.run("schedule", "remove", "nightly").stdout == "No schedules.\n"
    assert "ends" in fed.run("worker", "stop").stdout
    until(lambda: not fed.json("worker", "status")["workers"])
    assert "No worker lives here." in fed.run("worker", "status").stdout
    assert "Job 2 is cancelled" in fed.run("jobs", "stop", 2).stdout
    assert fed.run("worker", "drain").stdout == "No worker lives.\n"
    assert "room for at least one job" in fed.refused("worker", "run", "--heavy", 0, "--light", 0)
    assert "worker has ended" in fed.run("worker", "run", "--idle", "0.1").stdout


def test_a_service_is_written_into_the_home_of_the_user(shell, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    answer = shell.json("worker", "install", env=environment)
    assert Path(answer["path"]).read_text().startswith("[Unit]")
    assert answer["path"].startswith(str(tmp_path / "home"))
    assert "enable --now treadle-lab-" in answer["commands"][1]


def test_a_file_that_may_grow_no_further_fails_the_job_and_loses_nothing(shell, text):
    """The limit on the size of files stands for a full disk: the checkpoint cannot be written, all else can."""
    fed = shell
    fed.run("new", "bard", "--size", "tiny", "--tokenizer", "char", "data.sequence_length=32", "training.batch_size=1")
    fed.run("feed", "bard", text)
    fed.run("train", "bard", "--steps", 2, "training.sample_every=0")
    fed.run("worker", "stop")
    until(lambda: not fed.json("worker", "status")["workers"])
    before = fed.json("show", "bard")["checkpoints"]

    limited = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_500_000, resource.RLIM_INFINITY))\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    log = fed.folder / "worker.log"
    with log.open("w") as output:
        command = [sys.executable, "-c", limited, COMMAND, "worker", "run"]
        worker = subprocess.Popen(command, cwd=fed.folder, stdout=output, stderr=output)
        until(lambda: fed.json("worker", "status")["live"])
        done = fed.run("train", "bard", "--steps", 4, "training.sample_every=0", code=1)
        worker.terminate()
        assert worker.wait(timeout=60) == 0, log.read_text()
    assert "File too large" in done.stderr or "space" in done.stderr, done.stderr
    assert fed.json("show", "bard")["checkpoints"] == before
    job = fed.json("jobs", "list", "bard", "--state", "failed")["jobs"][0]
    fed.run("jobs", "retry", job["id"])
    assert fed.json("jobs", "follow", job["id"])["step"] == 4


def test_a_damaged_newest_checkpoint_stops_the_training_with_the_remedy(fed):
    fed.run("train", "bard", "--steps", 20, "training.checkpoint_every=10", "training.sample_every=0")
    newest = max((fed.folder / "models").glob("bard/checkpoints/step-*"))
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0\1\0\1\0\1\0\1")
    done = fed.run("train", "bard", "--minutes", 0.01, code=1)  # minutes go on from the newest weights
    assert "wrong hash" in done.stderr
    assert f"remove {newest.resolve()}" in done.stderr.replace("\n", " ")
    failed = fed.json("jobs", "list", "bard", "--state", "failed")["jobs"][0]
    assert failed["attempts"] == 1
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    fed.run("jobs", "retry", failed["id"])
    assert fed.json("jobs", "follow", failed["id"])["step"] > 0


def test_a_workspace_of_a_newer_treadle_is_left_alone(fed):
    fed.run("worker", "stop")
    until(lambda: not fed.json("worker", "status")["workers"])
    with sqlite3.connect(fed.folder / "treadle.db") as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {version + 1}")
    database.close()
    assert "newer Treadle" in fed.refused("train", "bard", "--steps", 5, code=1)
    assert "newer Treadle" in fed.refused("jobs", "list", code=1)
    with sqlite3.connect(fed.folder / "treadle.db") as database:
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    assert len(fed.json("jobs", "list")["jobs"]) == 1


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/bin/setpriv").exists(), reason="root may write anywhere")
def test_a_workspace_that_cannot_be_written_can_still_be_read_and_sampled(fed, tmp_path):
    fed.run("train", "bard", "--steps", 6, "training.sample_every=0")
    fed.run("sample", "bard", "--tokens", 3)
    fed.run("worker", "stop")
    until(lambda: not fed.json("worker", "status")["workers"])
    time.sleep(4)  # the engine process leaves too
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    for path in [fed.folder, *fed.folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in [tmp_path, *(one for one in tmp_path.parents if one.stat().st_mode & 0o055 != 0o055)]:
        parent.chmod(parent.stat().st_mode | 0o055)

    def call(*words):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}  # it would write too
        environment = {**kept, "HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
        return subprocess.run(
            [*nobody, COMMAND, *words], cwd=fed.folder, capture_output=True, text=True, timeout=100, env=environment
        )

    if call("--version").returncode:
        pytest.skip("the installation cannot be read by another user")
    refused = call("train", "bard", "--steps", "9")
    assert refused.returncode == 1
    assert "Cannot write" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert call("list").returncode == 0
