"""The assistants' door with the protocol's own client, over both transports, as real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="needs the extra `mcp`")

import anyio
import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from treadle.flow.roles import Role
from treadle.mcp.tools import Caller, Toolbox
from treadle.operations.operation import operations
from treadle.store.workspace import create_workspace

COMMAND = Path(sys.executable).parent / "treadle"
TOKEN = "a-token-of-more-than-sixteen-characters"
ROLES = """
format = 1
[roles.reader]
purpose = "Looks only."
read_only = true
must_read = ["flow/system/guidelines.md", "flow/system/absent.md"]
[roles.lister]
operations = ["list", "show", "flow.*"]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mcp") / "lab"
    run = {"check": True, "capture_output": True}
    subprocess.run([COMMAND, "init", folder], **run)
    subprocess.run([COMMAND, "flow", "init"], cwd=folder, **run)
    (folder / "flow" / "system" / "guidelines.md").write_text("# How we work\nMeasure before you claim.\n")
    (folder / "flow" / "system" / "roles.toml").write_text(ROLES)
    small = ["--size", "nano", "--tokenizer", "char", "family.layers=1", "family.width=32", "family.heads=1"]
    subprocess.run(
        [COMMAND, "new", "bard", *small, "data.sequence_length=32", "training.batch_size=2"], cwd=folder, **run
    )
    (folder / "text.txt").write_text("To be, or not to be, that is the question. " * 200)
    return folder


@asynccontextmanager
async def stdio(lab, *arguments, mode="auto"):
    environment = {**os.environ, "TREADLE_WORKSPACE": str(lab)}
    parameters = StdioServerParameters(command=str(COMMAND), args=["mcp", *arguments], env=environment, cwd=lab)
    async with Client(parameters, mode=mode) as client:
        yield client


@asynccontextmanager
async def over_http(lab, *arguments, token=TOKEN):
    """A server over HTTP and a client with its token; yields client and address."""
    with serving(lab, *arguments) as (address, _):
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            yield client


class serving:  # noqa: N801 - reads as a verb
    """The server over HTTP as a process."""

    def __init__(self, lab, *arguments, token=TOKEN):
        environment = {**os.environ, "TREADLE_WORKSPACE": str(lab)}
        environment.pop("TREADLE_MCP_TOKEN", None)
        environment |= {"TREADLE_MCP_TOKEN": token} if token else {}
        command = [COMMAND, "mcp", "--http", "0", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=lab, env=environment, **pipes)

    def __enter__(self):
        said = self.process.stderr.readline()
        return re.search(r"http://\S+/mcp", said)[0], self.process

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=30)


def value(answer):
    assert not answer.is_error, answer.content[0].text
    assert json.loads(answer.content[0].text) == answer.structured_content
    return answer.structured_content


def test_every_operation_for_assistants_is_a_tool_with_its_schema(lab):
    async def look():
        async with stdio(lab) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(look)}
    entries = {entry.method: entry for entry in operations().values() if entry.for_assistants}
    assert set(tools) == set(entries)
    assert not {"mcp", "flow_guard_run", "flow_guard_init"} & set(tools)
    for name, tool in tools.items():
        assert tool.description.startswith(entries[name].description[:40])
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert tool.annotations.read_only_hint is (entries[name].effect == "reads")
    names = list(tools)
    reading = [tools[name].annotations.read_only_hint for name in names]
    assert reading == sorted(reading, reverse=True)
    assert tools["list"].annotations.read_only_hint
    assert tools["delete"].annotations.destructive_hint
    assert "detach" not in tools["train"].input_schema["properties"]
    assert "jobs_follow" in tools["train"].description
    assert tools["jobs_follow"].input_schema["properties"]["seconds"]["default"] == 20


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_answers_with_the_report_and_a_refusal_says_what_to_do(lab, mode):
    async def talk():
        async with stdio(lab, mode=mode) as client:
            models = value(await client.call_tool("list", {}))["models"]
            assert [model["name"] for model in models] == ["bard"]
            assert value(await client.call_tool("config_show", {"model": "bard", "origin": "training.batch_size"}))
            wrong = await client.call_tool("show", {"model": "brad"})
            assert wrong.is_error
            assert "brad" in wrong.content[0].text
            assert wrong.structured_content["kind"] == "NotFound"
            unknown = await client.call_tool("show", {"model": "bard", "orgins": True})
            assert "Did you mean `origins`?" in unknown.content[0].text
            none = await client.call_tool("shwo", {})
            assert "Did you mean `show`?" in none.content[0].text

    anyio.run(talk)


