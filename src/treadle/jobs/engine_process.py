"""The engine process of a workspace: `python -m treadle.jobs.engine_process WORKSPACE`.

It answers interactive requests over a Unix socket that only its owner may open, keeps engines open between them, and
ends when nobody has asked for a while. A request is one line of JSON (`kind`, `payload`, `version`); the answer is one
line for each event, and a last one: `end`, `error`, or `retire` from a process of another version, which then ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import treadle
from treadle.base.errors import TreadleError
from treadle.jobs.engine_socket import LOCK, bound, engine_idle_seconds
from treadle.jobs.presence import held_alone
from treadle.registry.catalogue import load
from treadle.store.workspace import WorkspaceFolder

if TYPE_CHECKING:
    import socket
    from types import FrameType


class EngineServer:
    """Answers requests, each in a thread of its own."""

    def __init__(self, workspace: WorkspaceFolder, idle_seconds: float, engines: Any = None) -> None:  # noqa: ANN401 - of a room above
        """Serve `workspace`; `run` returns after `idle_seconds` without a request. `engines` lends what writes."""
        self._workspace = workspace
        self._idle_seconds = idle_seconds
        self._engines = load("treadle.recipes.resident:ResidentEngines")() if engines is None else engines
        self._busy = 0
        self._last = time.monotonic()
        self._retired = False
        self._change = threading.Lock()

    def run(self, listener: socket.socket) -> None:
        """Answer until idle for long enough."""
        listener.settimeout(0.5)
        while self._busy or not (self._retired or time.monotonic() - self._last > self._idle_seconds):
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                with self._change:
                    self._busy += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        self._engines.close()

    def stop(self) -> None:
        """Take no more; `run` returns when what is under way has ended."""
        self._retired = True

    def _serve(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError), connection:  # the reader has gone away
                connection.settimeout(None)
                self._answer(connection)
        finally:
            with self._change:
                self._busy -= 1
                self._last = time.monotonic()

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            request = json.loads(reader.readline())

        def tell(**line: Any) -> None:  # noqa: ANN401 - plain JSON
            connection.sendall(json.dumps(line, ensure_ascii=False).encode() + b"\n")

        if request["version"] != treadle.__version__:
            self._retired = True
            tell(retire=True)
            return
        try:
            kind = load("treadle.recipes.catalog:INTERACTIVE").get(request["kind"])
            payload = kind.validate(request["payload"])
            with contextlib.closing(load(kind.recipe)(self._workspace, payload, self._engines)) as events:
                for event in events:
                    tell(type=event.type, time=event.time, data=event.data)
            tell(end=True)
        except TreadleError as error:
            tell(error=str(error), kind=type(error).__name__.removesuffix("Error"), exit_code=error.exit_code)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            traceback.print_exc()
            tell(error=f"Treadle has a defect: {type(error).__name__}: {error}.", kind="Defect", exit_code=70)


def main(arguments: list[str]) -> int:
    """Serve one workspace; ends at once if another process does."""
    workspace = WorkspaceFolder(Path(arguments[0]))
    signal.signal(signal.SIGTERM, _leave)
    with held_alone(workspace, LOCK) as alone:
        if alone:
            with bound(workspace) as listener:
                load("treadle.recipes.sample:stream")  # while the first request is on its way
                EngineServer(workspace, engine_idle_seconds()).run(listener)
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)  # threads may be in the middle of a text; nothing has to be kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
