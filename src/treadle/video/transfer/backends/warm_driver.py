"""Runs on the host, beside the target: hands requests to its model server, which keeps the model loaded.

This file is sent there with each launch and needs nothing but Python 3.8 and Linux. Its arguments are a file with the
`requests` and the `key` of what must be loaded for them, and JSON that says how the server is started (`start`,
`folder`, `environment`, `checkpoints`), where it and its clients exchange files (`exchange`), and how many `workers`
it has.

The server is one for all launches of a host. It lives in a session of its own under a keeper, which ends it when nobody
has used it for long, or when it holds too much memory. A lock lets one client in at a time. A client that is ended in
the middle of a request ends the server, since what it computes cannot be stopped otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MARK = "TREADLE_WARM"
POLL_SECONDS = 0.05
KEEPERS: list[subprocess.Popen[bytes]] = []
"""Keepers that this process has started; they outlive it."""


class Trouble(Exception):  # noqa: N818 - it is what it is
    """The server failed; its own words are in the log."""


def say(**event: object) -> None:
    """Tell something to whoever reads the log."""
    print(f"@treadle {json.dumps(event)}", flush=True)


def write(path: Path, value: object) -> None:
    """Replace a file at once: the other side reads it as soon as it is there."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)


def read(path: Path) -> dict[str, Any]:
    """What a file holds; empty where there is none, or it is just being written."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def began(pid: int) -> str:
    """When a process began; empty for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]


