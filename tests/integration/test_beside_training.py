"""Sampling while a model trains: who gives way to whom, and which weights a chat reads."""

import contextlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from treadle import Workspace
from treadle.jobs.child import NICENESS, NICENESS_VARIABLE
from treadle.jobs.engine_socket import stream
from treadle.operations.generation import ChatPayload, SamplePayload
from treadle.recipes.chat import open_chat
from treadle.store.workspace import WorkspaceFolder

SHAPE = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4",
         "training.sample_every=0", "training.evaluate_every=0"]  # fmt: skip
TEXT = "the cat sat on the mat and the dog sat on the log\n"
SHARE_SECONDS = 1.5
"""Processor time of both that is compared."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A workspace whose jobs step back as those of users do."""
    others, os.environ[NICENESS_VARIABLE] = os.environ[NICENESS_VARIABLE], str(NICENESS)
    yield made(tmp_path_factory)
    os.environ[NICENESS_VARIABLE] = others


def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beside")
    workspace = Workspace.create(folder / "lab")
    (folder / "a.txt").write_text(TEXT * 60)
    for name in ("writer", "learner"):
        workspace.new(name, SHAPE, size="nano", tokenizer="char")
        workspace.feed(name, [folder / "a.txt"])
    workspace.train("writer", steps=4)
    return workspace


def found(look):
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + 60
    while (what := look()) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert what is not None
    return what


def training_process(lab, job):
    """The process that trains, once it does."""
    run = Path(lab.jobs_show(job).folder or "nowhere")
    told = run / "events.jsonl"
    trains = told.exists() and '"progress"' in told.read_text()
    return json.loads((run / "process.json").read_text())["pid"] if trains else None


def engine_process(lab):
    """The process that writes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"treadle.jobs.engine_process" in words and str(lab.root).encode() in words:
                return int(path.parent.name)
    return None


def on_one_core(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})


def seconds_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_beside_a_training_a_text_gets_most_of_the_processor(lab):
    overrides, no_end = ("generation.tokens=100000000",), ("#0=-1000",)
    endless = SamplePayload(lab.show("writer").id, "the ", "best", "error", overrides, logit_bias=no_end)
    job = lab.train("learner", minutes=10, detach=True)["job"]
    try:
        with contextlib.closing(stream(WorkspaceFolder(lab.root), "sample", asdict(endless))) as events:
            next(events)
            training, writing = found(lambda: training_process(lab, job)), found(lambda: engine_process(lab))
            wanted = min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
            assert os.getpriority(os.PRIO_PROCESS, training) == wanted
            assert os.getpriority(os.PRIO_PROCESS, writing) == os.getpriority(os.PRIO_PROCESS, 0)
            for pid in (training, writing):
                on_one_core(pid)
            before = seconds_of(writing), seconds_of(training)
            spent, deadline = (0.0, 0.0), time.monotonic() + 60
            while sum(spent) < SHARE_SECONDS and time.monotonic() < deadline:
                next(events)  # reading keeps the writer at work
                spent = seconds_of(writing) - before[0], seconds_of(training) - before[1]
        assert sum(spent) >= SHARE_SECONDS
        assert spent[0] > 0.6 * sum(spent), spent
    finally:
        lab.jobs_stop(job)


def test_a_chat_reads_the_weights_that_are_there_when_it_answers(lab):
    overrides = ("generation.tokens=5", "generation.seed=1")
    payload = ChatPayload(lab.show("writer").id, "latest", "error", overrides, ())
    with contextlib.closing(open_chat(WorkspaceFolder(lab.root), payload)) as chat:
        [*_, first] = chat.respond("the ")
        lab.train("writer", steps=8)
        [*_, second] = chat.respond("/retry")
    assert (first.type, second.type) == ("turn", "turn")
    assert first.data["checkpoint"] < second.data["checkpoint"]
    sample = lab.sample("writer", prompt="the ", checkpoint="latest", tokens=5, seed=1)
    assert second.data == sample


def test_a_chat_without_an_engine_process_keeps_its_own_engine(lab):
    hidden = lab.root / ".worker"
    payload = ChatPayload(
        lab.show("writer").id, "best", "error", ("generation.tokens=5", "generation.seed=1"), ("e=-9",)
    )
    with contextlib.closing(open_chat(WorkspaceFolder(lab.root), payload)) as chat:
        [*_, there] = chat.respond("the ")
        deadline = time.monotonic() + 60
        while (hidden / "engine.sock").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        hidden.rename(lab.root / "aside")
        hidden.write_text("no folder can be made here")
        try:
            [*_, here] = chat.respond("/retry")
            [*_, again] = chat.respond("/retry")
        finally:
            hidden.unlink()
            (lab.root / "aside").rename(hidden)
    assert here.data == again.data == there.data
