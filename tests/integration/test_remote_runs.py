"""Runs on a host over SSH: they go on without us, are found again, are stopped wholly, and leave each other alone."""

import functools
import os
import random
import secrets
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from treadle.base.errors import UsageError
from treadle.base.hashing import hash_bytes
from treadle.remote.run_folder import RunFolder
from treadle.remote.transport import HostError, LinkError

TOKEN = f"hf_{secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def box(ssh_server):
    made = ssh_server.card(keepalive=0.5).connect()
    yield made
    made.close()


def until(condition, seconds=40):
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return found


def again(ask):
    """Ask until the link is there again."""
    while True:
        try:
            return ask()
        except LinkError:
            continue


def test_a_run_is_staged_started_once_and_collected_with_hashes(ssh_server, box, tmp_path):
    run = RunFolder(box, str(ssh_server.root), "r-one")
    (tmp_path / "clip").write_bytes(b"\x00\x01" * 5000)
    hashes = run.stage({"spec.json": b"{}", "inputs/clip": tmp_path / "clip"})
    assert run.stage({"spec.json": b"{}", "inputs/clip": tmp_path / "clip"}) == hashes
    environment = Path(run.keep_environment({"HF_TOKEN": TOKEN, "OTHER": "a b'c"}))
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    script = (
        "echo started >> starts; mkdir outputs 'outputs/a b'; cat inputs/clip > 'outputs/a b/ü'; ln -s /etc outputs/l; "
        'while [ ! -e go ]; do sleep 0.05; done; printf %s "$HF_TOKEN$OTHER" | sha256sum > secret; '
        "printf 'odd \\377 byte\\nlast'; exit 7"
    )
    with ThreadPoolExecutor(4) as pool:  # asked for again and again, as after cut links
        numbers = set(pool.map(lambda _: run.start(["sh", "-c", script]), range(4)))
    number = run.start(["sh", "-c", script])
    assert numbers == {number}
    state = run.state()
    assert (state.there, state.pid, state.alive, state.code, state.stopped) == (True, number, True, None, False)
    shown = [Path(folder, "cmdline") for folder in Path("/proc").glob("[0-9]*")]
    assert not any(TOKEN.encode() in path.read_bytes() for path in shown if path.exists())
    Path(run.path, "go").touch()
    until(Path(run.path, "rc").exists)
    until(lambda: not run.state().alive)
    state = run.state()
    assert (state.code, state.alive, state.log_size) == (7, False, len(run.tail(0)))
    assert run.tail(0) == b"odd \xff byte\nlast"
    assert Path(run.path, "starts").read_text() == "started\n"
    assert Path(run.path, "secret").read_text().split()[0] == hash_bytes(f"{TOKEN}a b'c".encode())
    assert not environment.exists()
    assert not [path for path in Path(run.path).rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    for _ in range(2):
        (file,) = run.collect(tmp_path / "back")
        assert (file.path, file.bytes) == ("outputs/a b/ü", 10000)
    assert (tmp_path / "back" / "outputs" / "a b" / "ü").read_bytes() == b"\x00\x01" * 5000


def test_the_log_is_complete_exactly_once_however_often_the_link_is_cut(ssh_server, box):
    run = RunFolder(box, str(ssh_server.root), "r-log")
    count = "while [ $i -lt 3000 ]; do i=$((i + 1)); echo line $i; printf '\\377\\n' >&2; "
    run.start(["sh", "-c", f"i=0; {count} [ $((i % 20)) != 0 ] || sleep 0.01; done"])
    chance, log, cuts = random.Random(5), b"", 0
    while True:
        state = again(run.state)
        while piece := again(functools.partial(run.tail, len(log), chance.randrange(1, 4000))):
            log += piece
            if cuts < 4 and len(log) > (cuts + 1) * 7000:
                ssh_server.cut()
                cuts += 1
        if not state.alive and len(log) >= state.log_size:
            break
    assert cuts == 4
    assert again(run.state).code == 0
    expected = b"".join(b"line %d\n\xff\n" % number for number in range(1, 3001))
    assert log == expected == Path(run.path, "log").read_bytes()


def test_stop_leaves_nothing_of_the_run_and_everything_of_another(ssh_server, ssh_servers, box):
    stubborn, neighbour = (RunFolder(box, str(ssh_server.root), name) for name in ("r-stubborn", "r-neighbour"))
    script = "trap '' TERM; setsid sleep 300 & (trap '' TERM HUP; sleep 300) & touch ready; sleep 300; sleep 300"
    for run in (stubborn, neighbour):
        run.start(["sh", "-c", script])
        until(lambda run=run: Path(run.path, "ready").exists())
    left = until(lambda: len(found := ssh_servers.left_behind("r-neighbour")) >= 4 and found)
    stubborn.stop(grace=1)
    assert ssh_servers.left_behind("r-stubborn") == []
    state = stubborn.state()
    assert (state.alive, state.stopped) == (False, True)
    assert ssh_servers.left_behind("r-neighbour") == left
    assert neighbour.state().alive
    files = sorted(path.name for path in Path(neighbour.path).iterdir())
    os.kill(neighbour.state().pid, signal.SIGKILL)
    assert neighbour.state().alive  # who started it is gone; what it started goes on
    neighbour.stop(grace=0)
    assert ssh_servers.left_behind("r-neighbour") == []
    assert sorted({*files, "stopped"}) == sorted(path.name for path in Path(neighbour.path).iterdir())


def test_a_run_that_ends_by_a_signal_is_told_from_one_that_is_lost(ssh_server, ssh_servers, box):
    polite = RunFolder(box, str(ssh_server.root), "r-polite")
    polite.start(["sleep", "300"])
    polite.stop()
    assert (polite.state().code, polite.state().stopped) == (143, True)
    lost = RunFolder(box, str(ssh_server.root), "r-lost")
    lost.start(["sleep", "300"])
    until(lambda: len(ssh_servers.left_behind("r-lost")) == 1)
    os.killpg(lost.state().pid, signal.SIGKILL)
    until(lambda: not ssh_servers.left_behind("r-lost"))
    state = lost.state()
    assert (state.there, state.code, state.stopped) == (True, None, False)
    never = RunFolder(box, str(ssh_server.root), "r-never")
    assert (never.state().there, never.state().alive) == (False, False)
    never.stage({"a": b""})
    never.stop()
    never.start(["touch", "ran"])
    until(Path(never.path, "rc").exists)
    assert never.state().code == 143
    assert not Path(never.path, "ran").exists()


def test_a_process_that_has_the_number_of_an_old_run_is_not_taken_for_it(ssh_server, box):
    run = RunFolder(box, str(ssh_server.root), "r-old")
    run.start(["true"])
    until(Path(run.path, "rc").exists)
    bystander = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        Path(run.path, "rc").unlink()
        Path(run.path, "pid").write_text(f"{bystander.pid} 1 {boot}\n")
        assert not run.state().alive
        run.stop(grace=0)
        Path(run.path, "pid").write_text(f"{bystander.pid} 1 another-boot\n")
        assert not run.state().alive
        run.stop(grace=0)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_what_would_leave_the_folder_or_hurt_the_run_is_refused(ssh_server, box, tmp_path):
    run = RunFolder(box, str(ssh_server.root), "r-refused")
    for name in ("../x", "/x", "a/../../x", "", "pid", "log", "a//b", "environment"):
        with pytest.raises(UsageError):
            run.stage({name: b""})
    with pytest.raises(UsageError, match="several lines"):
        run.keep_environment({"A": "b\nc"})
    for identity in ("../r", "a/b", ""):
        with pytest.raises(UsageError):
            RunFolder(box, str(ssh_server.root), identity)
    with pytest.raises(UsageError, match="absolute"):
        RunFolder(box, "relative", "r")
    with pytest.raises(HostError):
        run.collect(tmp_path)
    assert not Path(run.path).exists()