def test_heavy_work_is_started_looked_at_waited_for_and_stopped(lab):
    async def work():
        said = []

        async def hear(progress, total, message):
            said.append(message)

        async with stdio(lab) as client:
            fed = value(await client.call_tool("feed", {"model": "bard", "paths": [str(lab / "text.txt")]}))
            assert fed["detached"]
            ended = value(await client.call_tool("jobs_follow", {"job": fed["job"], "seconds": 60}))
            assert (ended["ended"], ended["accepted"]) == (True, 1)
            long = value(
                await client.call_tool(
                    "train", {"model": "bard", "minutes": 5, "overrides": ["training.sample_every=0"]}
                )
            )
            following = {"job": long["job"], "seconds": 3}
            for _ in range(20):  # of three seconds each, on a machine that others use
                waited = await client.call_tool("jobs_follow", following, progress_callback=hear)
                assert value(waited)["ended"] is False
                if said:
                    break
            assert value(await client.call_tool("jobs_show", {"job": long["job"]}))["job"]["state"] == "running"
            value(await client.call_tool("jobs_stop", {"job": long["job"]}))
            end = value(await client.call_tool("jobs_follow", {"job": long["job"], "seconds": 60}))
            assert (end["ended"], end["outcome"]) == (True, "stopped")
            assert said
            refused = await client.call_tool("jobs_follow", {"job": long["job"], "seconds": 1e9})
            assert "`seconds` must be a number between 0 and 300" in refused.content[0].text
            sample = value(await client.call_tool("sample", {"model": "bard", "settings": {"tokens": 5, "seed": 1}}))
            assert len(sample["ids"]) <= 5
            listed = (await client.read_resource("treadle://runs")).contents[0].text
            runs = json.loads(listed)
            assert {run["kind"] for run in runs} >= {"feed", "train"}
            one = json.loads((await client.read_resource(f"treadle://runs/{runs[0]['id']}")).contents[0].text)
            assert one["result"]["outcome"] in {"done", "stopped"}
            assert one["events"][-1]["type"] == "ended"

    anyio.run(work)


def test_a_role_names_files_of_its_tree_only_also_within_texts(tmp_path):
    workspace = create_workspace(tmp_path / "tree" / "lab")
    box = Toolbox(workspace, Role("writer"), tmp_path / "tree")
    caller = Caller(progress=lambda _: None, gone=lambda: False)
    (tmp_path / "far.mp4").write_bytes(b"x")
    (tmp_path / "tree" / "near.mp4").write_bytes(b"x")
    for name, given in (
        ("prompt_new", {"name": "dusk", "prompt": "A street", "input": [f"video={tmp_path}/far.mp4"]}),
        ("video_probe", {"video": f"{tmp_path}/tree/../far.mp4"}),
    ):
        assert "lies outside" in str(box.call(name, given, caller).content), name
    request = {"source": f"{tmp_path}/tree/request.json"}
    assert "may name other files" in str(box.call("transfer_explain", request, caller).content)
    near = {"name": "dusk", "prompt": "A street", "input": [f"video={tmp_path}/tree/near.mp4"], "set": ["edge=0.5"]}
    assert not box.call("prompt_new", near, caller).is_error


def test_a_role_sees_its_operations_only_and_reads_first_what_it_must(lab):
    async def look():
        async with stdio(lab, "--role", "reader") as client:
            tools = (await client.list_tools()).tools
            assert tools
            assert all(tool.annotations.read_only_hint for tool in tools)
            refused = await client.call_tool("delete", {"model": "bard"})
            assert "no tool `delete` for the role `reader`" in refused.content[0].text
            assert "Measure before you claim." in client.instructions
            assert "You may read only." in client.instructions
            resources = (await client.list_resources()).resources
            assert resources[0].uri == "treadle://must-read/flow/system/guidelines.md"
            assert resources[0].annotations.priority == 1.0
            assert "Measure before" in (await client.read_resource(resources[0].uri)).contents[0].text
            for resource in resources:
                await client.read_resource(resource.uri)
            assert {"treadle://tasks", "treadle://guidelines", "treadle://runs"} <= {one.uri for one in resources}
            templates = (await client.list_resource_templates()).resource_templates
            assert {one.uri_template for one in templates} == {"treadle://runs/{id}", "treadle://notes/{+path}"}
            for wrong in (
                "treadle://notes/../../text.txt",
                "treadle://must-read/text.txt",
                "file:///etc/passwd",
                "treadle://runs/r-0",
            ):
                with pytest.raises(MCPError):
                    await client.read_resource(wrong)
        async with stdio(lab, "--role", "lister") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"list", "show", "flow_list", "flow_add"} <= names
            assert not {name for name in names if not name.startswith("flow_")} - {"list", "show"}
            added = value(await client.call_tool("flow_add", {"title": "Write the guide"}))
            assert added
            tasks = (await client.read_resource("treadle://tasks")).contents[0].text
            assert "Write the guide" in tasks
            far = await client.call_tool("flow_list", {"flow": "/"})
            assert "beyond which the role does not reach" in far.content[0].text

    anyio.run(look)


