"""Random feeding of a standing model with kill -9 in between: at the end every token is accounted for, once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from treadle import Workspace

if TYPE_CHECKING:
    from pathlib import Path

BATCH = 4 * 32
SHAPE = [
    *("family.layers=1", "family.width=16", "family.heads=1", "data.sequence_length=32", "training.batch_size=4"),
    *("training.sample_every=0", "training.checkpoint_every=3", "training.auto_train=on"),
]


def kill_something(workspace: Workspace, chance: random.Random) -> str | None:
    """Kill the worker, or the process of a job, if there is one now."""
    workers = [row["facts"]["pid"] for row in workspace.worker_status().workers]
    began = workspace.root.glob("runs/*/process.json")
    unfinished = [path for path in began if not (path.parent / "result.json").exists()]
    children = [json.loads(path.read_text())["pid"] for path in unfinished]
    victims = [("worker", pid) for pid in workers] + [("child", pid) for pid in children]
    if not victims:
        return None
    kind, pid = chance.choice(victims)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return kind
    return None


def settled(workspace: Workspace, name: str) -> bool:
    """Whether nothing is left to do; a worker is called, as any next command would."""
    if workspace.jobs_list(state="open").jobs:
        workspace.jobs_resume(name)  # calls a worker if there is none
        return False
    inbox = workspace.show(name).inbox
    return inbox is not None and not inbox["waiting"] and not inbox["taken"]


@pytest.mark.parametrize(("seed", "held_out"), [(1, "0"), (2, "0.3")])
def test_whatever_is_fed_and_killed_the_ledgers_add_up_and_nothing_is_lost(quick_folder, seed, held_out) -> None:
    chance = random.Random(f"{seed} {held_out}")
    workspace = Workspace.create(quick_folder / "lab")
    workspace.new("diary", [*SHAPE, f"data.held_out={held_out}"], size="nano", tokenizer="bytes")
    inbox = workspace.root / "models" / "diary" / "inbox"
    sizes: list[int] = []
    duplicates = kills = 0

    def text(folder: Path) -> Path:
        path = folder / f"{len(sizes)}.txt"
        path.write_text((f"text {len(sizes)} " * 400)[: chance.randint(20, 2_000)])
        sizes.append(path.stat().st_size)
        return path

    for _ in range(7):
        what = chance.choice(["feed", "feed", "inbox", "again", "flush", "passes"])
        if what == "feed":
            workspace.feed("diary", [text(quick_folder) for _ in range(chance.randint(1, 3))], detach=True)
        elif what == "inbox":
            text(inbox)
        elif what == "again" and sizes:
            path = quick_folder / "again.txt"
            path.write_text("the same each time")
            workspace.feed("diary", [path], detach=True)
            duplicates += 1
        elif what == "flush" and sizes:
            workspace.flush("diary", detach=True)
        elif what == "passes" and sizes:
            workspace.train("diary", more=1, detach=True)
        time.sleep(chance.uniform(0.1, 0.9))
        if chance.random() < 0.6:
            kills += kill_something(workspace, chance) is not None
    if duplicates:
        sizes.append(len("the same each time"))
    workspace.feed("diary", [text(quick_folder)])  # the next command, which takes up all that is left
    deadline = time.monotonic() + 120
    while not settled(workspace, "diary"):
        assert time.monotonic() < deadline, [vars(job) for job in workspace.jobs_list().jobs]
        time.sleep(0.2)
    shown = workspace.show("diary")
    tokens = shown.tokens
    print(kills, "kills;", tokens, shown.documents)
    assert shown.documents["accepted"] == len(sizes)
    assert tokens["in"] >= sum(sizes) + len(sizes), "each text and a boundary behind it, or two where it is cut"
    assert tokens["in"] <= sum(sizes) + 2 * len(sizes)
    assert tokens["in"] == tokens["trained_once"] + tokens["buffered"] + tokens["held_out"]
    assert held_out != "0" or tokens["in"] == sum(sizes) + len(sizes)
    assert tokens["buffered"] < BATCH, "whatever was ready is trained"
    failed = [job for job in workspace.jobs_list(state="failed").jobs if "nothing to train on" not in str(job.error)]
    assert not [job.error for job in failed if "held out" not in str(job.error)]
