"""Whether a worker lives in a workspace on this machine, how to wake it, and how to start one.

A worker holds a lock that the kernel frees however it dies, so its presence needs no database and cannot be stale. Its
bell is a socket: whoever is about to queue work rings it with the kind of job, and the worker starts the process for
it while the request is still being worked out. The bell only saves time; the ledger says what is to be done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.files import disk_errors, is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from treadle.store.workspace import WorkspaceFolder

IDLE_VARIABLE = "TREADLE_WORKER_IDLE_SECONDS"
"""Environment variable: after how many seconds without work a worker in the background ends."""
IDLE_SECONDS = 60.0
FOLDER = ".worker"
"""Folder in the workspace with the locks, the bells and the log of workers; nothing in it must be kept."""
_PRESENT = "present.lock"
_BACKGROUND = "background.lock"
_BELL = "bell-"


def worker_folder(workspace: WorkspaceFolder) -> Path:
    """The folder of the workers, made if need be."""
    folder = workspace.root / FOLDER
    with disk_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def idle_seconds() -> float:
    """After how long without work a worker in the background ends."""
    try:
        return float(os.environ.get(IDLE_VARIABLE, IDLE_SECONDS))
    except ValueError:
        return IDLE_SECONDS


def worker_lives(workspace: WorkspaceFolder) -> bool:
    """Whether a worker that takes jobs lives in this workspace on this machine."""
    return is_locked(workspace.root / FOLDER / _PRESENT)


class Presence:
    """A worker's sign of life; any number of workers may be present."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Show nothing yet."""
        self._path = worker_folder(workspace) / _PRESENT
        self._handle: int | None = None

    def show(self) -> None:
        """Be seen from now on."""
        if self._handle is None:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_SH)
            self._handle = handle

    def hide(self) -> None:
        """Be gone: from now on those who queue work start another worker."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@contextlib.contextmanager
def held_alone(workspace: WorkspaceFolder, lock: str = _BACKGROUND) -> Iterator[bool]:
    """Yield whether this process is the only one that holds `lock`; several may have been started at once."""
    handle = os.open(worker_folder(workspace) / lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


class Bell:
    """A worker's socket on which kinds of jobs are announced."""

    def __init__(self, workspace: WorkspaceFolder) -> None:
        """Hang it up; where the machine has no such sockets it stays silent."""
        self._folder = worker_folder(workspace)
        self._name = f"{_BELL}{os.getpid()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(0)
        with contextlib.suppress(OSError), short_name(self._folder) as folder:
            (self._folder / self._name).unlink(missing_ok=True)
            self.socket.bind(f"{folder}/{self._name}")

    def heard(self) -> list[str]:
        """Kinds that were announced since the last call."""
        kinds = []
        with contextlib.suppress(BlockingIOError):
            while True:
                kinds.append(self.socket.recv(200).decode(errors="replace"))
        return kinds

    def close(self) -> None:
        """Take it down."""
        self.socket.close()
        (self._folder / self._name).unlink(missing_ok=True)


def announce(workspace: WorkspaceFolder, kind: str = "") -> None:
    """See that a worker looks into the ledger now: a living one is woken, else one is started.

    With a `kind` of job that is about to be queued, it prepares a process for it meanwhile.
    """
    if worker_lives(workspace):  # asked first: one that is about to end still hears its bell
        _ring(workspace, kind)
    else:
        start_worker(workspace, kind)


def wake(workspace: WorkspaceFolder) -> None:
    """Have a living worker look into the ledger now."""
    _ring(workspace, "")


def start_worker(workspace: WorkspaceFolder, expected: str = "") -> None:
    """Start a worker in the background, in a session of its own: no Ctrl-C or closed terminal reaches it."""
    folder = worker_folder(workspace)
    with disk_errors(folder), (folder / "log.txt").open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "treadle.jobs.background", str(workspace.root), expected],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=workspace.root,
        )
    threading.Thread(target=worker.wait, daemon=True).start()  # a worker that ends before us leaves no zombie


def _ring(workspace: WorkspaceFolder, kind: str) -> bool:
    """Ring the first bell that somebody hears; bells of the dead are taken down."""
    for path in sorted((workspace.root / FOLDER).glob(f"{_BELL}*")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hand, short_name(path.parent) as folder:
            hand.settimeout(0)
            try:
                hand.sendto(kind.encode(), f"{folder}/{path.name}")
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue
            else:
                return True
    return False


@contextlib.contextmanager
def short_name(folder: Path) -> Iterator[str]:
    """A short name for a folder: addresses of sockets have only some hundred bytes, paths may be longer."""
    if not Path("/proc/self/fd").is_dir():
        yield str(folder)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
