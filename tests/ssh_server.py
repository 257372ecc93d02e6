"""A real SSH server for tests: sshd on loopback (or inside a network namespace) with keys of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAM = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
_CONFIG = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
PrintMotd no
Subsystem sftp internal-sftp
SetEnv HOME={folder} PATH={folder}/bin:{path}
"""


class SshServer:
    """One sshd. Programs in `bin` are found before the machine's own; `root` is a folder for what hosts keep."""

    def __init__(self, folder, *, address="127.0.0.1", port=None, inside=()):
        self.folder, self.address, self._inside = folder, address, list(inside)
        self.user = getpass.getuser()
        self.bin = folder / "bin"
        self.root = folder / "root"
        self.key = folder / "key"
        for path in (folder, self.bin, self.root):
            path.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        make_key(self.key)
        shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
        self.new_host_key()
        if port is None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        self.port = port
        config = {"address": address, "port": port, "folder": folder, "path": os.environ["PATH"]}
        (folder / "config").write_text(_CONFIG.format(**config))
        self._process = None
        self.start()

    @property
    def host_key(self):
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def card(self, name="box", **fields):
        """The card of this server, as `host add` would keep it."""
        from treadle.remote.hosts import HostCard

        given = {"root": str(self.root), "created": "2026-01-01T00:00:00+00:00", "user": self.user, "port": self.port}
        given |= {"key": str(self.key), "host_key": self.host_key}
        return HostCard(name, self.address, **{**given, **fields})

    def new_host_key(self):
        """Prove to be another machine from the next start on."""
        (self.folder / "host_key").unlink(missing_ok=True)
        make_key(self.folder / "host_key")

    def program(self, name, text):
        """Put a program where the host's commands are found first."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self):
        command = [*self._inside, PROGRAM, "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        began = time.monotonic()
        while "Server listening" not in (self.folder / "log").read_text(errors="replace"):
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            assert time.monotonic() - began < 30
            time.sleep(0.02)

    def stop(self):
        """The end: let nobody in, cut who is there, end what they left running."""
        self.cut()
        self._process.kill()
        self._process.wait()
        (self.folder / "log").write_text("")
        self.end_runs()

    def end_runs(self):
        """End what runs of failed tests have left behind."""
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (path / "cwd").readlink().is_relative_to(self.folder):
                    os.kill(int(path.name), signal.SIGKILL)
            except OSError:
                continue

    def sessions(self):
        """Processes that serve a connection, of this server only."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            parents[int(stat.parent.name)] = (name, int(rest.split()[1]))
        found = {self._process.pid}
        while more := {pid for pid, (name, up) in parents.items() if up in found and name.startswith("sshd")} - found:
            found |= more
        return found - {self._process.pid}

    def cut(self):
        """Cut every connection, as a lost network does; the commands' own processes are left alone."""
        self._signal(signal.SIGKILL)

    def freeze(self):
        """Answer nothing more, with the connections open."""
        self._signal(signal.SIGSTOP)

    def _signal(self, number):
        for pid in self.sessions():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def make_key(path):
    """Make a pair of keys at `path` and `path`.pub."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def left_behind(mark):
    """Processes that carry the mark of a run with this id, as `pid command`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            words = path.read_bytes().split(b"\0")
            if any(word.startswith(b"TREADLE_REMOTE_RUN=") and word.endswith(f"/{mark}".encode()) for word in words):
                found.append(f"{path.parent.name} {(path.parent / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found
