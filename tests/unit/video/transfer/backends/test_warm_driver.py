"""The client of the model server, piece by piece; the whole stands in the tests of transfer runs."""

import json
import os
import subprocess
import sys

import pytest

from treadle.video.transfer.backends import warm_driver
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
