"""Three hosts in network namespaces, each with its own sshd: what happens to one does not touch the others."""

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from treadle.remote.run_folder import RunFolder
from treadle.remote.transport import LinkError


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@pytest.fixture
def three(ssh_servers, tmp_path):
    """Servers `a`, `b`, `c` at 10.213.N.2, each behind a pair of devices of its own."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and `ip` (package iproute2)")
    made, names = [], [f"tr{os.getpid()}{name}" for name in "abc"]
    try:
        for number, name in enumerate(names):
            net = f"10.213.{number + os.getpid() % 80 * 3}"
            steps = [
                ("netns", "add", name),
                ("link", "add", f"{name[-6:]}o", "type", "veth", "peer", "name", f"{name[-6:]}i", "netns", name),
                ("addr", "add", f"{net}.1/24", "dev", f"{name[-6:]}o"),
                ("link", "set", f"{name[-6:]}o", "up"),
                ("-n", name, "addr", "add", f"{net}.2/24", "dev", f"{name[-6:]}i"),
                ("-n", name, "link", "set", f"{name[-6:]}i", "up"),
            ]
            for step in steps:
                done = ip(*step)
                if done.returncode:
                    pytest.skip(f"no network namespaces here: ip {' '.join(step)}: {done.stderr.strip()}")
            inside = ("ip", "netns", "exec", name)
            server = ssh_servers.SshServer(tmp_path / name, address=f"{net}.2", port=22, inside=inside)
            server.device = f"{name[-6:]}o"
            made.append(server)
        yield made
    finally:
        for server in made:
            server.stop()
        for name in names:
            ip("netns", "del", name)


def until(condition, seconds=60):
    began = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return found


def test_a_host_that_loses_its_network_is_noticed_followed_again_and_leaves_the_others_alone(three, ssh_servers):
    boxes = [server.card(f"box-{number}", keepalive=0.3).connect() for number, server in enumerate(three)]
    runs = [RunFolder(box, str(server.root), "r-same") for box, server in zip(boxes, three, strict=True)]
    count = "i=0; while [ ! -e go ]; do i=$((i + 1)); echo $i; sleep 0.02; done; echo end"
    for run in runs:
        run.start(["sh", "-c", count])
    assert len({Path(run.path, "pid").read_text() for run in runs}) == 3
    logs = [run.tail(0) for run in runs]
    ip("link", "set", three[1].device, "down")
    lost = []
    asking = threading.Thread(target=lambda: lost.append(boxes[1].run(["sleep", "60"]).code))
    asking.start()
    assert runs[0].state().alive
    Path(runs[2].path, "go").touch()
    until(lambda: runs[2].state().code == 0)
    asking.join(60)
    assert lost == [None]  # unknown, and no success
    with pytest.raises(LinkError):
        runs[1].state()
    assert Path(runs[1].path, "pid").exists()
    ip("link", "set", three[1].device, "up")

    def back():
        try:
            return runs[1].state()
        except LinkError:
            return None

    assert until(back).alive
    runs[0].stop()
    assert runs[1].state().alive
    Path(runs[1].path, "go").touch()
    state = until(lambda: not (found := runs[1].state()).alive and found)
    for number, run in enumerate(runs):
        while piece := run.tail(len(logs[number])):
            logs[number] += piece
        assert logs[number] == Path(run.path, "log").read_bytes()
    assert (state.code, runs[0].state().stopped, runs[2].state().stopped) == (0, True, False)
    for box in boxes:
        box.close()
