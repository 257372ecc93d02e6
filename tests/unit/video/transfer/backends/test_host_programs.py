"""The programs of ours that run on a host, piece by piece; the whole stands in the tests of transfer runs."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from treadle.video.transfer.backends import warm_driver
from treadle.video.transfer.backends.diffusers_runner import Watch
from treadle.video.transfer.backends.warm_driver import Server, Trouble


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server.log").write_bytes(b"hello\n")
    made = Server(tmp_path, tmp_path, 2)
    warm_driver.write(made.card, {"pid": os.getpid(), "began": warm_driver.began(os.getpid()), "key": "edge"})
    return made


def test_a_server_fits_for_its_key_while_it_lives_and_was_left_in_peace(server):
    assert (server.fits("edge"), server.fits("vis")) == (True, False)
    server.busy.touch()  # somebody was ended in the middle of a request
    assert not server.fits("edge")
    server.busy.unlink()
    warm_driver.write(server.card, {"pid": os.getpid(), "began": "1", "key": "edge"})
    assert not server.fits("edge")  # the number belongs to another process by now


def test_half_a_file_is_no_answer_and_all_workers_must_give_one(server, capfdbinary):
    first, second = server.files("status")
    first.write_text('{"rank": 0, "sta')
    assert warm_driver.read(first) == {}
    first.write_text(json.dumps({"status": "success"}))
    second.write_text(json.dumps({"status": "error", "result": "CUDA out of memory"}))
    with pytest.raises(Trouble, match="CUDA out of memory"):
        server.answer(0)
    assert capfdbinary.readouterr().out == b"hello\n"
    warm_driver.write(server.card, {"pid": os.getpid(), "began": "1"})
    with pytest.raises(Trouble, match="in the middle"):
        server.answer(0)


def test_it_makes_room_when_nobody_comes_or_when_it_holds_too_much(server):
    assert not warm_driver.too_long(server)
    assert not warm_driver.too_much(server)
    held = {**os.environ, warm_driver.MARK: str(server.state)}
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, env=held) as process:
        warm_driver.write(server.used, {"idle_seconds": 0.0, "memory_gb": 0.000001})
        assert warm_driver.too_long(server)
        assert warm_driver.too_much(server)
        warm_driver.write(server.used, {"idle_seconds": 60.0, "memory_gb": 1000.0})
        assert not warm_driver.too_long(server)
        assert not warm_driver.too_much(server)
        process.stdin.write(b"\n")


WORKER = """
import json, sys, time
from pathlib import Path
here = Path(sys.argv[1])
status, commands = here / "worker_0_status.json", here / "worker_0_commands.json"
status.write_text(json.dumps({"status": "success"}))
while True:
    time.sleep(0.01)
    if commands.exists():
        asked = json.loads(commands.read_text())["params"]
        commands.unlink()
        status.write_text(json.dumps({"status": "error" if "fail" in asked else "success", "result": "out of memory"}))
"""


@pytest.fixture
def order(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    start = [sys.executable, "-S", str(tmp_path / "worker.py"), str(tmp_path)]
    before = signal.getsignal(signal.SIGTERM)
    yield {
        "state": str(tmp_path / "state"),
        "exchange": str(tmp_path),
        "workers": 1,
        "start": start,
        "folder": str(tmp_path),
        "environment": {},
        "key": "edge",
        "idle_seconds": 60.0,
        "memory_gb": None,
        "requests": [{"output_dir": str(tmp_path / "out")}],
    }
    signal.signal(signal.SIGTERM, before)
    Server(tmp_path / "state", tmp_path, 1).end()


def said(capfd):
    lines = capfd.readouterr().out.splitlines()
    return [json.loads(line.removeprefix("@treadle ")) for line in lines if line.startswith("@treadle ")]


def test_the_first_request_loads_the_next_does_not_and_a_failure_ends_the_server(order, tmp_path, capfd):
    assert warm_driver.client(order) == 0
    first = said(capfd)
    assert [told["type"] for told in first] == ["stage", "warm", "item"]
    assert (first[1]["cold"], first[1]["saved_seconds"]) == (True, 0.0)
    assert warm_driver.client(order) == 0
    (warm,) = (
        told for told in said(capfd) if told["type"] == "warm"
    )  # it may have waited for the keeper's look before
    assert warm["saved_seconds"] == first[1]["loaded_seconds"]
    server = Server(tmp_path / "state", tmp_path, 1)
    assert server.alive
    assert warm_driver.client({**order, "requests": [{"output_dir": str(tmp_path / "out"), "fail": True}]}) == 1
    assert not server.alive
    assert not server.members()


def test_a_keeper_goes_with_its_server(order, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    warm_driver.write(state / "order.json", {**order, "start": ["true"]})
    assert warm_driver.keep(state) == 0
    assert not (state / "server.json").exists()


class Latents:
    """As much of a tensor as is asked for."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def __getitem__(self, place):
        return Latents(self.values[place])

    def cpu(self):
        return self

    float = cpu

    def numpy(self):
        return self.values


def test_between_two_clips_the_guidance_may_change(tmp_path, capfd):
    class Pipe:
        _guidance_scale = 3.0

    pipe, tensors = Pipe(), {"latents": Latents(np.random.default_rng(1).normal(size=(1, 16, 3, 4, 6)))}
    watch = Watch(tmp_path, tmp_path / "outputs", 2)
    watch(pipe, 0, None, tensors)
    (tmp_path / "adjust.json").write_text('{"guidance": 5}')
    watch(pipe, 1, None, tensors)
    assert (pipe._guidance_scale, watch.clip) == (5.0, 1)
    told = said(capfd)
    assert [event["type"] for event in told] == ["step", "preview", "step", "preview", "adjusted"]
    assert (tmp_path / told[1]["file"]).read_bytes().startswith(b"\x89PNG")
    (tmp_path / "adjust.json").write_text("{")
    watch.adjust(pipe)
    assert pipe._guidance_scale == 5.0


def test_without_guidance_at_its_beginning_a_run_gets_none_later(tmp_path, capfd):
    (tmp_path / "adjust.json").write_text('{"guidance": 5}')
    pipe = type("Pipe", (), {"_guidance_scale": 0.0})()
    Watch(tmp_path, tmp_path / "outputs", 1, guided=False).adjust(pipe)
    assert (pipe._guidance_scale, said(capfd)) == (0.0, [])
