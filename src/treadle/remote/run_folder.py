"""A run on a host: its own folder there, detached from every connection, found again by its id.

`ROOT/ID/` holds what was staged and `command`, `launch`, `pid`, `log`, `rc`, `outputs/`. `pid` (number, start time and
boot) appears once, by a hard link, so a run is started once however often it is asked for; `rc` appears by a rename
when the command has ended. Nothing outside of this folder is ever changed or removed.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.base.errors import UsageError
from treadle.base.names import check_name
from treadle.remote.transport import BLOCK, HostError, inner_path, run_checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treadle.remote.containers import Containers
    from treadle.remote.transport import Transport

OUTPUTS: Final = "outputs"
ENVIRONMENT: Final = "environment"
_OURS: Final = {"command", "launch", "pid", "log", "rc", "stopped", ENVIRONMENT, "staged.json"}
_SCRIPTS: Final = Path(__file__).parent / "scripts"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUICK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands on its host, as it says itself."""

    there: bool
    """Whether its folder is there."""
    pid: int | None
    """Number of the process that carries it out; None if it was never started."""
    alive: bool
    """Whether anything of it still runs. Neither alive nor with a code, though started: it is lost."""
    code: int | None
    """Status of its command, 128 + N after signal N; None while it runs, and when nobody wrote it down."""
    log_size: int
    """Bytes of its log; the final number once there is a code."""
    stopped: bool
    """Whether it was asked to stop."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A file that was brought back."""

    path: str
    """Relative to the run's folder."""
    sha256: str
    bytes: int


class RunFolder:
    """One run on one host."""

    def __init__(self, transport: Transport, root: str, run_id: str, containers: Containers | None = None) -> None:
        """Know the run `run_id` under the absolute path `root`; nothing is done yet."""
        if not root.startswith("/"):
            raise UsageError(f"{root!r}: the folder of runs on {transport.host} must be an absolute path.")
        self._transport, self._containers = transport, containers
        self.id = check_name("run", run_id)
        self.path = f"{root.rstrip('/')}/{self.id}"

    def stage(self, files: Mapping[str, Path | bytes]) -> dict[str, str]:
        """Send files into the folder; those that are there already, by hash, are not sent again. Returns SHA-256s."""
        hashes = {}
        for name, content in files.items():
            if inner_path(name).partition("/")[0] in _OURS:
                raise UsageError(f"`{name}` is a name that runs keep for themselves; choose another.")
            target = f"{self.path}/{name}"
            if isinstance(content, bytes):
                hashes[name] = self._transport.put_bytes(content, target)
            else:
                hashes[name] = self._transport.put(content, target)
        self._transport.put_bytes(json.dumps(hashes, indent=2, sort_keys=True).encode(), f"{self.path}/staged.json")
        return hashes

    def keep_environment(self, variables: Mapping[str, str]) -> str:
        """Send secrets as a file that only the user there may read, until the run ends. Returns its path."""
        for name, value in variables.items():
            if _VARIABLE.fullmatch(name) is None or "\n" in value or "\0" in value:
                raise UsageError(f"`{name}` cannot be a variable of the environment, or its value has several lines.")
        text = "".join(f"{name}={value}\n" for name, value in variables.items())
        self._transport.put_bytes(text.encode(), f"{self.path}/{ENVIRONMENT}", 0o600)
        return f"{self.path}/{ENVIRONMENT}"

    def start(self, argv: Sequence[str]) -> int:
        """Start the command in the folder, in a session of its own; returns the number of its process.

        Started twice, also after a cut link, it is the same run. Its environment is that of a login there and what
        `keep_environment` sent; `TREADLE_REMOTE_RUN` is the run's folder, by which its processes are found.
        """
        command = f"exec {shlex.join(argv)}\n".encode(errors="surrogateescape")
        if not self._transport.exists(f"{self.path}/pid"):
            self._transport.put_bytes(command, f"{self.path}/command")
            self._transport.put_bytes(script("launch"), f"{self.path}/launch")
        out = self._carry_out("begin", f"start run {self.id}")
        return int(out.split()[0])

    def state(self) -> RunState:
        """Where it stands now; raises `LinkError` when the host cannot be asked."""
        found = _pairs(self._carry_out("state", f"say where run {self.id} stands"))
        code = found.get("code", "")
        alive = found.get("alive") == "yes"
        if not alive and not code.isdigit() and "pid" in found and self._containers is not None:
            alive = bool(self._containers.running(self._transport, self.id))
        return RunState(
            there="there" in found,
            pid=int(found["pid"]) if "pid" in found else None,
            alive=alive,
            code=int(code) if code.isdigit() else None,
            log_size=int(found.get("log", 0)),
            stopped="stopped" in found,
        )

    def tail(self, offset: int, most: int = BLOCK) -> bytes:
        """The log from `offset` on, at most `most` bytes: whoever adds up what came has every byte exactly once."""
        return self._transport.read(f"{self.path}/log", offset, most)

    def stop(self, grace: int = 10) -> None:
        """End it: SIGTERM, after `grace` seconds SIGKILL, to all of its processes and containers, until none is left.

        Raises `HostError` if something remains, which a process stuck in a driver can do.
        """
        out = self._carry_out("stop", f"stop run {self.id}", str(grace), timeout=grace + _QUICK_SECONDS)
        if self._containers is not None:
            self._containers.remove(self._transport, self.id, grace)
        left = _pairs(out).get("left", "?")
        if left != "0":
            raise HostError(
                f"{self._transport.host}: {left} processes of run {self.id} do not end. Look at them there with "
                "`ps -ef`; a process that waits for a driver ends only when that answers."
            )

    def collect(self, to: Path, names: Sequence[str] = (OUTPUTS,)) -> list[Collected]:
        """Bring back files and folders, each file compared with its hash there; goes on where it was cut."""
        wanted = [inner_path(name) for name in names]
        argv = ["sh", "-c", script("hashes").decode(), "hashes", self.path, *wanted]
        out = run_checked(self._transport, argv, f"list what run {self.id} made")
        found = []
        for line in out.split(b"\0"):
            if line:
                sha256, _, name = line.decode(errors="surrogateescape").partition("  ")
                local = to / inner_path(name)
                self._transport.get(f"{self.path}/{name}", local, sha256)
                found.append(Collected(name, sha256, local.stat().st_size))
        return sorted(found, key=lambda file: file.path)

    def _carry_out(self, name: str, what: str, *arguments: str, timeout: float = _QUICK_SECONDS) -> bytes:
        # The mark of its processes is the path: two hosts of one name may be one machine.
        argv = ["sh", "-c", script(name).decode(), name, self.path, self.path, *arguments]
        return run_checked(self._transport, argv, what, timeout=timeout)


def script(name: str) -> bytes:
    """A shell script of this room, which hosts carry out."""
    return (_SCRIPTS / f"{name}.sh").read_bytes()


def _pairs(out: bytes) -> dict[str, str]:
    found = {}
    for line in out.decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        found[key] = value.strip()
    return found
