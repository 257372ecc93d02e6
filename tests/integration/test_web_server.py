"""`treadle ui` as a real process, asked over real sockets: its address, its refusals, its stream, its client."""

import contextlib
import dataclasses
import inspect
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

import treadle
from treadle.base.errors import NotFoundError, NotReadyError, ResourceError, UsageError
from treadle.client.connection import Connection, RemoteError
from treadle.operations.operation import operations
from treadle.store.accounts import AccountsFile
from treadle.store.workspace import WorkspaceFolder

COMMAND = Path(sys.executable).parent / "treadle"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - that it asks for accounts is what is tested
SMALL = ["family.layers=1", "family.width=32", "family.heads=1", "data.sequence_length=32", "training.batch_size=2"]
TEXT = "To be, or not to be, that is the question. " * 200


@contextlib.contextmanager
def served(folder, *arguments):
    command = [COMMAND, "ui", "--no-browser", "--workspace", folder, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline()
            yield re.search(r"http://\S+", said)[0], process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            process.wait(60)
            assert "Traceback" not in rest, rest


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A workspace with a model that was trained for twenty steps."""
    workspace = treadle.Workspace.create(tmp_path_factory.mktemp("web") / "lab")
    workspace.new("bard", SMALL, size="nano", tokenizer="char")
    text = workspace.root.parent / "hamlet.txt"
    text.write_text(TEXT)
    workspace.feed("bard", [text])
    workspace.train("bard", steps=20)
    return workspace


@pytest.fixture(scope="module")
def server(lab):
    with served(lab.root) as (address, _):
        yield address


@pytest.fixture
def remote(server):
    return treadle.Workspace(server)


def asked_of(address, body=None):
    request = urllib.request.Request(address, body, {"content-type": "application/json"})  # noqa: S310
    return urllib.request.urlopen(request, timeout=60)  # noqa: S310


def run(*arguments):
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True)


def test_another_address_needs_users_and_the_refusal_names_the_command(tmp_path):
    root = treadle.Workspace.create(tmp_path / "w").root
    done = run("ui", "--host", EVERYWHERE, "--no-browser", "--workspace", root)
    assert done.returncode == 1
    assert "treadle user add NAME --level admin" in done.stderr
    first = run("user", "add", "ada", "--workspace", root, "--json")
    assert first.returncode == 2
    assert "must be an admin" in first.stderr
    made = json.loads(run("user", "add", "ada", "--level", "admin", "--workspace", root, "--json").stdout)
    assert len(made["password"]) >= 12
    key = json.loads(run("key", "add", "notebook", "--workspace", root, "--json").stdout)
    with served(root, "--host", EVERYWHERE) as (address, _):
        with pytest.raises(RemoteError, match="Log in first"):
            treadle.Workspace(address)
        assert treadle.Workspace(address, token=key["token"]).list().models == []
        with pytest.raises(RemoteError, match="needs the level admin"):
            treadle.Workspace(address, token=key["token"]).user_list()


def test_a_port_that_is_taken_is_refused_with_the_remedy(tmp_path):
    root = treadle.Workspace.create(tmp_path / "w").root
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("ui", "--port", str(taken.getsockname()[1]), "--no-browser", "--workspace", root)
        before = Path.cwd()
        with pytest.raises(ResourceError, match="Choose another with --port"):
            treadle.Workspace(root).ui(port=taken.getsockname()[1], no_browser=True)
        assert Path.cwd() == before
    assert done.returncode == 1
    assert "Choose another with --port" in done.stderr


def test_the_client_has_the_methods_of_a_workspace_with_the_same_signatures(lab, remote):
    for entry in operations().values():
        here, there = getattr(lab, entry.method), getattr(remote, entry.method)
        assert inspect.signature(here) == inspect.signature(there), entry.name
        assert here.__doc__ == there.__doc__
    assert set(dir(lab)) - {"root", "create"} <= set(dir(remote)) | {name for name in dir(lab) if name.startswith("_")}
    with pytest.raises(AttributeError, match="Did you mean `sample`"):
        remote.sampel  # noqa: B018


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("list", {}),
        ("show", {"model": "bard"}),
        ("show", {"model": "bard", "lineage": True}),
        ("jobs_list", {"state": "done"}),
        ("jobs_show", {"job": 1}),
        ("config_show", {"model": "bard"}),
        ("schedule_list", {}),
    ],
)
def test_reports_are_the_same_here_and_there(lab, remote, method, given):
    here, there = getattr(lab, method)(**given), getattr(remote, method)(**given)
    assert type(here) is type(there)
    plain = [json.loads(json.dumps(dataclasses.asdict(one), default=str)) for one in (here, there)]
    for one in plain:
        one.pop("problem", None)
        (one.get("inbox") or {}).pop("watched", None)  # a worker may end between the two
    assert plain[0] == plain[1]


def test_files_and_folders_of_this_machine_are_sent_and_fed(lab, remote, tmp_path):
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text("A note about looms. " * 40)
    (folder / "deep" / "two.txt").write_text("Another about wheels. " * 40)
    remote.new("diary", SMALL, size="nano", tokenizer="char")
    events = []
    told = remote.feed("diary", [folder], on_event=events.append)
    assert told["accepted"] == 2
    assert told["outcome"] == "done"
    assert events
    again = remote.feed("diary", folder / "one.txt")
    assert again["duplicates"] == 1
    assert lab.show("diary").documents["accepted"] == 2


def test_a_folder_of_too_many_files_is_refused_and_not_cut_short(remote, tmp_path):
    for number in range(10_001):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(UsageError, match=r"10,001 files; at most 10,000 are sent\. Send it as one zip"):
        remote.feed("diary", [tmp_path])


def test_training_and_sampling_there_are_what_they_are_here(lab, remote):
    events = []
    told = remote.train("bard", steps=30, on_event=events.append)
    assert told["step"] == 30
    assert {"training_started", "training_stopped"} <= {event.type for event in events}
    settings = {"prompt": "To", "tokens": 20, "seed": 7}
    texts = []
    there = remote.sample("bard", on_event=lambda event: texts.append(event.data.get("text", "")), **settings)
    here = lab.sample("bard", **settings)
    assert there["text"] == here["text"]
    assert texts[-1] == there["text"]
    assert "".join(texts[:-1]) == f"To{there['text']}"
    assert remote.train("bard", steps=30, detach=True)["detached"] is True


def test_errors_there_are_the_errors_here(remote):
    with pytest.raises(NotFoundError, match="Unknown model `nobody`"):
        remote.show("nobody")
    with pytest.raises(UsageError, match="Give one length"):
        remote.train("bard", steps=1, epochs=1)
    remote.new("fresh", size="nano", tokenizer="char")
    with pytest.raises(NotReadyError):
        remote.sample("fresh")
    with pytest.raises(UsageError, match="has no parameter"):
        remote.show("bard", lineag=True)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:1/path", "http://u@127.0.0.1"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError, match="no address of a Treadle"):
        treadle.Workspace(url)


def test_a_server_that_is_not_there_is_told_as_such(lab):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ResourceError, match="treadle ui"):
        treadle.Workspace(f"http://127.0.0.1:{port}")
    with pytest.raises(UsageError, match="not a folder"):
        treadle.Workspace(str(lab.root), token="tdl_x")


def test_the_stream_goes_on_where_it_was_after_the_server_was_killed(lab):
    """History first, then what is new; nothing twice, nothing left out, although the server is another process."""
    with served(lab.root) as (address, process):
        stream = treadle.Workspace(address).follow()
        first = next(stream)
        assert first["type"] == "hello"
        process.kill()
        process.wait()
        stream.close()
    told = lab.train("bard", steps=40)
    with served(lab.root) as (address, process):
        found, stop = [], threading.Timer(60, process.kill)  # then the stream breaks off, and says so
        stop.start()
        for event in treadle.Workspace(address).follow(first["cursor"]):
            found.append(event)
            if event["type"] == "job.done" and event["job"] == told["job"]:
                break
        stop.cancel()
    mine = [event for event in found if event.get("run") == told["run"] or event.get("job") == told["job"]]
    types = [event["type"] for event in mine]
    assert types[0] == "job.submitted"
    assert types[-1] == "job.done"
    assert types.count("run.training_started") == 1
    steps = [event["data"]["step"] for event in mine if event["type"] == "run.progress"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 40


def test_a_reader_that_goes_away_leaves_the_server_well(server):
    for _ in range(3):
        with asked_of(f"{server}/api/v1/events") as answer:
            assert answer.readline() == b"retry: 1000\n"
    body = json.dumps({"model": "bard", "tokens": 2000}).encode()
    with asked_of(f"{server}/api/v1/operations/sample", body) as answer:
        assert answer.readline().startswith(b"data: ")
    with asked_of(f"{server}/") as answer:
        assert b"bard" in answer.read()


@pytest.mark.parametrize("silently", [False, True], ids=["broken", "silent"])
def test_an_upload_goes_on_after_its_connection_was_lost(server, tmp_path, silently):
    """A proxy in between cuts the first connection in the middle of the body."""
    text = tmp_path / "long.txt"
    text.write_text("wheel and loom " * 200_000)
    port = int(server.rpartition(":")[2])
    with cutting_proxy(port, after=1_000_000) as proxied:
        connection = Connection(f"http://127.0.0.1:{proxied}", None)
        with pytest.raises(RemoteError, match="does not answer to that name"):
            connection.json("GET", "/api/v1/session")
    with cutting_proxy(port, after=1_000_000, host=f"127.0.0.1:{port}", silently=silently) as proxied:
        identity = Connection(f"http://127.0.0.1:{proxied}", None).upload(text, "long.txt")
    facts = Connection(server, None).json("GET", f"/api/v1/uploads/{identity}")
    assert facts["complete"] is True
    assert facts["size"] == text.stat().st_size


@contextlib.contextmanager
def cutting_proxy(port, after, host=None, *, silently=False):
    """Passes connections on; the first one that sends more than `after` bytes is cut."""
    listener = socket.create_server(("127.0.0.1", 0))
    cut, done = threading.Event(), threading.Event()

    def pass_on(client):
        with client, socket.create_connection(("127.0.0.1", port)) as there:
            threading.Thread(target=copy, args=(there, client), daemon=True).start()
            sent = 0
            while data := client.recv(65536):
                if host is not None and sent == 0:
                    data = re.sub(rb"(?i)host: [^\r]+", b"Host: " + host.encode(), data, count=1)
                sent += len(data)
                if sent > after and not cut.is_set():
                    cut.set()
                    client.shutdown(socket.SHUT_RDWR)
                    if silently:  # the server sees a connection that is open and says nothing
                        done.wait(60)
                    there.shutdown(socket.SHUT_RDWR)
                    return
                there.sendall(data)

    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=guarded, args=(listener.accept()[0],), daemon=True).start()

    def guarded(client):
        with contextlib.suppress(OSError):
            pass_on(client)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_accounts_are_the_commands_too(tmp_path):
    root = treadle.Workspace.create(tmp_path / "w").root
    workspace = WorkspaceFolder(root)
    done = subprocess.run(
        [COMMAND, "user", "add", "ada", "--level", "admin", "--password", "-", "--workspace", root],
        input="a long password\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "password" not in done.stdout
    assert AccountsFile(workspace).read().users["ada"].level == "admin"
    assert run("user", "level", "ada", "viewer", "--workspace", root).returncode == 2
    assert "ada" in run("user", "list", "--workspace", root).stdout
    assert "Nobody would be admin" in run("user", "level", "ada", "viewer", "--workspace", root).stderr
