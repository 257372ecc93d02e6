"""Hosts through the command: let in by their key, examined, given an image and checkpoints, forgotten."""

import contextlib
import hashlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from treadle.cli.wizard import ask_key
from treadle.jobs.ledger import Ledger
from treadle.remote.hosts import HostCards
from treadle.remote.run_folder import RunFolder
from treadle.store.workspace import find_workspace

TOKEN = f"hf_{secrets.token_hex(8)}"
COMMIT = "0123456789abcdef"
PODMAN = ("--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc")
"""Flags for a machine without a full control group setup: a test's, never a default."""
RUN = ("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


@pytest.fixture
def box(here, ssh_server, tmp_path):
    """Calls `treadle host VERB box ...` in a workspace that has this host, with a token and without containers."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    root = ssh_server.root / secrets.token_hex(4)

    login = ("--key", ssh_server.key, "--token-file", tmp_path / "token", "--root", root, "--python", sys.executable)

    def add(*more, code=0, runtime="none"):
        return here("host", "add", "box", place(ssh_server), *login, "--runtime", runtime, *more, code=code)

    add("--accept", ssh_server.card().fingerprint)
    add.root = root
    return add


def place(server):
    return f"{server.user}@{server.address}:{server.port}"


def until(condition, seconds=60):
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return found


def files_with(token, *folders):
    """Files that hold a secret, besides the one that it came from."""
    paths = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file() and path.name != "token"]
    return [path for path in paths if token.encode() in path.read_bytes()]


def test_a_host_is_let_in_by_its_key_examined_changed_and_forgotten(here, box, ssh_server, tmp_path):
    other = ("host", "add", "other", place(ssh_server), "--key", ssh_server.key)
    shown = ssh_server.card().fingerprint
    assert f"--accept {shown}" in here(*other, code=1)
    refused = here(*other, "--accept", f"SHA256:{'A' * 43}", code=1)
    assert shown in refused
    assert "SHA256:AAA" in refused
    for said, answer in (("y\n", shown), ("n\n", None)):
        asked = {"place": place(ssh_server), "accept": None}
        with CliRunner().isolation(input=said) as (_, printed, _), contextlib.suppress(click.Abort):
            ask_key(asked)
        assert asked["accept"] == answer
        assert shown in printed.getvalue().decode()
    (ssh_server.folder / ".bashrc").write_text("echo welcome\n")
    assert "welcome" in here(*other, "--accept", shown, code=1)
    (ssh_server.folder / ".bashrc").unlink()
    (one,) = here("host", "list", "--json")["hosts"]
    assert (one["name"], one["fingerprint"], one["root"]) == ("box", shown, str(box.root))
    ssh_server.program("nvidia-smi", "#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 80000, 560.35.03, 31'\n")
    ssh_server.program("date", "#!/bin/sh\necho 1000000000.5\n")
    found = {row["name"]: row for row in here("host", "doctor", "box", "--json", code=0)["hosts"][0]["findings"]}
    assert "H100" in found["GPU"]["found"]
    assert found["GPU"]["ok"]
    assert not found["clock"]["ok"]
    assert "behind" in found["clock"]["found"]
    assert [name for name, row in found.items() if row["needed"] and not row["ok"]] == []
    (tmp_path / "token").chmod(0o644)
    assert "chmod 600" in here("host", "doctor", code=1)
    assert "already" in box(code=2)
    box("--replace", "--slots", "2", "--price", "1.5")
    assert "2 slots" in here("host", "list")
    with Ledger.open(find_workspace()) as ledger:
        assert ledger.queue("host:box").concurrency == 2
    stranger = HostCards(find_workspace()).change("box", host_key=ssh_server.card().host_key[:-4] + "AAAA")
    refused = here("host", "doctor", "box", code=1).replace("\n", " ")
    assert stranger.fingerprint in refused
    assert shown in refused
    assert "mkdir" not in here("host", "remove", "box")
    assert box.root.is_dir()
    assert (tmp_path / "trash" / "host-box" / "host.json").is_file()
    assert "No hosts yet" in here("host", "list")
    for name in ("nvidia-smi", "date"):
        (ssh_server.bin / name).unlink()


def test_what_cannot_be_a_host_is_refused_in_words(here, ssh_server, tmp_path):
    for words, code in (
        (("x", "nobody"), 2), (("x", "a@b:0"), 2), (("any", "local"), 2), (("../x", "local"), 2),
        (("x", "local", "--slots", "0"), 2), (("x", "local", "--root", "a:b"), 2),
        (("x", "local", "--token-file", tmp_path / "none"), 2), (("x", "a@127.0.0.1:1"), 1),
    ):  # fmt: skip
        assert "Traceback" not in here("host", "add", *words, code=code)
    (tmp_path / "two").write_text("two words")
    assert "one token" in here("host", "add", "x", "local", "--token-file", tmp_path / "two", code=1)
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    checkout = here("host", "add", "here", "local", "--root", tmp_path / "clone", code=2)
    assert "--root treadle-runs" in checkout
    here("host", "add", "here", "local", "--root", tmp_path / "root", "--runtime", "none")
    assert "Did you mean `here`?" in here("host", "doctor", "heer", code=2)
    assert "neither docker nor podman" in here("host", "image", "pull", "here", "a/b:v1", code=1)
    for image in ("cosmos", "a/b:latest", "localhost:5000/a", "a@sha256:12", "-x:1"):
        assert "version" in here("host", "image", "pull", "here", image, code=2) or image in {"a@sha256:12", "-x:1"}


class Hub(http.server.ThreadingHTTPServer):
    """As Hugging Face answers: listings with hashes, a licence for one repository, files on another address."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files = {
            "open/one": {"a.bin": os.urandom(3 << 20), "deep/b.json": b"{}"},
            "shut/two": {"c.bin": b"c" * 999},
        }
        self.slow = threading.Event()
        self.asked = []
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class HubHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path, token = self.path.partition("?")[0].strip("/"), self.headers["Authorization"]
        self.server.asked.append((path, token, self.headers["Range"]))
        if path.startswith("api/models/"):
            self._list(path.removeprefix("api/models/").partition("/revision/")[0], token)
        elif path.startswith("cdn/"):
            owner, name, _, _, file = path.removeprefix("cdn/").split("/", 4)
            begin = int((self.headers["Range"] or "bytes=0-")[6:-1])
            self._give(self.server.files[f"{owner}/{name}"][file][begin:], 206 if begin else 200)
        else:
            self.send_response(302)
            self.send_header("Location", f"/cdn/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _list(self, name, token):
        if name not in self.server.files:
            self.send_error(404)
        elif name == "shut/two" and token != f"Bearer {TOKEN}":
            self.send_error(403)
        else:
            self._give(json.dumps({"sha": COMMIT, "siblings": self._rows(name)}).encode())

    def _rows(self, name):
        rows = []
        for path, data in self.server.files[name].items():
            large = (
                {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}} if path.endswith("bin") else {}
            )
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324
            rows.append({"rfilename": path, "size": len(data), "blobId": blob, **large})
        return rows

    def _give(self, data, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data[: 1 << 20])
            cut = len(data) > 1 << 20 and self.server.slow.is_set()
            while cut and self.server.slow.is_set():
                time.sleep(0.02)
            self.wfile.write(b"" if cut else data[1 << 20 :])  # the connection of what was slow ends early

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    made = Hub()
    yield made
    made.slow.clear()
    made.shutdown()
    made.server_close()


