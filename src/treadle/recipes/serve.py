"""Serving: models of a workspace over HTTP, as OpenAI's clients expect them, and to `sample` and `chat` beside it."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from treadle.base.errors import NotReadyError
from treadle.base.listening import listening_socket, shown_address
from treadle.generation.serving.app import create_app
from treadle.recipes.serve_keys import key_owner
from treadle.recipes.serve_models import ServedModels
from treadle.recipes.serve_opening import Choice
from treadle.recipes.serve_sampling import SamplingDoor
from treadle.telemetry.hardware import memory

if TYPE_CHECKING:
    import socket

    from treadle.operations.serving import ServePayload
    from treadle.store.workspace import WorkspaceFolder

_SHARE: Final = 0.25
"""Share of the machine's memory that open models may take unless told otherwise."""
_GRACE_SECONDS: Final = 5
_IDLE_SECONDS: Final = 30
_BACKLOG: Final = 4096
"""How many connections may stand before the door."""
_SWITCH_SECONDS: Final = 0.0005
"""How long a thread may keep the interpreter from another: the engine's thread must not wait for the loop's."""


def serve(workspace: WorkspaceFolder, payload: ServePayload) -> dict[str, Any]:
    """Serve until a signal ends it; returns what was served."""
    who = key_owner(workspace, payload.host)
    models = ServedModels(workspace, _choice(payload))
    names = models.names()
    if not names:
        raise NotReadyError("No model here can write yet. Make one and train it: treadle new NAME, treadle train NAME")
    began = time.monotonic()
    with listening_socket(payload.host, payload.port, "--port", _BACKLOG) as listener:
        try:
            models.release(models.open(names[0]))  # what is wrong with it is said now, and not to the first client
            models.watch()
            address = f"{shown_address(payload.host, listener)}/v1"
            _say(address, models, needs_key=who is not None)
            before = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_SECONDS)
            try:
                with SamplingDoor(workspace, models):
                    _run(uvicorn.Server(_settings(models, who)), listener)
            finally:
                sys.setswitchinterval(before)
        finally:
            models.close()
    figures = models.figures()
    return {
        "address": address,
        "models": names,
        "texts": sum(sum(one.endings.values()) for one in figures.values()),
        "tokens": sum(one.written_tokens for one in figures.values()),
        "seconds": round(time.monotonic() - began, 1),
    }


def _choice(payload: ServePayload) -> Choice:
    budget = memory()[0] * _SHARE if payload.memory is None else payload.memory * 1e9
    return Choice(
        names=tuple(dict.fromkeys(payload.names)),
        checkpoint=payload.checkpoint,
        overrides=payload.overrides,
        slots=payload.slots,
        context=payload.context,
        waiting=payload.waiting,
        memory_bytes=int(budget),
    )


def _settings(models: ServedModels, who: Any) -> uvicorn.Config:  # noqa: ANN401 - a function or None
    return uvicorn.Config(
        create_app(models, who),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; streams then have some seconds to end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when it has shut down in order
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # the same for Ctrl-C
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(address: str, models: ServedModels, *, needs_key: bool) -> None:
    state = models.state()
    names = models.names()
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    first = state["models"][0]
    budget, taken = state["memory_budget_bytes"] / 1e9, first["bytes"] / 1e9
    sys.stderr.write(
        f"Serving {shown} at {address} (Ctrl-C ends it)\n"
        f"Models may take {budget:.2f} GB of memory; {first['id']}, step {first['step']:,}, takes {taken:.3f}.\n"
        f"{'Requests need a key.' if needs_key else 'Programs of this machine need no key.'}\n"
    )
    sys.stderr.flush()
