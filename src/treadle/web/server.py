"""The server: refuses what would be unsafe, listens, says where, opens a browser."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from treadle.base.errors import NotReadyError
from treadle.base.listening import is_loopback, listening_socket, shown_address
from treadle.store.accounts import AccountsFile
from treadle.web.app import create_app
from treadle.web.security import Place

if TYPE_CHECKING:
    from types import FrameType

    from treadle.store.workspace import WorkspaceFolder
    from treadle.web.hub import Hub

_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    """Ends the streams of events when it shall end; they would go on for ever."""

    def __init__(self, settings: uvicorn.Config, hub: Hub) -> None:
        super().__init__(settings)
        self._hub = hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hub.end()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is cut off from now on is no fault
        super().handle_exit(sig, frame)


def serve(workspace: WorkspaceFolder, *, host: str, port: int, names: tuple[str, ...], browser: bool) -> str:
    """Serve until a signal ends it; returns the address. Refuses any but the machine's own address without users."""
    if not is_loopback(host) and not AccountsFile(workspace).read().users:
        raise NotReadyError(
            f"{host} can be reached from other machines, and nobody would have to log in. "
            "Make a user first: treadle user add NAME --level admin"
        )
    # What an operation looks for `here` by default is the workspace, wherever this started.
    with contextlib.chdir(workspace.root), listening_socket(host, port, "--port") as listener:
        place = Place(host, listener.getsockname()[1], names)
        address = shown_address(host, listener)
        app = create_app(workspace, place)
        settings = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        sys.stderr.write(f"Treadle is open at {address} (Ctrl-C ends it; jobs go on)\n")
        sys.stderr.flush()
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        before = signal.getsignal(signal.SIGINT)
        try:
            _Server(settings, app.state.hub).run(sockets=[listener])
        except KeyboardInterrupt:
            pass  # uvicorn has shut down in order and tells what ended it
        finally:
            signal.signal(signal.SIGINT, before)
    return address
