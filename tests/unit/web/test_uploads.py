"""Uploads: pieces, interruptions, hashes, folders, and what is refused."""

import asyncio
import hashlib
import os
import select
import threading
from pathlib import Path

import pytest

from treadle.web import upload_files
from treadle.web.upload_files import remove_old, uploaded
from treadle.web.uploads import _receive

TEXT = b"To be, or not to be, that is the question.\n" * 1000


def begin(client, **facts):
    answer = client.post("/api/v1/uploads", json={"name": "hamlet.txt", "size": len(TEXT), **facts})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def send(client, identity, offset, data):
    headers = {"upload-offset": str(offset), "content-type": "application/octet-stream"}
    return client.patch(f"/api/v1/uploads/{identity}", content=data, headers=headers)


def test_an_upload_in_pieces_becomes_a_file_that_operations_take(client, call, workspace):
    identity = begin(client, sha256=hashlib.sha256(TEXT).hexdigest())
    assert send(client, identity, 0, TEXT[:10_000]).json()["offset"] == 10_000
    assert client.head(f"/api/v1/uploads/{identity}").headers["upload-offset"] == "10000"
    told = client.post("/api/v1/operations/feed", json={"model": "x", "paths": [f"upload:{identity}"]}).json()
    assert "is not whole yet: 10,000 of 43,000 bytes" in told["error"]
    assert send(client, identity, 10_000, TEXT[10_000:]).json()["complete"] is True
    assert uploaded(workspace, identity).read_bytes() == TEXT
    assert uploaded(workspace, identity).name == "hamlet.txt"
    call("new", name="bard", size="nano")
    call("jobs.pause", model="bard")
    job = call("feed", model="bard", paths=[f"upload:{identity}"])
    assert call("jobs.show", job=job["job"])["payload"]["paths"] == [str(uploaded(workspace, identity))]
    call("jobs.stop", job=job["job"])


def test_a_piece_at_the_wrong_place_is_refused_with_the_right_one(client):
    identity = begin(client)
    send(client, identity, 0, TEXT[:100])
    for offset in ("0", "101", "", "x"):
        answer = send(client, identity, offset, TEXT[:5])
        assert answer.status_code == 409
        assert "begins at byte 100" in answer.json()["error"]


def test_what_arrived_before_the_connection_broke_is_kept(client, app):
    identity = begin(client)
    headers = [(b"host", b"127.0.0.1:8765"), (b"upload-offset", b"0")]
    path = f"/api/v1/uploads/{identity}"
    scope = {"type": "http", "method": "PATCH", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8765), "http_version": "1.1"}
    arriving = [{"type": "http.request", "body": TEXT[:5000], "more_body": True}, {"type": "http.disconnect"}]

    async def receive():
        return arriving.pop(0)

    async def send_back(_):
        pass

    asyncio.run(app({**scope, "scheme": "http", "root_path": "", "asgi": {"version": "3.0"}}, receive, send_back))
    assert client.get(path).json()["offset"] == 5000
    assert send(client, identity, 5000, TEXT[5000:]).json()["complete"] is True


def test_what_a_kill_left_whole_but_not_in_its_place_is_whole(client, workspace):
    arrived, moved = begin(client, sha256=hashlib.sha256(TEXT).hexdigest()), begin(client)
    (workspace.root / "uploads" / arrived / "data").write_bytes(TEXT)
    assert client.get(f"/api/v1/uploads/{arrived}").json()["complete"] is True
    assert uploaded(workspace, arrived).read_bytes() == TEXT
    told = workspace.root / "uploads" / moved / "upload.json"
    before = told.read_bytes()
    send(client, moved, 0, TEXT)
    told.write_bytes(before)
    assert client.get(f"/api/v1/uploads/{moved}").json()["complete"] is True
    assert uploaded(workspace, moved).read_bytes() == TEXT


def test_a_request_that_is_superseded_while_it_writes_writes_nothing_twice(tmp_path):
    """The file is a pipe that nobody empties yet, so the piece is still being written when its request is ended."""
    pipe = tmp_path / "data"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    received = bytearray()

    def drain():
        while data := os.read(reader, 65536):
            received.extend(data)

    class Sender:
        async def stream(self):
            yield b"x" * 1024 * 1024

    async def scenario():
        task = asyncio.create_task(_receive(Sender(), pipe, {"size": 2**21, "offset": 0}))
        await asyncio.to_thread(select.select, [reader], [], [], 20)
        late = threading.Timer(0.2, drain)
        late.start()
        task.cancel()
        await asyncio.wait({task})
        await asyncio.to_thread(late.join, 20)

    asyncio.run(scenario())
    os.close(reader)
    assert len(received) == 1024 * 1024


