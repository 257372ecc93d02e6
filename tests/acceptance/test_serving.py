"""`treadle serve` as a process: beside a training, with the official client, and after a kill."""

import contextlib
import http.client
import json
import re
import signal
import socket
import time

import openai

PATIENCE = 90


@contextlib.contextmanager
def serving(shell, *arguments):
    """A server that listens, and where."""
    process = shell.start("serve", *arguments)
    try:
        line = process.stdout.readline()
        found = re.search(r"at (http://[\d.:]+/v1)", line)
        assert found, line + process.stdout.read()
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


def client(address):
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_official_client_is_served_while_the_model_trains_and_gets_what_it_has_learned(trained):
    with serving(trained, "bard", "--port", "0", "--checkpoint", "latest", "--json") as (process, address):
        asked = {"model": "bard", "prompt": "ROMEO:", "max_tokens": 40, "seed": 7}
        before = client(address).completions.create(**asked)
        same = trained.json("sample", "bard", "--prompt", "ROMEO:", "--tokens", "40", "--seed", "7",
                            "--checkpoint", "latest")  # fmt: skip
        assert before.choices[0].text == same["text"]
        job = trained.json("train", "bard", "--steps", "30", "training.checkpoint_every=8", "--detach")["job"]
        steps = {before.system_fingerprint}
        while trained.json("jobs", "show", job)["job"]["state"] not in {"done", "failed"}:
            pieces = list(client(address).completions.create(**asked, stream=True))
            assert pieces[-1].choices[0].finish_reason in {"length", "stop"}
            steps.add(pieces[-1].system_fingerprint)
        until(lambda: "step-30" in client(address).completions.create(**asked).system_fingerprint)
        assert "native-int8-step-6-context-32" in steps
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, said
    report = json.loads(said[said.index("{") :])
    assert (report["address"], report["models"]) == (address, ["bard"])
    assert report["texts"] >= 3
    assert trained.json("sample", "bard", "--prompt", "ROMEO:", "--tokens", "5", "--seed", "7")["text"]


def test_a_server_that_was_killed_in_the_middle_of_streams_leaves_nothing_locked(trained):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving(trained, "--port", port, "--slots", "2") as (process, address):
        asked = {"n": 16, "max_tokens": 60_000, "logit_bias": {"0": -100}, "stream": True}
        streams = [client(address).completions.create(model="bard", prompt="A", **asked) for _ in range(2)]
        next(iter(streams[0]))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as health:
            health.request("GET", "/health")
            assert json.load(health.getresponse())["models"][0]["active"] == 2
        process.kill()
        process.wait(PATIENCE)
        for stream in streams:
            stream.close()
    assert trained.json("sample", "bard", "--tokens", "5", "--seed", "1")["text"]
    trained.run("train", "bard", "--steps", "8")
    with serving(trained, "--port", port) as (process, address):
        assert client(address).completions.create(model="bard", prompt="A", max_tokens=3).usage.completion_tokens <= 3
        process.send_signal(signal.SIGTERM)
        assert re.search(r"Served 1 text \(\d+ tokens?", process.communicate(timeout=PATIENCE)[0])
        assert process.returncode == 0
    what_cannot_be_served_is_said_before_anything_listens(trained)


def what_cannot_be_served_is_said_before_anything_listens(trained):
    assert "Unknown model" in trained.refused("serve", "nobody")
    assert "treadle key add" in trained.refused("serve", "bard", "--host", "192.0.2.1", code=1)
    assert "it must be 1 to 256" in trained.refused("serve", "bard", "--slots", "0")
    assert "2 to 32" in trained.refused("serve", "bard", "--context", "99", "--port", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "cannot be used" in trained.refused("serve", "bard", "--port", port, code=1)