def test_an_assistant_that_goes_away_does_not_hold_the_server_back(lab):
    async def leave():
        async with stdio(lab) as client:
            fed = value(await client.call_tool("feed", {"model": "bard", "paths": [str(lab / "text.txt")]}))
            value(await client.call_tool("jobs_follow", {"job": fed["job"], "seconds": 60}))
            options = {"model": "bard", "minutes": 1, "overrides": ["training.sample_every=0"]}
            job = value(await client.call_tool("train", options))["job"]
            with anyio.move_on_after(0.5):
                await client.call_tool("jobs_follow", {"job": job, "seconds": 60})
            value(await client.call_tool("jobs_stop", {"job": job}))
            begun = time.monotonic()
        return time.monotonic() - begun

    assert anyio.run(leave) < 5


def test_an_unknown_role_is_refused_before_anything_is_served(lab):
    done = subprocess.run(
        [COMMAND, "mcp", "--role", "docs"], cwd=lab, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "has no role `docs`" in done.stderr


def test_the_server_ends_with_its_client_and_prints_nothing_else(lab):
    done = subprocess.run(
        [COMMAND, "mcp"], cwd=lab, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_same_tools_are_served_over_http(lab):
    async def talk():
        async with over_http(lab, "--role", "lister") as client:
            assert "list" in {tool.name for tool in (await client.list_tools()).tools}
            assert value(await client.call_tool("list", {}))["models"][0]["name"] == "bard"

    anyio.run(talk)


def test_over_http_the_token_the_host_and_the_origin_are_checked(lab):
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    right = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    with serving(lab) as (address, _):
        port = address.split(":")[2].split("/")[0]
        cases = [
            ({"Authorization": ""}, 401),
            ({"Authorization": "Bearer " + "x" * 39}, 401),
            ({"Authorization": f"Basic {TOKEN}"}, 401),
            ({"Origin": "https://example.org"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"http://localhost.example.org:{port}"}, 403),
            ({"Host": "example.org"}, 421),
            ({"Host": f"example.org:{port}"}, 421),
        ]
        for headers, status in cases:
            answer = httpx2.post(address, json=ask, headers={**right, **headers})
            assert answer.status_code == status, headers
            assert answer.json()["ok"] is False  # our own answer, before the SDK sees the request
            assert TOKEN not in answer.text
        allowed = httpx2.post(address, json=ask, headers={**right, "Origin": f"http://localhost:{port}"})
        assert allowed.status_code not in {401, 403, 421}


def test_over_http_a_token_is_made_up_when_none_is_given(lab):
    with serving(lab, token=None) as (address, process):
        said = process.stderr.readline()
        assert re.fullmatch(r"Authorization: Bearer [\w-]{43}\n", said)
        assert address.startswith("http://127.0.0.1:")
    assert process.returncode in {0, -signal.SIGTERM}  # it shuts down in order, then lets the signal have its way
    short = {**os.environ, "TREADLE_MCP_TOKEN": "short"}
    done = subprocess.run([COMMAND, "mcp", "--http", "0"], cwd=lab, env=short, capture_output=True, text=True)
    assert (done.returncode, "too short" in done.stderr) == (2, True)


def test_a_port_in_use_is_said(lab):
    with serving(lab) as (address, _):
        port = address.split(":")[2].split("/")[0]
        done = subprocess.run([COMMAND, "mcp", "--http", port], cwd=lab, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr


def test_without_the_extra_the_command_says_how_to_get_it(lab):
    script = (
        "import sys\n"
        "for name in ('mcp', 'mcp_types', 'uvicorn', 'anyio'): sys.modules[name] = None\n"
        "from treadle.cli.main import main\nmain(['mcp'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=lab, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'treadle[mcp]'" in done.stderr
