"""Whatever fits or breaks the API's own description: no request makes the server fail. Each run asks the same."""

import os
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

import treadle
from treadle.web.app import create_app
from treadle.web.door import offered
from treadle.web.openapi import description
from treadle.web.security import Place

LEFT_OUT = {
    "demo": "trains",
    "experiment.run": "trains",
    "worker.start": "starts a process each time",
    "worker.stop": "would wait for one",
    "worker.drain": "would wait for one",
    "jobs.resume": "starts a process each time",
    "crawl.start": "asks other hosts",
    "crawl.resume": "asks other hosts",
    "flow.ci.run": "asks another host",
    "flow.ci.list": "asks another host",
    "flow.ci.show": "asks another host",
    "flow.ci.log": "asks another host",
    "doctor": "examines the machine, with a compiler, and takes no arguments",
}
EACH = int(os.environ.get("TREADLE_FUZZ_EACH", "4"))
"""Requests of each kind for each operation; the variable asks for the long form."""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    workspace = treadle.Workspace.create(tmp_path_factory.mktemp("fuzz") / "lab")
    before = Path.cwd()
    os.chdir(workspace.root)  # as the server does
    workspace.new("bard", size="nano", tokenizer="char")
    workspace.jobs_pause("bard")
    app = create_app(workspace._folder, Place(port=80))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
    os.chdir(before)


@pytest.fixture(scope="module")
def document():
    return schemathesis.openapi.from_dict(description("http://127.0.0.1"))


def test_what_is_left_out_is_still_there():
    assert set(LEFT_OUT) <= set(offered())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "breaking"])
def test_no_request_makes_the_server_fail(client, document, mode):
    told, failed = [], []
    for name in sorted(set(offered()) - set(LEFT_OUT)):
        path = f"/api/v1/operations/{name}"
        for body in bodies(document[path]["POST"].as_strategy(generation_mode=mode)):
            answer = client.post(path, json=body)
            told.append(answer.status_code)
            if answer.status_code == 500 or (answer.status_code >= 400 and not answer.json()["error"]):
                failed.append(f"{path} {body!r}: {answer.text}")
    assert failed == []
    assert len(told) > 2 * len(offered())


def bodies(strategy):
    """The same few bodies in each run, all different."""
    found = []

    @settings(max_examples=EACH, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
    @given(strategy)
    def collect(case):
        if isinstance(case.body, dict | list | str | int | float) and case.body not in found:
            found.append(case.body)

    collect()
    return found
