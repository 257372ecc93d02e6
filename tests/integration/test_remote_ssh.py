"""A host over SSH, with a real sshd: commands, files, cut and frozen links, keys that are not known."""

import dataclasses
import os
import re
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from treadle.base.errors import DataError
from treadle.base.hashing import hash_bytes, hash_file
from treadle.remote.local import LocalTransport
from treadle.remote.transport import HostError, HostFullError, HostKeyError, LinkError


@pytest.fixture(scope="module")
def box(ssh_server):
    made = ssh_server.card().connect()
    yield made
    made.close()


@pytest.fixture(params=["ssh", "local"])
def anyhow(request):
    """Both ways to a host: what holds for one must hold for the other."""
    if request.param == "local":
        return LocalTransport()
    return request.getfixturevalue("box")


@pytest.fixture
def there(ssh_server, request):
    """A folder of the test's own on the host."""
    return str(ssh_server.root / re.sub(r"\W+", "-", request.node.name))


def until(condition, seconds=40):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)


def test_a_command_comes_back_whole_with_its_status(anyhow):
    words = ["a b", "it's", '"$HOME"', "line\nbreak", "*", "ä"]
    shown = anyhow.run(["printf", "%s|", *words])
    assert (shown.code, shown.out.decode()) == (0, "".join(f"{word}|" for word in words))
    script = "cat >&2; head -c 8000000 /dev/zero >&2; printf '\\377\\n'; exit 3"
    loud = anyhow.run(["sh", "-c", script], stdin=b"\xff\x00in")
    assert (loud.code, loud.out, len(loud.err), loud.err[:4]) == (3, b"\xff\n", 8_000_004, b"\xff\x00in")
    assert anyhow.run(["sh", "-c", "kill -9 $$"]).code == 137
    assert anyhow.run(["no-such-program"]).code == 127
    assert anyhow.run(["cat"]).out == b""  # does not wait for input that nobody gives
    assert anyhow.run(["sleep", "60"], timeout=0.2).code is None


def test_files_go_and_come_with_their_hashes(anyhow, there, tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "in").write_bytes(data)
    remote = f"{there}/deep/näme 1"
    for _ in range(2):  # what is there already is not sent again, and is no error
        assert anyhow.put(tmp_path / "in", remote) == hash_bytes(data)
    assert (anyhow.size(remote), anyhow.size(there)) == (300_000, None)
    assert anyhow.exists(remote)
    assert anyhow.exists(there)
    assert anyhow.read(remote, 299_990, 1 << 20) == data[-10:]
    assert anyhow.read(f"{there}/none", 0, 10) == b""
    assert anyhow.get(remote, tmp_path / "back" / "out") == hash_file(tmp_path / "back" / "out") == hash_bytes(data)
    for mode in (0o600, 0o644):
        anyhow.put_bytes(b"secret", f"{there}/env", mode)
        assert stat.S_IMODE(Path(there, "env").stat().st_mode) == mode
    left = sorted(path.relative_to(there).as_posix() for path in Path(there).rglob("*"))
    assert left == ["deep", "deep/näme 1", "env"]
    with pytest.raises((HostError, DataError), match="announced"):
        anyhow.get(remote, tmp_path / "wrong", "0" * 64)
    with pytest.raises(HostError, match="no file"):
        anyhow.get(f"{there}/none", tmp_path / "wrong")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "in"]


def test_what_was_cut_goes_on_where_it_was_and_what_was_damaged_is_sent_again(ssh_server, box, there, tmp_path):
    source = tmp_path / "large"
    with source.open("wb") as file:
        for _ in range(20):
            file.write(os.urandom(1 << 20))
    wanted = hash_file(source)
    large, part = Path(there, "large"), Path(there, f".large.{wanted[:16]}.part")
    failed = []

    def send():
        try:
            box.put(source, str(large))
        except LinkError as error:
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: part.exists() and part.stat().st_size > 9 << 20)
    ssh_server.cut()
    thread.join()
    assert failed
    assert "broke" in str(failed[0])
    assert not large.exists()
    assert 0 < part.stat().st_size < 20 << 20
    before = part.stat().st_ino
    assert box.put(source, str(large)) == wanted
    assert large.stat().st_ino == before
    large.rename(part)
    with part.open("r+b") as file:
        file.write(b"damaged")
        file.truncate(12 << 20)
    assert box.put(source, str(large)) == wanted == hash_file(large)
    back = tmp_path / f".back.{wanted[:16]}.part"
    back.write_bytes(source.read_bytes()[: 12 << 20])
    assert box.get(str(large), tmp_path / "back") == wanted
    assert not back.exists()


def test_a_frozen_host_is_noticed_and_the_next_call_connects_anew(ssh_server):
    box = ssh_server.card(keepalive=0.2).connect()
    assert box.run(["true"]).ok
    threading.Timer(0.2, ssh_server.freeze).start()
    began = time.monotonic()
    assert box.run(["sleep", "60"]).code is None
    assert time.monotonic() - began < 20
    ssh_server.cut()
    assert box.run(["echo", "again"]).out == b"again\n"
    box.close()


def test_a_host_with_another_key_is_refused_with_both_fingerprints(ssh_server, ssh_servers, tmp_path):
    ssh_servers.make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    box = ssh_server.card(host_key=other).connect()
    with pytest.raises(HostKeyError) as refused:
        box.run(["true"])
    for key in (tmp_path / "other.pub", ssh_server.folder / "host_key.pub"):
        shown = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]
        assert shown in str(refused.value)
    assert "--replace --accept SHA256:" in str(refused.value)
    box.close()
    nobody = ssh_server.card(host_key="").connect()
    with pytest.raises(HostKeyError, match="treadle host add"):
        nobody.exists("/")
    nobody.close()


def test_who_is_not_let_in_or_finds_nobody_is_told_why(ssh_server, ssh_servers, tmp_path):
    ssh_servers.make_key(tmp_path / "key")
    for fields, error, words in (
        ({"key": str(tmp_path / "key")}, HostError, "authorized_keys"),
        ({"port": 1}, LinkError, "cannot be reached"),
        ({"key": str(tmp_path / "none")}, Exception, "ssh-add"),
    ):
        box = dataclasses.replace(ssh_server.card(), **fields).connect()
        with pytest.raises(error, match=words):
            box.run(["true"])
        box.close()


@pytest.fixture
def small_disk(ssh_server):
    """A disk of 3 MB on the host."""
    folder = ssh_server.root / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_on_the_host_is_named_and_the_status_of_what_filled_it_is_kept(box, small_disk, tmp_path):
    from treadle.remote.run_folder import RunFolder

    (tmp_path / "large").write_bytes(os.urandom(5 << 20))
    with pytest.raises(HostFullError, match="No space left on `box`"):
        box.put(tmp_path / "large", f"{small_disk}/large")
    for path in small_disk.glob(".large*"):
        path.unlink()
    run = RunFolder(box, str(small_disk), "filler")
    run.start(["sh", "-c", "cat /dev/zero > filler; echo full; exit 9"])
    until(lambda: not run.state().alive)
    assert run.state().code == 9
    with pytest.raises(HostFullError):
        box.put_bytes(b"x" * 9000, f"{small_disk}/more")