def test_a_file_that_arrived_damaged_begins_again(client, workspace):
    identity = begin(client, sha256=hashlib.sha256(TEXT).hexdigest())
    answer = send(client, identity, 0, b"x" + TEXT[1:])
    assert (answer.status_code, answer.json()["kind"]) == (422, "Hash")
    assert client.get(f"/api/v1/uploads/{identity}").json()["offset"] == 0
    assert send(client, identity, 0, TEXT).json()["complete"] is True


def test_more_than_was_announced_is_refused(client):
    identity = begin(client, size=10)
    assert send(client, identity, 0, TEXT).status_code == 413
    assert client.get(f"/api/v1/uploads/{identity}").json()["complete"] is False


def test_several_files_into_one_upload_are_a_folder(client, workspace):
    first = begin(client, name="notes/a.txt", size=1)
    send(client, first, 0, b"a")
    second = begin(client, name="notes/deep/b.txt", size=1, into=first)
    send(client, second, 0, b"b")
    folder = uploaded(workspace, first)
    assert folder.name == "notes"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.txt")) == ["a.txt", "deep/b.txt"]


def test_an_empty_file_is_whole_at_once(client, workspace):
    identity = begin(client, size=0)
    assert uploaded(workspace, identity).read_bytes() == b""


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/", "", "a\nb", "a/" * 40 + "x", "x" * 300, "..", "a\x00b"])
def test_names_that_lead_elsewhere_are_refused(client, name):
    answer = client.post("/api/v1/uploads", json={"name": name, "size": 1})
    assert answer.status_code == 422, answer.text


def test_absolute_names_lie_inside_the_upload(client, workspace):
    identity = begin(client, name="/etc/passwd", size=0)
    assert uploaded(workspace, identity).is_relative_to(workspace.root / "uploads" / identity)


@pytest.mark.parametrize(
    "facts", [{}, {"name": "x"}, {"name": "x", "size": -1}, {"name": "x", "size": True}, {"name": "x", "size": 1, "a": 1},  # noqa: E501
              {"name": "x", "size": 1, "sha256": "no"}, {"name": "x", "size": 1, "into": "u-none"}]
)  # fmt: skip
def test_uploads_that_are_not_described_are_refused(client, facts):
    assert client.post("/api/v1/uploads", json=facts).status_code in {404, 422}


def test_a_file_that_cannot_fit_is_refused_before_it_is_sent(client):
    answer = client.post("/api/v1/uploads", json={"name": "x", "size": 2**62})
    assert answer.status_code == 507
    assert "are free on this disk" in answer.json()["error"]


def test_an_upload_belongs_to_who_began_it(logged_in):
    olga, vic, ada = map(logged_in, ("olga", "vic", "ada"))
    identity = begin(olga)
    assert vic.post("/api/v1/uploads", json={"name": "x", "size": 1}).status_code == 403
    assert send(vic, identity, 0, TEXT).status_code == 403
    assert vic.get(f"/api/v1/uploads/{identity}").status_code == 403
    assert send(ada, identity, 0, TEXT).status_code == 200


def test_an_upload_that_was_given_up_is_gone(client):
    identity = begin(client)
    assert client.delete(f"/api/v1/uploads/{identity}").json() == {"id": identity, "removed": True}
    assert client.get(f"/api/v1/uploads/{identity}").status_code == 404
    assert client.get("/api/v1/uploads/../accounts").status_code == 404


def test_old_uploads_are_removed_unless_something_stored_names_them(client, call, workspace):
    old, new, growing, named = (begin(client) for _ in range(4))
    send(client, named, 0, TEXT)
    kept = call("prompt.new", name="dusk", prompt="A street", input=[f"video=upload:{named}"])["inputs"][0]["path"]
    past = workspace.root.stat().st_mtime - upload_files.KEPT_SECONDS - 60
    for identity in (old, growing, named):
        folder = workspace.root / "uploads" / identity
        for path in (folder / "upload.json", folder / "data", folder):
            if path.exists():
                os.utime(path, (past, past))
    send(client, growing, 0, TEXT[:100])
    assert remove_old(workspace) == [old]
    assert [client.get(f"/api/v1/uploads/{one}").status_code for one in (new, growing)] == [200, 200]
    assert Path(kept).read_bytes() == TEXT