def test_checkpoints_are_downloaded_through_stops_and_cuts_and_verified(
    here, box, hub, ssh_server, ssh_servers, tmp_path
):
    hub.slow.set()
    words = ("host", "checkpoints", "download", "box", "open/one", "shut/two", "none/three", "--endpoint", hub.address)
    job = here(*words, "--detach", "--json")
    folder = box.root / "checkpoints" / "open" / "one"
    part = folder / ".a.bin.part"
    until(lambda: part.exists() and part.stat().st_size == 1 << 20)
    run = f"{job['run']}-1"
    assert len(ssh_servers.left_behind(run)) >= 1
    card = HostCards(find_workspace()).get("box")
    (environment,) = (box.root / "runs" / run).glob("environment")
    assert environment.stat().st_mode & 0o777 == 0o600
    assert files_with(TOKEN, tmp_path, box.root) == [environment]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert TOKEN.encode() not in path.read_bytes()
    ssh_server.cut()
    here("jobs", "stop", job["job"])
    until(lambda: not ssh_servers.left_behind(run))
    until(lambda: here("jobs", "show", job["job"], "--json")["job"]["state"] == "cancelled")
    assert not environment.exists()
    assert part.stat().st_size == 1 << 20
    hub.slow.clear()
    here("jobs", "retry", job["job"])
    answer = here("jobs", "follow", job["job"], "--json", code=1)
    assert answer["refused"] == ["none/three: the server says 404 Not Found"]
    assert ("cdn/open/one/resolve/0123456789abcdef/a.bin", f"Bearer {TOKEN}", f"bytes={1 << 20}-") not in hub.asked
    assert ("cdn/open/one/resolve/0123456789abcdef/a.bin", None, f"bytes={1 << 20}-") in hub.asked
    manifest = json.loads(Path(answer["manifest"]).read_text())["files"]
    assert sorted(manifest) == ["open/one/a.bin", "open/one/deep/b.json", "shut/two/c.bin"]
    assert manifest["shut/two/c.bin"]["source"] == f"shut/two@{COMMIT}"
    assert (folder / "a.bin").read_bytes() == hub.files["open/one"]["a.bin"]
    assert files_with(TOKEN, tmp_path, box.root) == []
    (folder / "a.bin").write_bytes(b"x" + hub.files["open/one"]["a.bin"][1:])
    (folder / "deep" / "b.json").rename(folder / "c.json")
    shown = here("host", "checkpoints", "verify", "box", "--json", code=1)
    assert (shown["changed"], shown["missing"]) == (["open/one/a.bin"], ["open/one/deep/b.json"])
    assert shown["unknown"] == ["open/one/c.json"]
    listed = here("host", "runs", "list", "box", "--json")
    assert {(row["id"][:18], row["collected"]) for row in listed["runs"]} >= {(job["run"], True)}
    assert "3 folders" in here("host", "runs", "list", "box")
    assert "collected and over" in here("host", "doctor", "box", code=1)
    assert "Removed 3 folders" in here("host", "runs", "remove", "box", "--days", "0")
    assert list((box.root / "runs").iterdir()) == []
    assert card.root == str(box.root)


