"""The way to the engine process of a workspace, from both ends; who asks first starts it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import treadle
from treadle.base import errors
from treadle.base.errors import ResourceError, TreadleError
from treadle.jobs.presence import FOLDER, short_name, worker_folder
from treadle.telemetry.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from treadle.store.workspace import WorkspaceFolder

IDLE_VARIABLE = "TREADLE_ENGINE_IDLE_SECONDS"
"""Environment variable: after how many seconds without a request the engine process ends."""
IDLE_SECONDS = 120.0
LOCK = "engine.lock"
_SOCKET = "engine.sock"
_LOG = "engine.txt"
_START_SECONDS = 30.0
_WITHOUT = {"OPENBLAS_NUM_THREADS": "1", "PYDANTIC_DISABLE_PLUGINS": "__all__", "OMP_WAIT_POLICY": "PASSIVE"}
"""Environment of the process, where it is not set: it multiplies no matrices with numpy and has no plugins of pydantic.
Making room for the one and looking for the other is a seventh of its start. torch's threads sleep while they wait."""
_BACKLOG = 32


class EngineUnavailableError(ResourceError):
    """No engine process can be started here."""


def engine_idle_seconds() -> float:
    """After how long without a request the engine process ends."""
    try:
        return float(os.environ.get(IDLE_VARIABLE, IDLE_SECONDS))
    except ValueError:
        return IDLE_SECONDS


@contextlib.contextmanager
def bound(workspace: WorkspaceFolder) -> Iterator[socket.socket]:
    """Listen on the workspace's socket, which only its owner may open."""
    folder = worker_folder(workspace)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, short_name(folder) as short:
        (folder / _SOCKET).unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(f"{short}/{_SOCKET}")
        finally:
            os.umask(before)
        listener.listen(_BACKLOG)
        try:
            yield listener
        finally:
            (folder / _SOCKET).unlink(missing_ok=True)


def stream(workspace: WorkspaceFolder, kind: str, payload: Mapping[str, Any]) -> Generator[Event, None, None]:
    """Have the engine process carry out an interactive request; yield its events.

    Raises the error that the recipe raised, and `EngineUnavailableError`, before the first event, where no such process
    can be had. Whoever stops reading, by closing the generator, stops the work.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with _connected(workspace, deadline) as connection:
            request = {"kind": kind, "payload": dict(payload), "version": treadle.__version__}
            connection.sendall(json.dumps(request).encode() + b"\n")
            answered = False
            with connection.makefile("rb") as reader:
                for text in reader:
                    line = json.loads(text)
                    if "retire" in line:
                        break
                    if "end" in line:
                        return
                    if "error" in line:
                        raise _error_of(line)
                    answered = True
                    yield Event(line["type"], line["time"], line["data"])
        if answered or time.monotonic() > deadline:
            raise TreadleError(
                f"The engine's process ended in the middle of its answer. Its log is "
                f"{workspace.root / FOLDER / _LOG}; run the command again."
            )
        time.sleep(0.05)  # it was just leaving; the next one comes


def retire(workspace: WorkspaceFolder) -> None:
    """Ask the process that answers here, if there is one, to end after what it is doing."""
    with contextlib.suppress(OSError, ResourceError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        with short_name(worker_folder(workspace)) as short:
            connection.connect(f"{short}/{_SOCKET}")
        connection.sendall(json.dumps({"kind": "", "payload": {}, "version": ""}).encode() + b"\n")
        connection.recv(1)


def stream_or(
    workspace: WorkspaceFolder, kind: str, payload: Mapping[str, Any], here: Callable[[], Iterator[Event]]
) -> Generator[Event, None, None]:
    """The same; where no such process can be had, the events that `here` makes in this one."""
    with contextlib.closing(stream(workspace, kind, payload)) as events:
        try:
            first = next(events, None)
        except EngineUnavailableError:
            yield from here()
            return
        if first is not None:
            yield first
            yield from events


@contextlib.contextmanager
def _connected(workspace: WorkspaceFolder, deadline: float) -> Iterator[socket.socket]:
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        starter: subprocess.Popen[bytes] | None = None
        while True:
            try:
                folder = worker_folder(workspace)
                with short_name(folder) as short:
                    connection.connect(f"{short}/{_SOCKET}")
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if starter is None or starter.poll() is not None:
                    starter = _start(workspace)
            except OSError as error:
                raise EngineUnavailableError(f"No engine process can be reached ({error}).") from error
            except ResourceError as error:
                raise EngineUnavailableError(str(error)) from error
            if time.monotonic() > deadline:
                raise EngineUnavailableError(
                    f"The engine process does not start; see {workspace.root / FOLDER / _LOG}."
                )
            time.sleep(0.005)
        if starter is not None:
            threading.Thread(target=starter.wait, daemon=True).start()  # leaves no zombie
        yield connection


def _start(workspace: WorkspaceFolder) -> subprocess.Popen[bytes]:
    try:
        with (worker_folder(workspace) / _LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "treadle.jobs.engine_process", str(workspace.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=workspace.root,
                env={**_WITHOUT, **os.environ},
            )
    except OSError as error:
        raise EngineUnavailableError(f"No engine process can be started ({error}).") from error


def _error_of(line: Mapping[str, Any]) -> TreadleError:
    """The error that the recipe raised, by its name; one of another room becomes a general one of that exit code."""
    found = getattr(errors, f"{line['kind']}Error", None)
    if isinstance(found, type) and issubclass(found, TreadleError):
        error: TreadleError = found(line["error"])
        return error
    error = TreadleError(line["error"])
    error.exit_code = int(line["exit_code"])
    return error
