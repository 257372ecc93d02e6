"""Workers are killed at random moments: no job is lost, none completed twice, never two writers on one queue."""

import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.store.opening import open_database
from treadle.store.workspace import create_workspace

JOBS, QUEUES, KILLS, SEED = 100, 4, 14, 20261122
WORKER = """
import fcntl, os, random, sys, time
from pathlib import Path
from treadle.jobs.identity import WorkerIdentity
from treadle.jobs.ledger import Ledger
from treadle.store.workspace import WorkspaceFolder

root = Path(sys.argv[1])
me = WorkerIdentity.current()
locks = {name: os.open(root / name.replace(":", "-"), os.O_CREAT | os.O_RDWR) for name in sys.argv[2:]}
with Ledger.open(WorkspaceFolder(root)) as ledger:
    ledger.work.register(me, {})
    print("ready", flush=True)
    while True:
        ledger.work.reap(me)
        claim = ledger.work.claim(me, {"heavy": 2})
        if claim is None:
            if ledger.work.idle() and (root / "enough").exists():
                break
            ledger.wait(0.05)
            continue
        try:
            fcntl.flock(locks[claim.job.queue], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (root / "two-writers").write_text(f"job {claim.job.id}")
            raise
        time.sleep(random.uniform(0, 0.08))
        fcntl.flock(locks[claim.job.queue], fcntl.LOCK_UN)  # before it is done: then another may begin the next one
        ledger.work.finish(claim, {"by": os.getpid()})
    ledger.work.unregister(me)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def environment(request):
    return {} if request.param == "sqlite" else {"TREADLE_DATABASE_URL": request.getfixturevalue("postgres_url")}


def test_killed_workers_lose_nothing_and_do_nothing_twice(quick_folder, environment, capsys):
    rng = random.Random(SEED)
    workspace = create_workspace(quick_folder / "lab")
    queues = [f"model:m-{number}" for number in range(QUEUES)]
    start = [sys.executable, "-c", WORKER, str(workspace.root), *queues]

    def worker():
        process = subprocess.Popen(
            start, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    with Ledger(*open_database(workspace, environment)) as ledger:
        made = ledger.submit_many([NewJob(rng.choice(queues), "train", {"n": n}) for n in range(JOBS)])
        workers = [worker(), worker()]
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.005, 0.06))
            victim = rng.randrange(2)
            workers[victim].kill()
            workers[victim].communicate()
            workers[victim] = worker()
        (workspace.root / "enough").touch()
        ends = [process.communicate(timeout=60)[1] for process in workers]
        assert [process.returncode for process in workers] == [0, 0], ends
        assert not (workspace.root / "two-writers").exists(), f"seed {SEED}"
        jobs = ledger.jobs(count=1000)
        assert {job.state for job in jobs} == {"done"}, f"seed {SEED}"
        assert sorted(job.id for job in jobs) == [job.id for job in made]
        events = ledger.events(count=10**6)
        assert set(Counter(event.job for event in events if event.type == "done").values()) == {1}
        recovered = sum(event.type == "recovered" for event in events)
        assert recovered == sum(job.recoveries for job in jobs) > 0
        assert all(job.attempts == 0 for job in jobs)
        assert len(ledger.work.lost_workers()) == KILLS
    with capsys.disabled():
        print(f" seed {SEED}: {KILLS} kills, {recovered} jobs recovered ", end="")