@pytest.fixture
def podman(ssh_server):
    """A podman of the host's own: its images and containers lie in the server's folder."""
    if shutil.which("podman") is None or shutil.which("busybox") is None or os.geteuid() != 0:
        pytest.skip("podman, runc and busybox-static are not installed, or this is not root")
    folder = ssh_server.folder / "podman"
    own = (f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/t")
    yield [*PODMAN, *own]
    subprocess.run(["podman", *PODMAN, *own, "rm", "--all", "--force", "-t", "0"], capture_output=True)


def test_an_image_is_built_pinned_by_digest_and_its_container_stopped_by_label(here, box, podman, ssh_server, tmp_path):
    box("--replace", *(f"--runtime-flags={flag}" for flag in podman), *(f"--run-flags={flag}" for flag in RUN),
        runtime="podman")  # fmt: skip
    context = tmp_path / "context"
    (context / ".git").mkdir(parents=True)
    (context / ".git" / "large").write_bytes(b"x" * 100)
    shutil.copy(shutil.which("busybox"), context / "busybox")
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/sleep\nCOPY busybox /bin/cat\n"
    )
    built = here("host", "image", "build", "box", context, "--tag", "tiny:v1.0.0", "--json")
    assert built["image"].startswith("sha256:")
    card = HostCards(find_workspace()).get("box")
    assert (card.image, card.image_name) == (built["image"], "tiny:v1.0.0")
    assert card.image in here("host", "image", "pin", "box", "tiny:v1.0.0")
    transport, containers = card.connect(), card.containers()
    runs = [RunFolder(transport, card.runs, name, containers) for name in ("c-one", "c-two")]
    for run in runs:
        secret = run.keep_environment({"HF_TOKEN": TOKEN})
        script = "trap '' TERM; echo \"${HF_TOKEN%%_*}\"; while true; do sleep 0.1; done"
        argv = containers.argv(run.id, card.image, ["sh", "-c", script], environment_file=secret)
        assert TOKEN not in str(argv)
        run.start(argv)
    for run in runs:
        until(lambda run=run: run.tail(0) == b"hf\n")
    os.killpg(runs[0].state().pid, 9)  # the runtime's own command; the container does not care
    assert runs[0].state().alive
    runs[0].stop(grace=0)
    assert containers.running(transport, "c-one") == []
    assert len(containers.running(transport, "c-two")) == 1
    runs[1].stop(grace=0)
    assert containers.running(transport, "c-two") == []
    transport.close()
