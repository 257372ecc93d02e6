"""The engine process: who asks first starts it, who asks next finds it ready."""

import contextlib
import json
import os
import signal
import socket
import stat
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

import treadle
from treadle import TreadleError, Workspace
from treadle.base.errors import NotFoundError, NotReadyError
from treadle.jobs.engine_socket import stream
from treadle.jobs.presence import short_name
from treadle.operations.generation import SamplePayload
from treadle.recipes.resident import ResidentEngines
from treadle.recipes.sample import stream as in_this_process
from treadle.store.workspace import WorkspaceFolder
from treadle.training.checkpoints import CheckpointFolder

SHAPE = ["family.layers=1", "family.width=32", "family.heads=2", "data.sequence_length=16", "training.batch_size=4",
         "training.sample_every=0"]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    workspace = Workspace.create(folder / "lab")
    workspace.new("m", SHAPE, size="nano", tokenizer="char")
    (folder / "a.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 60)
    workspace.feed("m", [folder / "a.txt"])
    workspace.train("m", steps=8)
    return workspace


def payload(lab, **changes):
    card = lab.show("m").id
    fields = {"model": card, "prompt": "the ", "checkpoint": "best", "unknown": "error",
              "overrides": ("generation.tokens=12", "generation.seed=3")}  # fmt: skip
    return SamplePayload(**{**fields, **changes})


def folder(lab):
    return WorkspaceFolder(lab.root)


def ended(lab, seconds=20):
    """Wait until the process has left."""
    deadline = time.monotonic() + seconds
    while (lab.root / ".worker" / "engine.sock").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def asked(lab, **changes):
    return list(stream(folder(lab), "sample", asdict(payload(lab, **changes))))


def test_it_writes_what_is_written_without_it_and_only_its_owner_may_ask(lab):
    events = asked(lab)
    direct = list(in_this_process(folder(lab), payload(lab)))
    assert [event.type for event in events] == [event.type for event in direct]
    assert events[-1].data == json.loads(json.dumps(direct[-1].data))
    assert asked(lab)[-1].data == events[-1].data, "an engine that was used before writes the same"
    path = lab.root / ".worker" / "engine.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_errors_are_those_of_the_recipe(lab):
    with pytest.raises(NotFoundError, match="no checkpoint at step 99"):
        asked(lab, checkpoint="99")
    with pytest.raises(TreadleError, match=r"generation\.tokens"):
        asked(lab, overrides=("generation.tokens=-1",))
    lab.new("empty", SHAPE, size="nano", tokenizer="char")
    with pytest.raises(NotReadyError, match="not been trained"):
        lab.sample("empty")
    with pytest.raises(TreadleError, match="Unknown interactive kind"):
        list(stream(folder(lab), "juggle", {}))


def test_several_may_ask_at_once(lab):
    found = []
    threads = [threading.Thread(target=lambda: found.append(asked(lab)[-1].data["text"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_who_stops_reading_stops_the_work(lab):
    long = payload(lab, overrides=("generation.tokens=1000000",))
    with contextlib.closing(stream(folder(lab), "sample", asdict(long))) as events:
        assert next(events).type == "text"
        assert next(events).type == "text"
    assert asked(lab)[-1].type == "result"
    ended(lab)
    assert not (lab.root / ".worker" / "engine.sock").exists(), "nothing goes on that would keep the process"


def test_after_a_kill_the_next_one_who_asks_starts_another(lab):
    asked(lab)
    killed = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"treadle.jobs.engine_process" in words and str(lab.root).encode() in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
                killed += 1
    assert killed == 1
    assert asked(lab)[-1].type == "result"


def test_a_process_of_another_version_retires(lab):
    asked(lab)
    with socket.socket(socket.AF_UNIX) as connection, short_name(lab.root / ".worker") as short:
        connection.connect(f"{short}/engine.sock")
        connection.sendall(json.dumps({"kind": "sample", "payload": {}, "version": "0"}).encode() + b"\n")
        assert json.loads(connection.makefile().readline()) == {"retire": True}
    assert treadle.__version__ != "0"
    assert asked(lab)[-1].type == "result"


def test_where_no_process_can_be_started_the_sample_is_written_all_the_same(lab):
    ended(lab)
    hidden = lab.root / ".worker"
    hidden.rename(lab.root / "aside")
    hidden.write_text("no folder can be made here")
    try:
        assert lab.sample("m", prompt="the ", tokens=3, seed=1)["text"]
    finally:
        hidden.unlink()
        (lab.root / "aside").rename(hidden)


def test_idle_engines_stay_within_the_budget_of_memory(lab):
    card = lab.show("m").id
    checkpoint = CheckpointFolder(lab.root / "models" / card / "checkpoints").find("latest")
    settings = payload_settings(lab)
    size = (checkpoint.path / "model.safetensors").stat().st_size
    engines = ResidentEngines(budget_bytes=size + 1)
    with engines.lent(checkpoint, settings) as first, engines.lent(checkpoint, settings) as second:
        assert first is not second
    assert len(engines) == 1
    with engines.lent(checkpoint, settings) as again:
        assert again is first
    with pytest.raises(ZeroDivisionError), engines.lent(checkpoint, settings):
        raise ZeroDivisionError
    assert len(engines) == 0
    engines.close()


def test_an_engine_whose_reader_went_away_is_kept_and_writes_as_before(lab):
    whole = list(in_this_process(folder(lab), payload(lab)))[-1].data
    engines = ResidentEngines()
    long = payload(lab, overrides=("generation.tokens=1000000",))
    with contextlib.closing(in_this_process(folder(lab), long, engines)) as events:
        for _ in range(3):
            next(events)
    assert len(engines) == 1
    assert list(in_this_process(folder(lab), payload(lab), engines))[-1].data == whole
    assert len(engines) == 1
    engines.close()


def payload_settings(lab):
    from treadle.recipes.opened_engine import find_sampling

    return find_sampling(folder(lab), "m", "best", ()).settings