class Server:
    """The model server of this host, as `state` knows it."""

    def __init__(self, state: Path, exchange: Path, workers: int) -> None:
        self.state, self.exchange, self.workers = state, exchange, workers
        self.card = state / "server.json"
        self.log = state / "server.log"
        self.busy = state / "busy"
        self.used = state / "used.json"

    @property
    def alive(self) -> bool:
        """Whether its keeper is there."""
        card = read(self.card)
        return bool(card) and began(int(card["pid"])) == card["began"]

    def fits(self, key: str) -> bool:
        """Whether it is loaded for requests of this key, and was left in peace."""
        return self.alive and read(self.card).get("key") == key and not self.busy.exists()

    def members(self) -> list[int]:
        """Its processes, wherever they went."""
        card, found = read(self.card), []
        mark = f"{MARK}={self.state}\0".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            with contextlib.suppress(OSError):
                ours = mark in (folder / "environ").read_bytes() + b"\0"
                if (ours or pid == card.get("pid")) and began(pid):
                    found.append(pid)
        return [pid for pid in found if pid != os.getpid()]

    def end(self) -> None:
        """End it and all of its processes."""
        for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            limit = time.monotonic() + patience
            for pid in self.members():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while self.members() and time.monotonic() < limit:
                time.sleep(POLL_SECONDS)
        for keeper in KEEPERS:
            keeper.poll()
        for path in (self.card, self.busy, *self.files("commands"), *self.files("status")):
            with contextlib.suppress(OSError):
                path.unlink()

    def files(self, kind: str) -> list[Path]:
        """The files by which it and its clients talk."""
        return [self.exchange / f"worker_{rank}_{kind}.json" for rank in range(self.workers)]

    def start(self, request: dict[str, Any]) -> float:
        """Start it and wait until its model is loaded; returns how long that took."""
        since = time.monotonic()
        environment = {name: value for name, value in os.environ.items() if name != "TREADLE_REMOTE_RUN"}
        environment.update(request["environment"])
        environment[MARK] = str(self.state)
        order = self.state / "order.json"
        write(order, {key: request[key] for key in ("start", "folder", "key", "exchange", "workers")})
        with self.log.open("wb") as log:
            keeper = subprocess.Popen(
                [sys.executable, str(Path(__file__).absolute()), "--keep", str(self.state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
            KEEPERS.append(keeper)
        limit = time.monotonic() + 30
        while not self.alive:
            if time.monotonic() > limit:
                raise Trouble(f"The model server did not begin; see {self.log}.")
            time.sleep(POLL_SECONDS)
        self.answer(0)
        seconds = time.monotonic() - since
        write(self.card, {**read(self.card), "loaded_seconds": seconds})
        return seconds

    def infer(self, parameters: dict[str, Any]) -> None:
        """Have one request carried out."""
        Path(parameters["output_dir"]).mkdir(parents=True, exist_ok=True)
        offset = self.log.stat().st_size
        self.busy.touch()
        for path in self.files("commands"):
            write(path, {"command": "inference", "params": parameters})
        self.answer(offset)
        self.busy.unlink()

    def answer(self, offset: int) -> None:
        """Wait until every worker has said how it went, and pass its log on meanwhile."""
        waiting = self.files("status")
        failed = []
        while waiting:
            alive = self.alive
            offset = self.pass_on(offset)
            for path in list(waiting):
                found = read(path)
                if found.get("status"):
                    waiting.remove(path)
                    path.unlink()
                    if found["status"] != "success":
                        failed.append(str(found.get("result", "")))
            if waiting and not alive:
                raise Trouble("The model server ended in the middle of it.")
            time.sleep(POLL_SECONDS)
        self.pass_on(offset)
        if failed:
            raise Trouble(failed[0])

    def pass_on(self, offset: int) -> int:
        """Print what is new in its log."""
        with self.log.open("rb") as log:
            log.seek(offset)
            piece = log.read()
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return offset + len(piece)

    def memory_gb(self) -> float:
        """What its processes hold, of the machine's memory and of the GPUs'."""
        pids, total = set(self.members()), 0.0
        for pid in pids:
            with contextlib.suppress(OSError, IndexError, ValueError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if shutil.which("nvidia-smi"):
            query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
            done = subprocess.run(query, capture_output=True, text=True, check=False)
            for line in done.stdout.splitlines():
                words = [word.strip() for word in line.split(",")]
                if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[0]) in pids:
                    total += int(words[1]) * 1024**2
        return total / 1000**3


def client(request: dict[str, Any]) -> int:
    """Carry out the requests of one launch."""
    state = Path(request["state"])
    state.mkdir(parents=True, exist_ok=True)
    server = Server(state, Path(request["exchange"]), request["workers"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(type="stage", stage="waiting for the model server")
            fcntl.flock(lock, fcntl.LOCK_EX)
        write(server.used, {name: request[name] for name in ("idle_seconds", "memory_gb")})
        ended_well = False
        try:
            cold = not server.fits(request["key"])
            if cold:
                server.end()
                say(type="stage", stage="loading")
                server.start(request)
            loaded = float(read(server.card)["loaded_seconds"])
            say(type="warm", cold=cold, loaded_seconds=loaded if cold else None, saved_seconds=0.0 if cold else loaded)
            for number, parameters in enumerate(request["requests"]):
                server.infer(parameters)
                say(type="item", item=number)
            write(server.used, {name: request[name] for name in ("idle_seconds", "memory_gb")})
            ended_well = True
        except Trouble as error:
            print(error, flush=True)
        finally:
            if not ended_well:
                server.end()
    return 0 if ended_well else 1


def keep(state: Path) -> int:
    """Run the server, and end it when it is not used for long, or holds too much memory."""
    order = read(state / "order.json")
    server = Server(state, Path(order["exchange"]), order["workers"])
    for path in (*server.files("commands"), *server.files("status")):
        with contextlib.suppress(OSError):
            path.unlink()
    process = subprocess.Popen(order["start"], cwd=order["folder"], stdin=subprocess.DEVNULL)
    write(server.card, {"pid": os.getpid(), "began": began(os.getpid()), "key": order["key"]})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with (state / "lock").open("w") as lock:
            while process.poll() is None:
                time.sleep(POLL_SECONDS * 4)
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free: nobody is at it
                    if too_long(server) or too_much(server):
                        break
                    fcntl.flock(lock, fcntl.LOCK_UN)
            server.end()
    finally:
        process.kill()
    return 0


def too_long(server: Server) -> bool:
    """Whether nobody has used it for as long as was said."""
    limit = read(server.used).get("idle_seconds")
    return limit is not None and time.time() - server.used.stat().st_mtime > limit


def too_much(server: Server) -> bool:
    """Whether it holds more memory than was said."""
    limit = read(server.used).get("memory_gb")
    return limit is not None and server.memory_gb() > limit


if __name__ == "__main__":
    if sys.argv[1] == "--keep":
        sys.exit(keep(Path(sys.argv[2])))
    order = json.loads(sys.argv[2])
    asked = read(Path(sys.argv[1]))
    sys.exit(client({**asked, **order, "key": f"{asked['key']} {order['checkpoints']}"}))
