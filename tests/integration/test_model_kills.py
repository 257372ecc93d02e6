"""Models are renamed, copied, deleted and their queues imported by processes that are killed at random moments.

Each change is there or not there, never half, and the name of every model leads to the whole of it.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from treadle import Workspace
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.store.models import ModelCards
from treadle.store.workspace import WorkspaceFolder

SEED, KILLS, JOBS = 20261122, 12, 5
SHAPE = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4",
         "training.sample_every=0", "training.evaluate_every=0", "training.threads=1"]  # fmt: skip
BUSY = """
import itertools, sys
from pathlib import Path
from treadle.operations import changing, jobs, models
from treadle.store.workspace import WorkspaceFolder

workspace = WorkspaceFolder(Path(sys.argv[1]))
print("ready", flush=True)
for turn in itertools.count():
    name = sys.argv[2] + str(turn)
    changing.copy(workspace, "source", name)
    print("copied", flush=True)
    changing.rename(workspace, name, name + "-renamed")
    print("renamed", flush=True)
    jobs.import_queue(workspace, "source", name + "-renamed")
    print("imported", flush=True)
    if turn % 2:
        models.delete(workspace, name + "-renamed")
"""


@pytest.fixture
def lab(tmp_path):
    workspace = Workspace.create(tmp_path / "lab")
    workspace.new("source", SHAPE, size="nano", tokenizer="char")
    (tmp_path / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    workspace.feed("source", [tmp_path / "a.txt"])
    workspace.train("source", steps=2)
    workspace.jobs_pause()
    card = ModelCards(WorkspaceFolder(workspace.root)).get("source")
    with Ledger.open(WorkspaceFolder(workspace.root)) as ledger:
        payloads = [{"model": card.id, "n": n} for n in range(JOBS)]
        ledger.submit_many([NewJob(f"model:{card.id}", "evaluate", one, not_before=4e9) for one in payloads])
    yield workspace
    workspace.worker_stop()


def contents(folder):
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}
    return found - {"model.yaml"}


def test_changes_of_models_that_are_killed_are_there_or_not_there(lab):
    chance = random.Random(SEED)
    folder = WorkspaceFolder(lab.root)
    cards = ModelCards(folder)
    source = cards.get("source")
    whole, data = contents(cards.folder(source)), contents(folder.datasets / source.id)
    for number in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", BUSY, lab.root, f"k{number}-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout.readline() == b"ready\n", process.stderr.read()
        for _ in range(chance.randrange(5)):
            process.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        assert b"Traceback" not in process.communicate()[1], f"seed {SEED}"
        found = cards.all()
        assert cards.damaged() == []
        assert len({card.name for card in found}) == len(found)
        for card in found:
            assert contents(cards.folder(card)) == whole, f"seed {SEED}: {card.name} is half there"
            assert contents(folder.datasets / card.id) == data, f"seed {SEED}"
    assert len(found) > KILLS / 3, "there was something to kill"
    with Ledger.open(folder) as ledger:
        for card in found:
            waiting = ledger.jobs(f"model:{card.id}")
            waiting = [job for job in waiting if "n" in job.payload]
            assert len(waiting) in {0, JOBS}, f"seed {SEED}: {card.name} has a part of a queue"
            assert all(job.waiting and job.payload["model"] == card.id for job in waiting)
    cards.create("last", {})  # any change tidies up
    ids = {card.id for card in cards.all()}
    names = {path.name for path in folder.models.iterdir() if path.is_dir() and not path.is_symlink()}
    assert names == ids
    assert {path.name: path.readlink().name for path in folder.models.iterdir() if path.is_symlink()} == {
        card.name: card.id for card in cards.all()
    }
    assert lab.sample(found[0].name, tokens=3, seed=1)["text"]


def test_a_model_is_renamed_and_copied_while_it_trains(lab):
    lab.jobs_resume()
    lab.new("other", SHAPE, size="nano", tokenizer="char")
    lab.feed("other", [lab.root.parent / "a.txt"])
    job = lab.train("other", steps=400, detach=True)
    deadline = time.monotonic() + 60
    while lab.jobs_show(job["job"]).job.state != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lab.rename("other", "another")
    lab.copy("another", "twin")
    assert lab.jobs_follow(job["job"])["step"] == 400
    assert lab.show("another").steps == 400
    lab.train("twin", steps=400)
    weights = [lab.show(name).checkpoints[-1]["weights_sha256"] for name in ("another", "twin")]
    assert weights[0] == weights[1], "a copy learns what the first one learned"
